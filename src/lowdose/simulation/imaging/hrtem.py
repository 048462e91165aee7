"""The image of an exit wave in the transmission electron microscope."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import fft

from lowdose.errors import ParameterError, SamplingWarning
from lowdose.simulation.imaging.abtem_library import import_abtem, settings
from lowdose.simulation.imaging.resampling import resample_view
from lowdose.simulation.specimens.specimen import ANGSTROM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.simulation.imaging.exit_wave import ExitWave
    from lowdose.simulation.imaging.optics import Optics

#: Share of the Nyquist frequency that abTEM's multislice keeps, free of aliasing.
_KEPT: Final = 2 / 3


def hrtem(
    exit_wave: ExitWave,
    optics: Optics,
    *,
    sampling: float | None = None,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Image an exit wave.

    abTEM applies the aberrations, with envelopes for the partial coherence (the
    quasi-coherent approximation, in which every beam is damped by itself). The image
    is then blurred by the vibration, cut to the view and sampled, and its contrast
    reduced. A defocus series is several calls with one exit wave.

    Parameters
    ----------
    exit_wave : ExitWave
        From :func:`lowdose.simulation.imaging.exit_wave`.
    optics : Optics
        Aberrations, spreads, vibration and contrast.
    sampling : float, optional
        Pixel size of the image [nm/px], by default that of the wave. A finer one
        loses nothing and a coarser one only what its pixels cannot carry.
    shape : tuple of int, optional
        Height and width [px], about the centre of the view; all of the view by
        default.

    Returns
    -------
    ndarray, shape (H, W), float32
        Intensity, 1 in vacuum, not negative: expected electrons per pixel once
        multiplied by the dose.

    Raises
    ------
    ParameterError
        If the pixel size is out of range, or `shape` reaches beyond the view.
    MissingExtraError
        If abTEM is not installed.

    Warns
    -----
    SamplingWarning
        If the lens transfers more than the sampling of the wave carries, or displaces
        waves by more than the margin, so that the far side shows at the border.
    """
    wanted = exit_wave.sampling if sampling is None else sampling
    check_view(exit_wave.field, wanted, shape)
    _check_sampling(exit_wave, optics)
    intensity = _intensity(exit_wave, optics)
    image = resample_view(
        intensity,
        # The intensity may be sampled twice as finely as the wave.
        exit_wave.sampling * exit_wave.array.shape[-1] / intensity.shape[-1],
        exit_wave.field,
        wanted=wanted,
        shape=shape,
        blur=optics.vibration,
    )
    image = 1 + np.float32(optics.contrast) * (image - 1)
    # The series may swing a little below zero where an image is nearly black.
    return np.maximum(image, 0, dtype=np.float32)


def check_view(field: Any, sampling: float, shape: tuple[int, int] | None) -> None:
    """Raise :class:`ParameterError` unless an image lies within the view.

    Parameters
    ----------
    field : Field
        The view.
    sampling : float
        Pixel size [nm/px].
    shape : tuple of int or None
        Height and width of the image [px].
    """
    if not (np.isfinite(sampling) and sampling > 0):
        msg = f"sampling={sampling} nm/px is no pixel size; give a positive number."
        raise ParameterError(msg)
    if shape is None:
        return
    size = np.array(shape) * sampling
    view = np.array([field.height, field.width])
    if min(shape) < 1 or np.any(size > view + sampling):
        msg = (
            f"An image of {shape[0]} x {shape[1]} px at {sampling:g} nm/px covers "
            f"{size[0]:.2f} x {size[1]:.2f} nm; the view has {view[0]:g} x {view[1]:g} "
            "nm. Give fewer pixels, or a specimen with a larger field."
        )
        raise ParameterError(msg)


def _intensity(exit_wave: ExitWave, optics: Optics) -> NDArray[np.float32]:
    """Return the mean intensity of all configurations, over the whole cell."""
    abtem = import_abtem()
    ctf = optics.ctf(exit_wave.energy)
    limit = optics.information_limit(exit_wave.energy, 1 / exit_wave.sampling)
    # Squaring doubles the band: sample more finely where that would alias.
    finer = 2 * limit > 1 / (2 * exit_wave.sampling)
    total: NDArray[np.float32] | None = None
    for array in exit_wave.configurations:
        with settings():
            waves = abtem.Waves(
                array.T,
                energy=exit_wave.energy * 1e3,
                sampling=exit_wave.sampling * ANGSTROM,
            )
            imaged = np.asarray(waves.apply_ctf(abtem.CTF(**ctf)).array).T
        if finer:
            imaged = _upsample(imaged)
        intensity = imaged.real**2 + imaged.imag**2
        total = intensity if total is None else total + intensity
    assert total is not None  # a wave has at least one configuration
    return np.asarray(total / len(exit_wave.configurations), dtype=np.float32)


def _upsample(wave: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return a wave at half the pixel size, by padding its spectrum with zeros."""
    spectrum = fft.fftshift(fft.fft2(wave))
    padding = [(n // 2, n - n // 2) for n in spectrum.shape]
    return np.asarray(4 * fft.ifft2(fft.ifftshift(np.pad(spectrum, padding))))


def _check_sampling(exit_wave: ExitWave, optics: Optics) -> None:
    """Warn where the wave is sampled too coarsely, or its margin too narrow."""
    band = _KEPT / (2 * exit_wave.sampling)
    limit = optics.information_limit(exit_wave.energy, 2 * band)
    if limit > band:
        needed = _KEPT / (2 * limit)
        advice = (
            f"calculate it at {needed:.3g} nm/px or finer"
            if limit < 2 * band * 0.999
            else "give the optics a focal or angular spread, or an aperture"
        )
        warnings.warn(
            f"The exit wave, at {exit_wave.sampling:g} nm/px, ends at its band limit "
            f"of {band:.1f} /nm ({1 / band:.3f} nm), but the optics transfer up to "
            f"{limit:.1f} /nm: {advice}.",
            SamplingWarning,
            stacklevel=3,
        )
    frequency = np.linspace(0, min(limit, band), 200)
    far = float(optics.displacement(frequency, exit_wave.energy).max())
    if far > 2 * exit_wave.margin:
        warnings.warn(
            f"The optics displace parts of the wave by up to {far:.2f} nm, across the "
            f"margin of {exit_wave.margin:.2f} nm on both sides of the view: what lies "
            f"at the far side shows at the border. Use a margin of {far / 2:.2g} nm.",
            SamplingWarning,
            stacklevel=3,
        )
