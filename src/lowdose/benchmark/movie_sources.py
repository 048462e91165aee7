"""Movies whose frames and events are known: simulated ones, and the drawn one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.samples import draw_movie, drawn_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph
    from lowdose.simulation.dataset import Dataset

Place = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A column of atoms that appears, hops or vanishes.

    Parameters
    ----------
    frame : int
        The first frame that shows it.
    kind : {"appear", "hop", "vanish"}
        What happens.
    before, after : tuple of float or None
        Row and column that it leaves and takes [px], in the coordinates of `frame`.
    """

    frame: int
    kind: str
    before: Place | None
    after: Place | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Film:
    """A clean movie and what happens in it.

    Parameters
    ----------
    rates : Micrograph, shape (T, H, W), float32
        Expected electrons per pixel, at a dose of 1.
    shifts : ndarray, shape (T, 2), float64
        Displacement of the specimen in every frame [px].
    happenings : tuple of Happening
        In the order of their frames.
    """

    rates: Micrograph
    shifts: NDArray[np.float64]
    happenings: tuple[Happening, ...]


class FilmPool(Protocol):
    """Clean movies. It goes to other processes."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What identifies the movies, as JSON types."""

    @property
    def label(self) -> str:
        """What the movies are, in words."""

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """What is known about every movie, with ``specimen``."""

    def film(self, number: int) -> Film:
        """Return a movie."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedFilms:
    """The movies of a simulated set.

    Parameters
    ----------
    dataset : Dataset
        Of the preset ``movie``.
    """

    dataset: Dataset

    @property
    def identity(self) -> Mapping[str, Any]:
        """Preset, seed, number of frames, options and software."""
        plan = self.dataset.plan
        return {
            "preset": plan.preset,
            "images": len(self.dataset),
            "seed": plan.seed,
            "options": dict(plan.options),
            "software": dict(plan.software),
        }

    @property
    def label(self) -> str:
        """What the movies are, in words."""
        return (
            f"{len(self.dataset.specimens)} movies, preset {self.dataset.plan.preset}, "
            f"seed {self.dataset.plan.seed}"
        )

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """The specimens."""
        return [{"specimen": int(one)} for one in self.dataset.specimens]

    def film(self, number: int) -> Film:
        """Return the movie of a specimen."""
        specimen = int(self.dataset.specimens[number])
        rates = self.dataset.movie(specimen)
        of_movie = self.dataset.filter(specimen=specimen)
        table = of_movie.parameters
        moved = np.stack([table["shift_y"], table["shift_x"]], 1)
        shifts = moved / table["pixel_size"][:, None]
        happenings = tuple(
            Happening(
                frame=int(event["frame"]),
                kind=str(event["kind"]),
                before=_place(event["y_before"], event["x_before"]),
                after=_place(event["y_after"], event["x_after"]),
            )
            for event in of_movie.events
        )
        return Film(rates=rates, shifts=shifts, happenings=happenings)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFilms:
    """The sample movie of the package, over and over: other noise, the same atoms.

    Parameters
    ----------
    number : int
        How many.
    """

    number: int

    @property
    def identity(self) -> Mapping[str, Any]:
        """That it is the drawn one."""
        return {"drawn": True}

    @property
    def label(self) -> str:
        """What the movies are, in words."""
        return "the drawn sample movie, every time with other noise"

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """The numbers."""
        return [{"specimen": number} for number in range(self.number)]

    def film(self, number: int) -> Film:  # noqa: ARG002  (all are the same)
        """Return the movie, whatever its number."""
        rates = draw_movie()[1]
        shifts, events = drawn_events()
        return Film(
            rates=rates,
            shifts=shifts,
            happenings=tuple(
                Happening(
                    frame=event["frame"],
                    kind=event["kind"],
                    before=_place(event["y_before"], event["x_before"]),
                    after=_place(event["y_after"], event["x_after"]),
                )
                for event in events
            ),
        )


def open_films(dataset: Dataset) -> SimulatedFilms:
    """Return the movies of a set.

    Raises
    ------
    ParameterError
        If it has none.
    """
    names = set(dataset.parameters.dtype.names or ())
    if not {"shift_y", "shift_x", "pixel_size"} <= names:
        msg = f"{dataset.path} has no movies. Make some with 'lowdose simulate movie'."
        raise ParameterError(msg)
    return SimulatedFilms(dataset=dataset)


def _place(y: float | None, x: float | None) -> Place | None:
    if y is None or x is None or math.isnan(y) or math.isnan(x):
        return None
    return float(y), float(x)
