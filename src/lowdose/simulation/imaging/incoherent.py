r"""ADF-STEM as linear incoherent imaging: quick, for thin specimens.

Electrons that single atoms send to high angles interfere so little that the image is
the sum of their intensities [1]_. Multislice is then not needed: the image is

.. math:: I(r_p) = \sum_a Z_a^n \, (|\psi_{z_a}|^2 * g)(r_a - r_p)

with the wave :math:`\psi_z` of the probe in free space at the depth z of the atom, and
a Gaussian g for thermal motion and source. The exponent n is 2 for scattering by bare
nuclei; screening, and the inner angle of the detector, bring it to 1.6 to 1.8 [2]_.

What is left out limits it to thin specimens [3]_: the probe is neither drawn to columns
(channelling) nor weakened on its way, and nothing is scattered twice. Light columns
beside heavy ones, and absolute intensities of specimens of more than some nanometres,
are a matter of multislice: :func:`lowdose.simulation.imaging.stem`.

References
----------
.. [1] S. J. Pennycook, D. E. Jesson, "High-resolution Z-contrast imaging of crystals",
   Ultramicroscopy 37, 14 (1991). doi:10.1016/0304-3991(91)90004-P
.. [2] O. L. Krivanek et al., "Atom-by-atom structural and chemical analysis by annular
   dark-field electron microscopy", Nature 464, 571 (2010). doi:10.1038/nature08879
.. [3] E. J. Kirkland, Advanced Computing in Electron Microscopy (2010), chapters 3 and
   5. doi:10.1007/978-1-4419-6533-2
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft

from lowdose.errors import ParameterError
from lowdose.simulation.imaging.beam import wavelength
from lowdose.simulation.imaging.hrtem import check_view
from lowdose.simulation.imaging.resampling import resample_view
from lowdose.simulation.imaging.spreading import point_spectrum
from lowdose.simulation.specimens.specimen import ANGSTROM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.simulation.imaging.scan import Scan
    from lowdose.simulation.specimens.specimen import Specimen

#: Depths for which one probe is calculated, as a share of the depth of focus,
#: wavelength / convergence²: within them it hardly changes.
_SLICE: Final = 0.6


def incoherent_adf(
    specimen: Specimen,
    scan: Scan,
    *,
    energy: float,
    exponent: float = 1.7,
    displacement: float = 0.007,
    sampling: float = 0.02,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Scan a specimen, by the linear model of incoherent imaging.

    Parameters
    ----------
    specimen : Specimen
        Atoms, and what part of them to see. They are periodic across the beam, as for
        multislice: its margin must take the probe.
    scan : Scan
        Aperture, aberrations and source size; the angles of the detector count only
        by `exponent`, and the algorithm not at all. The focus is that where the beam
        enters.
    energy : float
        Energy of the electrons [keV].
    exponent : float, optional
        Power of the atomic number that an atom scatters with, 1 to 2.
    displacement : float, optional
        Standard deviation of the thermal motion of the atoms along each axis [nm].
    sampling : float, optional
        Pixel size of the image [nm/px].
    shape : tuple of int, optional
        Height and width [px], about the centre of the view; all of the view by
        default.

    Returns
    -------
    ndarray, shape (H, W), float32
        Sum over atoms of ``Z**exponent`` times the density of the beam at the atom
        [1/nm²], at least 0: proportional to the electrons that are collected.

    Raises
    ------
    ParameterError
        If `exponent` or `displacement` is out of range, or `shape` reaches beyond the
        view.
    """
    if not 1 <= exponent <= 2:
        msg = f"exponent={exponent:g} is out of range; give a number from 1 to 2."
        raise ParameterError(msg)
    if not 0 <= displacement <= 0.1:
        msg = (
            f"displacement={displacement:g} is out of range; give a standard deviation "
            "from 0 to 0.1 nm."
        )
        raise ParameterError(msg)
    check_view(specimen.field, sampling, shape)
    height, width = specimen.field.cell
    grid = _grid((height, width), scan, energy)
    x, y, depth = specimen.atoms.positions.T / ANGSTROM
    weights = specimen.atoms.numbers.astype(np.float64) ** exponent
    places = np.stack([y / height, x / width])
    thick = _SLICE * wavelength(energy) / (scan.convergence * 1e-3) ** 2
    slices = np.floor(depth / thick).astype(int)
    spectrum = np.zeros((grid[0], grid[1] // 2 + 1), np.complex128)
    for number in np.unique(slices):
        chosen = slices == number
        transfer = probe_transfer(
            scan,
            energy=energy,
            shape=grid,
            period=(height, width),
            depth=float(depth[chosen].mean()),
        )
        # The beam comes to the atoms, so that the image of one is the probe turned
        # by 180 degrees: its conjugate spectrum.
        points = point_spectrum(places[:, chosen], weights[chosen], grid)
        spectrum += points * np.conj(transfer)
    image = fft.irfft2(spectrum, s=grid) * (math.prod(grid) / (height * width))
    view = resample_view(
        image,
        (height / grid[0], width / grid[1]),
        specimen.field,
        wanted=sampling,
        shape=shape,
        blur=math.hypot(displacement, scan.source_size),
    )
    return np.maximum(view, np.float32(0))


def probe_transfer(
    scan: Scan,
    *,
    energy: float,
    shape: tuple[int, int],
    period: tuple[float, float],
    depth: float = 0.0,
) -> NDArray[np.complex128]:
    """Return the transfer function of a probe: the spectrum of its intensity.

    The wave is the aperture with the phases of the aberrations, defocused further by
    the depth; its intensity has no frequencies beyond twice the aperture's.

    Parameters
    ----------
    scan : Scan
        Aperture and aberrations. The source is left out.
    energy : float
        Energy of the electrons [keV].
    shape : tuple of int
        Rows and columns of the grid that the probe is calculated on.
    period : tuple of float
        What the grid covers along y and x [nm].
    depth : float, optional
        Below the plane that `scan.defocus` counts from [nm].

    Returns
    -------
    ndarray, shape (H, W // 2 + 1), complex128
        As of :func:`scipy.fft.rfft2`, 1 at zero frequency.
    """
    wave_length, edge = wavelength(energy), scan.convergence * 1e-3
    ky, kx = (
        fft.fftfreq(count, length / count) * wave_length
        for count, length in zip(shape, period, strict=True)
    )
    angle = np.hypot(ky[:, np.newaxis], kx)
    # The grid is coarse against the aperture: its rim takes part by its share.
    step = wave_length / min(period)
    aperture = np.clip((edge - angle) / step + 0.5, 0, 1)
    inside = np.nonzero(aperture)
    rows, columns = inside
    azimuth = np.arctan2(ky[rows], kx[columns])
    phase = _aberrations(scan, angle[inside], azimuth, depth)
    wave = np.zeros(shape, np.complex128)
    wave[inside] = aperture[inside] * np.exp(-2j * np.pi / wave_length * phase)
    wave = fft.ifft2(wave)
    intensity = wave.real**2 + wave.imag**2
    return np.asarray(fft.rfft2(intensity / intensity.sum()))


def _aberrations(
    scan: Scan,
    angle: NDArray[np.float64],
    azimuth: NDArray[np.float64],
    depth: float,
) -> NDArray[np.float64]:
    """Return the path differences [nm] at angles [rad] and azimuths [rad]."""
    twofold = np.cos(2 * (azimuth - math.radians(scan.astigmatism_angle)))
    axial = np.cos(azimuth - math.radians(scan.coma_angle))
    second = (scan.defocus + depth + scan.astigmatism * twofold) / 2
    return np.asarray(
        second * angle**2
        + scan.coma * axial / 3 * angle**3
        + scan.cs * 1e3 / 4 * angle**4
        + scan.c5 * 1e6 / 6 * angle**6
    )


def _grid(period: tuple[float, float], scan: Scan, energy: float) -> tuple[int, int]:
    """Return rows and columns that hold all that a probe transfers."""
    highest = band_limit(scan, energy)
    rows, columns = (
        fft.next_fast_len(math.ceil(2 * highest * length) + 4, real=True)
        for length in period
    )
    return rows, columns


def band_limit(scan: Scan, energy: float) -> float:
    """Return the highest frequency [1/nm] of an incoherent image, 2 alpha / lambda.

    Parameters
    ----------
    scan : Scan
        Its aperture.
    energy : float
        Energy of the electrons [keV].
    """
    return 2 * scan.convergence * 1e-3 / wavelength(energy)
