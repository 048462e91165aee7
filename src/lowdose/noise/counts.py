"""Whether an image holds electron counts as they were counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.noise.highpass import residual

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

#: Edge of the blocks in which variance is compared with mean [px].
BLOCK: Final = 16
#: Pixels of a large frame that are looked at: in rows of blocks, evenly spread.
_ENOUGH: Final = 2**20
#: Variance over mean of a flat region of counts. Fine structure adds to it, so the
#: upper bound is the looser one.
DISPERSION: Final = (0.6, 1.6)


def looks_like_counts(frame: ArrayLike) -> bool:
    """Judge whether a frame holds electron counts with a gain of one.

    It does if its values are whole numbers, none below zero, whose noise has the
    variance of its mean where the specimen is flat: the first quartile, over blocks
    of 16 x 16 pixels, of the high-frequency variance over the mean lies between 0.6
    and 1.6. Of frames over some 2 Mpx, one in every few rows of blocks is looked at;
    whole numbers they must hold everywhere. The test is made to be quick, and to be
    wrong without harm: counts with strong fine structure everywhere are not
    recognised.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.

    Returns
    -------
    bool
    """
    counts = np.asarray(frame)
    if counts.min() < 0 or not np.array_equal(counts, np.floor(counts)):
        return False
    measured = [_variance_and_mean(part) for part in _parts(counts)]
    variance, mean = (
        np.concatenate(values, axis=None) for values in zip(*measured, strict=True)
    )
    lit = mean > 0
    if not lit.any():
        return False
    low, high = DISPERSION
    return bool(low <= np.quantile(variance[lit] / mean[lit], 0.25) <= high)


def _parts(counts: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield a frame, or of a large one rows of blocks that are spread over it."""
    height, width = counts.shape
    rows = np.arange(0, height - BLOCK - 1, BLOCK)
    wanted = max(8, _ENOUGH // (BLOCK * width))
    if len(rows) <= 2 * wanted:
        yield counts
        return
    for row in rows[np.linspace(0, len(rows) - 1, wanted).astype(int)]:
        # The residual of a block looks one pixel further on either side.
        yield counts[row : row + BLOCK + 2]


def _variance_and_mean(
    counts: NDArray[Any],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of high-frequency variance and of counts in every block."""
    counts = counts.astype(np.float64)
    noise = residual(counts) ** 2
    height, width = noise.shape
    # A small frame is one block.
    rows = np.arange(0, max(height - BLOCK + 1, 1), BLOCK)
    columns = np.arange(0, max(width - BLOCK + 1, 1), BLOCK)
    variance, mean = (
        np.add.reduceat(np.add.reduceat(image, rows, 0), columns, 1)
        for image in (noise, counts[:height, :width])
    )
    return variance, mean
