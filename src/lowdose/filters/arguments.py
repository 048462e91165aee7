"""The checks that filters make of what they are given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.noise import NoiseModel, estimate_noise, looks_like_counts, noise_sigma

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


#: How far an estimated gain may be from one in a frame of electron counts.
_GAIN_ERROR: Final = 0.25


def as_frame(image: ArrayLike) -> NDArray[np.float64]:
    """Return an image as one frame of float64.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Finite real numbers.

    Returns
    -------
    ndarray, shape (H, W), float64
        The input itself where it already is one: not to be written to.

    Raises
    ------
    InvalidImageError
        If it has not two axes, no pixels, complex or no numbers, NaN or Inf.
    """
    values = np.asarray(image)
    if values.dtype.kind not in "buif":
        msg = f"The frame has the type {values.dtype}; real numbers are needed."
        raise InvalidImageError(msg)
    if values.ndim != 2 or not values.size:
        msg = (
            f"The frame has shape {values.shape}; a filter works on one frame of two "
            "axes with at least one pixel."
        )
        raise InvalidImageError(msg)
    frame = np.asarray(values, dtype=np.float64)
    if not np.isfinite(frame).all():
        msg = (
            "The frame has NaN or Inf pixels, which a filter would spread. Mask them "
            "first, or use lowdose.denoise, which does."
        )
        raise InvalidImageError(msg)
    return frame


def as_amplitude(name: str, value: float, *, lowest: float = 0.0) -> float:
    """Return an amplitude as a float.

    The functions take amplitudes in the unit of the frame, whatever it is; the
    ranges that are declared for the denoisers hold in units of the noise.

    Parameters
    ----------
    name : str
        For the message.
    value : float
        The amplitude.
    lowest : float, optional
        Smallest value that is allowed.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If it is not finite, or below `lowest`.
    """
    amplitude = float(value)
    if not (math.isfinite(amplitude) and amplitude >= lowest):
        msg = f"{name}={value!r} must be a finite number of at least {lowest:g}."
        raise ParameterError(msg)
    return amplitude


def significant_noise(frame: NDArray[np.float64], sigma: float) -> bool:
    """Return whether noise is more than the rounding of float32 counts.

    Parameters
    ----------
    frame : ndarray, float64
        The frame.
    sigma : float
        Standard deviation of its noise, in the unit of the frame.

    Returns
    -------
    bool
        False where there is nothing that a filter could remove.
    """
    largest = float(np.abs(frame).max())
    return sigma > float(np.finfo(np.float32).eps) * largest


def recognised_noise(frame: NDArray[np.float64]) -> NoiseModel:
    """Return the noise of a frame: that of electron counts, or what is estimated.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float64
        Finite values.

    Returns
    -------
    NoiseModel
        Gain 1 and nothing else where the frame looks like electron counts, unless the
        estimate says clearly that it has another gain. Gain and read noise 0 for
        a frame without noise.
    """
    if noise_sigma(frame) == 0:
        return NoiseModel(gain=0.0)
    estimate = estimate_noise(frame)
    off = estimate.method == "line" and abs(estimate.model.gain - 1) > _GAIN_ERROR
    return NoiseModel() if looks_like_counts(frame) and not off else estimate.model
