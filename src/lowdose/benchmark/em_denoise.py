"""The protocol ``em-denoise``: graphene under an uneven beam, with dead pixels.

After the em_denoise benchmark of SciML-Bench (J. Thiyagalingam et al.,
https://github.com/stfc-sciml/sciml-bench): pairs of clean and noisy simulated images
of graphene, of which a network is to restore the evenly lit, clean one. Noise is, in
this order, a beam profile, Poisson statistics and dead pixels; its constants are not
published, and those of :mod:`lowdose.simulation.detectors` are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from lowdose.benchmark import published
from lowdose.benchmark.choosing import divide, middle, tuning_numbers
from lowdose.benchmark.found import mean
from lowdose.benchmark.parts import (
    DENOISER,
    breakdown,
    closing,
    image_panels,
    spread_plot,
)
from lowdose.benchmark.report import Heading, Report, Words
from lowdose.benchmark.scoring import fidelity
from lowdose.benchmark.sources import SimulatedPool
from lowdose.benchmark.study import Item, Scene, Scores
from lowdose.benchmark.tables import Column, Table
from lowdose.simulation.detector import record
from lowdose.simulation.detectors import detector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowdose.benchmark.found import Found
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.report import Block
    from lowdose.benchmark.sources import Pool
    from lowdose.benchmark.study import Denoise
    from lowdose.filters.tuning import Score
    from lowdose.simulation.detector import Detector

#: The presets whose images have detectors of their own, and the one of all others.
_PRESETS: Final = ("graphene", "graphene-quick")
_DETECTOR: Final = "em-graphene"
_SHOWN: Final = 2


@dataclass(frozen=True, kw_only=True)
class GrapheneStudy:
    """The protocol with its images.

    Parameters
    ----------
    pool : Pool
        Clean images; of the preset ``graphene``, or others in its place.
    count : int
        Images.
    seed : int
        Of the choice of images, and the noise.
    """

    pool: Pool
    count: int
    seed: int = 0

    name = "em-denoise"
    tuned_for: ClassVar[Score] = "psnr"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Images and seed."""
        return {"images": dict(self.pool.identity), "seed": self.seed}

    @cached_property
    def items(self) -> Sequence[Item]:
        """One recording of every image."""
        records = self.pool.records
        return [
            Item(
                key=f"{number}",
                source=number,
                level=_mode(records[number]),
                record={
                    "image": number,
                    "specimen": records[number]["specimen"],
                    "mode": _mode(records[number]),
                    "defects": records[number].get("defects"),
                },
                pictured=rank < _SHOWN,
            )
            for rank, number in enumerate(self._divided[0][: self.count])
        ]

    def scene(self, item: Item) -> Scene:
        """Record an image."""
        return self._recorded(item.source)

    def score(
        self,
        item: Item,  # noqa: ARG002  (all is in the scene)
        scene: Scene,
        denoise: Denoise,
        method: Method,
    ) -> Scores:
        """Score against the clean image, and against it as it was lit."""
        clean, lit = scene.more["clean"], scene.more["lit"]
        gain, offset = scene.more["gain"], scene.more["offset"]
        estimate = (np.asarray(denoise(scene.counts), np.float64) - offset) / gain
        values = fidelity(estimate, clean)
        values |= {f"{key}_lit": v for key, v in fidelity(estimate, lit).items()}
        pictures = {"image": estimate.astype(np.float32)}
        if method.spec is None:
            pictures["truth"] = clean.astype(np.float32)
        return Scores(rows=[values], pictures=pictures)

    def tuning_scenes(self, level: str) -> Sequence[Scene]:
        """Return recordings of images that are set aside, lit as they are."""
        records = self.pool.records
        aside = [n for n in self._divided[1] if _mode(records[n]) == level]
        scenes = [self._recorded(number) for number in tuning_numbers(records, aside)]
        return [
            middle(Scene(counts=scene.counts, truth=scene.more["lit_counts"]))
            for scene in scenes
        ]

    def report(self, found: Found) -> Report:
        """Return the tables and pictures."""
        return _report(self, found)

    @cached_property
    def _divided(self) -> tuple[list[int], list[int]]:
        return divide(self.pool.records, self.seed)

    @property
    def graphene(self) -> bool:
        """Whether the images are of graphene, with detectors of their own."""
        pool = self.pool
        return isinstance(pool, SimulatedPool) and pool.dataset.plan.preset in _PRESETS

    def _detector(self, number: int) -> Detector:
        if self.graphene:
            assert isinstance(self.pool, SimulatedPool)
            return self.pool.dataset.detector_of(number)
        return detector(_DETECTOR)

    def _recorded(self, number: int) -> Scene:
        camera = self._detector(number)
        image = self.pool.image(number)
        clean = np.asarray(image, np.float64)
        if not self.graphene:  # whose images are about 1, as the doses expect
            clean = clean / max(float(clean.mean()), 1e-12)
        exposure = record(clean, camera, np.random.default_rng([self.seed, number]))
        gain, offset = _line(clean, exposure.target.astype(np.float64))
        lit = clean
        if camera.profile is not None:
            # The beam is drawn first, so the same seed draws it again.
            beam = np.random.default_rng([self.seed, number])
            lit = clean * camera.profile.draw(clean.shape, beam)
        return Scene(
            counts=image.replace(data=exposure.counts),
            truth=exposure.target,
            more={
                "clean": clean,
                "lit": lit,
                "lit_counts": (lit * gain + offset).astype(np.float32),
                "gain": gain,
                "offset": offset,
            },
        )


def _mode(known: Mapping[str, Any]) -> str:
    return str(known.get("mode", "tem"))


def _line(
    clean: np.ndarray[Any, np.dtype[np.float64]],
    target: np.ndarray[Any, np.dtype[np.float64]],
) -> tuple[float, float]:
    """Return slope and offset of the recorded counts, which are linear in the image."""
    low, high = int(clean.argmin()), int(clean.argmax())
    span = clean.flat[high] - clean.flat[low]
    if span == 0:
        return 1.0, float(target.flat[low] - clean.flat[low])
    gain = float((target.flat[high] - target.flat[low]) / span)
    return gain, float(target.flat[low] - gain * clean.flat[low])


def _report(study: GrapheneStudy, found: Found) -> Report:
    psnr = Column(key="psnr_range", heading="PSNR [dB]", digits=2, best="most")
    caveat = (
        []
        if study.graphene
        else [
            Words(
                text="These are no images of graphene: the preset graphene needs the "
                "extra 'simulate'. The figures show that the protocol runs, no more."
            )
        ]
    )
    blocks: list[Block] = [
        Words(
            text=f"{study.pool.label}; {len(study.items)} recorded, seed "
            f"{study.seed}. Constants of beam, dose and dead pixels are ours."
        ),
        *caveat,
        Heading(text="Results"),
        _table(found),
        Words(text=published.EM_DENOISE),
        spread_plot(
            found,
            "psnr_range",
            name="psnr",
            caption="PSNR over images: median, quartiles, 5th to 95th percentile.",
            x="PSNR, peak the range of the truth [dB]",
        ),
        breakdown(
            found,
            psnr,
            lambda row: str(row["mode"]),
            name="psnr-by-mode",
            title="PSNR [dB] by technique",
        ),
        Heading(text="What the original metric does, and this one does not"),
        *(Words(text=text) for text in published.EM_DENOISE_DEFECTS),
        Heading(text="Images"),
        *image_panels(
            found,
            [item for item in study.items if item.pictured],
            describe=lambda item: (
                f"Image {item.source}, {item.level}, the greys of the truth."
            ),
        ),
        *closing(found),
    ]
    return Report(title="Benchmark em-denoise: graphene", blocks=blocks)


def _table(found: Found) -> Table:
    rows = []
    for method in found.methods:
        of = found.of(method.label)
        seconds = mean(of, "seconds")
        row: dict[str, Any] = {
            "denoiser": method.label,
            **{
                key: mean(of, key)
                for key in ("mse", "psnr_range", "ssim", "psnr_range_lit", "ssim_lit")
            },
            "rate": 1 / seconds if seconds and method.spec is not None else None,
            **_training(method),
        }
        rows.append(row)
    columns = (
        DENOISER,
        Column(
            key="mse", heading="loss = MSE [10^-3]", digits=3, factor=1e3, best="least"
        ),
        Column(key="psnr_range", heading="PSNR [dB]", digits=2, best="most"),
        Column(key="ssim", heading="SSIM", digits=4, best="most"),
        Column(
            key="psnr_range_lit", heading="as lit: PSNR [dB]", digits=2, best="most"
        ),
        Column(key="ssim_lit", heading="SSIM", digits=4, best="most"),
        Column(key="rate", heading="images/s", digits=2),
        Column(key="weights", heading="weights"),
        Column(key="minutes", heading="trained [min]", digits=0),
        Column(key="hardware", heading="on", text=True),
    )
    return Table(
        name="results",
        title="Every method on the same recordings",
        columns=columns,
        rows=rows,
        note="Mean over images, each with its own MSE, PSNR and SSIM; peak and range "
        "are those of the clean image, in its units. As lit: against the clean image "
        "times the beam profile, which a filter cannot know; filters are tuned for "
        "that.",
    )


def _training(method: Method) -> dict[str, Any]:
    """Return what the card of a network says about its training."""
    from lowdose import catalogue

    if method.spec is None or not method.network:
        return {}
    card = catalogue.describe(method.spec.name).card or {}
    training = card.get("training") or {}
    return {
        "weights": card.get("parameters"),
        "minutes": training.get("minutes"),
        "hardware": training.get("hardware"),
    }
