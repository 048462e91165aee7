"""Estimates with confidence intervals, by resampling blocks of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics.fidelity import decibels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Edge of the blocks that are resampled [px]: longer than the reach over which
#: denoisers commonly correlate errors.
BLOCK: Final = 16
#: Fewer blocks than this do not tell how much they scatter.
_FEWEST: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its confidence interval.

    Parameters
    ----------
    value : float
        The estimate.
    low, high : float
        Ends of the interval.
    level : float
        Confidence, such as 0.95.
    """

    value: float
    low: float
    high: float
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types; what is infinite becomes None."""
        return {
            "value": _json(self.value),
            "low": _json(self.low),
            "high": _json(self.high),
            "level": self.level,
        }

    def decibels(self, peak: float) -> Estimate:
        """Return the PSNR [dB] where this is a mean squared error [counts²].

        Parameters
        ----------
        peak : float
            What counts as the peak [counts].
        """
        return Estimate(
            value=decibels(self.value, peak),
            low=decibels(self.high, peak),
            high=decibels(self.low, peak),
            level=self.level,
        )


def block_means(terms: ArrayLike, *, block: int = BLOCK) -> NDArray[np.float64]:
    """Return the means of blocks of pixels.

    Parameters
    ----------
    terms : array_like, shape (..., H, W)
        One number per pixel; NaN where there is none.
    block : int, optional
        Edge of a block [px]. It is halved until the image has 16 blocks.

    Returns
    -------
    ndarray, shape (number of blocks,), float64
        Means over the finite pixels. Rows and columns that do not fill a block are
        left out, and so are blocks of which less than half is finite.

    Raises
    ------
    InvalidImageError
        If no block is left.
    """
    values = np.atleast_2d(np.asarray(terms, dtype=np.float64))
    height, width = values.shape[-2:]
    frames = math.prod(values.shape[:-2])
    while block > 1 and frames * (height // block) * (width // block) < _FEWEST:
        block //= 2
    rows, columns = height // block, width // block
    tiles = (
        values[..., : rows * block, : columns * block]
        .reshape(-1, rows, block, columns, block)
        .swapaxes(2, 3)
        .reshape(-1, block * block)
    )
    finite = np.isfinite(tiles)
    number = finite.sum(axis=1)
    kept = number >= block * block / 2
    if not kept.any():
        msg = "Less than half of every part of the image is finite: nothing to score."
        raise InvalidImageError(msg)
    sums = np.where(finite, tiles, 0.0).sum(axis=1)
    return np.asarray(sums[kept] / number[kept])


def resampled_means(
    means: NDArray[np.float64], rng: np.random.Generator, *, draws: int = 2000
) -> NDArray[np.float64]:
    """Return the mean of every bootstrap sample of blocks.

    Parameters
    ----------
    means : ndarray, shape (..., number of blocks)
        Means of blocks. Leading axes, such as denoisers, are resampled together, so
        that differences between them keep what they share.
    rng : numpy.random.Generator
        Source of randomness.
    draws : int, optional
        Number of samples.

    Returns
    -------
    ndarray, shape (..., draws)
    """
    number = means.shape[-1]
    # How often each block is drawn, instead of which: one matrix product.
    weights = rng.multinomial(number, np.full(number, 1 / number), size=draws)
    return np.asarray(means @ weights.T / number)


def mean_interval(
    terms: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    draws: int = 2000,
    block: int = BLOCK,
) -> Estimate:
    """Return the mean of one number per pixel with its bootstrap interval.

    Blocks of pixels are resampled [1]_ rather than pixels, as the errors of
    neighbouring pixels of a denoised image are alike.

    Parameters
    ----------
    terms : array_like, shape (..., H, W)
        One number per pixel; NaN where there is none.
    rng : numpy.random.Generator
        Source of randomness.
    level : float, optional
        Confidence, between 0 and 1.
    draws : int, optional
        Bootstrap samples.
    block : int, optional
        Edge of the blocks [px].

    Returns
    -------
    Estimate
        Mean and percentile interval.

    Raises
    ------
    ParameterError
        If the level is not between 0 and 1.
    InvalidImageError
        If nothing is finite.

    References
    ----------
    .. [1] H. R. Künsch, "The jackknife and the bootstrap for general stationary
       observations", Ann. Statist. 17 (1989) 1217-1241,
       doi:10.1214/aos/1176347265.
    """
    if not 0 < level < 1:
        msg = f"level={level} must lie between 0 and 1, such as 0.95."
        raise ParameterError(msg)
    means = block_means(terms, block=block)
    samples = resampled_means(means, rng, draws=draws)
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value=float(means.mean()), low=float(low), high=float(high), level=level
    )


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None
