"""What can be checked on data of what a way to learn assumes of its noise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowdose.noise import looks_like_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: Correlation of the noise of neighbouring pixels from which on it matters.
CORRELATED = 0.1
#: Frames that are looked at, spread over the stack.
_LOOKED_AT = 8
#: Off whole numbers by more than this, counts are not whole [counts].
_ROUNDING = 1e-3


def spread(frames: Sequence[Image], count: int = _LOOKED_AT) -> list[Image]:
    """Return some of the frames, evenly spread."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, count).astype(int))
    return [frames[n] for n in chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Whether data holds counted electrons.

    Parameters
    ----------
    whole : bool
        Whether all values are non-negative multiples of `gain`.
    gain : float
        Counts per electron: the greatest common divisor of all values where they are
        whole numbers, else 1.
    poisson : bool
        Whether the noise has the variance that whole electrons of that gain have.
    """

    whole: bool
    gain: float
    poisson: bool


def counting(frames: Sequence[Image]) -> Counting:
    """Judge whether frames hold counted electrons.

    Parameters
    ----------
    frames : sequence of ndarray, shape (H, W)
        Counts, finite.

    Returns
    -------
    Counting
        `poisson` after the majority of the frames that are looked at (see
        :func:`lowdose.noise.looks_like_counts`).
    """
    seen = spread(frames)
    if any(float(f.min()) < 0 or not _whole(f) for f in seen):
        return Counting(whole=False, gain=1.0, poisson=False)
    divisor = int(np.gcd.reduce([_divisor(frame) for frame in seen])) or 1
    votes = [looks_like_counts(frame / divisor) for frame in seen]
    return Counting(
        whole=True, gain=float(divisor), poisson=2 * sum(votes) > len(votes)
    )


def noise_correlation(frames: Sequence[Image]) -> tuple[float, float]:
    """Estimate how the noise of a pixel is correlated with that of its neighbours.

    Of several frames the difference of successive ones is taken, in which an unmoving
    specimen cancels. Of a single one, or of frames of different specimens, the
    specimen itself is correlated between neighbours; there the residual of the
    second difference along the *other* axis is taken, whose specimen is weak, and
    the excess that is left is an upper bound.

    Parameters
    ----------
    frames : sequence of ndarray, shape (H, W)
        Finite.

    Returns
    -------
    along_rows, along_columns : float
        Correlation coefficients at a distance of one pixel: along a row, from left
        to right, and along a column, from top to bottom.
    """
    pairs = [(a, b) for a, b in itertools.pairwise(frames) if a.shape == b.shape]
    singles = [_high_frequencies(frame) for frame in spread(frames)]
    estimates = [[_lag_one(r, axis) for axis in (0, 1)] for r in singles]
    if pairs:
        chosen = [pairs[n] for n in _few(len(pairs))]
        differences = [a.astype(np.float64) - b for a, b in chosen]
        estimates_of_pairs = [
            tuple(_autocorrelation(d, axis) for axis in (1, 0)) for d in differences
        ]
        # Whichever is nearer to none: a moving specimen is in the differences, and
        # fine structure in the residuals.
        both = np.stack([np.mean(estimates, 0), np.mean(estimates_of_pairs, 0)])
        nearest = np.abs(both).argmin(0)
        return float(both[nearest[0], 0]), float(both[nearest[1], 1])
    rows, columns = np.mean(estimates, 0)
    return float(rows), float(columns)


def _few(count: int) -> list[int]:
    return [
        int(n) for n in np.unique(np.linspace(0, count - 1, _LOOKED_AT).astype(int))
    ]


def _high_frequencies(frame: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return second differences along columns, and along rows."""
    image = frame.astype(np.float64)
    along_columns = image[:-2] - 2 * image[1:-1] + image[2:]
    along_rows = image[:, :-2] - 2 * image[:, 1:-1] + image[:, 2:]
    return along_columns, along_rows


def _lag_one(
    differences: tuple[NDArray[np.float64], NDArray[np.float64]], axis: int
) -> float:
    """Correlate along rows (axis 0 of the result) or along columns (1)."""
    return _autocorrelation(differences[axis], 1 - axis)


def _autocorrelation(image: NDArray[np.float64], axis: int) -> float:
    image = image - image.mean()
    moved = np.moveaxis(image, axis, 0)
    power = float(np.mean(moved**2))
    return float(np.mean(moved[1:] * moved[:-1])) / power if power > 0 else 0.0


def _whole(frame: Image) -> bool:
    return bool(np.abs(frame - np.rint(frame)).max() <= _ROUNDING)


def _divisor(frame: Image) -> int:
    return int(np.gcd.reduce(np.unique(np.rint(frame).astype(np.int64))))
