"""Whether an image holds electron counts as they were counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.noise.highpass import residual

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Edge of the blocks in which variance is compared with mean [px].
_BLOCK: Final = 16
#: Variance over mean of a flat region of counts. Fine structure adds to it, so the
#: upper bound is the looser one.
_DISPERSION: Final = (0.6, 1.6)


def looks_like_counts(frame: ArrayLike) -> bool:
    """Judge whether a frame holds electron counts with a gain of one.

    It does if its values are whole numbers, none below zero, whose noise has the
    variance of its mean where the specimen is flat: the first quartile, over blocks
    of 16 x 16 pixels, of the high-frequency variance over the mean lies between 0.6
    and 1.6. The test is made to be quick, and to be wrong without harm: counts with
    strong fine structure everywhere are not recognised.

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
    counts = counts.astype(np.float64)
    noise = residual(counts) ** 2
    height, width = noise.shape
    # A small frame is one block.
    rows = np.arange(0, max(height - _BLOCK + 1, 1), _BLOCK)
    columns = np.arange(0, max(width - _BLOCK + 1, 1), _BLOCK)
    variance, mean = (
        np.add.reduceat(np.add.reduceat(image, rows, 0), columns, 1)
        for image in (noise, counts[:height, :width])
    )
    lit = mean > 0
    if not lit.any():
        return False
    low, high = _DISPERSION
    return bool(low <= np.quantile(variance[lit] / mean[lit], 0.25) <= high)
