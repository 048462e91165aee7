r"""The squared error of every pixel, from a bootstrap, its own bootstrap, and PURE.

What the bootstrap makes too small, it makes too small again when it is applied to one
of its own results, and there the true error is known: the second image was made of the
denoised one, which is its truth. So the second bootstrap tells by how much the first is
wrong (the iterated bootstrap of Hall [1]_): factors of spread, bias and a constant,
none below zero, that explain the known squared errors of the second image are used on
the first,

.. math:: e_i^2 = \alpha s_i^2 + \beta b_i^2 + \gamma

with spread s and bias b.

That is still too little where detail is lost that the denoised image has nothing of.
The unbiased terms of :mod:`lowdose.trust.pure` know of it, on average. The expected
squared error is the sum of that map and, with factors that are fitted to these terms,
of the bias, of the local contrast of the denoised image (detail is lost where there is
detail) and of a constant. Each is scaled to the mean of the map; priors hold the factor
of the map near 1 and those of the others near 0, as far as the data do not speak.

References
----------
.. [1] P. Hall, "On the bootstrap and confidence intervals", Ann. Statist. 14 (1986)
   1431-1452, doi:10.1214/aos/1176350168.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import nnls

from lowdose.metrics.intervals import Estimate, mean_interval
from lowdose.trust.smoothing import local_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.trust.grounds import Grounds

#: Reach of the averages that spread and bias are taken over [px]: a few repeats do not
#: tell the spread of one pixel, and the bias of noise left in the denoised image is not
#: that of the specimen.
_SPREAD_REACH: Final = 3.0
_BIAS_REACH: Final = 4.0
#: Reach of the local contrast [px].
_CONTRAST_REACH: Final = 2.0
#: Reach of the averages that the factors are fitted to [px]. In single pixels the
#: unbiased errors and the bootstrap share the noise of the one frame there is.
_FIT_REACH: Final = 6.0
#: Standard deviations of the priors: of the factor of the map round 1, and of the
#: others round 0, at least.
_PRIORS: Final = (0.25, 2.0)
#: Precision of the unbiased error from which on the fit is called a check: error over
#: value.
_CHECKABLE: Final = 0.5

_PARTS: Final = ("bootstrap", "bias", "contrast", "constant")


class Repeats:
    """What became of one image that was given new noise and denoised many times.

    Parameters
    ----------
    image : ndarray, shape (H, W), float64
        The image that the noise was put on [counts].
    """

    def __init__(self, image: NDArray[np.float64]) -> None:
        self.image = image
        self.number = 0
        self._sum = np.zeros(image.shape)
        self._squares = np.zeros(image.shape)

    def add(self, again: NDArray[np.float64]) -> None:
        """Count one more result of denoising [counts]."""
        deviation = again - self.image
        self.number += 1
        self._sum += deviation
        self._squares += deviation**2

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean deviation from the image [counts]."""
        return self._sum / self.number

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance of the results [counts²]."""
        scatter = np.maximum(self._squares / self.number - self.mean**2, 0)
        return np.asarray(scatter * self.number / (self.number - 1))

    @property
    def error_squared(self) -> NDArray[np.float64]:
        """Expected squared deviation from the image [counts²]; noisy."""
        return self._squares / self.number

    @property
    def spread_squared(self) -> NDArray[np.float64]:
        """Local average of the variance [counts²]."""
        return local_mean(self.variance, _SPREAD_REACH)

    @property
    def bias_squared(self) -> NDArray[np.float64]:
        """Local average of the squared mean deviation [counts²].

        Less what the mean of a few repeats scatters itself.
        """
        excess = self.mean**2 - self.variance / self.number
        return np.asarray(np.maximum(local_mean(excess, _BIAS_REACH), 0))

    @property
    def squared(self) -> NDArray[np.float64]:
        """The squared error that the plain bootstrap expects [counts²]."""
        return self.spread_squared + self.bias_squared


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorFit:
    """The expected squared error of every pixel, fitted or not.

    Parameters
    ----------
    squared : ndarray, shape (H, W), float64
        [counts²]
    factors : dict
        Mean of each part of the model, relative to that of the two bootstraps.
    mse : Estimate or None
        The unbiased error that they were fitted to [counts²].
    caveats : tuple of str
        How far the map was checked.
    numbers : dict
        For the record, as JSON types.
    """

    squared: NDArray[np.float64]
    factors: dict[str, float]
    mse: Estimate | None = None
    caveats: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


def fit_errors(
    grounds: Grounds,
    first: Repeats,
    second: Repeats | None,
    terms: NDArray[np.float64] | None,
) -> ErrorFit:
    """Fit the model of the squared error.

    Parameters
    ----------
    grounds : Grounds
        The two images and their noise.
    first : Repeats
        Of the denoised image.
    second : Repeats or None
        Of a result of the first; None for the plain bootstrap.
    terms : ndarray, shape (H, W), float64, or None
        Unbiased estimates of the squared error [counts²]; None for the plain bootstrap.

    Returns
    -------
    ErrorFit
    """
    if second is None or terms is None:
        caveat = (
            "The plain bootstrap: detail that the denoiser loses is not in it, so the "
            "true error is larger."
        )
        plain = dict(zip(_PARTS, (1.0, 0.0, 0.0, 0.0), strict=True))
        return ErrorFit(squared=first.squared, factors=plain, caveats=(caveat,))
    weight = _weight(grounds)
    base = _iterated(grounds, first, second, weight)
    mean = float(np.nanmean(base))
    parts = [base]
    for part in (first.bias_squared, _contrast(first.image), _constant(grounds)):
        size = float(np.nanmean(part))
        parts.append(part * (mean / size) if size > 0 else part)
    mse = mean_interval(terms, np.random.default_rng(0))
    error = (mse.high - mse.low) / 4
    sharp, loose = _PRIORS
    if mean > 0:
        # Where there is surely more error than the bootstraps know of, let it in.
        loose = max(loose, (mse.value - error) / mean)
    deviations = (sharp, *(loose for _ in parts[1:]))
    factors = _factors(
        grounds, parts, terms, weight, prior=(1.0, 0.0, 0.0, 0.0), deviations=deviations
    )
    squared = sum(f * part for f, part in zip(factors, parts, strict=True))
    found = float(np.nanmean(squared))
    if error > _CHECKABLE * found:
        caveat = (
            "The dose or the frame is too small to check it without the truth; the "
            "bias, and so the error, may be larger than shown."
        )
    else:
        caveat = (
            "Its mean is fitted to an unbiased estimate of the error that is sure to "
            f"{error / found / 2:.0%} (rms); single pixels are not checked."
        )
    named = dict(zip(_PARTS, (float(f) for f in factors), strict=True))
    return ErrorFit(
        squared=np.maximum(squared, 0),
        factors=named,
        mse=mse,
        caveats=(caveat,),
        numbers={"unbiased_mse_counts2": mse.to_dict()},
    )


def _iterated(
    grounds: Grounds, first: Repeats, second: Repeats, weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the squared error as the second bootstrap corrects the first."""
    constant = _constant(grounds)
    there = [second.spread_squared, second.bias_squared, constant]
    here = [first.spread_squared, first.bias_squared, constant]
    factors = _factors(grounds, there, first.error_squared, weight)
    return np.asarray(sum(f * part for f, part in zip(factors, here, strict=True)))


def _contrast(image: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = local_mean(image, _CONTRAST_REACH)
    square = local_mean(image**2, _CONTRAST_REACH)
    return np.asarray(np.maximum(square - mean**2, 0))


def _constant(grounds: Grounds) -> NDArray[np.float64]:
    return np.where(grounds.valid, 1.0, np.nan)


def _weight(grounds: Grounds) -> NDArray[np.float64]:
    """Return the weights of the terms, whose variance is twice the noise's squared."""
    noise = local_mean(grounds.model.variance(grounds.denoised), 4.0)[grounds.valid]
    return np.asarray(1 / (math.sqrt(2) * np.maximum(noise, 0.05 * noise.mean())))


def _factors(
    grounds: Grounds,
    parts: Sequence[NDArray[np.float64]],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    prior: Sequence[float] = (),
    deviations: Sequence[float] = (),
) -> NDArray[np.float64]:
    """Return the factors of the parts that explain the target, none below zero."""
    valid = grounds.valid
    columns = [local_mean(part, _FIT_REACH)[valid] * weight for part in parts]
    matrix = np.stack(columns, axis=1)
    gram = matrix.T @ matrix
    right = matrix.T @ (local_mean(target, _FIT_REACH)[valid] * weight)
    for number, (value, deviation) in enumerate(zip(prior, deviations, strict=True)):
        gram[number, number] += 1 / deviation**2
        right[number] += value / deviation**2
    # Scaled to unit diagonal: parts differ by orders of magnitude.
    size = np.sqrt(np.maximum(np.diag(gram), np.finfo(np.float64).tiny))
    lower = np.linalg.cholesky(gram / np.outer(size, size) + 1e-9 * np.eye(size.size))
    solution, _ = nnls(lower.T, np.linalg.solve(lower, right / size))
    return np.asarray(solution / size)
