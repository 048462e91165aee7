"""A metal nanoparticle on ceria, seen along [110]: with platinum, what SBD's set shows.

The specimen of S. Mohan et al., "Deep Denoising for Scientific Discovery: A Case
Study in Electron Microscopy", IEEE Trans. Comput. Imaging 8, 585 (2022), and of
J. L. Vincent et al., Microsc. Microanal. 27, 1431 (2021),
doi:10.1017/S1431927621012678: face-centred cubic Pt over fluorite CeO2, both with
[1-10] along the beam and [111] up, so that the (111) interface is seen edge-on. Their
models are not public; shapes and defects here are our own, in wider ranges, and the
particle may be of another face-centred cubic metal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.metals import LATTICE_CONSTANTS
from lowdose.simulation.specimens.particle_model import assemble, particle_model
from lowdose.simulation.specimens.specimen import Field, check_choice, check_range

if TYPE_CHECKING:
    from numpy.random import Generator

    from lowdose.simulation.specimens.specimen import Specimen

#: What a specimen consists of.
CONTENTS: Final = ("both", "particle", "support", "vacuum")
#: Classes of surface defects; see :class:`NanoparticleParameters`.
DEFECTS: Final = ("D0", "D1", "D2", "Dh", "Ds")
#: Standard deviation of the tilts that are drawn, about either axis [°].
_MISTILT: Final = 0.8
#: Vacuum that is left above a particle, where the view has room [nm].
_ABOVE: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoparticleParameters:
    """What a nanoparticle on its support looks like.

    Parameters
    ----------
    content : {"both", "particle", "support", "vacuum"}
        Which parts are there.
    metal : {"Pt", "Au", "Ag", "Pd", "Ir", "Rh", "Cu", "Ni"}
        What the particle is made of.
    size : float
        Width of the particle across the beam [nm].
    depth : float
        Its extent along the beam [nm], at most `thickness`.
    contact : float
        Height of its centre over the interface, in units of its {111} radius: 1
        stands on a whole facet, 0 is a half, below 0 a cap that wets the support.
    truncation : float
        Distance of the {100} facets over that of the {111} ones: 0.87 a
        cuboctahedron, 1.15 about the equilibrium shape of Pt, 1.73 an octahedron.
    roundness : float
        0 for sharp edges and corners, 1 for a sphere.
    asymmetry : float
        Standard deviation of each facet's distance, relative.
    twin : bool
        Whether the particle is turned by 180° about [111] against the support.
    thickness : float
        Thickness of the support along the beam [nm].
    tilt_x, tilt_y : float
        Tilt of all about x (along the interface) and then about y [°].
    rotation : float
        Rotation of all in the plane of the image, clockwise [°].
    steps : int
        Terraces that end half-way across a facet of the particle.
    support_steps : int
        Steps, one O-Ce-O layer high, in the support beside the particle.
    defect : {"D0", "D1", "D2", "Dh", "Ds"}
        The classes of SBD, as we read them (their definition is not published with
        the data): none; one and two surface columns missing; a surface column with
        half its atoms; a surface column of a single atom.
    adatom_columns : int
        Columns added on free sites of the surface.
    adatom_fraction : float
        How much of an added column is filled; it has at least one atom.
    vacancies : int
        Single atoms missing at the surface.
    strain : float
        Standard deviation of each component of a uniform strain of the particle.
    misfit : float
        Stretch of the particle along the interface, which decays within 0.5 nm.
    relaxation : float
        How far under-coordinated atoms move inward, as a fraction of the distance
        of neighbours for an atom without neighbours on one side.
    disorder, surface_disorder : float
        Standard deviation of static displacements along each axis [nm], of all atoms
        and additionally of those at the surface of the particle.
    interface, centre : float
        Place of the interface from the top and of the particle from the left, before
        the rotation, as fractions of the field.
    field_height, field_width : float
        Size of the view [nm].
    margin : float
        Border round it that is simulated and cut off [nm].
    may_be_cut : bool
        Whether the particle may reach beyond the view.

    Raises
    ------
    ParameterError
        If a value is out of range, the particle deeper than the support is thick, or
        wider than the view while `may_be_cut` is false.
    """

    content: str = "both"
    metal: str = "Pt"
    size: float = 3.0
    depth: float = 2.5
    contact: float = 0.4
    truncation: float = 1.15
    roundness: float = 0.2
    asymmetry: float = 0.0
    twin: bool = False
    thickness: float = 4.0
    tilt_x: float = 0.0
    tilt_y: float = 0.0
    rotation: float = 0.0
    steps: int = 0
    support_steps: int = 0
    defect: str = "D0"
    adatom_columns: int = 0
    adatom_fraction: float = 1.0
    vacancies: int = 0
    strain: float = 0.0
    misfit: float = 0.0
    relaxation: float = 0.0
    disorder: float = 0.0
    surface_disorder: float = 0.0
    interface: float = 0.62
    centre: float = 0.5
    field_height: float = 5.0
    field_width: float = 5.0
    margin: float = 0.7
    may_be_cut: bool = False

    def __post_init__(self) -> None:
        check_choice(self, "content", CONTENTS)
        check_choice(self, "metal", tuple(LATTICE_CONSTANTS))
        check_choice(self, "defect", DEFECTS)
        for name, low, high, unit in _RANGES:
            check_range(self, name, low, high, unit)
        field = self.field
        if self.content == "both" and self.depth > self.thickness:
            msg = (
                f"The particle is {self.depth:g} nm deep along the beam, its support "
                f"only {self.thickness:g} nm thick: it would hang over. Reduce depth, "
                "or enlarge thickness."
            )
            raise ParameterError(msg)
        if not self.may_be_cut and self.size > min(field.height, field.width):
            msg = (
                f"A particle of {self.size:g} nm does not fit into a view of "
                f"{field.height:g} x {field.width:g} nm. Enlarge field_height and "
                "field_width, reduce size, or let it be cut with may_be_cut=True."
            )
            raise ParameterError(msg)

    @property
    def field(self) -> Field:
        """The view and its margin."""
        return Field(
            height=self.field_height, width=self.field_width, margin=self.margin
        )

    @classmethod
    def draw(
        cls,
        rng: Generator,
        *,
        height: float = 5.0,
        width: float = 5.0,
        metal: str = "Pt",
    ) -> NanoparticleParameters:
        """Draw parameters at random, from wider ranges than SBD's.

        Sizes of 2 to 6 nm, more of the small ones; supports of 3 to 6 nm; any rotation
        in one half of the draws, up to 10° in the others; SBD's five defect classes
        with equal chance; of 100 draws about 3 are the particle alone, 3 the support
        alone and 1 vacuum. Tilts about x and y of up to 4° either way, normal with a
        standard deviation of 0.8°: who looks for columns tilts towards the zone axis.
        The interface lies near the middle of the view as in SBD's images (their
        notebooks look for the particle in rows 100 to 360 of 727), lower for particles
        that are taller than what is above it.

        Parameters
        ----------
        rng : Generator
            Source of every choice.
        height, width : float, optional
            Size of the view [nm]. A particle that does not fit is cut by its border.
        metal : str, optional
            What the particle is made of.

        Returns
        -------
        NanoparticleParameters
            The parameters.
        """
        size = 2 + 4 * rng.beta(1.2, 2.0)
        contact = rng.uniform(-0.2, 0.8)
        # The particle's height, and a little vacuum over it.
        needed = (size / 2 * (1 + contact) + _ABOVE) / height
        thickness = rng.uniform(3, 6)
        depth = min(size * rng.uniform(0.75, 1.05), thickness)
        turned = rng.uniform(-180, 180) if rng.random() < 0.5 else rng.uniform(-10, 10)
        return cls(
            content=str(rng.choice(CONTENTS, p=[0.93, 0.03, 0.03, 0.01])),
            metal=metal,
            size=size,
            depth=depth,
            contact=contact,
            truncation=rng.uniform(0.95, 1.4),
            roundness=rng.beta(1, 2),
            asymmetry=abs(rng.normal(0, 0.08)),
            twin=bool(rng.random() < 0.5),
            thickness=thickness,
            tilt_x=float(np.clip(rng.normal(0, _MISTILT), -4, 4)),
            tilt_y=float(np.clip(rng.normal(0, _MISTILT), -4, 4)),
            rotation=turned,
            steps=int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15])),
            support_steps=int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15])),
            defect=str(rng.choice(DEFECTS)),
            adatom_columns=int(rng.choice([0, 1, 2, 3], p=[0.55, 0.25, 0.12, 0.08])),
            adatom_fraction=rng.uniform(0.1, 1),
            vacancies=int(rng.geometric(0.5) - 1),
            strain=abs(rng.normal(0, 0.005)),
            misfit=rng.normal(0, 0.01),
            relaxation=rng.uniform(-0.02, 0.06),
            disorder=rng.uniform(0, 0.006),
            surface_disorder=rng.exponential(0.008),
            interface=max(rng.uniform(0.42, 0.62), min(needed, 0.8)),
            centre=rng.uniform(0.35, 0.65),
            field_height=height,
            field_width=width,
            may_be_cut=True,
        )


_RANGES: Final = (
    ("size", 0.8, 30, "nm"),
    ("depth", 0.5, 30, "nm"),
    ("contact", -0.6, 1, ""),
    ("truncation", 0.8, 1.8, ""),
    ("roundness", 0, 1, ""),
    ("asymmetry", 0, 0.3, ""),
    ("thickness", 0.5, 50, "nm"),
    ("tilt_x", -20, 20, "°"),
    ("tilt_y", -20, 20, "°"),
    ("rotation", -360, 360, "°"),
    ("steps", 0, 8, ""),
    ("support_steps", 0, 2, ""),
    ("adatom_columns", 0, 20, ""),
    ("adatom_fraction", 0, 1, ""),
    ("vacancies", 0, 200, ""),
    ("strain", 0, 0.05, ""),
    ("misfit", -0.1, 0.1, ""),
    ("relaxation", -0.2, 0.2, ""),
    ("disorder", 0, 0.05, "nm"),
    ("surface_disorder", 0, 0.1, "nm"),
    ("interface", 0, 1, ""),
    ("centre", 0, 1, ""),
)


def nanoparticle(parameters: NanoparticleParameters, seed: int) -> Specimen:
    """Build a metal nanoparticle on ceria.

    Parameters
    ----------
    parameters : NanoparticleParameters
        What it looks like.
    seed : int
        Seed of its random choices: facets, defects, displacements. The same seed
        gives the same atoms.

    Returns
    -------
    Specimen
        Kind ``"nanoparticle"``.

    Raises
    ------
    ParameterError
        If the particle reaches beyond the view though it may not, or has no surface
        column for the defect that is asked for.
    MissingExtraError
        If ase is not installed.
    """
    return assemble(particle_model(parameters, seed))
