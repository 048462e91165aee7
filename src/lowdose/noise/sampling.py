"""Drawing noise: what a detector would count, and splitting what it has counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.noise.model import NoiseModel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Rounding [electrons] that thinning forgives, beside that of float32.
_ROUNDING = 1e-3


def sample_poisson(
    rate: ArrayLike,
    rng: np.random.Generator,
    *,
    gain: float = 1.0,
    offset: float = 0.0,
) -> NDArray[np.float32]:
    """Draw what an ideal counting detector would record.

    Parameters
    ----------
    rate : array_like
        Expected dose of every pixel [e-/px], any shape.
    rng : numpy.random.Generator
        Source of randomness.
    gain : float, optional
        Counts per electron.
    offset : float, optional
        Reading without electrons [counts].

    Returns
    -------
    ndarray, float32
        ``gain * Poisson(rate) + offset`` [counts], of the shape of `rate`.

    Raises
    ------
    ParameterError
        If a rate is negative or not finite, or gain or offset is not allowed.
    """
    model = NoiseModel(gain=gain, offset=offset)
    counts = rng.poisson(_checked(rate))
    return np.asarray(model.gain * counts + model.offset, dtype=np.float32)


def sample_poisson_gauss(
    rate: ArrayLike,
    rng: np.random.Generator,
    *,
    gain: float = 1.0,
    offset: float = 0.0,
    read_noise: float = 0.0,
) -> NDArray[np.float32]:
    """Draw what a detector with Gaussian read noise would record.

    Parameters
    ----------
    rate : array_like
        Expected dose of every pixel [e-/px], any shape.
    rng : numpy.random.Generator
        Source of randomness.
    gain : float, optional
        Counts per electron.
    offset : float, optional
        Mean reading without electrons [counts].
    read_noise : float, optional
        Standard deviation of the reading without electrons [counts rms].

    Returns
    -------
    ndarray, float32
        ``gain * Poisson(rate) + offset + read_noise * Normal(0, 1)`` [counts], of
        the shape of `rate`; it may be negative.

    Raises
    ------
    ParameterError
        If a rate is negative or not finite, or another number is not allowed.
    """
    model = NoiseModel(gain=gain, offset=offset, read_noise=read_noise)
    rates = _checked(rate)
    counts = model.gain * rng.poisson(rates) + model.offset
    noise = model.read_noise * rng.standard_normal(rates.shape)
    return np.asarray(counts + noise, dtype=np.float32)


def thin(
    counts: ArrayLike,
    p: float,
    rng: np.random.Generator,
    *,
    gain: float = 1.0,
    offset: float = 0.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    r"""Split a counted image into two independent images of the same specimen.

    Every electron goes to the first image with probability `p` and to the second
    otherwise. Where the counts are Poisson with rate :math:`\lambda` the two are
    Poisson with rates :math:`p\lambda` and :math:`(1-p)\lambda` and independent of
    each other [1]_: one can be denoised and the other judge it.

    Parameters
    ----------
    counts : array_like
        Detector counts, whole electrons after gain and offset are taken off; any
        shape.
    p : float
        Probability of the first image, 0 to 1.
    rng : numpy.random.Generator
        Source of randomness.
    gain : float, optional
        Counts per electron, above 0.
    offset : float, optional
        Reading without electrons [counts].

    Returns
    -------
    first, second : ndarray, float32
        Counts with the same gain and offset as the input, of its shape.

    Raises
    ------
    ParameterError
        If `p` is no probability, or the gain is not positive.
    InvalidImageError
        If the data are not whole, non-negative numbers of electrons. Thinning is
        only valid for counted electrons, not for an integrating detector's signal.

    References
    ----------
    .. [1] J. F. C. Kingman, "Poisson Processes", Oxford 1993, section 5.1
       (colouring theorem).
    """
    if not 0 <= p <= 1:
        msg = f"p={p} is no probability; give a number from 0 to 1."
        raise ParameterError(msg)
    model = NoiseModel(gain=gain, offset=offset)
    if model.gain == 0:
        msg = "gain=0 makes no counts; give the counts per electron."
        raise ParameterError(msg)
    whole = _whole_electrons(np.asarray(counts), model)
    first = rng.binomial(whole, p)
    return (
        np.asarray(model.gain * first + model.offset, dtype=np.float32),
        np.asarray(model.gain * (whole - first) + model.offset, dtype=np.float32),
    )


def _whole_electrons(
    counts: NDArray[np.generic], model: NoiseModel
) -> NDArray[np.int64]:
    """Return the number of electrons in every pixel, or say why there is none."""
    values = counts.astype(np.float64)
    found = (values - model.offset) / model.gain
    if not np.isfinite(found).all():
        msg = "Thinning needs finite counts; mask the NaN and Inf pixels first."
        raise InvalidImageError(msg)
    rounded = np.rint(found)
    resolution = float(np.finfo(np.float32).eps) * np.abs(values) / model.gain
    off = np.abs(found - rounded) > _ROUNDING + 2 * resolution
    if off.any():
        msg = (
            f"{off.mean():.1%} of the pixels are not a whole number of electrons with "
            f"gain {model.gain:g} and offset {model.offset:g} (such as "
            f"{values[off].flat[0]:g} counts). Thinning is valid for counted electrons "
            "only: give the right gain and offset, or use frames of a counting camera."
        )
        raise InvalidImageError(msg)
    if (rounded < 0).any():
        msg = (
            f"{(rounded < 0).mean():.1%} of the pixels hold fewer than no electrons "
            f"with offset {model.offset:g} (the lowest reads {values.min():g} counts). "
            "Give the offset of the detector."
        )
        raise InvalidImageError(msg)
    return rounded.astype(np.int64)


def _checked(rate: ArrayLike) -> NDArray[np.float64]:
    rates = np.asarray(rate, dtype=np.float64)
    bad = ~(np.isfinite(rates) & (rates >= 0))
    if bad.any():
        msg = (
            f"{int(bad.sum())} of {rates.size} rates are negative or not finite (such "
            f"as {rates[bad].flat[0]:g}); a dose is at least 0 e-/px."
        )
        raise ParameterError(msg)
    return rates
