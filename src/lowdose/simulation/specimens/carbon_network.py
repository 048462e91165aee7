"""Sheets of threefold carbon: grains, their boundaries, and a network that relaxes.

A sheet is drawn by its *rings*: their centres are points of a triangular lattice, the
atoms the triangles between them, so that every atom has three neighbours by
construction, also where two grains meet. There the centres are spread evenly, and
pentagons and heptagons appear (C. Ophus, A. Shekhawat, H. Rasool, A. Zettl, Phys. Rev.
B 92, 205402 (2015), doi:10.1103/PhysRevB.92.205402, who make boundaries so).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize
from scipy.spatial import Delaunay, cKDTree

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

#: Lattice constant of graphene [nm] and the length of its bond [nm].
GRAPHENE: Final = 0.2461
BOND: Final = GRAPHENE / np.sqrt(3)
#: Bond lengths [nm] of substitutes with carbon.
BONDS: Final = {"C": BOND, "N": 0.141, "B": 0.148, "Si": 0.174}
#: Bond bending over bond stretching in Keating's energy, about that of graphene.
_BENDING: Final = 0.2


@dataclass(slots=True, kw_only=True)
class Network:
    """Atoms and the bonds between them; changed in place by defects.

    Parameters
    ----------
    positions : ndarray, shape (N, 2), float64
        Place of each atom [nm].
    symbols : ndarray of str, shape (N,)
        Element of each atom.
    bonds : list of set of int
        Neighbours of each atom.
    moving : ndarray of bool, shape (N,)
        Whether an atom is near a defect, and so must find its place.
    """

    positions: Array
    symbols: NDArray[np.str_]
    bonds: list[set[int]]
    moving: NDArray[np.bool_]

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Remove the atoms that are not kept, and their bonds."""
        number = np.cumsum(kept) - 1
        self.bonds = [
            {int(number[other]) for other in self.bonds[atom] if kept[other]}
            for atom in np.flatnonzero(kept)
        ]
        self.positions = self.positions[kept]
        self.symbols = self.symbols[kept]
        self.moving = self.moving[kept]

    def prune(self) -> None:
        """Remove, again and again, atoms that hang by one bond or none."""
        while True:
            kept = np.array([len(bonds) >= 2 for bonds in self.bonds], bool)
            if kept.all():
                return
            self.keep(kept)

    def loosen(self, places: Array, radius: float) -> None:
        """Let the atoms within a radius [nm] of places, shape (K, 2), move."""
        if len(places) and len(self.positions):
            distance, _ = cKDTree(places).query(self.positions)
            self.moving |= distance < radius


def grow(
    height: float, width: float, grains: int, rotation: float, rng: Generator
) -> Network:
    """Grow a sheet of one or several grains.

    Parameters
    ----------
    height, width : float
        Size of the sheet [nm], about the origin.
    grains : int
        Number of grains, Voronoi cells of random points.
    rotation : float
        Direction of the zigzag rows of the first grain against x [°].
    rng : Generator
        Source of the places and of the other directions.

    Returns
    -------
    Network
        Carbon, not yet relaxed; atoms at grain boundaries are marked as moving.
    """
    size = np.array([width, height])
    seeds = rng.uniform(-0.5, 0.5, (grains, 2)) * size
    angles = np.append(rotation, rotation + rng.uniform(5, 55, grains - 1))
    rings = [
        grain[_owner(grain, seeds) == number]
        for number, angle in enumerate(angles)
        for grain in [_triangular(size, angle, rng)]
    ]
    centres = np.concatenate(rings)
    boundary = np.zeros(len(centres), bool)
    if grains > 1:
        centres, boundary = _join(centres, seeds)
    triangulation = Delaunay(centres)
    triangles = triangulation.simplices
    positions = centres[triangles].mean(axis=1)
    bonds = [{int(n) for n in row if n >= 0} for row in triangulation.neighbors]
    network = Network(
        positions=positions,
        symbols=np.full(len(positions), "C", dtype="U2"),
        bonds=bonds,
        moving=boundary[triangles].any(axis=1),
    )
    # Triangles at the hull are slivers, no rings meet there.
    network.keep(np.all(np.abs(positions) < size / 2, axis=1))
    return network


def relax(network: Network) -> None:
    """Move the loosened atoms to where Keating's energy is least, in place.

    P. N. Keating, Phys. Rev. 145, 637 (1966), doi:10.1103/PhysRev.145.637, in the
    plane and for threefold bonds: squared differences of the squares of the bond
    lengths, and of the scalar products of two bonds at an atom, from their values
    without strain. Minimised by L-BFGS.

    Parameters
    ----------
    network : Network
        Its moving atoms move; the others hold them.
    """
    moving = np.flatnonzero(network.moving)
    if not len(moving):
        return
    first, second = _bond_pairs(network, network.moving)
    lengths = np.array([BONDS[s] for s in network.symbols])
    # A carbon bond has the length of graphene, another that of the substitute.
    rest = np.maximum(lengths[first], lengths[second])
    small = np.minimum(lengths[first], lengths[second])
    rest = np.where(rest == BOND, small, rest)
    centre, left, right = _angles(network, network.moving)

    def energy(flat: Array) -> tuple[float, Array]:
        """Return the energy, and its gradient by the coordinates in bond lengths."""
        place = network.positions.copy()
        place[moving] = flat.reshape(-1, 2) * BOND
        gradient = np.zeros_like(place)
        bond = place[second] - place[first]
        excess = (bond**2).sum(axis=1) / rest**2 - 1
        force = (4 * excess / rest**2)[:, np.newaxis] * bond
        np.add.at(gradient, second, force)
        np.add.at(gradient, first, -force)
        one, two = place[left] - place[centre], place[right] - place[centre]
        bend = (one * two).sum(axis=1) / BOND**2 + 0.5
        pull = (2 * _BENDING * 3 * bend / BOND**2)[:, np.newaxis]
        np.add.at(gradient, left, pull * two)
        np.add.at(gradient, right, pull * one)
        np.add.at(gradient, centre, -pull * (one + two))
        total = (excess**2).sum() + 3 * _BENDING * (bend**2).sum()
        return float(total), gradient[moving].ravel() * BOND

    result = minimize(
        energy,
        # In bond lengths, so that the minimiser's first step is sensible.
        network.positions[moving].ravel() / BOND,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 200},
    )
    network.positions[moving] = result.x.reshape(-1, 2) * BOND


def _triangular(size: Array, angle: float, rng: Generator) -> Array:
    """Return the ring centres of a grain that fills the sheet."""
    reach = np.hypot(*size) / 2 + 3 * GRAPHENE
    number = int(np.ceil(2 * reach / GRAPHENE))
    index = np.arange(-number, number + 1)
    i, j = (grid.ravel() for grid in np.meshgrid(index, index))
    points = np.stack([i + j / 2, j * np.sqrt(0.75)], axis=1) * GRAPHENE
    points += rng.uniform(-0.5, 0.5, 2) * GRAPHENE
    turn = np.radians(angle)
    cosine, sine = np.cos(turn), np.sin(turn)
    points = points @ np.array([[cosine, sine], [-sine, cosine]])
    border = size / 2 + 2.5 * GRAPHENE
    return np.asarray(points[np.all(np.abs(points) < border, axis=1)])


def _owner(points: Array, seeds: Array) -> Index:
    """Return the number of the seed nearest to each point."""
    return np.asarray(cKDTree(seeds).query(points)[1], np.intp)


def _join(centres: Array, seeds: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Spread the ring centres evenly where grains meet.

    Returns the centres and which of them lie at a boundary. Each is moved to the mean
    of its neighbours, again and again; one that lies too close to another of the
    other grain, or has too few neighbours, is taken out.
    """
    pairs = cKDTree(centres).query_pairs(0.7 * GRAPHENE, output_type="ndarray")
    kept = np.ones(len(centres), bool)
    for first, second in pairs[np.lexsort(pairs.T[::-1])]:
        kept[second] &= not kept[first]
    centres = centres[kept]
    for _ in range(40):
        near = _at_boundary(centres, seeds)
        indptr, neighbours = Delaunay(centres).vertex_neighbor_vertices
        degree = np.diff(indptr)
        crowded = np.flatnonzero(near & (degree < 5))
        if len(crowded):
            centres = np.delete(centres, crowded[0], axis=0)
            continue
        mean = np.add.reduceat(centres[neighbours], indptr[:-1]) / degree[:, np.newaxis]
        centres = np.where(near[:, np.newaxis], mean, centres)
    return centres, _at_boundary(centres, seeds)


def _at_boundary(points: Array, seeds: Array) -> NDArray[np.bool_]:
    """Tell which points lie within two lattice constants of another grain."""
    distance, _ = cKDTree(seeds).query(points, k=2)
    owner = _owner(points, seeds)
    other = cKDTree(seeds).query(points, k=2)[1][:, 1]
    gap = np.linalg.norm(seeds[owner] - seeds[other], axis=1)
    # Distance of a point from the bisector of its two nearest seeds.
    return np.asarray(
        (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * gap) < 2 * GRAPHENE
    )


def _bond_pairs(network: Network, moving: NDArray[np.bool_]) -> tuple[Index, Index]:
    """Return the two atoms of every bond that can change its length."""
    pairs = [
        (atom, other)
        for atom, others in enumerate(network.bonds)
        for other in sorted(others)
        if atom < other and (moving[atom] or moving[other])
    ]
    table = np.array(pairs, np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _angles(network: Network, moving: NDArray[np.bool_]) -> tuple[Index, Index, Index]:
    """Return the atom in the middle and the two at the ends of every angle."""
    triples = [
        (atom, one, two)
        for atom, others in enumerate(network.bonds)
        for one in sorted(others)
        for two in sorted(others)
        if one < two and (moving[atom] or moving[one] or moving[two])
    ]
    table = np.array(triples, np.intp).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
