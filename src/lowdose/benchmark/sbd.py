"""The protocol ``sbd``: platinum particles at 0.45 electrons per pixel.

After S. Mohan et al., IEEE Trans. Comput. Imaging 8, 585 (2022),
doi:10.1109/TCI.2022.3176536, and the code that goes with it: counts are Poisson(x),
PSNR has a peak of 1 e-/px with both images clipped to 0 to 1, SSIM the same; whole
images, and tiles of 400 px every 350 px that are averaged where they overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from lowdose.benchmark.choosing import divide, middle, tuning_numbers
from lowdose.benchmark.cutting import by_crops, by_tiles, middles
from lowdose.benchmark.scoring import fidelity, finite
from lowdose.benchmark.sources import Pool, SimulatedPool
from lowdose.benchmark.structure import true_structure
from lowdose.benchmark.structure_scores import (
    column_marks,
    column_values,
    surface_marks,
    vacuum_values,
)
from lowdose.benchmark.study import Item, Scene, Scores
from lowdose.errors import LowDoseError, ParameterError
from lowdose.metrics import psnr, ssim
from lowdose.micrograph import Micrograph
from lowdose.noise import sample_poisson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowdose.benchmark.found import Found
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.report import Report
    from lowdose.benchmark.study import Denoise, Image
    from lowdose.filters.tuning import Score

#: SBD's classes of contrast, the one of the headline first.
CONTRASTS: Final = ("white", "intermediate", "black")
_POLARITY: Final[Mapping[str, Literal["bright", "dark"]]] = MappingProxyType(
    {"white": "bright", "black": "dark"}
)
#: Edge of SBD's tiles, and their distance [px].
TILE, STEP = 400, 350
#: Into how many crops the sides of an image are cut for the study of fields of view.
CUTS: Final = (1, 2, 3, 4, 6, 8)
#: Smallest crop of it [px].
_SMALLEST_CROP: Final = 48
#: Images shown in the report.
_SHOWN: Final = 2


@dataclass(frozen=True, kw_only=True)
class SbdStudy:
    """The protocol with its images.

    Parameters
    ----------
    pool : SimulatedPool
        Images with the parameters ``contrast`` and ``specimen``.
    count : int
        Images of each class of contrast, at most one of a specimen.
    seed : int
        Of the choice of images and the noise.
    doses : tuple of float
        Multiples of the dose of the set, 1 being its own (SBD's ``noise_scale``).
    contrasts : tuple of str
        Classes of contrast, the one of the headline first.
    field_count : int
        Images of the headline with the study of fields of view.
    """

    pool: SimulatedPool
    count: int
    seed: int = 0
    doses: tuple[float, ...] = (1.0,)
    contrasts: tuple[str, ...] = CONTRASTS
    field_count: int = 25

    name = "sbd"
    tuned_for: ClassVar[Score] = "psnr"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Images, seed, and which of them are tuned on and have all scores."""
        return {
            "images": dict(self.pool.identity),
            "seed": self.seed,
            "headline": self.contrasts[0],
            "field_count": self.field_count,
        }

    @cached_property
    def items(self) -> Sequence[Item]:
        """At most one image of a specimen in each class, at every dose."""
        records = self.pool.records
        chosen: list[tuple[int, str, int]] = []
        for contrast in self.contrasts:
            of_class: dict[Any, list[int]] = {}
            for number, record in enumerate(records):
                if record["contrast"] == contrast:
                    of_class.setdefault(record["specimen"], []).append(number)
            rng = np.random.default_rng([self.seed, CONTRASTS.index(contrast)])
            tested = dict.fromkeys(records[n]["specimen"] for n in self._divided[0])
            ranked = [specimen for specimen in tested if specimen in of_class]
            for rank, specimen in enumerate(ranked[: self.count]):
                number = int(rng.choice(of_class[specimen]))
                chosen.append((rank, contrast, number))
        first = self.contrasts[0]
        if not any(contrast == first for _, contrast, _ in chosen):
            msg = f"There are no images of {first} contrast in {self.pool.label}."
            raise ParameterError(msg)
        return [
            Item(
                key=_key(records[number], contrast, dose),
                source=number,
                level=f"{dose:g}",
                record=_kept(records[number]) | {"dose": dose, "rank": rank},
                dose=dose,
                pictured=rank < _SHOWN and dose == self.doses[0],
            )
            # A run that is stopped has then some of every class.
            for rank, contrast, number in sorted(
                chosen, key=lambda one: (one[0], CONTRASTS.index(one[1]))
            )
            for dose in self.doses
        ]

    def scene(self, item: Item) -> Scene:
        """Draw the counts of an image, and find its columns and vacuum."""
        clean = self.pool.image(item.source)
        scene = self._exposed(clean, item.source, item.dose)
        contrast = item.record["contrast"]
        structure = true_structure(
            clean,
            vacuum=self.pool.dataset.vacuum,
            polarity=_POLARITY.get(contrast, "auto"),
        )
        return replace(scene, more={"structure": structure})

    def score(
        self, item: Item, scene: Scene, denoise: Denoise, method: Method
    ) -> Scores:
        """Score whole images, tiles, columns, vacuum and fields of view."""
        truth = scene.truth / np.float32(item.dose)
        estimate = denoise(scene.counts) / np.float32(item.dose)
        values = {**fidelity(estimate, truth), **_sbd_scores(estimate, truth)}
        if item.record["contrast"] == self.contrasts[0] and method.spec is not None:
            tiled = by_tiles(scene.counts, denoise, tile=TILE, step=STEP)
            tiled_scores = _sbd_scores(tiled / np.float32(item.dose), truth)
            values |= {f"{key}_tiled": value for key, value in tiled_scores.items()}
            if item.record["rank"] < self.field_count:
                values |= self._fields(item, scene, denoise)
        structure = scene.more["structure"]
        calibrated = Micrograph(estimate, scene.counts.calibration)
        if structure is not None:
            values |= column_values(structure, calibrated, dose=item.dose)
            values |= vacuum_values(structure, estimate, truth)
        pictures: dict[str, Any] = {"image": estimate}
        if method.spec is None:
            pictures["truth"] = truth
        if item.pictured and structure is not None:
            pictures["marks"] = column_marks(structure, calibrated)
            if method.spec is None:
                pictures["truth_marks"] = surface_marks(structure)
        return Scores(rows=[values], pictures=pictures)

    def tuning_scenes(self, level: str) -> Sequence[Scene]:
        """Return squares of white images, or of others, of specimens set aside."""
        records = self.pool.records
        numbers = self._divided[1]
        wanted = [n for n in numbers if records[n]["contrast"] == self.contrasts[0]]
        return [
            middle(self._exposed(self.pool.image(number), number, float(level)))
            for number in tuning_numbers(records, wanted or numbers)
        ]

    def report(self, found: Found) -> Report:
        """Return the tables and pictures."""
        from lowdose.benchmark.sbd_report import sbd_report

        return sbd_report(self, found)

    @cached_property
    def _divided(self) -> tuple[list[int], list[int]]:
        return divide(self.pool.records, self.seed)

    def _exposed(self, clean: Micrograph, number: int, dose: float) -> Scene:
        rng = np.random.default_rng([self.seed, number, round(dose * 1e6)])
        truth = np.asarray(clean, np.float32) * np.float32(dose)
        counts = sample_poisson(truth, rng).astype(np.float32)
        return Scene(counts=clean.replace(data=counts), truth=truth, unit=dose)

    def _fields(self, item: Item, scene: Scene, denoise: Denoise) -> dict[str, Any]:
        """Denoise crops one by one, and score all pixels, and those in their middles.

        The middles of crops of any size are a quarter of the pixels; what is beyond
        the border of a crop is missing less there.
        """
        side = min(scene.truth.shape)
        values: dict[str, Any] = {}
        for cuts in CUTS:
            edge = side // cuts
            if edge < _SMALLEST_CROP:
                break
            # Whole crops only, so that every pixel has a field of one size.
            counts = _square(scene.counts, edge * cuts)
            truth = scene.truth[: edge * cuts, : edge * cuts]
            try:
                estimate = by_crops(counts, denoise, edge=edge)
            except LowDoseError:  # too small for this denoiser: there is no value
                continue
            squares = np.square((estimate - truth).astype(np.float64) / item.dose)
            inner = middles(truth.shape, edge)
            values[f"field_{edge}"] = finite(-10 * math.log10(squares.mean()))
            values[f"field_middle_{edge}"] = finite(
                -10 * math.log10(squares[inner].mean())
            )
        return values


def _sbd_scores(estimate: Image, truth: Image) -> dict[str, Any]:
    """Return SBD's scores, peak 1 and clipped, and the PSNR without clipping."""
    error = float(np.mean(np.square((estimate - truth).astype(np.float64))))
    return {
        "psnr": finite(psnr(estimate, truth, convention="sbd")),
        "psnr_unclipped": finite(-10 * math.log10(error)) if error else None,
        "ssim_sbd": ssim(np.clip(estimate, 0, 1), np.clip(truth, 0, 1), data_range=1.0),
    }


def check_pool(pool: Pool) -> SimulatedPool:
    """Return the pool, if it can be used.

    Raises
    ------
    ParameterError
        If it is no simulated set, or has no classes of contrast or a single specimen.
    """
    known: set[str] = set()
    if isinstance(pool, SimulatedPool):
        known = set(pool.dataset.parameters.dtype.names or ())
    if not isinstance(pool, SimulatedPool) or not {"contrast", "specimen"} <= known:
        msg = (
            f"The protocol sbd needs one simulated set with classes of contrast, and "
            f"this is {pool.label}. Make one with 'lowdose simulate sbd'."
        )
        raise ParameterError(msg)
    if "column_contrast" not in known:
        msg = (
            f"{pool.label}: the classes of contrast of this set are of an earlier "
            "version and do not go by the atom columns. Make it again with 'lowdose "
            "simulate'."
        )
        raise ParameterError(msg)
    if len(pool.dataset.specimens) < 2:
        msg = "The set has a single specimen; some are set aside to tune filters on."
        raise ParameterError(msg)
    return pool


def _key(record: Mapping[str, Any], contrast: str, dose: float) -> str:
    return f"{contrast}-{record['specimen']}.{record['image']}-x{dose:g}"


def _kept(record: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "specimen",
        "image",
        "contrast",
        "structure",
        "defect",
        "thickness",
        "tilt_x",
        "tilt_y",
        "defocus",
        "pixel_size",
    )
    return {name: record[name] for name in names if name in record}


def _square(counts: Micrograph, side: int) -> Micrograph:
    return counts.replace(data=np.asarray(counts)[:side, :side])
