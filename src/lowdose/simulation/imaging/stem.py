"""Images by scanning transmission electron microscopy with annular detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.imaging.abtem_library import import_abtem, settings
from lowdose.simulation.imaging.beam import Beam
from lowdose.simulation.imaging.exit_wave import fitted_atoms, potential
from lowdose.simulation.imaging.hrtem import check_view
from lowdose.simulation.imaging.resampling import resample_view, view_shape
from lowdose.simulation.specimens.specimen import ANGSTROM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.simulation.imaging.scan import Scan
    from lowdose.simulation.specimens.specimen import Specimen


def stem(
    specimen: Specimen,
    scan: Scan,
    *,
    beam: Beam | None = None,
    sampling: float = 0.02,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Scan a specimen.

    abTEM calculates the image over the whole periodic cell, at or above the Nyquist
    rate of a probe: its intensity has no frequencies beyond twice the aperture's, so
    that the image at any pixel size follows exactly, by a Fourier series.

    Parameters
    ----------
    specimen : Specimen
        Atoms, and what part of them to see.
    scan : Scan
        Probe, detector, source size and algorithm.
    beam : Beam, optional
        Energy, sampling, slices and vibrations. Frozen phonons are what brings
        electrons to high angles; without them columns lack some of their intensity.
    sampling : float, optional
        Pixel size of the image [nm/px].
    shape : tuple of int, optional
        Height and width [px], about the centre of the view; all of the view by
        default.

    Returns
    -------
    ndarray, shape (H, W), float32
        Share of the incident electrons that the detector collects, 0 to 1. Multiply
        by the dose for electrons per pixel.

    Raises
    ------
    ParameterError
        If the sampling of the beam is too coarse for the detector or the probe, or
        `shape` reaches beyond the view.
    MissingExtraError
        If abTEM is not installed.
    """
    beam = Beam(energy=80.0, sampling=0.008) if beam is None else beam
    check_view(specimen.field, sampling, shape)
    _check_angles(scan, beam)
    import_abtem()
    if not len(specimen.atoms):
        size = view_shape(specimen.field, sampling) if shape is None else shape
        return np.zeros(size, np.float32)
    image, coarse = _scan_cell(specimen, scan, beam)
    # Sampled finely enough, the period is still the cell's, but pixels need not be
    # square: each axis has its own.
    view = resample_view(
        image,
        coarse,
        specimen.field,
        wanted=sampling,
        shape=shape,
        blur=scan.source_size,
    )
    return np.asarray(np.clip(view, 0, 1), np.float32)


def _check_angles(scan: Scan, beam: Beam) -> None:
    """Raise :class:`ParameterError` if the grid ends before the detector does."""
    highest = beam.band_limit * beam.wavelength * 1e3
    needed = max(scan.outer, scan.convergence)
    if needed > highest:
        finer = beam.sampling * highest / needed
        msg = (
            f"The wave, at {beam.sampling:g} nm/px and {beam.energy:g} keV, ends at "
            f"{highest:.0f} mrad, but probe and detector reach to {needed:g} mrad. "
            f"Give the beam a sampling of {finer:.3g} nm/px or finer, or reduce outer."
        )
        raise ParameterError(msg)


def _scan_cell(
    specimen: Specimen, scan: Scan, beam: Beam
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Scan the whole cell, once.

    Returns the image of one period, shape (H, W), and its pixel size along y and x
    [nm/px].
    """
    abtem = import_abtem()
    narrow = min(specimen.field.cell)
    factor = max(1, int(narrow / scan.window)) if scan.algorithm == "prism" else 1
    atoms, _ = fitted_atoms(specimen, beam.sampling, factor)
    lengths = atoms.cell.lengths()[:2] / ANGSTROM
    nyquist = beam.wavelength / (4 * scan.convergence * 1e-3)
    gpts = tuple(int(np.ceil(length / nyquist)) for length in lengths)
    with settings():
        fields = potential(specimen, beam, factor)
        detector = abtem.AnnularDetector(inner=scan.inner, outer=scan.outer)
        grid = abtem.GridScan(
            start=(0, 0), end=tuple(lengths * ANGSTROM), gpts=gpts, endpoint=False
        )
        common: dict[str, Any] = {
            "energy": beam.energy * 1e3,
            "semiangle_cutoff": scan.convergence,
        }
        if scan.algorithm == "prism":
            matrix = abtem.SMatrix(
                potential=fields, interpolation=factor, downsample="cutoff", **common
            )
            measured = matrix.scan(
                scan=grid,
                detectors=detector,
                ctf=abtem.CTF(**common, **scan.aberrations()),
                lazy=False,
            )
        else:
            probe = abtem.Probe(**common, aberrations=scan.aberrations())
            measured = probe.scan(
                potential=fields, scan=grid, detectors=detector, lazy=False
            )
    array = np.asarray(measured.array, np.float64)
    array = array.reshape(-1, *array.shape[-2:]).mean(axis=0).T
    return np.ascontiguousarray(array), (
        float(lengths[1] / gpts[1]),
        float(lengths[0] / gpts[0]),
    )
