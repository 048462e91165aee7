"""The preset ``movie``: a particle on ceria whose surface atoms move.

Specimens and lenses are those of :mod:`lowdose.simulation.particle_presets`; images are
as sharp as those of ``sbd-sharp``.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.imaging import Beam, exit_wave
from lowdose.simulation.movies import MovieParameters, describe_event, plan_movie
from lowdose.simulation.particle_presets import (
    ENERGY,
    MAX_DEFOCUS,
    SBD_VACUUM,
    VIEW,
    draw_optics,
    imaged_at_dose,
    particle_record,
)
from lowdose.simulation.records import UNITS, draw_until_possible
from lowdose.simulation.rendering import Preset, Rendering, specimen_rng
from lowdose.simulation.specimens import NanoparticleParameters, particle_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from lowdose.simulation.movies import State
    from lowdose.simulation.specimens import ParticleModel

#: Distance of every event of a movie from the border [nm].
_BORDER: Final = 0.15
#: Which events have a place before, and which after.
_PLACES: Final = {"before": ("hop", "vanish"), "after": ("hop", "appear")}


def movie_preset(
    *, pixel_size: float = 0.0125, size: int = 352, frames: int = 16
) -> Preset:
    """Return the preset ``movie``.

    Parameters
    ----------
    pixel_size : float, optional
        [nm/px].
    size : int, optional
        Height and width [px].
    frames : int, optional
        Frames of each movie.
    """
    return Preset(
        name="movie",
        title="Movies of a nanoparticle whose surface atoms move",
        summary=f"{frames} frames each, with drift, rotation and a list of events",
        images_per_specimen=frames,
        counted="movies",
        detector="sbd",
        vacuum=SBD_VACUUM,
        units=UNITS,
        options={"pixel_size": pixel_size, "size": size, "frames": frames},
        render=partial(_render_movie, pixel_size, size, frames),
    )


def _render_movie(
    pixel_size: float,
    size: int,
    frames: int,
    seed: int,
    number: int,
    cache: Path | None,
) -> Rendering:
    """Simulate every frame of a movie."""
    rng, own = specimen_rng(seed, number)
    view = max(VIEW, size * pixel_size)

    def draw(rng: Generator) -> tuple[NanoparticleParameters, MovieParameters, int]:
        particle = NanoparticleParameters.draw(rng, height=view, width=view)
        # Small and in the middle, so that its surface stays in the view.
        width = float(rng.uniform(2.0, 3.2))
        particle = dataclasses.replace(
            particle,
            content="both",
            size=width,
            depth=min(particle.depth, width),
            centre=float(rng.uniform(0.45, 0.55)),
            interface=float(rng.uniform(0.6, 0.75)),
        )
        movie = MovieParameters.draw(rng, frames=frames)
        return particle, movie, int(rng.integers(2**32))

    def build(
        drawn: tuple[NanoparticleParameters, MovieParameters, int],
    ) -> tuple[ParticleModel, list[State], list[dict[str, Any]]]:
        particle, movie, events_seed = drawn
        model = particle_model(particle, own)
        states, events = plan_movie(model, movie, np.random.default_rng(events_seed))
        listed = [
            describe_event(model, states, event, pixel_size=pixel_size, size=size)
            for event in events
        ]
        _check_visible(listed, _BORDER / pixel_size, size)
        return model, states, listed

    (parameters, plan, _), (model, states, events) = draw_until_possible(
        draw, build, rng
    )
    optics = dataclasses.replace(
        draw_optics(rng), defocus=float(rng.uniform(4, MAX_DEFOCUS))
    )
    beam = Beam(energy=ENERGY, sampling=0.0125)
    images, records = [], []
    for frame, state in enumerate(states):
        specimen = state.specimen(model)
        wave = exit_wave(specimen, beam, cache=cache)
        image = imaged_at_dose(wave, optics, pixel_size, size)
        images.append(image)
        moved: dict[str, Any] = {
            "time": frame * plan.frame_time,
            "shift_y": state.shift[0],
            "shift_x": state.shift[1],
            "particle_rotation": state.rotation,
        }
        records.append(
            particle_record(
                parameters,
                specimen,
                number,
                image,
                index=frame,
                pixel_size=pixel_size,
                optics=optics,
                **moved,
            )
        )
    listed = [{"specimen": number, **event} for event in events]
    return Rendering(images=np.stack(images), records=records, events=listed)


def _check_visible(events: list[dict[str, Any]], border: float, size: int) -> None:
    """Raise ParameterError if an event happens outside the image, or at its border."""
    for event in events:
        for place in ("before", "after"):
            y, x = event[f"y_{place}"], event[f"x_{place}"]
            hidden = y is None and event["kind"] in _PLACES[place]
            if hidden or (
                y is not None
                and not border < min(y, x) <= max(y, x) < size - 1 - border
            ):
                msg = f"An event of this movie, {event}, would not be seen."
                raise ParameterError(msg)
