"""Any crystal at any zone axis: a slab or a wedge, with amorphous carbon on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.amorphous import amorphous_carbon
from lowdose.simulation.specimens.lattice import fill_box, orient, rotation, tilting
from lowdose.simulation.specimens.specimen import (
    ANGSTROM,
    Field,
    Specimen,
    check_choice,
    check_range,
    make_atoms,
)
from lowdose.simulation.specimens.structures import (
    list_structures,
    unit_cell,
    zone_axes,
)

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SHAPES: Final = ("slab", "wedge")
#: More atoms than this [millions] are a mistake of units, not a specimen.
_MOST: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrystalParameters:
    """What a piece of crystal looks like.

    Parameters
    ----------
    structure : str
        A name such as ``"SrTiO3"`` (see
        :func:`lowdose.simulation.specimens.list_structures`), or the path of a CIF or
        another structure file that ase can read.
    zone_axis : tuple of int
        Direction [uvw] of the crystal along the beam.
    shape : {"slab", "wedge"}
        A slab covers all of the view. A wedge is thinnest along a line and thicker
        towards one side.
    thickness : float
        Thickness along the beam [nm]; of a wedge, where it is thickest in the view.
    thin : float
        Thickness of a wedge at its edge [nm].
    edge : float
        Where a wedge begins, as a fraction of the view; beyond it there is vacuum.
        0 for a wedge that covers all of the view.
    direction : float
        Direction in which a wedge grows thicker [°], clockwise from x.
    rotation : float
        Rotation of the lattice in the plane of the image [°].
    tilt_x, tilt_y : float
        Tilt off the zone axis [°].
    vacancies : float
        Part of the sites that are empty.
    disorder : float
        Standard deviation of static displacements along each axis [nm].
    carbon : float
        Thickness of amorphous carbon on the side where the beam leaves [nm].
    field_height, field_width : float
        Size of the view [nm].
    margin : float
        Border round it that is simulated and cut off [nm].

    Raises
    ------
    ParameterError
        If a value is out of range.
    """

    structure: str = "SrTiO3"
    zone_axis: tuple[int, int, int] = (0, 0, 1)
    shape: str = "slab"
    thickness: float = 5.0
    thin: float = 0.5
    edge: float = 0.3
    direction: float = 0.0
    rotation: float = 0.0
    tilt_x: float = 0.0
    tilt_y: float = 0.0
    vacancies: float = 0.0
    disorder: float = 0.0
    carbon: float = 0.0
    field_height: float = 5.0
    field_width: float = 5.0
    margin: float = 0.7

    def __post_init__(self) -> None:
        check_choice(self, "shape", SHAPES)
        for name, low, high, unit in _RANGES:
            check_range(self, name, low, high, unit)
        _ = self.field
        if np.shape(self.zone_axis) != (3,) or not any(self.zone_axis):
            msg = (
                f"zone_axis={self.zone_axis} is no direction; give three whole "
                "numbers, not all zero, such as (1, 1, 0)."
            )
            raise ParameterError(msg)
        if self.shape == "wedge" and self.thin > self.thickness:
            msg = (
                f"A wedge from {self.thin:g} to {self.thickness:g} nm grows thinner; "
                "make thin the smaller one."
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
        cls, rng: Generator, *, height: float = 5.0, width: float = 5.0
    ) -> CrystalParameters:
        """Draw a structure of the table and the rest at random.

        Any structure at one of its low-index zone axes, 1 to 10 nm thick, one half of
        them wedges, tilted by up to 2° or so, one half with up to 3 nm of carbon.

        Parameters
        ----------
        rng : Generator
            Source of every choice.
        height, width : float, optional
            Size of the view [nm].

        Returns
        -------
        CrystalParameters
            The parameters.
        """
        structure = str(rng.choice(list_structures()))
        axes = zone_axes(structure)
        return cls(
            structure=structure,
            zone_axis=axes[int(rng.integers(len(axes)))],
            shape=str(rng.choice(SHAPES)),
            thickness=rng.uniform(1, 10),
            thin=rng.uniform(0.3, 1.0),
            edge=rng.uniform(0, 0.6),
            direction=rng.uniform(-180, 180),
            rotation=rng.uniform(-180, 180),
            tilt_x=rng.normal(0, 1),
            tilt_y=rng.normal(0, 1),
            vacancies=rng.exponential(0.01),
            disorder=rng.uniform(0, 0.008),
            carbon=rng.uniform(0.3, 3) if rng.random() < 0.5 else 0.0,
            field_height=height,
            field_width=width,
        )


_RANGES: Final = (
    ("thickness", 0.05, 200, "nm"),
    ("thin", 0, 200, "nm"),
    ("edge", 0, 1, ""),
    ("direction", -360, 360, "°"),
    ("rotation", -360, 360, "°"),
    ("tilt_x", -60, 60, "°"),
    ("tilt_y", -60, 60, "°"),
    ("vacancies", 0, 1, ""),
    ("disorder", 0, 0.1, "nm"),
    ("carbon", 0, 100, "nm"),
)


def crystal(parameters: CrystalParameters, seed: int) -> Specimen:
    """Build a piece of crystal.

    Parameters
    ----------
    parameters : CrystalParameters
        What it looks like.
    seed : int
        Seed of its random choices. The same seed gives the same atoms.

    Returns
    -------
    Specimen
        Kind ``"crystal"``.

    Raises
    ------
    ParameterError
        If there is no such structure, or it would have more than five million atoms.
    InputError, FormatError
        If the structure is a file that cannot be read.
    MissingExtraError
        If ase is not installed.
    """
    p = parameters
    streams = np.random.SeedSequence(seed).spawn(2)
    disordering, covering = map(np.random.default_rng, streams)
    cell = unit_cell(p.structure)
    vectors = cell.cell.array / ANGSTROM
    beam = np.asarray(p.zone_axis, float) @ vectors
    # Any lattice vector that does not lie along the beam fixes the azimuth.
    up = max(vectors, key=lambda v: float(np.linalg.norm(np.cross(v, beam))))
    turn = orient(up=up, beam=beam) @ rotation("z", p.rotation)
    turn = turn @ tilting(p.tilt_x, p.tilt_y)
    height, width = p.field.cell
    half = np.array([width, height, p.thickness]) / 2
    _check_number(float(np.prod(2 * half)), cell)
    positions, kinds = fill_box(
        vectors @ turn, cell.get_scaled_positions(), -half, half
    )
    kept = np.abs(positions[:, 2]) <= _thickness(positions, p) / 2
    kept &= disordering.random(len(positions)) >= p.vacancies
    positions, kinds = positions[kept], kinds[kept]
    positions = positions + p.disorder * disordering.normal(size=positions.shape)
    symbols = np.array(cell.get_chemical_symbols())[kinds].tolist()
    groups: list[tuple[str | list[str], Array]] = [(symbols, positions)]
    if p.carbon:
        groups.append(("C", _carbon(positions, p, covering)))
    return Specimen(
        atoms=make_atoms(p.field, groups),
        kind="crystal",
        parameters=p,
        seed=seed,
        field=p.field,
    )


def _thickness(positions: Array, p: CrystalParameters) -> Array:
    """Return the thickness at the place of each atom [nm]; negative for vacuum."""
    if p.shape == "slab":
        return np.full(len(positions), p.thickness)
    angle = np.radians(p.direction)
    size = abs(np.cos(angle)) * p.field_width + abs(np.sin(angle)) * p.field_height
    along = positions[:, :2] @ [np.cos(angle), np.sin(angle)] / size + 0.5
    share = (along - p.edge) / max(1 - p.edge, 1e-9)
    # Beyond the view it stays as thick, or the margin would want ever more atoms.
    thickness = p.thin + (p.thickness - p.thin) * np.clip(share, 0, 1)
    beyond = (along < p.edge) & (p.edge > 0)
    return np.where(beyond, -1.0, thickness)


def _carbon(positions: Array, p: CrystalParameters, rng: Generator) -> Array:
    """Return a film of amorphous carbon behind the crystal, over all of the cell."""
    height, width = p.field.cell
    top = positions[:, 2].max() + 0.2 if len(positions) else 0.0
    low = np.array([-width / 2, -height / 2, top])
    return amorphous_carbon(low, low + np.array([width, height, p.carbon]), rng)


def _check_number(volume: float, cell: Atoms) -> None:
    """Raise :class:`ParameterError` if a box would hold absurdly many atoms."""
    atoms = volume * 1e3 * len(cell) / cell.get_volume() / 1e6
    if atoms > _MOST:
        msg = (
            f"This crystal would have about {atoms:.0f} million atoms, more than the "
            f"{_MOST:g} million that are sensible. Reduce the field or the thickness."
        )
        raise ParameterError(msg)
