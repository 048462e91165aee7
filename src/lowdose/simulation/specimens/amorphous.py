"""Amorphous carbon: what lies on every real specimen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

#: Atoms in 1 nm³ at 2.0 g/cm³, as evaporated carbon has.
_DENSITY: Final = 100.3
#: No two atoms are closer [nm]: a little less than a bond.
_CLOSEST: Final = 0.135


def amorphous_carbon(low: ArrayLike, high: ArrayLike, rng: Generator) -> Array:
    """Fill a box with amorphous carbon.

    Atoms are put at random places, one after the other, where no other is closer than
    0.135 nm (random sequential addition), up to a density of 2.0 g/cm³. The images
    of such a film have the granularity of real ones; its bonds are not those of
    carbon.

    Parameters
    ----------
    low, high : array_like, shape (3,)
        Opposite corners of the box [nm].
    rng : Generator
        Source of the places.

    Returns
    -------
    ndarray, shape (N, 3), float64
        Positions [nm].
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    wanted = round(float(np.prod(high - low)) * _DENSITY)
    atoms = np.zeros((0, 3))
    # Bounded: a box so thin that it cannot hold them stays less dense.
    for _ in range(40):
        lacking = wanted - len(atoms)
        if lacking <= 0:
            break
        trial = rng.uniform(low, high, (lacking, 3))
        if len(atoms):
            trial = trial[cKDTree(atoms).query(trial)[0] > _CLOSEST]
        pairs = cKDTree(trial).query_pairs(_CLOSEST, output_type="ndarray")
        alone = np.ones(len(trial), bool)
        for first, second in pairs[np.lexsort(pairs.T[::-1])]:
            alone[second] &= not alone[first]
        atoms = np.concatenate([atoms, trial[alone]])
    return atoms


def blob(
    positions: Array, fraction: float, size: float, rng: Generator
) -> NDArray[np.bool_]:
    """Choose a part of a film, with a smooth random outline seen along the beam.

    Parameters
    ----------
    positions : ndarray, shape (N, 3)
        Atoms [nm].
    fraction : float
        Share of them to choose, 0 to 1.
    size : float
        Length scale of the outline [nm].
    rng : Generator
        Source of the outline.

    Returns
    -------
    ndarray of bool, shape (N,)
        Whether an atom is chosen.
    """
    value = np.zeros(len(positions))
    for _ in range(12):
        wave = rng.normal(size=2) * 2 * np.pi / (2 * size)
        value += np.sin(positions[:, :2] @ wave + rng.uniform(0, 2 * np.pi))
    if not len(positions):
        return np.zeros(0, bool)
    return np.asarray(value <= np.quantile(value, fraction)) & (fraction > 0)
