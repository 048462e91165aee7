"""Shapes of face-centred cubic particles: facets, rounding, terraces."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import cKDTree

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.nanoparticle import NanoparticleParameters

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Pairs = NDArray[np.intp]

#: Distance of the corner of an equilibrium-like truncated octahedron, over that of
#: its {111} facets: what rounding starts from.
_CORNER: Final = 1.35
#: A smaller particle than this has no shape: a first shell and its centre.
_FEWEST: Final = 13
#: Pt atoms of the lowest layer that a support holds, beside their Pt neighbours.
_BONDS_TO_SUPPORT: Final = 3


def particle_sites(
    parameters: NanoparticleParameters,
    sites: Array,
    crystal: Array,
    spacing: float,
    rng: Generator,
) -> Mask:
    """Choose the lattice sites that belong to a particle.

    The particle is the part of the lattice within {111} and {100} planes, each at a
    distance of its own (a Wulff construction with perturbed surface energies), within
    a sphere that rounds its edges, and above the interface.

    Parameters
    ----------
    parameters : NanoparticleParameters
        Size, depth, contact, truncation, roundness, asymmetry and steps.
    sites : ndarray, shape (N, 3)
        Lattice sites [nm] in image axes, with the lowest layer at y = 0 and the
        others above it, at negative y.
    crystal : ndarray, shape (3, 3)
        Rotation from crystal to image axes.
    spacing : float
        Distance of neighbouring atoms [nm].
    rng : Generator
        Source of the asymmetry and of the place within the lattice.

    Returns
    -------
    ndarray of bool, shape (N,)
        Whether a site is occupied.

    Raises
    ------
    ParameterError
        If the particle would have fewer than 13 atoms.
    """
    p = parameters
    normals = _facet_normals() @ crystal
    distances = np.where(np.arange(14) < 8, 1.0, p.truncation)
    distances = distances * np.maximum(0.5, 1 + p.asymmetry * rng.normal(size=14))
    sphere = _CORNER + (1 - _CORNER) * p.roundness
    offset = rng.uniform(-0.5, 0.5, 2) * spacing

    def inside(points: Array) -> Mask:
        """Tell which points, in units of the {111} radius, lie within the shape."""
        return np.asarray(
            np.all(points @ normals.T <= distances, axis=1)
            & (np.linalg.norm(points, axis=1) <= sphere)
            & (points[:, 1] <= p.contact)
        )

    grid = np.linspace(-_CORNER, _CORNER, 41)
    trial = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    extent = np.ptp(trial[inside(trial)], axis=0)
    radius = p.size / extent[0]
    scale = np.array([radius, radius, p.depth / extent[2]])
    place = np.array([offset[0], -p.contact * radius, offset[1]])
    # The lowest layer, at y = 0, is in: it is the interface.
    occupied = (sites[:, 1] < 1e-6) & inside((sites - place) / scale - [0, 1e-6, 0])
    for _ in range(p.steps):
        _end_terrace(sites, occupied, normals, rng)
    if occupied.sum() < _FEWEST:
        msg = (
            f"A particle of {p.size:g} x {p.depth:g} nm with contact={p.contact:g} has "
            f"only {int(occupied.sum())} atoms. Enlarge size, depth or contact."
        )
        raise ParameterError(msg)
    return occupied


def prune(sites: Array, occupied: Mask, pairs: Pairs) -> None:
    """Clear, in place, sites with fewer than four neighbours, which would not stay.

    Parameters
    ----------
    sites : ndarray, shape (N, 3)
        Lattice sites [nm], the lowest layer at y = 0.
    occupied : ndarray of bool, shape (N,)
        Changed.
    pairs : ndarray, shape (P, 2)
        Pairs of neighbouring sites.
    """
    for _ in range(4):
        bonds = coordination(occupied, pairs)
        bonds[sites[:, 1] > -1e-6] += _BONDS_TO_SUPPORT
        loose = occupied & (bonds < 4)
        if not loose.any():
            return
        occupied[loose] = False


def coordination(occupied: Mask, pairs: Pairs) -> NDArray[np.intp]:
    """Count the occupied neighbours of every site, occupied or not.

    Parameters
    ----------
    occupied : ndarray of bool, shape (N,)
        Which sites hold an atom.
    pairs : ndarray, shape (P, 2)
        Pairs of neighbouring sites, each pair once.

    Returns
    -------
    ndarray, shape (N,), intp
        0 to 12.
    """
    first, second = pairs.T
    bonds = np.concatenate([first[occupied[second]], second[occupied[first]]])
    return np.bincount(bonds, minlength=len(occupied))


def neighbour_pairs(sites: Array, spacing: float) -> Pairs:
    """Return the pairs of neighbouring sites, shape (P, 2), each pair once."""
    pairs = cKDTree(sites).query_pairs(1.2 * spacing, output_type="ndarray")
    return np.asarray(pairs)


def _facet_normals() -> Array:
    """Return the unit normals of the eight {111} and then the six {100} facets."""
    octahedron = np.array(list(itertools.product((-1, 1), repeat=3))) / np.sqrt(3)
    cube = np.concatenate([np.eye(3), -np.eye(3)])
    return np.concatenate([octahedron, cube])


def _end_terrace(sites: Array, occupied: Mask, normals: Array, rng: Generator) -> None:
    """Clear a part of the outermost layer of a facet that is seen edge-on."""
    seen = [n for n in normals if abs(n[2]) < 0.1 and n[1] < 0.5]
    normal = seen[int(rng.integers(len(seen)))]
    heights = sites @ normal
    layer = occupied & (heights > heights[occupied].max() - 0.1)
    along = sites @ np.cross(normal, [0.0, 0.0, 1.0])
    end = np.quantile(along[layer], rng.uniform(0.25, 0.75)) + 1e-6
    sign = rng.choice([-1, 1])
    occupied[layer & (sign * (along - end) > 0)] = False
