"""The protocol ``movie``: frame by frame, and whether events are in their frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from lowdose.benchmark import plots
from lowdose.benchmark.choosing import divide, middle, tuning_numbers
from lowdose.benchmark.found import mean, numbers
from lowdose.benchmark.happenings import event_values, signal, watch
from lowdose.benchmark.parts import DENOISER, closing, image_panels, summary
from lowdose.benchmark.report import Heading, Picture, Report, Words
from lowdose.benchmark.scoring import fidelity, finite
from lowdose.benchmark.study import Item, Scene, Scores
from lowdose.benchmark.tables import Column, Table
from lowdose.noise import sample_poisson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowdose.benchmark.found import Found
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.movie_sources import FilmPool
    from lowdose.benchmark.report import Block
    from lowdose.benchmark.study import Denoise
    from lowdose.filters.tuning import Score

#: Side of the squares of the pictures [px], and the frames about an event in them.
_SIDE: Final = 72
_FRAMES: Final = (-2, -1, 0, 1)
_SHOWN: Final = 2

_SCORES: Final = (
    Column(key="psnr_range", heading="PSNR [dB]", digits=2, best="most"),
    Column(key="ssim", heading="SSIM", digits=4, best="most"),
    Column(key="psnr_change", heading="change, PSNR [dB]", digits=2, best="most"),
    Column(key="seconds", heading="s/movie", digits=2),
)


@dataclass(frozen=True, kw_only=True)
class MovieStudy:
    """The protocol with its movies.

    Parameters
    ----------
    pool : FilmPool
        Clean movies.
    count : int
        Movies.
    seed : int
        Of the choice of movies, and the noise.
    doses : tuple of float
        Multiples of the dose of the movies.
    """

    pool: FilmPool
    count: int
    seed: int = 0
    doses: tuple[float, ...] = (1.0,)

    name = "movie"
    tuned_for: ClassVar[Score] = "psnr"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Movies and seed."""
        return {"images": dict(self.pool.identity), "seed": self.seed}

    @cached_property
    def items(self) -> Sequence[Item]:
        """Every movie at every dose."""
        records = self.pool.records
        return [
            Item(
                key=f"{number}-x{dose:g}",
                source=number,
                level=f"{dose:g}",
                record={"specimen": records[number]["specimen"], "dose": dose},
                dose=dose,
                pictured=rank < _SHOWN and dose == self.doses[0],
            )
            for rank, number in enumerate(self._divided[0][: self.count])
            for dose in self.doses
        ]

    def scene(self, item: Item) -> Scene:
        """Draw the counts of a movie."""
        return self._exposed(item.source, item.dose)

    def score(
        self, item: Item, scene: Scene, denoise: Denoise, method: Method
    ) -> Scores:
        """Score every frame, every change from frame to frame, and every event."""
        film, size = scene.more["film"], scene.more["pixel_size"]
        truth = np.asarray(film.rates, np.float64)
        estimate = np.asarray(denoise(scene.counts), np.float64) / item.dose
        rows: list[dict[str, Any]] = []
        span = float(np.ptp(truth))
        for frame in range(len(truth)):
            values = fidelity(estimate[frame], truth[frame])
            if frame:
                change = (estimate[frame] - estimate[frame - 1]) - (
                    truth[frame] - truth[frame - 1]
                )
                error = float(np.mean(change**2))
                values["psnr_change"] = (
                    finite(10 * math.log10(span**2 / error)) if error else None
                )
            rows.append({"part": "frame", "frame": frame, **values})
        for watched in scene.more["watched"]:
            found = signal(
                estimate, film, watched.happening, watched.frames, pixel_size=size
            )
            rows.append({"part": "event", **event_values(watched, found)})
        pictures = {}
        if scene.more["watched"]:
            place = scene.more["watched"][0].happening
            pictures["image"] = _strip(estimate, place)
            if method.spec is None:
                pictures["truth"] = _strip(truth, place)
        return Scores(rows=rows, pictures=pictures)

    def tuning_scenes(self, level: str) -> Sequence[Scene]:
        """Return the middles of movies that are set aside."""
        return [
            middle(self._exposed(number, float(level)))
            for number in tuning_numbers(self.pool.records, self._divided[1])
        ]

    def report(self, found: Found) -> Report:
        """Return the tables and pictures."""
        return _report(self, found)

    @cached_property
    def _divided(self) -> tuple[list[int], list[int]]:
        return divide(self.pool.records, self.seed)

    def _exposed(self, number: int, dose: float) -> Scene:
        film = self.pool.film(number)
        sizes = film.rates.calibration.pixel_size("nm")
        assert sizes is not None
        size = math.sqrt(sizes[0] * sizes[1])
        rng = np.random.default_rng([self.seed, number, round(dose * 1e6)])
        truth = np.asarray(film.rates, np.float32) * np.float32(dose)
        counts = sample_poisson(truth, rng).astype(np.float32)
        return Scene(
            counts=film.rates.replace(data=counts),
            truth=truth,
            more={
                "film": film,
                "pixel_size": size,
                "watched": watch(film, pixel_size=size),
            },
        )


def _strip(movie: Any, happening: Any) -> Any:
    """Return squares about an event from the frames about it, side by side."""
    place = happening.after or happening.before
    side = min(_SIDE, *movie.shape[1:])
    top, left = (
        int(np.clip(round(c) - side // 2, 0, n - side))
        for c, n in zip(place, movie.shape[1:], strict=True)
    )
    shown = [
        movie[
            int(np.clip(happening.frame + step, 0, len(movie) - 1)),
            top : top + side,
            left : left + side,
        ]
        for step in _FRAMES
    ]
    return np.hstack(shown).astype(np.float32)


def _report(study: MovieStudy, found: Found) -> Report:
    dose = study.doses[0]
    blocks: list[Block] = [
        Words(
            text=f"{study.pool.label}; {len(study.items) // len(study.doses)} movies, "
            f"seed {study.seed}, {dose:g} times their dose."
        ),
        Heading(text="Frames"),
        summary(
            found,
            _SCORES,
            name="frames",
            title="Frame by frame",
            note="Mean over frames. Change: what differs between one frame and the "
            "next, against the truth; the peak is the range of the movie.",
            part="frame",
            dose=dose,
        ),
        _by_frame(found, dose),
        Heading(text="Events"),
        *[_events(found, one) for one in study.doses],
        Heading(text="Images"),
        *image_panels(
            found,
            [item for item in study.items if item.pictured],
            describe=lambda item: (
                f"Movie {item.record['specimen']}: two frames before its first event, "
                "the frame of the event and the one after; greys of the truth."
            ),
        ),
        *closing(found),
    ]
    return Report(title="Benchmark movie: frames and events", blocks=blocks)


def _events(found: Found, dose: float) -> Table:
    keys = ("right_frame", "frame_distance", "contrast", "leak", "lag")
    rows = []
    for label in found.labels:
        of = found.of(label, part="event", dose=dose)
        row: dict[str, Any] = {"denoiser": label, "events": len(of)}
        row |= {key: mean(of, key) for key in keys}
        row["seen"] = len(numbers(of, "frame_error"))
        rows.append(row)
    columns = (
        DENOISER,
        Column(key="events", heading="events"),
        Column(key="right_frame", heading="in the right frame", digits=3, best="most"),
        Column(key="frame_distance", heading="off by [frames]", digits=2, best="least"),
        Column(key="contrast", heading="contrast kept", digits=2),
        Column(key="leak", heading="there too early", digits=2),
        Column(key="lag", heading="missing still", digits=2),
    )
    return Table(
        name=f"events-x{dose:g}",
        title=f"Columns that appear, hop or vanish, at {dose:g} times the dose",
        columns=columns,
        rows=rows,
        note="Brightness of the place that a column takes less that of the place it "
        "leaves, over up to 4 frames on either side: the frame where a step fits "
        "best; the size of the step as a share of the true one; the share of it that "
        "is there already in the frame before the event, and that is still missing in "
        "its own.",
    )


def _by_frame(found: Found, dose: float) -> Picture:
    lines = {}
    for label in found.labels:
        by_frame: dict[int, list[Mapping[str, Any]]] = {}
        for row in found.of(label, part="frame", dose=dose):
            by_frame.setdefault(row["frame"], []).append(row)
        known = [
            (frame, value)
            for frame, rows in sorted(by_frame.items())
            if (value := mean(rows, "psnr_range")) is not None
        ]
        lines[label] = (
            [float(frame) for frame, _ in known],
            [value for _, value in known],
        )
    return Picture(
        name="psnr-by-frame",
        caption="PSNR by frame: denoisers that see neighbouring frames have fewer at "
        "the ends.",
        png=plots.curves(lines, x="frame", y="PSNR [dB]"),
    )
