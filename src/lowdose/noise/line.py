"""The straight line of variance against mean, fitted through blocks of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.noise.blocks import Blocks

_ROUNDS = 12
#: Standard errors by which the shared variance of neighbouring means must exceed 0.
_SPANNED = 5.0
#: Normal quantile of 0.9999: a block further above the line is no noise.
_OUTLIER = 3.72
#: Share of noise variance that structure may add to a block before it is left out.
_LEAK = 0.05
#: Share of the blocks of like brightness that are kept at least, the smoothest.
_SMOOTHEST = 0.1
#: Variance of the square of the residual of unit noise, per pixel averaged: twice the
#: sum of the squared autocorrelation of the kernel [1, -2, 1] / sqrt(6), 70 / 36, of
#: either axis.
_SQUARE_SPREAD = 2 * (70 / 36) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Variance = intercept + slope * mean, with the covariance of the two.

    Parameters
    ----------
    slope, intercept : float
        [counts] and [counts²].
    slope_error, intercept_error : float
        Standard errors; infinite where the slope is not determined.
    covariance : float
        Of slope and intercept.
    mean_variance : float
        Weighted mean variance of the blocks [counts²].
    spanned : bool
        Whether the means differ by more than noise, so that the slope rests on
        the specimen.
    used : int
        Number of blocks that were kept.
    """

    slope: float
    intercept: float
    slope_error: float
    intercept_error: float
    covariance: float
    mean_variance: float
    spanned: bool
    used: int

    def crossing_error(self, mean: float) -> float:
        """Return the standard error of the mean at which a variance is reached."""
        squared = (
            self.intercept_error**2
            + (mean * self.slope_error) ** 2
            + 2 * mean * self.covariance
        )
        return math.sqrt(max(squared, 0.0)) / abs(self.slope)


def fit_line(
    blocks: Blocks,
    *,
    through: tuple[float, float] | None = None,
    instrument: bool = False,
) -> Line:
    """Fit variance against mean, leaving out structure.

    Iteratively reweighted least squares: each block is weighted by the inverse of
    the variance that its own variance has, as the current line predicts it. Blocks
    that show structure are left out, judged at lower frequencies and against the
    line, not by their own high-frequency variance, which would select those that are
    low by chance; so are upward outliers.

    Parameters
    ----------
    blocks : Blocks
        At least one, at least one of them with a positive variance.
    through : tuple of float, optional
        Mean and variance of a point that the line must go through.
    instrument : bool, optional
        Use the mean of the block beside as instrumental variable [1]_: its noise is
        independent of that of the block, so that noise in the means does not bend the
        line. Ordinary least squares needs no such care where all noise is Poisson,
        because the variance of a block is then proportional to its mean, by chance or
        not; where the means differ by noise alone it returns the ratio of third to
        second cumulant, the gain. Read noise draws its slope down.

    Returns
    -------
    Line
        With standard errors from the scatter about the line.

    References
    ----------
    .. [1] J. D. Angrist, G. W. Imbens, D. B. Rubin, J. Am. Stat. Assoc. 91 (1996)
       444-455, doi:10.1080/01621459.1996.10476902.
    """
    chosen = _smoothest(blocks, blocks.octave)
    weights = np.ones(blocks.size)
    line = _least_squares(blocks, chosen, weights, through, instrument=instrument)
    for _ in range(_ROUNDS):
        predicted = _predict(blocks, chosen, line, instrument=instrument)
        spread = _spread(blocks, predicted, line.slope)
        leak = _leak(blocks, predicted, spread)
        smooth = (leak < _LEAK * predicted) | _smoothest(blocks, leak / predicted)
        updated = smooth & (blocks.variance < _highest(predicted, spread))
        if np.count_nonzero(updated) < 3:
            break
        chosen, weights, before = updated, 1 / np.square(spread), line.slope
        line = _least_squares(blocks, chosen, weights, through, instrument=instrument)
        if abs(line.slope - before) < 0.01 * line.slope_error:
            break
    return line


def _leak(
    blocks: Blocks, predicted: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much variance structure adds at the highest frequencies.

    Extrapolated as a geometric series from what it adds one and two octaves lower,
    beyond what noise may: an edge adds the same everywhere, a smooth specimen
    hundreds of times less from octave to octave.
    """
    octave = np.maximum(blocks.octave - predicted - 2 * spread, 0.0)
    two_octaves = np.maximum(blocks.two_octaves - predicted, octave)
    share = np.divide(
        octave, two_octaves, out=np.zeros_like(octave), where=two_octaves > 0
    )
    return np.asarray(octave * share)


def _predict(
    blocks: Blocks, chosen: NDArray[np.bool_], line: Line, *, instrument: bool
) -> NDArray[np.float64]:
    """Return the variance by the line, kept from vanishing or going negative."""
    mean = _shrunken(blocks) if instrument else blocks.mean
    floor = 0.1 * float(blocks.variance[chosen].mean())
    lowest = 1e-3 * float(blocks.variance.mean())
    return np.maximum(line.intercept + line.slope * mean, max(floor, lowest))


def _shrunken(blocks: Blocks) -> NDArray[np.float64]:
    """Return the local mean of both blocks, drawn towards the mean of all.

    By the share of its variance that is specimen (Stein's shrinkage). The mean of a
    block alone predicts its variance without bias only where all noise is
    Poisson; where read noise makes the means differ it would not.
    """
    pair = (blocks.mean + blocks.beside) / 2
    reliability = max(blocks.reliability, 0.0)
    middle = float(pair.mean())
    return middle + 2 * reliability / (1 + reliability) * (pair - middle)


def _spread(
    blocks: Blocks, predicted: NDArray[np.float64], gain: float
) -> NDArray[np.float64]:
    """Return the standard deviation of a block's variance.

    For the Gaussian part from the autocorrelation of the residual; the second term is
    the fourth cumulant of Poisson noise, gain² times its variance.
    """
    squared = _SQUARE_SPREAD * np.square(predicted) + max(gain, 0.0) ** 2 * predicted
    return np.asarray(np.sqrt(squared / blocks.pixels))


def _highest(
    predicted: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the variance that noise alone exceeds in one block of 10 000.

    The quantile of a gamma distribution of that mean and spread, by the cube root
    of Wilson and Hilferty, Proc. Natl. Acad. Sci. 17 (1931) 684: few counts in a block
    make its variance skewed, and a cut by standard deviations would bias the fit.
    """
    ninth = np.square(spread / predicted) / 9
    return predicted * (1 - ninth + _OUTLIER * np.sqrt(ninth)) ** 3


def _smoothest(blocks: Blocks, measure: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose the least structured blocks of every brightness."""
    chosen = np.zeros(blocks.size, dtype=bool)
    order = np.argsort(blocks.beside, kind="stable")
    for group in np.array_split(order, max(1, min(10, blocks.size // 20))):
        keep = max(1, math.ceil(_SMOOTHEST * group.size))
        chosen[group[np.argsort(measure[group], kind="stable")[:keep]]] = True
    return chosen


def _least_squares(
    blocks: Blocks,
    chosen: NDArray[np.bool_],
    weights: NDArray[np.float64],
    through: tuple[float, float] | None,
    *,
    instrument: bool,
) -> Line:
    w = weights[chosen]
    x = (blocks.mean_apart if instrument else blocks.mean)[chosen]
    y = (blocks.variance_apart if instrument else blocks.variance)[chosen]
    z = blocks.beside[chosen] if instrument else x
    w = w / w.mean()
    n, total = x.size, float(w.sum())
    mean_x, mean_y, mean_z = (float(w @ v) / total for v in (x, y, z))
    if through is None:
        origin_x, origin_y, lever = mean_x, mean_y, z - mean_z
    else:
        (origin_x, origin_y), lever = through, np.ones(n)
    products = lever * (x - origin_x)
    power = float(w @ products)
    degrees = n - (2 if through is None else 1)
    if power <= 0 or degrees < 1:
        return Line(
            slope=0.0,
            intercept=mean_y,
            slope_error=math.inf,
            intercept_error=math.inf,
            covariance=0.0,
            mean_variance=mean_y,
            spanned=False,
            used=n,
        )
    slope = float(w @ (lever * (y - origin_y))) / power
    scatter = float(w @ np.square(y - origin_y - slope * (x - origin_x))) / degrees
    slope_variance = scatter * float(w @ np.square(lever)) / power**2
    centre_variance = scatter / total if through is None else 0.0
    # The standard error of the power itself, from the scatter of its terms.
    doubt = math.sqrt(float(np.square(w) @ np.square(products - power / total)))
    return Line(
        slope=slope,
        intercept=origin_y - slope * origin_x,
        slope_error=math.sqrt(slope_variance),
        intercept_error=math.sqrt(centre_variance + origin_x**2 * slope_variance),
        covariance=-origin_x * slope_variance,
        mean_variance=mean_y,
        spanned=instrument and power > _SPANNED * doubt,
        used=n,
    )
