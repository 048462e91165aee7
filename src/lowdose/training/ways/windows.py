"""Windows of successive frames in simulated sets, for networks that see neighbours.

In a set of movies they are the frames of one movie. A set of still images has none:
each of its images becomes a movie of one specimen that the stage carries along, with
a steady drift and a jitter, in which nothing else happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.inference.spans import reflected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.simulation.dataset import Dataset

#: Frames of the movie that a still image becomes, as many as the preset ``movie`` has:
#: as often as there, a window is at an end.
_LENGTH: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The frames that a network sees at once.

    Parameters
    ----------
    numbers : tuple of int
        Images of the set that are shown, each frame once, in the order of the movie.
    order : tuple of int
        Which of `numbers` the network sees, oldest first, the middle one to be
        denoised. At the ends of a movie a frame is seen twice, with the same noise.
    displacements : ndarray, shape (len(numbers), 2), float64
        By how much each is displaced along y and x [nm], against the middle one.
    """

    numbers: tuple[int, ...]
    order: tuple[int, ...]
    displacements: NDArray[np.float64]

    @property
    def middle(self) -> int:
        """Which of `numbers` is to be denoised."""
        return self.order[len(self.order) // 2]


class Windows:
    """A window about each image of a set.

    Parameters
    ----------
    dataset : Dataset
        Movies, whose frames are in order, or still images.
    frames : int
        Frames in a window, an odd number.
    drift : float, optional
        Of still images, the fastest steady drift [nm per frame]. Direction and speed
        are drawn uniformly.
    jitter : float, optional
        Of still images, the largest random displacement of a frame either way, along
        each axis [nm]. How much of it there is, is drawn for each window.
    """

    def __init__(
        self, dataset: Dataset, frames: int, *, drift: float = 0.0, jitter: float = 0.0
    ) -> None:
        self._frames, self._drift, self._jitter = frames, drift, jitter
        self.movies = shows_movies(dataset)
        self._places: list[tuple[NDArray[np.intp], int]] = []
        if self.movies:
            self._places = [
                (series, place)
                for series in _series(dataset)
                for place in range(len(series))
            ]

    @property
    def reach(self) -> float:
        """How far a frame is displaced at most [nm]."""
        if self.movies or self._frames == 1:
            return 0.0
        return self._drift * (self._frames // 2) + 2 * self._jitter

    def draw(self, number: int, rng: Random) -> Window:
        """Return the window about an image.

        Parameters
        ----------
        number : int
            Of the image in the set.
        rng : Generator
            Source of how a still image moves. Movies, and windows of one frame, draw
            nothing of it.

        Returns
        -------
        Window
        """
        if self._frames == 1:
            return Window(numbers=(number,), order=(0,), displacements=np.zeros((1, 2)))
        if self.movies:
            series, place = self._places[number]
            seen, order = _seen(place, len(series), self._frames)
            numbers = tuple(int(n) for n in series[seen])
            still = np.zeros((len(seen), 2))
            return Window(numbers=numbers, order=order, displacements=still)
        place = int(rng.integers(_LENGTH))
        seen, order = _seen(place, _LENGTH, self._frames)
        displacements = self._moved(seen, order[self._frames // 2], rng)
        return Window(
            numbers=(number,) * len(seen), order=order, displacements=displacements
        )

    def _moved(
        self, seen: NDArray[np.intp], middle: int, rng: Random
    ) -> NDArray[np.float64]:
        """Draw how frames at these times of a movie are displaced [nm]."""
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0, self._drift)
        velocity = speed * np.array([np.sin(angle), np.cos(angle)])
        amount = rng.uniform(0, self._jitter)
        places = seen[:, None] * velocity + rng.uniform(-amount, amount, (len(seen), 2))
        moved: NDArray[np.float64] = places - places[middle]
        return moved


def shows_movies(dataset: Dataset) -> bool:
    """Tell whether the images of a set are frames of movies."""
    return "time" in (dataset.parameters.dtype.names or ())


def _series(dataset: Dataset) -> Sequence[NDArray[np.intp]]:
    """Return the images of each movie, cut where frames were left out."""
    table = dataset.parameters
    follows = (np.diff(table["specimen"]) == 0) & (np.diff(table["image"]) == 1)
    return np.split(np.arange(len(table)), np.flatnonzero(~follows) + 1)


def _seen(
    place: int, length: int, frames: int
) -> tuple[NDArray[np.intp], tuple[int, ...]]:
    """Return the frames about one of a movie, and their order in the window.

    Beyond the ends of the movie it is as the engine shows it: reflected.
    """
    half = frames // 2
    window = reflected(place - half, place + half + 1, length)
    seen, order = np.unique(window, return_inverse=True)
    return seen, tuple(int(n) for n in order)
