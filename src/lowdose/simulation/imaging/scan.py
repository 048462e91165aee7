"""The probe of a scanning microscope, and its annular detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.specimen import ANGSTROM, check_choice, check_range

if TYPE_CHECKING:
    from numpy.random import Generator

ALGORITHMS: Final = ("prism", "multislice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Probe and detector of an image by STEM.

    Parameters
    ----------
    convergence : float
        Semi-angle of the probe [mrad].
    inner, outer : float
        Angles between which the annular detector collects [mrad].
    defocus : float
        C1 [nm], positive for overfocus.
    cs : float
        Third-order spherical aberration [µm].
    c5 : float
        Fifth-order spherical aberration [mm].
    astigmatism, astigmatism_angle : float
        Twofold astigmatism [nm] and its azimuth [°].
    coma, coma_angle : float
        Axial coma C21 [nm] and its azimuth [°].
    source_size : float
        Standard deviation of the source, as seen on the specimen [nm].
    algorithm : {"prism", "multislice"}
        The scattering matrix is calculated once for all probes (C. Ophus, Adv. Struct.
        Chem. Imaging 3, 13 (2017), doi:10.1186/s40679-017-0046-1); multislice once
        for each probe.
    window : float
        Width of the part of the cell that a probe of PRISM sees [nm]: the probe must
        have died away within half of it. Smaller is faster. Ignored by multislice.

    Raises
    ------
    ParameterError
        If a value is out of range, or `outer` not larger than `inner`.
    """

    convergence: float = 30.0
    inner: float = 60.0
    outer: float = 180.0
    defocus: float = 0.0
    cs: float = 0.0
    c5: float = 0.0
    astigmatism: float = 0.0
    astigmatism_angle: float = 0.0
    coma: float = 0.0
    coma_angle: float = 0.0
    source_size: float = 0.03
    algorithm: str = "prism"
    window: float = 1.2

    def __post_init__(self) -> None:
        check_choice(self, "algorithm", ALGORITHMS)
        for name, low, high, unit in _RANGES:
            check_range(self, name, low, high, unit)
        if self.outer <= self.inner:
            msg = (
                f"A detector from {self.inner:g} to {self.outer:g} mrad collects "
                "nothing; make outer larger than inner."
            )
            raise ParameterError(msg)

    @classmethod
    def draw(cls, rng: Generator) -> Scan:
        """Draw an aberration-corrected probe with an annular dark-field detector.

        28 to 34 mrad, inner angles of 50 to 90 and outer ones of 150 to 190 mrad,
        residual aberrations, a source of 0.02 to 0.045 nm. Our own ranges.

        Parameters
        ----------
        rng : Generator
            Source of every choice.

        Returns
        -------
        Scan
            The settings.
        """
        return cls(
            convergence=rng.uniform(28, 34),
            inner=rng.uniform(50, 90),
            outer=rng.uniform(150, 190),
            defocus=rng.normal(0, 2),
            cs=rng.normal(0, 1),
            astigmatism=abs(rng.normal(0, 1)),
            astigmatism_angle=rng.uniform(0, 180),
            coma=abs(rng.normal(0, 15)),
            coma_angle=rng.uniform(0, 360),
            source_size=rng.uniform(0.02, 0.045),
        )

    def aberrations(self) -> dict[str, Any]:
        """Return the aberrations in the units of abTEM [Å, rad]."""
        return {
            "C10": self.defocus * ANGSTROM,
            "C30": self.cs * 1e3 * ANGSTROM,
            "C50": self.c5 * 1e6 * ANGSTROM,
            "C12": self.astigmatism * ANGSTROM,
            "phi12": np.radians(self.astigmatism_angle),
            "C21": self.coma * ANGSTROM,
            "phi21": np.radians(self.coma_angle),
        }


_RANGES: Final = (
    ("convergence", 1, 100, "mrad"),
    ("inner", 0, 1000, "mrad"),
    ("outer", 0.1, 1000, "mrad"),
    ("defocus", -1e3, 1e3, "nm"),
    ("cs", -1e4, 1e4, "µm"),
    ("c5", -1e3, 1e3, "mm"),
    ("astigmatism", 0, 1e3, "nm"),
    ("astigmatism_angle", -360, 360, "°"),
    ("coma", 0, 1e5, "nm"),
    ("coma_angle", -360, 360, "°"),
    ("source_size", 0, 0.5, "nm"),
    ("window", 0.3, 100, "nm"),
)
