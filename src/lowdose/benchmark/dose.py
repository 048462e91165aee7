"""The protocol ``dose``: every denoiser from hardly an electron to thousands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from lowdose.benchmark import plots
from lowdose.benchmark.choosing import divide, middle, square, tuning_numbers
from lowdose.benchmark.found import mean
from lowdose.benchmark.parts import DENOISER, closing, image_panels
from lowdose.benchmark.report import Heading, Picture, Report, Words
from lowdose.benchmark.scoring import fidelity
from lowdose.benchmark.study import Item, Scene, Scores
from lowdose.benchmark.tables import Column, Table
from lowdose.noise import sample_poisson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowdose.benchmark.found import Found
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.report import Block
    from lowdose.benchmark.sources import Pool
    from lowdose.benchmark.study import Denoise
    from lowdose.filters.tuning import Score
    from lowdose.micrograph import Micrograph

#: Mean electrons per pixel.
DOSES: Final = (0.05, 0.2, 0.45, 1.0, 2.0, 5.0, 20.0, 100.0, 500.0, 2500.0)
#: Largest side of the images [px].
SIDE: Final = 512


@dataclass(frozen=True, kw_only=True)
class DoseStudy:
    """The protocol with its images.

    Parameters
    ----------
    pool : Pool
        Clean images.
    count : int
        Images, each at every dose.
    seed : int
        Of the choice of images, the crops and the noise.
    doses : tuple of float
        Mean of the counts [e-/px].
    side : int
        Of the crops [px]; of a smaller image all is used.
    """

    pool: Pool
    count: int
    seed: int = 0
    doses: tuple[float, ...] = DOSES
    side: int = SIDE

    name = "dose"
    tuned_for: ClassVar[Score] = "psnr"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Images, seed and side."""
        return {
            "images": dict(self.pool.identity),
            "seed": self.seed,
            "side": self.side,
        }

    @cached_property
    def items(self) -> Sequence[Item]:
        """Every image at every dose."""
        records = self.pool.records
        chosen = self._divided[0][: self.count]
        shown = {min(self.doses), sorted(self.doses)[len(self.doses) // 2]}
        return [
            Item(
                key=f"{number}-{dose:g}",
                source=number,
                level=f"{dose:g}",
                record={
                    "image": number,
                    "specimen": records[number]["specimen"],
                    "dose": dose,
                },
                dose=dose,
                pictured=rank == 0 and (dose in shown or dose == max(self.doses)),
            )
            for rank, number in enumerate(chosen)
            for dose in self.doses
        ]

    def scene(self, item: Item) -> Scene:
        """Draw the counts of an image at a dose; the crop is the same at all."""
        return self._exposed(item.source, item.dose)

    def score(
        self, item: Item, scene: Scene, denoise: Denoise, method: Method
    ) -> Scores:
        """Score an image in units of its dose."""
        unit = np.float32(item.dose)
        truth, estimate = scene.truth / unit, denoise(scene.counts) / unit
        pictures = {"image": estimate}
        if method.spec is None:
            pictures["truth"] = truth
        return Scores(rows=[fidelity(estimate, truth)], pictures=pictures)

    def tuning_scenes(self, level: str) -> Sequence[Scene]:
        """Return the middles of images that are set aside."""
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
        place = np.random.default_rng([self.seed, number])
        crop: Micrograph = square(self.pool.image(number), self.side, place)
        clean = np.asarray(crop, np.float64)
        average = float(clean.mean())
        truth = (clean * (dose / average if average > 0 else 0.0)).astype(np.float32)
        noise = np.random.default_rng([self.seed, number, round(dose * 1e6)])
        counts = sample_poisson(truth, noise).astype(np.float32)
        return Scene(counts=crop.replace(data=counts), truth=truth)


def _report(study: DoseStudy, found: Found) -> Report:
    psnr = {
        label: {
            dose: mean(found.of(label, dose=dose), "psnr_range") for dose in study.doses
        }
        for label in found.labels
    }
    similar = {
        label: {dose: mean(found.of(label, dose=dose), "ssim") for dose in study.doses}
        for label in found.labels
    }
    gains = {
        label: {
            dose: None
            if value is None or (raw := psnr[found.labels[0]][dose]) is None
            else value - raw
            for dose, value in values.items()
        }
        for label, values in psnr.items()
    }
    harmed = {
        label: {dose: _harmed(found, label, dose) for dose in study.doses}
        for label in found.labels[1:]
    }
    blocks: list[Block] = [
        Words(
            text=f"{study.pool.label}. Tested at each dose: "
            f"{len(study.items) // len(study.doses)}, crops of at most {study.side} "
            f"px, seed {study.seed}. Dose: mean electrons per pixel."
        ),
        Heading(text="Quality by dose"),
        _table(study, psnr, name="psnr", title="PSNR [dB], peak the range"),
        _curve(study, psnr, name="psnr", y="PSNR [dB]"),
        _table(study, similar, name="ssim", title="SSIM", digits=3),
        _table(
            study, gains, name="gain", title="PSNR gained over the counts [dB]", best=""
        ),
        _curve(study, gains, name="gain", y="gain [dB]"),
        _table(
            study,
            harmed,
            name="harmed",
            title="Images that were made worse [%]",
            digits=0,
            best="",
            note="Nearer to the truth before than after: a denoiser should know when "
            "there is nothing to do.",
        ),
        Heading(text="Images"),
        *image_panels(
            found,
            [item for item in study.items if item.pictured],
            describe=lambda item: f"{item.dose:g} e-/px, the greys of the truth.",
            side=256,
        ),
        *closing(found),
    ]
    return Report(title="Benchmark dose: quality at every dose", blocks=blocks)


def _harmed(found: Found, label: str, dose: float) -> float | None:
    raw = {row["item"]: row["mse"] for row in found.of(found.labels[0], dose=dose)}
    rows = [row for row in found.of(label, dose=dose) if row["item"] in raw]
    if not rows:
        return None
    return 100 * float(np.mean([row["mse"] > raw[row["item"]] for row in rows]))


def _table(
    study: DoseStudy,
    values: Mapping[str, Mapping[float, float | None]],
    *,
    name: str,
    title: str,
    digits: int = 2,
    best: str = "most",
    note: str = "",
) -> Table:
    columns = [
        DENOISER,
        *(
            Column(key=f"{dose:g}", heading=f"{dose:g} e-/px", digits=digits, best=best)
            for dose in study.doses
        ),
    ]
    rows: list[dict[str, Any]] = [
        {"denoiser": label, **{f"{dose:g}": value for dose, value in by_dose.items()}}
        for label, by_dose in values.items()
    ]
    return Table(name=name, title=title, columns=columns, rows=rows, note=note)


def _curve(
    study: DoseStudy,
    values: Mapping[str, Mapping[float, float | None]],
    *,
    name: str,
    y: str,
) -> Picture:
    lines = {}
    for label, by_dose in values.items():
        known = [(dose, v) for dose in study.doses if (v := by_dose[dose]) is not None]
        lines[label] = ([dose for dose, _ in known], [value for _, value in known])
    png = plots.curves(lines, x="dose [e-/px]", y=y, log_x=True)
    return Picture(name=f"{name}-by-dose", caption=f"{y} by dose.", png=png)
