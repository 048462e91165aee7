r"""The generalised Anscombe transform and its exact unbiased inverse.

Counting noise grows with the signal; after the transform its standard deviation is
close to 1 everywhere, so that a denoiser made for uniform noise can be used. A
denoised transformed value estimates the *mean of the transform*, which is not the
transform of the mean. The exact unbiased inverse maps the one to the other, and
without it low doses come out too dark.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammaln

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.interpolate import CubicSpline

    from lowdose.noise.model import NoiseModel

#: Highest rate [e-/px] in the table of the inverse. The asymptotic inverse takes
#: over where the shot and read variance together reach it.
_TABLE_END = 60.0
#: Rates in the table, spaced evenly in their square root.
_TABLE_SIZE = 400
#: Points and reach [standard deviations] of the integral over the read noise.
_GAUSS_POINTS, _GAUSS_REACH = 1601, 8.0


def gat(counts: ArrayLike, model: NoiseModel) -> NDArray[np.float64]:
    r"""Make the noise of a detector uniform: the generalised Anscombe transform.

    .. math::

        f(x) = \frac{2}{g} \sqrt{\max\left(0,\;
               g (x - o) + \tfrac{3}{8} g^2 + r^2\right)}

    with gain g, offset o and read noise r [1]_ [2]_. With g = 1, o = r = 0 it is
    the transform of Anscombe [3]_.

    Parameters
    ----------
    counts : array_like
        Detector counts, any shape.
    model : NoiseModel
        Noise of the detector. With gain 0 the transform is ``(x - o) / r``, its
        limit but for a constant.

    Returns
    -------
    ndarray, float64
        Values whose noise has a standard deviation near 1: within 5 % from
        3 e-/px upward, and less than 1 (down to 0 for no electrons) below, unless
        read noise fills the gap. Counts far enough below the offset all become 0.

    Raises
    ------
    ParameterError
        If gain and read noise are both zero: there is no noise to make uniform.

    See Also
    --------
    inverse_gat : Its exact unbiased inverse.

    References
    ----------
    .. [1] F. Murtagh, J.-L. Starck, A. Bijaoui, "Image restoration with noise
       suppression using a multiresolution support", Astron. Astrophys. Suppl. 112
       (1995) 179-189.
    .. [2] M. Mäkitalo, A. Foi, IEEE Trans. Image Process. 22 (2013) 91-103,
       doi:10.1109/TIP.2012.2202675, equation 1.
    .. [3] F. J. Anscombe, Biometrika 35 (1948) 246-254,
       doi:10.1093/biomet/35.3-4.246.
    """
    values = np.asarray(counts, dtype=np.float64)
    if model.gain == 0:
        return (values - model.offset) / _additive(model)
    spread = model.read_noise / model.gain
    return _root((values - model.offset) / model.gain, spread)


def inverse_gat(values: ArrayLike, model: NoiseModel) -> NDArray[np.float64]:
    r"""Return the mean counts whose transform has the given mean.

    The exact unbiased inverse of Mäkitalo and Foi [1]_ [2]_: the inverse of
    :math:`\lambda \mapsto \mathrm{E}\{f(x) \mid \lambda\}`, with the expectation
    over Poisson and read noise computed by summation, tabulated up to
    60 e-/px and interpolated by cubic splines. Where shot and read noise together
    have a variance above that of 60 e-/px the asymptotic inverse is used:
    :math:`m - 1/8 - (r/g)^2 + (r/g)^2 / (8 m^2)` with :math:`m = D^2/4`.

    Parameters
    ----------
    values : array_like
        Estimated means of transformed counts (a denoised transform), any shape.
    model : NoiseModel
        The model given to :func:`gat`.

    Returns
    -------
    ndarray, float64
        Mean counts. The error of table and asymptote together is below 2e-4
        electrons everywhere. Values below the transform of an empty pixel, which
        no mean can have but overshoot produces, go on along the tangent at zero
        electrons, so that nothing is clipped and means over a region stay
        unbiased.

    Raises
    ------
    ParameterError
        If gain and read noise are both zero.

    References
    ----------
    .. [1] M. Mäkitalo, A. Foi, "Optimal inversion of the Anscombe transformation in
       low-count Poisson image denoising", IEEE Trans. Image Process. 20 (2011)
       99-109, doi:10.1109/TIP.2010.2056693.
    .. [2] M. Mäkitalo, A. Foi, "Optimal inversion of the generalized Anscombe
       transformation for Poisson-Gaussian noise", IEEE Trans. Image Process. 22
       (2013) 91-103, doi:10.1109/TIP.2012.2202675.
    """
    transformed = np.asarray(values, dtype=np.float64)
    if model.gain == 0:
        return transformed * _additive(model) + model.offset
    spread = model.read_noise / model.gain
    table = _inverse_table(spread)
    rate = _asymptote(np.maximum(transformed, table.end), spread)
    if table.spline is not None:
        inside = transformed < table.end
        rate[inside] = table.spline(np.maximum(transformed[inside], table.start))
    below = transformed < table.start
    rate[below] = table.first + table.slope * (transformed[below] - table.start)
    return np.asarray(rate * model.gain + model.offset)


def expected_gat(rate: ArrayLike, model: NoiseModel) -> NDArray[np.float64]:
    r"""Return the mean of the transform of noisy counts, by summation.

    Parameters
    ----------
    rate : array_like
        Dose [e-/px], from 0.
    model : NoiseModel
        Noise of the detector; its gain is above 0.

    Returns
    -------
    ndarray, float64
        :math:`\mathrm{E}\{f(x) \mid \lambda\}` of every rate, of the same shape:
        the sum over electron numbers, each with the integral over the read noise
        [1]_, accurate to 1e-6.

    References
    ----------
    .. [1] M. Mäkitalo, A. Foi, IEEE Trans. Image Process. 22 (2013) 91-103,
       doi:10.1109/TIP.2012.2202675, equations 5 and 6.
    """
    rates = np.asarray(rate, dtype=np.float64)
    spread = model.read_noise / model.gain
    flat = rates.ravel()
    result = np.empty_like(flat)
    # Rates of like size share their sums, so that memory stays small.
    order = np.argsort(flat)
    for part in np.array_split(order, max(1, flat.size // 64)):
        result[part] = _expectation(flat[part], spread)
    return result.reshape(rates.shape)


class _Table(NamedTuple):
    """The inverse at low rates, for one ratio of read noise to gain."""

    spline: CubicSpline | None
    start: float
    end: float
    first: float
    slope: float


@lru_cache(maxsize=64)
def _inverse_table(spread: float) -> _Table:
    """Tabulate the inverse from its lowest value to where the asymptote serves."""
    # Here, because whoever lists the filters imports this module.
    from scipy.interpolate import CubicSpline

    end = 2.0 * np.sqrt(_TABLE_END)
    highest = float(_asymptote(np.array([end]), spread)[0])
    if highest <= 0:
        # Read noise so large that the asymptote serves from below zero electrons.
        return _Table(spline=None, start=end, end=end, first=highest, slope=end / 2)
    rates = np.linspace(0.0, np.sqrt(highest), _TABLE_SIZE) ** 2
    means = np.concatenate(
        [_expectation(part, spread) for part in np.array_split(rates, 8)]
    )
    spline = CubicSpline(means, rates, bc_type="natural")
    return _Table(
        spline=spline,
        start=float(means[0]),
        end=float(means[-1]),
        first=0.0,
        slope=float(spline(means[0], 1)),
    )


def _asymptote(transformed: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Invert the mean transform for large variance, to second order in its inverse.

    From the Taylor series of the mean of 2 sqrt(y) around the mean m of y = x + 3/8 +
    r², with the cumulants of Poisson plus Gaussian noise: D²/4 = m - 1/4 - r²/(8 m²)
    + O(1/m²), the terms in 1/m cancelling.
    """
    quarter = np.square(transformed) / 4
    return np.asarray(
        quarter - 0.125 - spread**2 + spread**2 / (8 * np.square(quarter))
    )


def _expectation(rates: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    low, high = float(rates.min()), float(rates.max())
    first = max(0, int(low - 12 * np.sqrt(low) - 10))
    last = int(high + 12 * np.sqrt(high) + 30)
    numbers = np.arange(first, last + 1, dtype=np.float64)
    with np.errstate(divide="ignore"):
        logs = np.where(rates > 0, np.log(rates), 0.0)
    exponents = numbers * logs[:, None] - rates[:, None] - gammaln(numbers + 1)
    weights = np.where(rates[:, None] > 0, np.exp(exponents), numbers == 0)
    return np.asarray(weights @ _mean_over_read_noise(numbers, spread))


def _mean_over_read_noise(
    numbers: NDArray[np.float64], spread: float
) -> NDArray[np.float64]:
    """Return the mean transform of each number of electrons, over the read noise."""
    if spread == 0:
        return _root(numbers, 0.0)
    points = np.linspace(-_GAUSS_REACH, _GAUSS_REACH, _GAUSS_POINTS)
    weights = np.exp(-np.square(points) / 2)
    weights /= weights.sum()
    return np.asarray(_root(numbers[:, None] + spread * points, spread) @ weights)


def _root(electrons: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    return 2.0 * np.sqrt(np.maximum(electrons + 0.375 + spread**2, 0.0))


def _additive(model: NoiseModel) -> float:
    if model.read_noise == 0:
        msg = (
            "The noise model has neither gain nor read noise: there is no noise to "
            "stabilise. Give the counts per electron or the read noise."
        )
        raise ParameterError(msg)
    return model.read_noise
