"""The objective lens and what blurs its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.simulation.imaging.beam import wavelength
from lowdose.simulation.specimens.specimen import ANGSTROM, check_range

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

#: Amplitude below which nothing is said to be transferred: exp(-2), by which the
#: information limit is defined.
_LIMIT: Final = float(np.exp(-2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """Aberrations and incoherence of a HRTEM image.

    Parameters
    ----------
    defocus : float
        C1 [nm], positive for *overfocus*: with a negative `cs` columns are then
        bright. It is minus the defocus of those who count underfocus as positive.
    cs : float
        Third-order spherical aberration C3 [µm]; may be negative.
    c5 : float
        Fifth-order spherical aberration [mm].
    astigmatism, astigmatism_angle : float
        Twofold astigmatism A1 [nm] and its azimuth [°], clockwise from the columns'
        direction.
    coma, coma_angle : float
        Axial coma, as C21 = 3 B2 [nm], and its azimuth [°].
    trefoil, trefoil_angle : float
        Threefold astigmatism A2 [nm] and its azimuth [°].
    focal_spread : float
        Standard deviation of the defocus [nm], from the spread of energy and the
        instability of the lens.
    angular_spread : float
        Standard deviation of the directions of illumination along each axis [mrad].
    aperture : float
        Semi-angle of the objective aperture [mrad]; infinite for none.
    vibration : float
        Standard deviation of the movement of the image along each axis [nm].
    contrast : float
        What is left of the contrast, about the vacuum level: the inverse of the
        Stobbs factor, by which images simulated without phonons, plasmons and the
        camera exceed measured ones (M. J. Hÿtch, W. M. Stobbs, Ultramicroscopy 53,
        191 (1994), doi:10.1016/0304-3991(94)90034-5). 1 for all of it.

    Raises
    ------
    ParameterError
        If a value is out of range.
    """

    defocus: float = 0.0
    cs: float = -13.0
    c5: float = 5.0
    astigmatism: float = 0.0
    astigmatism_angle: float = 0.0
    coma: float = 0.0
    coma_angle: float = 0.0
    trefoil: float = 0.0
    trefoil_angle: float = 0.0
    focal_spread: float = 3.0
    angular_spread: float = 0.2
    aperture: float = np.inf
    vibration: float = 0.0
    contrast: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high, unit in _RANGES:
            check_range(self, name, low, high, unit)
        if self.aperture != np.inf:
            check_range(self, "aperture", 0.1, 500, "mrad")

    @classmethod
    def draw(
        cls, rng: Generator, *, defocus: tuple[float, float] = (0.0, 20.0)
    ) -> Optics:
        """Draw an aberration-corrected lens, as it is between two tunings.

        Cs of -13 ± 5 µm, C5 of 5 ± 1 mm, and residual astigmatism, coma and trefoil
        of a size that a tableau leaves; 2 to 4 nm of focal spread; 0.02 to 0.05 nm of
        vibration. Our ranges, about the values of a corrected 300 kV instrument.

        Parameters
        ----------
        rng : Generator
            Source of every choice.
        defocus : tuple of float, optional
            Range of the defocus [nm].

        Returns
        -------
        Optics
            With all of the contrast: reduce it to suit the data at hand.
        """
        return cls(
            defocus=rng.uniform(*defocus),
            cs=rng.normal(-13, 2.5),
            c5=rng.normal(5, 0.5),
            astigmatism=abs(rng.normal(0, 0.7)),
            astigmatism_angle=rng.uniform(0, 180),
            coma=abs(rng.normal(0, 15)),
            coma_angle=rng.uniform(0, 360),
            trefoil=abs(rng.normal(0, 15)),
            trefoil_angle=rng.uniform(0, 120),
            focal_spread=rng.uniform(2, 4),
            angular_spread=rng.uniform(0.1, 0.3),
            vibration=rng.uniform(0.02, 0.05),
        )

    def ctf(self, energy: float) -> dict[str, Any]:
        """Return the arguments of :class:`abtem.CTF` [Å, mrad, rad, eV].

        Parameters
        ----------
        energy : float
            Energy of the electrons [keV].

        Returns
        -------
        dict
            Its spreads are widths at 1/e, √2 times our standard deviations.
        """
        return {
            "energy": energy * 1e3,
            "semiangle_cutoff": self.aperture,
            "focal_spread": np.sqrt(2) * self.focal_spread * ANGSTROM,
            "angular_spread": np.sqrt(2) * self.angular_spread,
            "C10": self.defocus * ANGSTROM,
            "C30": self.cs * 1e3 * ANGSTROM,
            "C50": self.c5 * 1e6 * ANGSTROM,
            "C12": self.astigmatism * ANGSTROM,
            "phi12": np.radians(self.astigmatism_angle),
            "C21": self.coma * ANGSTROM,
            "phi21": np.radians(self.coma_angle),
            "C23": self.trefoil * ANGSTROM,
            "phi23": np.radians(self.trefoil_angle),
        }

    def displacement(
        self, frequency: NDArray[np.float64], energy: float
    ) -> NDArray[np.float64]:
        """Return how far waves of a spatial frequency are displaced in the image.

        Parameters
        ----------
        frequency : ndarray
            Spatial frequency [1/nm].
        energy : float
            Energy of the electrons [keV].

        Returns
        -------
        ndarray
            Gradient of the aberration function, in the worst azimuth [nm].
        """
        angle = frequency * wavelength(energy)
        round_part = (
            self.defocus * angle + self.cs * 1e3 * angle**3 + self.c5 * 1e6 * angle**5
        )
        # Astigmatism of every azimuth, and coma, whose gradient is three times its
        # value along its own axis; C21 holds that factor.
        uneven = self.astigmatism * angle + (self.coma + self.trefoil) * angle**2
        return np.asarray(np.abs(round_part) + uneven)

    def information_limit(self, energy: float, highest: float) -> float:
        """Return the highest spatial frequency that is transferred.

        Parameters
        ----------
        energy : float
            Energy of the electrons [keV].
        highest : float
            Where to stop looking [1/nm].

        Returns
        -------
        float
            Frequency [1/nm] at which the envelope falls below exp(-2) for good, or
            the aperture ends it; `highest` if neither does.
        """
        frequency = np.linspace(0, highest, 2001)
        angle = frequency * wavelength(energy)
        # The round part alone: astigmatism makes the envelope narrower somewhere,
        # never wider everywhere.
        gradient = (
            self.defocus * angle + self.cs * 1e3 * angle**3 + self.c5 * 1e6 * angle**5
        ) * (2 * np.pi / wavelength(energy))
        chromatic = np.pi * self.focal_spread * angle**2 / wavelength(energy)
        spatial = self.angular_spread * 1e-3 * gradient
        envelope = np.exp(-(chromatic**2) / 2 - spatial**2 / 2)
        envelope[angle > self.aperture * 1e-3] = 0
        return float(frequency[np.flatnonzero(envelope >= _LIMIT)[-1]])


_RANGES: Final = (
    ("defocus", -1e4, 1e4, "nm"),
    ("cs", -1e4, 1e4, "µm"),
    ("c5", -1e3, 1e3, "mm"),
    ("astigmatism", 0, 1e3, "nm"),
    ("astigmatism_angle", -360, 360, "°"),
    ("coma", 0, 1e5, "nm"),
    ("coma_angle", -360, 360, "°"),
    ("trefoil", 0, 1e5, "nm"),
    ("trefoil_angle", -360, 360, "°"),
    ("focal_spread", 0, 100, "nm"),
    ("angular_spread", 0, 10, "mrad"),
    ("vibration", 0, 0.5, "nm"),
    ("contrast", 0, 1, ""),
)
