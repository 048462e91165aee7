"""The noise of a detector in three numbers, and the dose that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import ParameterError
from lowdose.micrograph import Micrograph

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseModel:
    r"""Poisson-Gaussian noise of a linear detector.

    A pixel that expects :math:`\lambda` electrons reads
    :math:`x = g\,\mathrm{Poisson}(\lambda) + o + r\,\mathcal{N}(0, 1)`, so that its
    variance grows linearly with its mean:
    :math:`\mathrm{Var}\,x = g\,(\mathrm{E}\,x - o) + r^2`.

    Parameters
    ----------
    gain : float, optional
        Detector counts that one electron makes, :math:`g` [counts per electron].
        Zero says that the noise does not depend on the signal.
    offset : float, optional
        Reading without electrons, :math:`o` [counts].
    read_noise : float, optional
        Standard deviation of the noise without electrons, :math:`r` [counts rms].

    Raises
    ------
    ParameterError
        If a value is not finite, or the gain or the read noise is negative.
    """

    gain: float = 1.0
    offset: float = 0.0
    read_noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("gain", "offset", "read_noise"):
            if not math.isfinite(getattr(self, name)):
                msg = f"{name}={getattr(self, name)} is not finite; give a number."
                raise ParameterError(msg)
        for name in ("gain", "read_noise"):
            if getattr(self, name) < 0:
                msg = f"{name}={getattr(self, name)} is negative; it must be >= 0."
                raise ParameterError(msg)

    def variance(self, mean: ArrayLike) -> NDArray[np.float64]:
        """Return the variance [counts²] at a mean reading [counts].

        Parameters
        ----------
        mean : array_like
            Mean reading [counts].

        Returns
        -------
        ndarray, float64
            Never below the variance of the read noise.
        """
        signal = np.asarray(mean, dtype=np.float64) - self.offset
        return np.asarray(self.gain * np.maximum(signal, 0.0) + self.read_noise**2)

    def binned(self, factor: int) -> NoiseModel:
        """Return the model of the same detector after summing `factor`² pixels."""
        return NoiseModel(
            gain=self.gain,
            offset=self.offset * factor**2,
            read_noise=self.read_noise * factor,
        )


def electrons(image: ArrayLike, model: NoiseModel) -> NDArray[np.float32]:
    """Convert detector counts to electrons per pixel.

    Parameters
    ----------
    image : array_like
        Detector counts, any shape.
    model : NoiseModel
        Its gain and offset are used.

    Returns
    -------
    ndarray, float32
        ``(image - offset) / gain`` [e-/px], same shape. Negative where a pixel
        reads less than the offset.

    Raises
    ------
    ParameterError
        If the gain is zero.
    """
    _check_gain(model)
    counts = np.asarray(image, dtype=np.float64)
    return np.asarray((counts - model.offset) / model.gain, dtype=np.float32)


def dose(image: Any, model: NoiseModel) -> float:
    """Return the mean dose of an image or a stack [e-/px].

    Parameters
    ----------
    image : Micrograph or array_like, shape (..., H, W)
        Detector counts. A lazy stack is read frame by frame.
    model : NoiseModel
        Its gain and offset are used.

    Returns
    -------
    float
        Mean number of electrons per pixel and frame [e-/px]; pixels that are not
        finite are left out.

    Raises
    ------
    ParameterError
        If the gain is zero, or no pixel is finite.
    InvalidImageError
        If the image is none (see :class:`~lowdose.micrograph.Micrograph`).
    """
    _check_gain(model)
    micrograph = image if isinstance(image, Micrograph) else Micrograph(image)
    total, pixels = 0.0, 0
    for frame in micrograph.frames():
        finite = np.isfinite(frame)
        total += float(np.sum(frame, where=finite, dtype=np.float64))
        pixels += int(np.count_nonzero(finite))
    if not pixels:
        msg = "The image has no finite pixel, so it has no dose."
        raise ParameterError(msg)
    return (total / pixels - model.offset) / model.gain


def _check_gain(model: NoiseModel) -> None:
    if model.gain == 0:
        msg = (
            "The gain is 0 (noise that does not depend on the signal), so counts "
            "cannot be converted to electrons. Give the counts per electron."
        )
        raise ParameterError(msg)
