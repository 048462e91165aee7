"""Movies of a particle whose surface atoms move, with the list of what happened.

The specimen drifts and the particle turns on its support while columns of surface atoms
appear, hop to a free site nearby and vanish. Each happens between two frames: a frame
shows one state, and an event is listed with the first frame that shows it. Speeds and
rates are our own; they make everything happen within a short movie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.particle_model import assemble
from lowdose.simulation.specimens.specimen import ANGSTROM

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.particle_model import ParticleModel
    from lowdose.simulation.specimens.specimen import Specimen

    Mask = NDArray[np.bool_]

KINDS: Final = ("appear", "hop", "vanish")
#: How far a column hops at most [nm]: to the next sites, not across the particle.
_HOP: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MovieParameters:
    """How a movie goes.

    Parameters
    ----------
    frames : int
        Number of frames.
    frame_time : float
        Time from one frame to the next [s].
    drift_y, drift_x : float
        Steady drift of everything [nm/s].
    wander : float
        Standard deviation of its random part, from frame to frame along each axis [nm].
    rotation : float
        Rotation of the particle on its support [°/s], clockwise.
    events : int
        How many events, at most one between two frames.

    Raises
    ------
    ParameterError
        If a number is not allowed, or there are more events than gaps between frames.
    """

    frames: int = 16
    frame_time: float = 0.025
    drift_y: float = 0.0
    drift_x: float = 0.0
    wander: float = 0.0
    rotation: float = 0.0
    events: int = 3

    def __post_init__(self) -> None:
        speeds = (self.drift_y, self.drift_x, self.rotation)
        if not all(map(math.isfinite, speeds)):
            msg = f"A movie with the speeds {speeds} is not possible."
            raise ParameterError(msg)
        if self.frames < 1 or not 0 < self.frame_time < math.inf or self.wander < 0:
            msg = (
                f"A movie of {self.frames} frames every {self.frame_time:g} s that "
                f"wanders by {self.wander:g} nm is not possible."
            )
            raise ParameterError(msg)
        if not 0 <= self.events < self.frames:
            msg = (
                f"{self.events} events do not fit between {self.frames} frames, with "
                "at most one between two frames."
            )
            raise ParameterError(msg)

    @classmethod
    def draw(cls, rng: Generator, *, frames: int = 16) -> MovieParameters:
        """Draw a movie: up to 0.6 nm of drift, 4° of rotation, 2 to 6 events.

        Parameters
        ----------
        rng : Generator
            Source of every choice.
        frames : int, optional
            Number of frames, at least 2.

        Returns
        -------
        MovieParameters
        """
        frame_time = 0.025
        length = frames * frame_time
        angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.6)
        return cls(
            frames=frames,
            frame_time=frame_time,
            drift_y=way * math.sin(angle) / length,
            drift_x=way * math.cos(angle) / length,
            wander=rng.uniform(0, 0.01),
            rotation=rng.uniform(-4, 4) / length if rng.random() < 0.7 else 0.0,
            events=min(int(rng.integers(2, 7)), frames - 1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one frame shows.

    Parameters
    ----------
    occupied : ndarray of bool, shape (N,)
        Which sites of the model hold an atom.
    shift : tuple of float
        Displacement of everything along y and x [nm].
    rotation : float
        Rotation of the particle on its support [°].
    """

    occupied: Mask
    shift: tuple[float, float]
    rotation: float

    def specimen(self, model: ParticleModel) -> Specimen:
        """Return the atoms under the beam."""
        return assemble(
            model,
            occupied=self.occupied,
            particle_rotation=self.rotation,
            shift=self.shift,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A column of atoms that appears, hops or vanishes.

    Parameters
    ----------
    frame : int
        The first frame that shows it.
    kind : {"appear", "hop", "vanish"}
        What happens.
    before, after : ndarray of int
        Sites of the model that it leaves and takes; empty for none.
    """

    frame: int
    kind: str
    before: NDArray[np.intp]
    after: NDArray[np.intp]


def plan_movie(
    model: ParticleModel, parameters: MovieParameters, rng: Generator
) -> tuple[list[State], list[Event]]:
    """Decide what every frame shows.

    Parameters
    ----------
    model : ParticleModel
        Particle and support.
    parameters : MovieParameters
        How the movie goes.
    rng : Generator
        Source of every choice.

    Returns
    -------
    states : list of State
        One per frame.
    events : list of Event
        In the order of their frames. Fewer than asked for only where the model has no
        particle.
    """
    p = parameters
    gaps = 1 + rng.permutation(p.frames - 1)[: p.events]
    steps = rng.normal(0, 1, (p.frames, 2)) * p.wander
    steps[0] = 0
    wandered = np.cumsum(steps, 0)
    occupied = model.occupied.copy()
    states: list[State] = []
    events: list[Event] = []
    # The middle frame is where the model says, so that a drift stays in the view.
    middle = (p.frames - 1) / 2
    for frame in range(p.frames):
        if frame in gaps and (event := _happen(model, occupied, frame, rng)):
            occupied = occupied.copy()
            occupied[event.before] = False
            occupied[event.after] = True
            events.append(event)
        time = (frame - middle) * p.frame_time
        states.append(
            State(
                occupied=occupied,
                shift=(
                    float(p.drift_y * time + wandered[frame, 0]),
                    float(p.drift_x * time + wandered[frame, 1]),
                ),
                rotation=p.rotation * time,
            )
        )
    return states, events


def locate(
    model: ParticleModel,
    state: State,
    sites: NDArray[np.intp],
    *,
    pixel_size: float,
    size: int,
) -> tuple[float, float] | None:
    """Return where a column of atoms is in a frame.

    Parameters
    ----------
    model : ParticleModel
        Particle and support.
    state : State
        What the frame shows.
    sites : ndarray of int
        Sites of the column.
    pixel_size : float
        [nm/px].
    size : int
        Height and width of the image [px], about the centre of the view.

    Returns
    -------
    tuple of float or None
        Mean row and column of its atoms [px], 0 at the centre of the first pixel; None
        for no sites, or sites beyond the margin. It may lie outside the view.
    """
    from ase.data import atomic_numbers

    alone = np.zeros_like(state.occupied)
    alone[sites] = True
    specimen = State(
        occupied=alone, shift=state.shift, rotation=state.rotation
    ).specimen(model)
    metal = atomic_numbers[model.parameters.metal]
    atoms = specimen.atoms.positions[specimen.atoms.numbers == metal] / ANGSTROM
    if not len(sites) or not len(atoms):
        return None
    centre = specimen.atoms.cell.lengths() / 2 / ANGSTROM
    x, y, _ = (atoms.mean(0) - centre) / pixel_size + (size - 1) / 2
    return float(y), float(x)


def describe_event(
    model: ParticleModel,
    states: list[State],
    event: Event,
    *,
    pixel_size: float,
    size: int,
) -> dict[str, Any]:
    """Return an event as a flat dictionary of JSON types.

    Parameters
    ----------
    model : ParticleModel
        Particle and support.
    states : list of State
        What every frame shows.
    event : Event
        One of its events.
    pixel_size : float
        [nm/px].
    size : int
        Height and width of the image [px].

    Returns
    -------
    dict
        ``frame``, ``kind``, ``atoms``, and where [px], all in the coordinates of that
        frame: ``y_before``, ``x_before``, ``y_after``, ``x_after``; None where there is
        no place.
    """
    state = states[event.frame]
    before, after = (
        locate(model, state, sites, pixel_size=pixel_size, size=size) or (None, None)
        for sites in (event.before, event.after)
    )
    return {
        "frame": event.frame,
        "kind": event.kind,
        "atoms": max(len(event.before), len(event.after)),
        "y_before": before[0],
        "x_before": before[1],
        "y_after": after[0],
        "x_after": after[1],
    }


def _happen(
    model: ParticleModel, occupied: Mask, frame: int, rng: Generator
) -> Event | None:
    """Choose an event that the surface allows; None where there is no particle."""
    if not occupied.any():
        return None
    for kind in rng.permutation(KINDS):
        chosen = _choose(str(kind), model, occupied, rng)
        if chosen is not None:
            return Event(frame=frame, kind=str(kind), before=chosen[0], after=chosen[1])
    return None


def _choose(
    kind: str, model: ParticleModel, occupied: Mask, rng: Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Return the sites that an event leaves and takes, None where it cannot happen."""
    none = np.zeros(0, np.intp)
    if kind == "appear":
        free = model.free_columns(occupied)
        if not free:
            return None
        sites = free[sorted(free)[int(rng.integers(len(free)))]]
        return none, _part(sites, int(rng.integers(1, len(sites) + 1)), rng)
    # The last column of a particle stays.
    surface = model.surface_columns(occupied)
    if len(surface) < 2:
        return None
    for column in rng.permutation(surface):
        leaving = np.flatnonzero(occupied & (model.columns == column))
        if kind == "vanish":
            return leaving, none
        targets = _targets(model, occupied, leaving)
        if targets:
            sites = targets[int(rng.integers(len(targets)))]
            return leaving, _part(sites, len(leaving), rng)
    return None


def _targets(
    model: ParticleModel, occupied: Mask, leaving: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """Return the free columns nearby that can take the atoms of a column."""
    without = occupied.copy()
    without[leaving] = False
    place = model.sites[leaving, :2].mean(0)
    return [
        sites
        for column, sites in sorted(model.free_columns(without).items())
        if column != model.columns[leaving[0]]
        and len(sites) >= len(leaving)
        and np.hypot(*(model.sites[sites, :2].mean(0) - place)) <= _HOP
    ]


def _part(sites: NDArray[np.intp], number: int, rng: Generator) -> NDArray[np.intp]:
    """Return `number` neighbouring sites of a column."""
    start = int(rng.integers(len(sites) - number + 1))
    return sites[start : start + number]
