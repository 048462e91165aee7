"""Trigonometric interpolation of a periodic image, at any pixel size and offset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft
from scipy.signal import CZT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.specimen import Field


def resample_view(
    image: NDArray[np.floating],
    sampling: float | tuple[float, float],
    field: Field,
    *,
    wanted: float,
    shape: tuple[int, int] | None = None,
    blur: float = 0.0,
) -> NDArray[np.float32]:
    """Cut the view out of a periodic image, at another pixel size.

    The Fourier series of the image is evaluated at the centres of the new pixels by
    the chirp z-transform (L. R. Rabiner, R. W. Schafer, C. M. Rader, Bell Syst. Tech.
    J. 48, 1249 (1969)), so the pixel size may be any and nothing is interpolated
    locally. Frequencies that the new pixels cannot carry are left out.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        One period of the image.
    sampling : float or tuple of float
        Its pixel size [nm/px], or one along y and one along x.
    field : Field
        The view, in the middle of the period.
    wanted : float
        New pixel size [nm/px].
    shape : tuple of int, optional
        Height and width of the result [px], about the centre of the view; as many
        pixels as the view holds by default.
    blur : float, optional
        Standard deviation [nm] of a Gaussian blur that is applied on the way.

    Returns
    -------
    ndarray, shape (h, w), float32
        The view.
    """
    if shape is None:
        shape = view_shape(field, wanted)
    spectrum = fft.fft2(image.astype(np.float64))
    pixels = sampling if isinstance(sampling, tuple) else (sampling, sampling)
    for axis, (number, pixel) in enumerate(zip(shape, pixels, strict=True)):
        spectrum = _evaluate(spectrum, axis, number, wanted / pixel, blur / pixel)
    return np.ascontiguousarray(spectrum.real / image.size, dtype=np.float32)


def view_shape(field: Field, sampling: float) -> tuple[int, int]:
    """Return how many whole pixels of a size [nm/px] the view holds."""
    height, width = (
        max(1, int(length / sampling + 1e-6)) for length in (field.height, field.width)
    )
    return height, width


def _evaluate(
    spectrum: NDArray[np.complex128], axis: int, number: int, step: float, blur: float
) -> NDArray[np.complex128]:
    """Evaluate a Fourier series along one axis.

    Parameters
    ----------
    spectrum : ndarray
        Coefficients along `axis`, in the order of the FFT.
    axis : int
        0 or 1.
    number : int
        How many points.
    step : float
        Their distance, in old pixels; they lie about the middle of the period.
    blur : float
        Standard deviation of a Gaussian, in old pixels.
    """
    length = spectrum.shape[axis]
    frequency = fft.fftfreq(length)
    keep = np.abs(frequency) <= 0.5 / max(step, 1.0)
    # The coefficient at Nyquist belongs half to either sign; it is noise at most.
    keep &= frequency != -0.5
    weight = keep * np.exp(-2 * (np.pi * blur * frequency) ** 2)
    first = length / 2 - (number - 1) / 2 * step
    weight = weight * np.exp(2j * np.pi * frequency * first)
    weighted = spectrum * (weight[:, np.newaxis] if axis == 0 else weight)
    ordered = fft.fftshift(weighted, axes=axis)
    transform = CZT(length, number, w=np.exp(2j * np.pi * step / length))
    values = transform(ordered, axis=axis)
    # The shifted order begins at frequency -length//2, the transform at 0.
    offset = np.exp(-2j * np.pi * (length // 2) / length * step * np.arange(number))
    return np.asarray(values * (offset[:, np.newaxis] if axis == 0 else offset))
