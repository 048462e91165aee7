"""Fitting a denoiser to the micrograph at hand, where it must know its pixel size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowdose.denoiser import Fitting
from lowdose.inference.frames import as_frame, no_finite_pixel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.micrograph import Micrograph


def fitted(denoiser: Denoiser, micrograph: Micrograph) -> Denoiser:
    """Return a denoiser that is ready for a micrograph.

    Parameters
    ----------
    denoiser : Denoiser
        Returned as it is, unless it is :class:`~lowdose.denoiser.Fitting`.
    micrograph : Micrograph
        What it is to denoise. Its pixel size counts where it has one in units of
        length, the mean of both axes; otherwise its first frame that has finite pixels.

    Returns
    -------
    Denoiser

    Raises
    ------
    ParameterError
        If the denoiser cannot be fitted.
    InvalidImageError
        If a frame is needed, and none of its pixels is finite.
    InputError
        If no frame can be read.
    """
    if not isinstance(denoiser, Fitting):
        return denoiser
    sizes = micrograph.calibration.pixel_size("nm")
    pixel_size = None if sizes is None else (sizes[0] * sizes[1]) ** 0.5
    return denoiser.fitted(pixel_size, lambda: _first_frame(micrograph))


def _first_frame(micrograph: Micrograph) -> NDArray[np.float32]:
    for number, pixels in enumerate(micrograph.frames()):
        frame = as_frame(number, pixels)
        if frame.valid:
            return frame.data
    raise no_finite_pixel(micrograph)
