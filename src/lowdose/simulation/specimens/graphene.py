"""Graphene with the defects that electron microscopes show.

The specimen of STFC's em_graphene_sim, whose parameters are not published. Those here
are our own. For the defects: F. Banhart, J. Kotakoski, A. V. Krasheninnikov, ACS Nano
5, 26 (2011), doi:10.1021/nn102598m; for the ripples: J. C. Meyer et al., Nature 446,
60 (2007), doi:10.1038/nature05545.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import cKDTree

from lowdose.simulation.specimens.amorphous import amorphous_carbon, blob
from lowdose.simulation.specimens.carbon_network import BOND, grow, relax
from lowdose.simulation.specimens.graphene_defects import (
    cut_edge,
    cut_holes,
    remove_atoms,
    rotate_bonds,
    substitute,
)
from lowdose.simulation.specimens.lattice import tilting
from lowdose.simulation.specimens.specimen import (
    Field,
    Specimen,
    check_choice,
    check_range,
    make_atoms,
)

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DOPANTS: Final = ("N", "B", "Si")
EDGES: Final = ("none", "zigzag", "armchair", "random")
#: Distance [nm] between graphene and what lies on it.
_SPACING: Final = 0.335
#: How far [nm] it may reach over an edge.
_OVERHANG: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class GrapheneParameters:
    """What a sheet of graphene looks like.

    Parameters
    ----------
    rotation : float
        Direction of the zigzag rows against the rows of the image [°].
    grains : int
        Grains with random directions; they meet in rows of pentagons and heptagons.
    vacancies, divacancies : int
        Single atoms, and pairs of neighbours, that are missing.
    stone_wales : int
        Bonds turned by 90°, which makes two pentagons and two heptagons.
    dopants : int
        Carbon atoms that are replaced, no two of them neighbours.
    dopant : {"N", "B", "Si"}
        What by.
    edge : {"none", "zigzag", "armchair", "random"}
        Direction of an edge, behind which there is vacuum.
    edge_position : float
        Distance of the edge from the centre, as a fraction of the view's size;
        negative leaves less of the sheet.
    edge_roughness : float
        Standard deviation of the edge about a straight line [nm].
    holes : int
        Holes inside the sheet.
    hole_radius : float
        Their mean radius [nm].
    ripple : float
        Standard deviation of the height [nm].
    ripple_length : float
        Shortest wavelength of the ripples [nm]; the longest is three times it.
    tilt_x, tilt_y : float
        Tilt of the sheet [°].
    contamination : float
        Part of the sheet that is covered by amorphous carbon.
    field_height, field_width : float
        Size of the view [nm].
    margin : float
        Border round it that is simulated and cut off [nm].

    Raises
    ------
    ParameterError
        If a value is out of range.
    """

    rotation: float = 0.0
    grains: int = 1
    vacancies: int = 0
    divacancies: int = 0
    stone_wales: int = 0
    dopants: int = 0
    dopant: str = "N"
    edge: str = "none"
    edge_position: float = 0.0
    edge_roughness: float = 0.0
    holes: int = 0
    hole_radius: float = 0.5
    ripple: float = 0.0
    ripple_length: float = 4.0
    tilt_x: float = 0.0
    tilt_y: float = 0.0
    contamination: float = 0.0
    field_height: float = 5.0
    field_width: float = 5.0
    margin: float = 0.8

    def __post_init__(self) -> None:
        check_choice(self, "dopant", DOPANTS)
        check_choice(self, "edge", EDGES)
        for name, low, high, unit in _RANGES:
            check_range(self, name, low, high, unit)
        _ = self.field

    @property
    def field(self) -> Field:
        """The view and its margin."""
        return Field(
            height=self.field_height, width=self.field_width, margin=self.margin
        )

    @classmethod
    def draw(
        cls, rng: Generator, *, height: float = 5.0, width: float = 5.0
    ) -> GrapheneParameters:
        """Draw parameters at random.

        Of 100 sheets about 25 have grain boundaries, 25 an edge, 25 holes, 25 some
        amorphous carbon; most have a few vacancies, turned bonds or substitutes per
        25 nm². Our own ranges.

        Parameters
        ----------
        rng : Generator
            Source of every choice.
        height, width : float, optional
            Size of the view [nm].

        Returns
        -------
        GrapheneParameters
            The parameters.
        """
        rate = height * width / 25
        edge = str(rng.choice(EDGES, p=[0.75, 0.08, 0.08, 0.09]))
        covered = rng.random() < 0.25
        return cls(
            rotation=rng.uniform(-30, 30),
            grains=int(rng.choice([1, 2, 3], p=[0.75, 0.18, 0.07])),
            vacancies=int(rng.poisson(1.2 * rate)),
            divacancies=int(rng.poisson(0.6 * rate)),
            stone_wales=int(rng.poisson(1.0 * rate)),
            dopants=int(rng.poisson(1.5 * rate)),
            dopant=str(rng.choice(DOPANTS, p=[0.35, 0.2, 0.45])),
            edge=edge,
            edge_position=rng.uniform(-0.3, 0.4),
            edge_roughness=rng.exponential(0.08),
            holes=int(rng.choice([0, 1, 2], p=[0.75, 0.18, 0.07])),
            hole_radius=rng.uniform(0.25, 1.0),
            ripple=rng.uniform(0, 0.06),
            ripple_length=rng.uniform(2.5, 8),
            tilt_x=rng.normal(0, 3),
            tilt_y=rng.normal(0, 3),
            contamination=rng.uniform(0.05, 0.4) if covered else 0.0,
            field_height=height,
            field_width=width,
        )


_RANGES: Final = (
    ("rotation", -360, 360, "°"),
    ("grains", 1, 20, ""),
    ("vacancies", 0, 1000, ""),
    ("divacancies", 0, 1000, ""),
    ("stone_wales", 0, 1000, ""),
    ("dopants", 0, 1000, ""),
    ("edge_position", -0.6, 0.6, ""),
    ("edge_roughness", 0, 2, "nm"),
    ("holes", 0, 50, ""),
    ("hole_radius", 0.1, 10, "nm"),
    ("ripple", 0, 0.5, "nm"),
    ("ripple_length", 1, 100, "nm"),
    ("tilt_x", -45, 45, "°"),
    ("tilt_y", -45, 45, "°"),
    ("contamination", 0, 1, ""),
)


def graphene(parameters: GrapheneParameters, seed: int) -> Specimen:
    """Build a sheet of graphene.

    Parameters
    ----------
    parameters : GrapheneParameters
        What it looks like.
    seed : int
        Seed of its random choices: grains, places of defects, ripples. The same seed
        gives the same atoms.

    Returns
    -------
    Specimen
        Kind ``"graphene"``.

    Raises
    ------
    ParameterError
        If there is no room for so many defects.
    MissingExtraError
        If ase is not installed.
    """
    p = parameters
    streams = np.random.SeedSequence(seed).spawn(4)
    growing, cutting, defects, bending = map(np.random.default_rng, streams)
    height, width = p.field.cell
    # A tilted sheet is seen foreshortened.
    grown = [
        length / np.cos(np.radians(tilt)) + 4 * BOND
        for length, tilt in ((height, p.tilt_x), (width, p.tilt_y))
    ]
    network = grow(grown[0], grown[1], p.grains, p.rotation, growing)
    cut_edge(network, p, cutting)
    cut_holes(network, p, cutting)
    network.prune()
    rotate_bonds(network, p.stone_wales, p.field, defects)
    substitute(network, p.dopants, p.dopant, p.field, defects)
    remove_atoms(network, p.divacancies, p.field, defects, pairs=True)
    remove_atoms(network, p.vacancies, p.field, defects, pairs=False)
    network.prune()
    relax(network)
    sheet = _ripple(network.positions, p, bending)
    turn = tilting(p.tilt_x, p.tilt_y)
    groups: list[tuple[str | list[str], Array]] = [
        (network.symbols.tolist(), sheet @ turn)
    ]
    if p.contamination:
        size = np.array([grown[1], grown[0], 0.0])
        low = -size / 2 + [0, 0, _SPACING]
        high = size / 2 + [0, 0, _SPACING + bending.uniform(0.2, 0.8)]
        layer = amorphous_carbon(low, high, bending)
        covered = blob(layer, p.contamination, max(grown) / 3, bending)
        if len(sheet):
            # What has no sheet beneath it would float.
            gap, _ = cKDTree(sheet[:, :2]).query(layer[:, :2])
            covered &= gap < _OVERHANG
        groups.append(("C", layer[covered] @ turn))
    return Specimen(
        atoms=make_atoms(p.field, groups),
        kind="graphene",
        parameters=p,
        seed=seed,
        field=p.field,
    )


def _ripple(positions: Array, p: GrapheneParameters, rng: Generator) -> Array:
    """Give each atom its height: a sum of waves of random direction and phase."""
    height = np.zeros(len(positions))
    waves = 8
    for _ in range(waves):
        length = p.ripple_length * rng.uniform(1, 3)
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        along = positions @ [np.cos(angle), np.sin(angle)]
        height += np.sin(2 * np.pi * along / length + phase)
    height *= p.ripple * np.sqrt(2 / waves)
    return np.column_stack([positions, height])
