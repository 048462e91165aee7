"""Whether a denoised movie shows an event, and in the right frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.benchmark.movie_sources import Film, Happening

    Place = tuple[float, float]

#: Frames before and after an event that are looked at, at most.
_WINDOW: Final = 4
#: Radius of the disk that stands for a column [nm], and distance within which another
#: event disturbs.
RADIUS: Final = 0.06
_NEAR: Final = 0.3
#: A step smaller than this share of the vacuum cannot be told in the truth itself.
_SMALLEST: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """An event with the frames about it.

    Parameters
    ----------
    happening : Happening
        What happens.
    frames : ndarray of int
        The frames that are looked at; the event lies between two of them.
    truth : ndarray, the same shape
        Brightness of where it goes less that of where it was, in the clean movie.
    step : float
        How much that changes.
    """

    happening: Happening
    frames: NDArray[np.int64]
    truth: NDArray[np.float64]
    step: float


def watch(film: Film, *, pixel_size: float) -> list[Watched]:
    """Return the events that the clean movie itself shows, with their frames.

    Parameters
    ----------
    film : Film
        A clean movie.
    pixel_size : float
        [nm/px].
    """
    rates = np.asarray(film.rates, np.float64)
    level = float(np.median(rates))
    watched = []
    for happening in film.happenings:
        low = max(0, happening.frame - _WINDOW)
        high = min(len(rates), happening.frame + _WINDOW)
        for other in film.happenings:
            if other is not happening and _near(happening, other, pixel_size):
                if other.frame <= happening.frame:
                    low = max(low, other.frame)
                else:
                    high = min(high, other.frame)
        if not low < happening.frame < high:
            continue
        frames = np.arange(low, high)
        truth = signal(rates, film, happening, frames, pixel_size=pixel_size)
        later = frames >= happening.frame
        step = float(truth[later].mean() - truth[~later].mean())
        if abs(step) >= _SMALLEST * level:
            watched.append(
                Watched(happening=happening, frames=frames, truth=truth, step=step)
            )
    return watched


def signal(
    movie: NDArray[np.floating[Any]],
    film: Film,
    happening: Happening,
    frames: NDArray[np.int64],
    *,
    pixel_size: float,
) -> NDArray[np.float64]:
    """Return the brightness of where a column goes less that of where it was.

    Parameters
    ----------
    movie : ndarray, shape (T, H, W)
        Clean or denoised.
    film : Film
        For the drift, which the places follow.
    happening : Happening
        The event.
    frames : ndarray of int
        Which frames.
    pixel_size : float
        [nm/px].

    Returns
    -------
    ndarray, shape (len(frames),)
        Of a column that vanishes, the brightness of its place, negative.
    """
    radius = max(1.0, RADIUS / pixel_size)
    values = np.zeros(len(frames))
    for n, frame in enumerate(frames):
        moved = film.shifts[frame] - film.shifts[happening.frame]
        for place, sign in ((happening.after, 1.0), (happening.before, -1.0)):
            if place is not None:
                at = (place[0] + moved[0], place[1] + moved[1])
                values[n] += sign * _disk(movie[frame], at, radius)
    return values


def event_values(watched: Watched, found: NDArray[np.float64]) -> dict[str, Any]:
    """Score an event in a denoised movie.

    Parameters
    ----------
    watched : Watched
        The event in the clean movie.
    found : ndarray
        Its :func:`signal` in the denoised movie, in units of the clean one.

    Returns
    -------
    dict
        ``frame_error``: by how many frames the sharpest step, the one of least squares
        among those in the right direction, is late; None where there is none.
        ``right_frame``: whether it is in the right one. ``contrast``: the step found
        across the true frame, as a share of the true one. ``leak``: the share that is
        already there in the frame before; ``lag``: that is still missing in the frame
        of the event; None where there are no frames to compare them with.
    """
    frame, step = watched.happening.frame, watched.step
    later = watched.frames >= frame
    size = float(found[later].mean() - found[~later].mean())
    at = step_place(found, math.copysign(1.0, step))
    late = None if at is None else int(watched.frames[at]) - frame
    leak, lag = _spread(found, later)
    true_leak, true_lag = _spread(watched.truth, later)
    return {
        "kind": watched.happening.kind,
        "event_frame": frame,
        "frame_error": late,
        "frame_distance": None if late is None else abs(late),
        "right_frame": float(late == 0),
        "contrast": size / step,
        "leak": None
        if leak is None or true_leak is None
        else (leak - true_leak) / step,
        "lag": None if lag is None or true_lag is None else (lag - true_lag) / step,
    }


def _spread(
    values: NDArray[np.float64], later: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Return how far the frames next to an event are from those farther off.

    The last one before is compared with the earlier ones, the first one after with the
    later ones; None where there are none.
    """
    before, after = values[~later], values[later]
    leak = float(before[-1] - before[:-1].mean()) if len(before) > 1 else None
    lag = float(after[1:].mean() - after[0]) if len(after) > 1 else None
    return leak, lag


def _share(value: float | None, true: float | None, step: float) -> float | None:
    return None if value is None or true is None else (value - true) / step


def step_place(values: NDArray[np.float64], sign: float) -> int | None:
    """Return where a step of this sign fits best by least squares; None for none."""
    best, place = 0.0, None
    for at in range(1, len(values)):
        left, right = values[:at], values[at:]
        size = float(right.mean() - left.mean())
        # What the squared deviations fall by, where the mean is split here.
        fall = size**2 * len(left) * len(right) / len(values)
        if size * sign > 0 and fall > best:
            best, place = fall, at
    return place


def _disk(
    image: NDArray[np.floating[Any]], at: tuple[float, float], radius: float
) -> float:
    """Return the mean of the pixels within a radius of a place."""
    height, width = image.shape
    top, left = (max(0, math.floor(c - radius)) for c in at)
    bottom = min(height, math.ceil(at[0] + radius) + 1)
    right = min(width, math.ceil(at[1] + radius) + 1)
    y, x = np.ogrid[top:bottom, left:right]
    inside = (y - at[0]) ** 2 + (x - at[1]) ** 2 <= radius**2
    part = image[top:bottom, left:right][inside]
    return float(part.mean()) if part.size else math.nan


def _near(one: Happening, other: Happening, pixel_size: float) -> bool:
    """Return whether two events have places near each other, drift aside."""
    places = [p for p in (one.before, one.after) if p is not None]
    others = [p for p in (other.before, other.after) if p is not None]
    return any(math.dist(p, q) * pixel_size < _NEAR for p in places for q in others)
