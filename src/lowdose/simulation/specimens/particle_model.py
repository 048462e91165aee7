"""The lattice model behind a supported particle, and the specimen made of it.

The two are apart so that a movie can fill and empty sites of one and the same
particle from frame to frame: every site keeps its static displacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import cKDTree

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.ceria import INTERFACE_GAP, support
from lowdose.simulation.specimens.lattice import (
    FACE_CENTRED,
    cubic_cell,
    fill_box,
    orient,
    rotation,
    tilting,
)
from lowdose.simulation.specimens.metals import LATTICE_CONSTANTS, neighbour_distance
from lowdose.simulation.specimens.particle_shape import (
    coordination,
    neighbour_pairs,
    particle_sites,
    prune,
)
from lowdose.simulation.specimens.specimen import Specimen, make_atoms
from lowdose.simulation.specimens.surface import (
    free_columns,
    label_columns,
    make_defects,
    surface_columns,
)

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.nanoparticle import NanoparticleParameters

    Array = NDArray[np.float64]

#: Length [nm] over which the strain from the interface decays.
_MISFIT_LENGTH: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParticleModel:
    """A particle as sites of a lattice, and its support as atoms.

    Coordinates are nm in image axes, with the interface at y = 0 (up is -y), before
    tilt, rotation and placement in the field.

    Parameters
    ----------
    parameters : NanoparticleParameters
        What it was made from.
    seed : int
        Seed of its choices.
    sites : ndarray, shape (N, 3), float64
        Sites of the perfect lattice: those of the particle, and free ones within two
        neighbour distances of it.
    displacements : ndarray, shape (N, 3), float64
        Where an atom of a site really sits, relative to it: strain, relaxation and
        disorder.
    occupied : ndarray of bool, shape (N,)
        Which sites hold an atom.
    columns : ndarray, shape (N,), intp
        The column along the beam that a site belongs to.
    support : tuple of (ndarray of str, ndarray of shape (M, 3))
        Symbols and positions of the support; empty where there is none.
    """

    parameters: NanoparticleParameters
    seed: int
    sites: Array
    displacements: Array
    occupied: NDArray[np.bool_]
    columns: NDArray[np.intp]
    support: tuple[NDArray[np.str_], Array]

    @property
    def spacing(self) -> float:
        """Distance of nearest neighbours in the particle [nm]."""
        return neighbour_distance(self.parameters.metal)

    def surface_columns(self, occupied: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the occupied columns at the free surface, for an occupation."""
        return surface_columns(self.sites, self.columns, occupied, self.spacing)

    def free_columns(self, occupied: NDArray[np.bool_]) -> dict[int, NDArray[np.intp]]:
        """Return the sites that can be filled, by column, for an occupation."""
        return free_columns(self.sites, self.columns, occupied, self.spacing)


def particle_model(parameters: NanoparticleParameters, seed: int) -> ParticleModel:
    """Make the lattice model of a particle on its support.

    Parameters
    ----------
    parameters : NanoparticleParameters
        What it looks like.
    seed : int
        Seed of its random choices.

    Returns
    -------
    ParticleModel
        The model; :func:`assemble` makes a specimen of it.

    Raises
    ------
    ParameterError
        If the particle is too small for its defects.
    """
    p = parameters
    streams = np.random.SeedSequence(seed).spawn(4)
    shaping, defects, displacing, supporting = map(np.random.default_rng, streams)
    crystal = orient(up=[1, 1, 1], beam=[1, -1, 0])
    spacing = neighbour_distance(p.metal)
    reach = 1.1 * max(p.size, p.depth) + 2 * spacing
    low, high = np.array([-reach, -2 * reach, -reach]), np.array([reach, 1e-3, reach])
    cell = cubic_cell(LATTICE_CONSTANTS[p.metal]) @ crystal
    sites, _ = fill_box(cell, FACE_CENTRED, low, high)
    if p.twin:
        sites = sites * [-1, 1, -1]
    occupied = np.zeros(len(sites), bool)
    if p.content in {"both", "particle"}:
        if p.twin:
            crystal = crystal * [-1, 1, -1]
        occupied = particle_sites(p, sites, crystal, spacing, shaping)
        near = _near(sites, occupied, spacing)
        sites, occupied = sites[near], occupied[near]
        prune(sites, occupied, neighbour_pairs(sites, spacing))
        make_defects(p, sites, occupied, spacing, defects)
    else:
        sites, occupied = sites[:0], occupied[:0]
    return ParticleModel(
        parameters=p,
        seed=seed,
        sites=sites,
        displacements=_displace(p, sites, occupied, displacing),
        occupied=occupied,
        columns=label_columns(sites) if len(sites) else np.zeros(0, np.intp),
        support=support(p, supporting),
    )


def assemble(
    model: ParticleModel,
    *,
    occupied: NDArray[np.bool_] | None = None,
    particle_rotation: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Specimen:
    """Make a specimen of a model.

    Parameters
    ----------
    model : ParticleModel
        Particle and support.
    occupied : ndarray of bool, shape (N,), optional
        Which sites hold an atom, in place of ``model.occupied``.
    particle_rotation : float, optional
        Rotation of the particle on its support, in the plane of the image, about the
        middle of the interface, clockwise [°].
    shift : tuple of float, optional
        Displacement of everything along y and x [nm].

    Returns
    -------
    Specimen
        Kind ``"nanoparticle"``.

    Raises
    ------
    ParameterError
        If the particle reaches beyond the view though it may not.
    MissingExtraError
        If ase is not installed.
    """
    p = model.parameters
    field = p.field
    chosen = model.occupied if occupied is None else occupied
    particle = model.sites[chosen] + model.displacements[chosen]
    place = [(p.centre - 0.5) * field.width, (p.interface - 0.5) * field.height, 0.0]

    def transform(positions: Array) -> Array:
        moved = positions @ tilting(p.tilt_x, p.tilt_y) + place
        moved = moved @ rotation("z", p.rotation)
        return np.asarray(moved + np.array([shift[1], shift[0], 0.0]))

    symbols, positions = model.support
    particle = transform(particle @ rotation("z", particle_rotation))
    beyond = np.abs(particle[:, :2]) > [field.width / 2, field.height / 2]
    if beyond.any() and not p.may_be_cut:
        far = np.abs(particle[:, :2]).max(axis=0)
        msg = (
            f"The particle reaches {far[1]:.2f} nm (rows) and {far[0]:.2f} nm (columns)"
            f" from the centre of a view of {field.height:g} x {field.width:g} nm. "
            "Reduce size, enlarge field_height and field_width, move it with interface "
            "and centre, or let it be cut with may_be_cut=True."
        )
        raise ParameterError(msg)
    groups = [(p.metal, particle), (symbols.tolist(), transform(positions))]
    return Specimen(
        atoms=make_atoms(field, groups),
        kind="nanoparticle",
        parameters=p,
        seed=model.seed,
        field=field,
    )


def _near(
    sites: Array, occupied: NDArray[np.bool_], spacing: float
) -> NDArray[np.bool_]:
    """Tell which sites are within two neighbour distances of an occupied one."""
    reach = 2.1 * spacing
    low, high = sites[occupied].min(axis=0), sites[occupied].max(axis=0)
    near = np.all((sites > low - reach) & (sites < high + reach), axis=1)
    distance, _ = cKDTree(sites[occupied]).query(
        sites[near], distance_upper_bound=reach
    )
    near[near] = np.isfinite(distance)
    return np.asarray(near)


def _displace(
    p: NanoparticleParameters,
    sites: Array,
    occupied: NDArray[np.bool_],
    rng: Generator,
) -> Array:
    """Return strain, relaxation of the surface, and disorder, for every site [nm]."""
    if not len(sites):
        return np.zeros((0, 3))
    strain = p.strain * rng.normal(size=(3, 3))
    moved = sites @ ((strain + strain.T) / 2)
    moved[:, 0] += p.misfit * sites[:, 0] * np.exp(sites[:, 1] / _MISFIT_LENGTH)
    pairs = neighbour_pairs(sites, neighbour_distance(p.metal))
    pull = np.zeros_like(sites)
    for here, there in (pairs.T, pairs.T[::-1]):
        towards = (sites[there] - sites[here]) * occupied[there, np.newaxis]
        np.add.at(pull, here, towards)
    # The sum of the bonds vanishes inside; half of them missing it is about 3 spacings.
    moved += p.relaxation * pull / 3 * (sites[:, 1:2] < -INTERFACE_GAP / 2)
    at_surface = coordination(occupied, pairs) < 10
    moved += p.disorder * rng.normal(size=sites.shape)
    moved += p.surface_disorder * rng.normal(size=sites.shape) * at_surface[:, None]
    return moved
