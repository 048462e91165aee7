"""Local mean and noise variance, in blocks of pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.ndimage import correlate1d, uniform_filter

from lowdose.noise.highpass import residual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Smallest window [px] in which structure is told from noise.
_WINDOW = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """What was measured in each of N blocks.

    Parameters
    ----------
    mean : ndarray, shape (N,), float64
        Local mean [counts].
    beside : ndarray, shape (N,), float64
        Mean of the block beside it [counts]: the same signal with other noise.
    variance : ndarray, shape (N,), float64
        Variance at the highest frequencies [counts²].
    variance_apart : ndarray, shape (N,), float64
        The same of the pixels whose residual does not see the block beside.
    octave, two_octaves : ndarray, shape (N,), float64
        Variance one and two octaves below, scaled so that white noise gives the same
        as in `variance` [counts²]; zeros where the specimen has cancelled.
    pixels : ndarray, shape (N,), float64
        Number of pixels behind each variance.
    """

    mean: NDArray[np.float64]
    mean_apart: NDArray[np.float64]
    beside: NDArray[np.float64]
    variance: NDArray[np.float64]
    variance_apart: NDArray[np.float64]
    octave: NDArray[np.float64]
    two_octaves: NDArray[np.float64]
    pixels: NDArray[np.float64]

    @property
    def size(self) -> int:
        """Number of blocks."""
        return int(self.mean.size)

    @property
    def reliability(self) -> float:
        """Share of the variance of the means that is specimen and not noise."""
        spread = float(np.var(self.mean))
        if spread <= 0:
            return 0.0
        return 1.0 - float(np.mean(self.variance / self.pixels)) / spread

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the chosen blocks."""
        names = [field.name for field in fields(self)]
        return type(self)(**{name: getattr(self, name)[chosen] for name in names})

    def thinned(self, at_most: int) -> Self:
        """Return a regular selection where there are more blocks than `at_most`."""
        every = -(-self.size // max(1, at_most))
        return self if every <= 1 else self.select(np.arange(self.size) % every == 0)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the blocks of several frames as one set."""
        names = [field.name for field in fields(cls)]
        return cls(
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in names
            }
        )


def block_edges(shape: tuple[int, int]) -> tuple[int, ...]:
    """Return the block sizes worth trying on a frame [px].

    Large blocks have surer means, small ones see more different means; there must
    be enough blocks to draw a line through.
    """
    return tuple(edge for edge in (16, 8, 4) if min(shape) >= 6 * edge) or (4,)


def single_frame_blocks(frame: NDArray[Any], edges: Sequence[int]) -> list[Blocks]:
    """Measure mean, noise and structure in the blocks of one frame.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
        Counts in the type they are stored in (an integer type tells what is
        saturated); any size.
    edges : sequence of int
        Edges of a pair of blocks [px], even: each block is as high as that and half
        as wide.

    Returns
    -------
    list of Blocks
        One entry per edge, without the blocks that hold NaN, Inf or saturated pixels.
    """
    values, bad = _values(frame)
    # The residual of a block looks one pixel beyond it; so must the mask.
    bad = _grown(bad)
    squares = np.square(_aligned(values, 1))
    weighted = _weighted(values)
    lower = [np.square(_aligned(values, step)) for step in (2, 4)]
    results = []
    for edge in edges:
        tiling = _Tiling.of(values.shape, edge)
        good = ~tiling.any(bad)
        octave, two_octaves = (
            tiling.mean(uniform_filter(band, _WINDOW) if edge < _WINDOW else band)
            for band in lower
        )
        blocks = Blocks(
            mean=tiling.mean(weighted).ravel(),
            mean_apart=tiling.mean_apart(weighted).ravel(),
            beside=_swapped(tiling.mean(values)).ravel(),
            variance=tiling.mean(squares).ravel(),
            variance_apart=tiling.mean_apart(squares).ravel(),
            octave=octave.ravel(),
            two_octaves=two_octaves.ravel(),
            pixels=np.full(good.size, float(tiling.pixels)),
        )
        results.append(blocks.select((good & _swapped(good)).ravel()))
    return results


def temporal_blocks(
    frames: Sequence[NDArray[Any]], edges: Sequence[int]
) -> list[Blocks]:
    """Measure mean and noise in blocks of frames that show the same specimen.

    Parameters
    ----------
    frames : sequence of ndarray, shape (H, W)
        At least two consecutive frames.
    edges : sequence of int
        As for :func:`single_frame_blocks`.

    Returns
    -------
    list of Blocks
        One entry per edge. The variance is half the mean square of the difference of
        consecutive frames, with its mean over the block taken off, so that a
        changing brightness does not count as noise.
    """
    previous, bad = _values(frames[0])
    tilings = [_Tiling.of(previous.shape, edge) for edge in edges]
    total = previous.copy()
    squares = [np.zeros((tiling.rows, tiling.columns)) for tiling in tilings]
    for frame in frames[1:]:
        values, spoiled = _values(frame)
        bad |= spoiled
        change = values - previous
        for tiling, sums in zip(tilings, squares, strict=True):
            sums += tiling.mean(np.square(change)) - np.square(tiling.mean(change))
        total += values
        previous = values
    total /= len(frames)
    pairs = len(frames) - 1
    # Consecutive differences share frames, so that many of them are worth 2/3 as
    # many independent ones (von Neumann et al., Ann. Math. Stat. 12 (1941) 153).
    worth = pairs * (2 / 3 if pairs > 1 else 1)
    results = []
    for tiling, sums in zip(tilings, squares, strict=True):
        # The mean over the block that was taken off costs one degree of freedom.
        freedom = tiling.pixels / max(tiling.pixels - 1, 1)
        variance = sums.ravel() * freedom / (2 * pairs)
        mean = tiling.mean(total)
        good = ~tiling.any(bad)
        results.append(
            Blocks(
                mean=mean.ravel(),
                mean_apart=mean.ravel(),
                beside=_swapped(mean).ravel(),
                variance=variance,
                variance_apart=variance,
                octave=np.zeros(mean.size),
                two_octaves=np.zeros(mean.size),
                pixels=np.full(mean.size, tiling.pixels * worth),
            ).select((good & _swapped(good)).ravel())
        )
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiling:
    """Cuts a frame into blocks; a rest at the lower and right border is left out."""

    rows: int
    height: int
    columns: int
    width: int

    @classmethod
    def of(cls, shape: tuple[int, ...], edge: int) -> Self:
        height = min(edge, shape[0])
        width = max(1, min(edge, shape[1]) // 2)
        columns = shape[1] // width
        # An even number, so that each block has one beside it.
        columns -= columns % 2 if columns > 1 else 0
        return cls(rows=shape[0] // height, height=height, columns=columns, width=width)

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._cut(values).mean(axis=(1, 3)))

    def mean_apart(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the means without the columns that touch the block beside.

        A residual there sees the noise of both blocks, and would tie the variance
        of the one to the mean of the other.
        """
        if self.width == 1 or self.columns == 1:
            return self.mean(values)
        cut = self._cut(values)
        result = np.empty((self.rows, self.columns))
        result[:, 0::2] = cut[:, :, 0::2, :-1].mean(axis=(1, 3))
        result[:, 1::2] = cut[:, :, 1::2, 1:].mean(axis=(1, 3))
        return result

    def any(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(self._cut(mask).any(axis=(1, 3)))

    def _cut(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[: self.rows * self.height, : self.columns * self.width].reshape(
            self.rows, self.height, self.columns, self.width
        )


def _swapped(blocks: NDArray[Any]) -> NDArray[Any]:
    """Exchange each block with the one beside it."""
    rows, columns = blocks.shape
    if columns == 1:
        return blocks
    return blocks.reshape(rows, columns // 2, 2)[:, :, ::-1].reshape(rows, columns)


def _values(frame: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a frame as float64, and where it is not to be used."""
    values = frame.astype(np.float64)
    bad = ~np.isfinite(values)
    if frame.dtype.kind in "iu":
        bad |= frame == np.iinfo(frame.dtype).max
    return np.where(bad, 0.0, values), bad


def _aligned(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Return the residual of every pixel, that at the border repeated outward."""
    inner = residual(values, step=step)
    missing = [
        full - have for full, have in zip(values.shape, inner.shape, strict=True)
    ]
    pad = [(n // 2, n - n // 2) for n in missing]
    return np.pad(inner, pad, mode="edge" if min(inner.shape) < 8 else "reflect")


def _weighted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for every pixel the mean that its squared residual weighs.

    With the square of the kernel, [1, 4, 1] / 6 along either axis. Mean and variance
    of a block then weigh each count alike, and for Poisson noise their covariance
    over the variance of the mean is exactly the gain.
    """
    kernel = np.array([1.0, 4.0, 1.0]) / 6
    rows = correlate1d(values, kernel, axis=0, mode="nearest")
    return np.asarray(correlate1d(rows, kernel, axis=1, mode="nearest"))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask grown by one pixel in all eight directions."""
    if not mask.any():
        return mask
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    grown = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.asarray(np.logical_or.reduce(grown))
