"""How the multislice calculation is done: energy, sampling, slices, vibrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.specimen import check_choice, check_range

_PARAMETRIZATIONS: Final = ("lobato", "kirkland")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """The electrons, and the grid that they are calculated on.

    Parameters
    ----------
    energy : float
        Energy of the electrons [keV].
    sampling : float
        Sampling of the wave [nm/px]. Multislice keeps two thirds of its Nyquist
        frequency; see :attr:`band_limit`.
    slice_thickness : float
        Largest thickness of a slice of the specimen [nm].
    parametrization : {"lobato", "kirkland"}
        Scattering factors: Lobato & Van Dyck, Acta Cryst. A70, 636 (2014),
        doi:10.1107/S205327331401643X, or Kirkland, Advanced Computing in Electron
        Microscopy (2010).
    phonons : int
        Frozen-phonon configurations, whose images are averaged (R. F. Loane, P. Xu,
        J. Silcox, Acta Cryst. A47, 267 (1991)). 0 for atoms at rest.
    displacement : float or tuple of (str, float)
        Standard deviation of the thermal displacement along each axis [nm]: one
        number for all atoms, or one for each element.

    Raises
    ------
    ParameterError
        If a value is out of range.
    """

    energy: float = 300.0
    sampling: float = 0.012
    slice_thickness: float = 0.2
    parametrization: str = "lobato"
    phonons: int = 0
    displacement: float | tuple[tuple[str, float], ...] = 0.007

    def __post_init__(self) -> None:
        check_range(self, "energy", 10, 3000, "keV")
        check_range(self, "sampling", 0.001, 0.1, "nm/px")
        check_range(self, "slice_thickness", 0.01, 2, "nm")
        check_range(self, "phonons", 0, 1000)
        check_choice(self, "parametrization", _PARAMETRIZATIONS)
        given = self.displacement
        values = [v for _, v in given] if isinstance(given, tuple) else [given]
        if not all(np.isfinite(v) and 0 <= v <= 0.1 for v in values):
            msg = (
                f"Beam: displacement={given} is out of range; give standard deviations "
                "from 0 to 0.1 nm."
            )
            raise ParameterError(msg)

    @property
    def wavelength(self) -> float:
        """Relativistic wavelength of the electrons [nm]."""
        return wavelength(self.energy)

    @property
    def band_limit(self) -> float:
        """Highest spatial frequency of the wave [1/nm]."""
        return 1 / (3 * self.sampling)


def wavelength(energy: float) -> float:
    """Return the relativistic wavelength [nm] of electrons of an energy [keV].

    Kirkland, Advanced Computing in Electron Microscopy (2010), equation 2.5, with the
    constants of CODATA 2018.
    """
    planck_light = 1.239841984  # keV nm
    rest = 510.99895  # keV
    return float(planck_light / np.sqrt(energy * (2 * rest + energy)))
