"""Defects of a particle's surface, column by column.

Seen along the zone axis a crystal is a set of columns. A defect that an image can
show is a column that is missing, added, or only partly filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.particle_shape import coordination, neighbour_pairs

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.nanoparticle import NanoparticleParameters

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]

#: Sites this close [nm] in projection are of one column.
_SAME_COLUMN: Final = 0.02


def label_columns(sites: Array) -> NDArray[np.intp]:
    """Give each lattice site the number of its column along z.

    Parameters
    ----------
    sites : ndarray, shape (N, 3)
        Sites of a perfect lattice [nm], a zone axis along z.

    Returns
    -------
    ndarray, shape (N,), intp
        The column of each site.
    """
    # Not by rounding, which would split a column that lies on a rounding boundary.
    pairs = cKDTree(sites[:, :2]).query_pairs(_SAME_COLUMN, output_type="ndarray")
    ones = np.ones(len(pairs), bool)
    graph = coo_array((ones, tuple(pairs.T)), shape=(len(sites), len(sites)))
    labels = connected_components(graph, directed=False)[1]
    return np.asarray(labels, np.intp)


def make_defects(
    parameters: NanoparticleParameters,
    sites: Array,
    occupied: Mask,
    spacing: float,
    rng: Generator,
) -> None:
    """Remove and add atoms at the surface, in place.

    Parameters
    ----------
    parameters : NanoparticleParameters
        Defect class, added columns and vacancies.
    sites : ndarray, shape (N, 3)
        Lattice sites [nm], those of the particle and free ones round it.
    occupied : ndarray of bool, shape (N,)
        Changed.
    spacing : float
        Distance of neighbouring atoms [nm].
    rng : Generator
        Source of the choices.

    Raises
    ------
    ParameterError
        If the surface has too few columns or atoms for what is asked.
    """
    columns = label_columns(sites)
    _vacate(parameters.vacancies, sites, occupied, spacing, rng)
    _deplete(parameters.defect, sites, columns, occupied, spacing, rng)
    for _ in range(parameters.adatom_columns):
        _add_column(parameters.adatom_fraction, sites, columns, occupied, spacing, rng)


def surface_columns(
    sites: Array, columns: NDArray[np.intp], occupied: Mask, spacing: float
) -> NDArray[np.intp]:
    """Return the occupied columns at the free surface.

    Parameters
    ----------
    sites : ndarray, shape (N, 3)
        Lattice sites [nm].
    columns : ndarray, shape (N,)
        Column of each site.
    occupied : ndarray of bool, shape (N,)
        Which sites hold an atom.
    spacing : float
        Distance of neighbouring atoms [nm].

    Returns
    -------
    ndarray, shape (C,), intp
        Columns with at most four of the six neighbours that a column of the inside
        has, and not in the two layers next to the support.
    """
    centres, filled = _centres(sites, columns), _count(columns, occupied)
    pairs = cKDTree(centres).query_pairs(1.05 * spacing, output_type="ndarray")
    neighbours = np.zeros(len(centres), int)
    np.add.at(neighbours, pairs[:, 0], filled[pairs[:, 1]] > 0)
    np.add.at(neighbours, pairs[:, 1], filled[pairs[:, 0]] > 0)
    free = centres[:, 1] < -1.3 * spacing
    return np.flatnonzero((filled > 0) & (neighbours <= 4) & free)


def free_columns(
    sites: Array, columns: NDArray[np.intp], occupied: Mask, spacing: float
) -> dict[int, NDArray[np.intp]]:
    """Return where a column of atoms can be added.

    Parameters
    ----------
    sites : ndarray, shape (N, 3)
        Lattice sites [nm].
    columns : ndarray, shape (N,)
        Column of each site.
    occupied : ndarray of bool, shape (N,)
        Which sites hold an atom.
    spacing : float
        Distance of neighbouring atoms [nm].

    Returns
    -------
    dict of int to ndarray
        By column, without those that hold an atom: the sites, in their order along
        the beam, that have at least three occupied neighbours to sit on.
    """
    empty = _count(columns, occupied) == 0
    pairs = neighbour_pairs(sites, spacing)
    held = (coordination(occupied, pairs) >= 3) & empty[columns]
    held &= sites[:, 1] < -spacing / 2
    found: dict[int, NDArray[np.intp]] = {}
    for column in np.unique(columns[held]):
        members = np.flatnonzero(held & (columns == column))
        found[int(column)] = members[np.argsort(sites[members, 2])]
    return found


def _deplete(
    defect: str,
    sites: Array,
    columns: NDArray[np.intp],
    occupied: Mask,
    spacing: float,
    rng: Generator,
) -> None:
    """Remove surface columns, whole or in part, according to the class of defect."""
    number = {"D0": 0, "D1": 1, "D2": 2, "Dh": 1, "Ds": 1}[defect]
    for _ in range(number):
        choices = surface_columns(sites, columns, occupied, spacing)
        filled = _count(columns, occupied)
        # Half of a column, or one atom of it, is a defect only if it has more.
        choices = choices[filled[choices] >= (1 if defect in {"D1", "D2"} else 3)]
        if not len(choices):
            msg = (
                f"The surface of this particle has no column left for defect {defect}. "
                'Enlarge the particle, or ask for defect="D0".'
            )
            raise ParameterError(msg)
        chosen = choices[int(rng.integers(len(choices)))]
        members = np.flatnonzero(occupied & (columns == chosen))
        members = members[np.argsort(sites[members, 2])]
        if rng.random() < 0.5:
            members = members[::-1]
        if defect == "Dh":
            members = members[: len(members) // 2]
        elif defect == "Ds":
            members = np.delete(members, len(members) // 2)
        occupied[members] = False


def _add_column(
    fraction: float,
    sites: Array,
    columns: NDArray[np.intp],
    occupied: Mask,
    spacing: float,
    rng: Generator,
) -> None:
    """Add a column, or the part of one, on the surface."""
    found = free_columns(sites, columns, occupied, spacing)
    if not found:
        msg = "No free site is left at the surface; ask for fewer adatom_columns."
        raise ParameterError(msg)
    members = found[sorted(found)[int(rng.integers(len(found)))]]
    number = max(1, round(fraction * len(members)))
    start = int(rng.integers(len(members) - number + 1))
    occupied[members[start : start + number]] = True


def _vacate(
    number: int, sites: Array, occupied: Mask, spacing: float, rng: Generator
) -> None:
    """Remove single atoms at random places of the free surface."""
    pairs = neighbour_pairs(sites, spacing)
    bonds = coordination(occupied, pairs)
    surface = np.flatnonzero(occupied & (bonds < 10) & (sites[:, 1] < -1.3 * spacing))
    if number > len(surface):
        msg = (
            f"{number} vacancies were asked for, but the free surface of this particle "
            f"has {len(surface)} atoms."
        )
        raise ParameterError(msg)
    occupied[rng.choice(surface, number, replace=False)] = False


def _count(columns: NDArray[np.intp], occupied: Mask) -> NDArray[np.intp]:
    """Return how many atoms each column holds."""
    return np.bincount(columns[occupied], minlength=int(columns.max()) + 1)


def _centres(sites: Array, columns: NDArray[np.intp]) -> Array:
    """Return the place (x, y) of each column [nm]."""
    centres = np.zeros((int(columns.max()) + 1, 2))
    centres[columns] = sites[:, :2]
    return centres
