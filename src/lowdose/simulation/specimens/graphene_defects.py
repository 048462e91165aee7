"""Point defects, edges and holes of a carbon network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import cKDTree

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.carbon_network import BOND

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.carbon_network import Network
    from lowdose.simulation.specimens.graphene import GrapheneParameters
    from lowdose.simulation.specimens.specimen import Field

#: Distance [nm] within which atoms give way to a defect.
_REACH: Final = 0.8


def cut_edge(network: Network, p: GrapheneParameters, rng: Generator) -> None:
    """Cut the sheet along a line, in place.

    Parameters
    ----------
    network : Network
        Changed.
    p : GrapheneParameters
        Direction, position and roughness of the edge, and the direction of the first
        grain.
    rng : Generator
        Source of the side, the direction ``"random"`` and the roughness.
    """
    if p.edge == "none":
        return
    own = {"zigzag": 0.0, "armchair": 30.0}.get(p.edge, rng.uniform(0, 60))
    angle = np.radians(p.rotation + own + 60 * rng.integers(6))
    along = network.positions @ [np.cos(angle), np.sin(angle)]
    across = network.positions @ [-np.sin(angle), np.cos(angle)]
    line = np.full(len(along), p.edge_position * min(p.field_height, p.field_width))
    for _ in range(4):
        length = rng.uniform(0.5, 3)
        phase = rng.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * along / length + phase)
        line += p.edge_roughness * np.sqrt(0.5) * wave
    network.keep(across < line)


def cut_holes(network: Network, p: GrapheneParameters, rng: Generator) -> None:
    """Cut holes of uneven outline into the sheet, in place.

    Parameters
    ----------
    network : Network
        Changed.
    p : GrapheneParameters
        Number and mean radius of the holes, and the field they lie in.
    rng : Generator
        Source of their places and outlines.
    """
    for _ in range(p.holes):
        centre = rng.uniform(-0.45, 0.45, 2) * [p.field_width, p.field_height]
        x, y = (network.positions - centre).T
        angle, radius = np.arctan2(y, x), np.hypot(x, y)
        outline = np.full(len(angle), p.hole_radius * rng.uniform(0.6, 1.4))
        for order in (2, 3, 4):
            outline *= 1 + 0.15 * rng.normal() * np.sin(
                order * angle + rng.uniform(0, 2 * np.pi)
            )
        network.keep(radius > outline)


def rotate_bonds(network: Network, number: int, field: Field, rng: Generator) -> None:
    """Turn bonds by 90°: Stone-Wales defects, in place.

    A. J. Stone, D. J. Wales, Chem. Phys. Lett. 128, 501 (1986),
    doi:10.1016/0009-2614(86)80661-3.

    Parameters
    ----------
    network : Network
        Changed; its atoms nearby are loosened.
    number : int
        How many bonds, far enough apart.
    field : Field
        They lie within its view.
    rng : Generator
        Source of the choice.
    """
    for first in _sites(network, number, field, rng, "Stone-Wales defects"):
        second = sorted(network.bonds[first])[int(rng.integers(3))]
        if len(network.bonds[second]) != 3:
            continue
        middle = (network.positions[first] + network.positions[second]) / 2
        half = (network.positions[second] - network.positions[first]) / 2
        turned = np.array([-half[1], half[0]])
        outer = sorted(
            (network.bonds[first] | network.bonds[second]) - {first, second},
            key=lambda atom: float((network.positions[atom] - middle) @ turned),
        )
        for atom, others, sign in ((first, outer[:2], -1), (second, outer[2:], 1)):
            network.positions[atom] = middle + sign * turned
            network.bonds[atom] = {first, second, *others} - {atom}
            for other in others:
                network.bonds[other] -= {first, second}
                network.bonds[other].add(atom)
        network.loosen(middle[np.newaxis], _REACH)


def substitute(
    network: Network, number: int, element: str, field: Field, rng: Generator
) -> None:
    """Replace carbon atoms by another element, in place.

    The bonds take their new lengths within the plane; that silicon also rises out of
    it, which an image along the normal does not show, is left out.

    Parameters
    ----------
    network : Network
        Changed; its atoms nearby are loosened.
    number : int
        How many atoms.
    element : str
        What by.
    field : Field
        They lie within its view.
    rng : Generator
        Source of the choice.
    """
    chosen = _sites(network, number, field, rng, "substitutes", apart=2 * BOND)
    network.symbols[chosen] = element
    network.loosen(network.positions[chosen], _REACH / 2)


def remove_atoms(
    network: Network, number: int, field: Field, rng: Generator, *, pairs: bool
) -> None:
    """Remove single atoms, or pairs of neighbours, in place.

    Parameters
    ----------
    network : Network
        Changed; its atoms nearby are loosened.
    number : int
        How many vacancies or divacancies.
    field : Field
        They lie within its view.
    rng : Generator
        Source of the choice.
    pairs : bool
        Whether a neighbour goes too.
    """
    what = "divacancies" if pairs else "vacancies"
    chosen = [int(atom) for atom in _sites(network, number, field, rng, what)]
    if pairs:
        chosen += [
            sorted(network.bonds[atom])[int(rng.integers(3))] for atom in list(chosen)
        ]
    network.loosen(network.positions[chosen], _REACH)
    kept = np.ones(len(network.positions), bool)
    kept[chosen] = False
    network.keep(kept)


def _sites(
    network: Network,
    number: int,
    field: Field,
    rng: Generator,
    what: str,
    *,
    apart: float = 3 * BOND,
) -> NDArray[np.intp]:
    """Choose threefold carbon atoms in the view, none near another or a dopant.

    Raises
    ------
    ParameterError
        If there is no room for so many.
    """
    if not number:
        return np.zeros(0, np.intp)
    whole = np.array([len(bonds) == 3 for bonds in network.bonds], bool)
    seen = np.all(
        np.abs(network.positions) < [field.width / 2, field.height / 2], axis=1
    )
    free = whole & seen & (network.symbols == "C")
    taken = network.positions[network.symbols != "C"]
    if len(taken):
        free &= cKDTree(taken).query(network.positions)[0] > apart
    chosen: list[int] = []
    for atom in rng.permutation(np.flatnonzero(free)):
        if free[atom]:
            chosen.append(int(atom))
            gap = np.linalg.norm(network.positions - network.positions[atom], axis=1)
            free &= gap > apart
        if len(chosen) == number:
            return np.array(chosen, np.intp)
    msg = (
        f"There is room for {len(chosen)} {what} in this sheet, not for {number}. Ask "
        "for fewer, or enlarge field_height and field_width."
    )
    raise ParameterError(msg)
