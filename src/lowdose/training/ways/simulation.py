"""Simulation: clean images of a simulated set, with fresh counting noise each step.

As simulation-based denoising (SBD) learns [1]_: flips, magnification by 0.75 to 0.82,
rotation by up to 45 degrees, a crop, and Poisson noise of a dose that is a multiple of
that of the set. Unlike in its code, the magnification is the same along both axes.

References
----------
.. [1] S. Mohan et al., "Deep Denoising for Scientific Discovery: A Case Study in
   Electron Microscopy", IEEE Trans. Comput. Imaging 8, 585 (2022).
   doi:10.1109/TCI.2022.3176536
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from lowdose.errors import ParameterError
from lowdose.noise import NoiseModel
from lowdose.simulation.dataset import Dataset, open_sample
from lowdose.simulation.detector import Detector, expose
from lowdose.simulation.detectors import detector
from lowdose.training import scores
from lowdose.training.examples import (
    VALIDATION,
    Apply,
    Example,
    Sample,
    Setting,
    measured,
    turned,
)
from lowdose.training.kept import Kept
from lowdose.training.tables import Table
from lowdose.training.ways.resampling import Resampler
from lowdose.zoo.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.progress import Progress

    Image = NDArray[np.float32]

#: Images that are validated at most, and their side [px].
_VALIDATED, _SIZE = 32, 256
#: Name of the set that comes with the package.
SAMPLE = "sample"
#: In place of the name of a detector: that of each image.
OWN = "own"


class Config(Table):
    """The ``[data]`` table of ``way = "simulation"``.

    Parameters
    ----------
    dataset : str
        File that ``lowdose simulate`` made, or "sample" for the small one that comes
        with the package.
    conditions : mapping
        Parameters that the images must have, such as ``{thickness = [3, 4]}``: a
        value, a range of numbers, or a list of texts.
    dose_min, dose_max : float
        Multiple of the dose of the set, drawn log-uniformly between these: 1 for its
        own, n for that of n frames summed (SBD's ``noise_scale``).
    scale_min, scale_max : float
        Magnification, drawn uniformly; both 1 for none.
    rotation : float
        Largest rotation either way [degrees].
    sampling : mapping, optional
        Pixel sizes to train at, with the keys of
        :meth:`lowdose.zoo.sampling.Sampling.from_table`; drawn log-uniformly. Counts
        are then those of whole pixels of that size, and the target is the image at
        their centres. It takes the place of magnification and rotation.
    vibration, contrast_min, contrast_max : float
        With `sampling`: largest standard deviation of a further vibration [nm], and
        range of a factor for the contrast against vacuum, so that images are broader
        than those of the set.
    typical : float
        Share of the examples at the dose of the set and the pixel size of `sampling`,
        within a factor of 2 and of 1.1 either way; the others are drawn from the whole
        ranges.
    detector : str
        Name of a detector of :mod:`lowdose.simulation.detectors` that records the
        electrons, or "own" for that which each image of the set is meant for; by
        default they are counted perfectly. Its dose is not drawn: the image is
        electrons per pixel already.
    detected : float
        Share of the examples that the detector records; the others, and half of the
        images that are validated if it is below 1, are counted perfectly.
    known : float
        Share of crops whose noise is told to the network, where it is counting noise.
    validation : float
        Share of the specimens that is held out.
    """

    way: Literal["simulation"] = "simulation"
    dataset: str = SAMPLE
    conditions: dict[str, Any] = Field(default_factory=dict)
    dose_min: float = Field(default=1.0, gt=0)
    dose_max: float = Field(default=1.0, gt=0)
    scale_min: float = Field(default=0.75, gt=0)
    scale_max: float = Field(default=0.82, gt=0)
    rotation: float = Field(default=45.0, ge=0, le=180)
    sampling: dict[str, float] | None = None
    vibration: float = Field(default=0.0, ge=0)
    contrast_min: float = Field(default=1.0, gt=0)
    contrast_max: float = Field(default=1.0, gt=0)
    typical: float = Field(default=0.0, ge=0, le=1)
    detector: str = ""
    detected: float = Field(default=1.0, ge=0, le=1)
    known: float = Field(default=1.0, ge=0, le=1)
    validation: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in ("dose", "scale", "contrast"):
            low, high = f"{name}_min", f"{name}_max"
            if getattr(self, low) > getattr(self, high):
                msg = f"{low}={getattr(self, low)} must be at most {high}."
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_magnification(self) -> Self:
        if self.sampling is None:
            alone = {"vibration", "contrast_min", "contrast_max"}
            if given := alone & self.model_fields_set:
                msg = f"{', '.join(sorted(given))} must come with sampling."
                raise ValueError(msg)
            return self
        both = {"scale_min", "scale_max", "rotation"} & self.model_fields_set
        if both:
            msg = (
                f"sampling and {', '.join(sorted(both))} cannot both be given: "
                "sampling draws the pixel size, and turns by quarters only."
            )
            raise ValueError(msg)
        try:
            Sampling.from_table(self.sampling)
        except ParameterError as error:
            raise ValueError(str(error)) from error
        return self


class Simulation:
    """Crops of simulated images (see :class:`lowdose.training.examples.Way`)."""

    assumes: ClassVar[str] = (
        "The specimen is like the simulated ones, and the noise is that of the "
        "simulated detector."
    )
    losses: ClassVar[tuple[str, ...]] = ("mse", "rmse", "huber", "poisson")
    watched = "psnr_dB"
    warnings: tuple[str, ...] = ()

    def __init__(
        self, config: Config, setting: Setting, learnt: Dataset, held: Dataset
    ) -> None:
        self._config, self._setting, self._learnt = config, setting, learnt
        # Decompressing an image takes as long as all that is done to a crop of it.
        self._images: Kept[Image] = Kept(learnt.__getitem__, lambda image: image.nbytes)
        if config.detector and config.detector != OWN:
            detector(config.detector)  # raises where there is none of that name
        self._resampler: Resampler | None = None
        if config.sampling is not None:
            self._resampler = Resampler(
                learnt,
                Sampling.from_table(config.sampling),
                patch=setting.patch,
                vibration=config.vibration,
                contrast=(config.contrast_min, config.contrast_max),
            )
        else:
            self._side = self._source_side(learnt.frame_shape)
        self._sets = self._validation_set(held)

    def example(self, rng: Random) -> Example:
        """Draw, change and expose a crop."""
        number = int(rng.integers(len(self._learnt)))
        typical = rng.uniform() < self._config.typical
        if self._resampler is not None:
            image, rate = self._resampler.crop(number, rng, typical=typical)
        else:
            image = rate = self._crop(self._images[number], rng)
        dose = self._dose(rng, typical=typical)
        camera = self._camera(self._learnt, number, rng)
        noisy, noise = _expose(rate * dose, camera, rng)
        told = rng.uniform() < self._config.known
        return Example(
            noisy=noisy[None],
            measures=measured(
                noisy, self._setting.normalisation, noise if told else None
            ),
            target=_counts(image * dose, camera),
            name=f"image {number} of {self._learnt.path.name}, dose x {dose:.3g}",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Return scores with the truth, means over images of specimens held out."""
        every = [
            scores.with_truth(apply(n[None, None], [m]), c[None], n[None])
            for n, c, m in self._sets
        ]
        return {key: float(np.mean([one[key] for one in every])) for key in every[0]}

    def sample(self) -> Sample:
        """Return an image of a specimen held out."""
        noisy, clean, measures = self._sets[0]
        return Sample(noisy=noisy[None], measures=measures, clean=clean)

    def _camera(
        self, dataset: Dataset, number: int, rng: Random, *, share: float | None = None
    ) -> Detector | None:
        """Return what records an image of a set; None for perfect counting."""
        name = self._config.detector
        detected = self._config.detected if share is None else share
        if not name or (detected < 1 and rng.uniform() >= detected):
            return None
        found = dataset.detector_of(number) if name == OWN else detector(name)
        # Counts, of the electrons that were drawn here.
        return dataclasses.replace(found, dose=None, rescale="none")

    def _source_side(self, shape: tuple[int, int]) -> int:
        """Return the side of what is magnified and turned into a crop [px]."""
        config, patch = self._config, self._setting.patch
        angle = math.radians(min(config.rotation, 45.0))
        turned_side = patch * (math.cos(angle) + math.sin(angle)) / config.scale_min
        side = math.ceil(turned_side) + 2
        if side > min(shape):
            msg = (
                f"training.patch={patch} needs {side} px of an image before it is "
                f"magnified by {config.scale_min:g} and turned, but those of the set "
                f"have {shape[0]} x {shape[1]} px. Use a smaller patch, less rotation, "
                "or scale_min=1 and scale_max=1."
            )
            raise ParameterError(msg)
        return side

    def _crop(self, image: Image, rng: Random) -> Image:
        """Cut, flip, magnify and turn; the result is inside the image everywhere."""
        config, patch = self._config, self._setting.patch
        side = self._side
        top, left = (int(rng.integers(n - side + 1)) for n in image.shape)
        cut = turned(image[top : top + side, left : left + side], int(rng.integers(8)))
        scale = float(rng.uniform(config.scale_min, config.scale_max))
        angle = float(rng.uniform(-1, 1)) * math.radians(config.rotation)
        if scale == 1 and angle == 0:
            start = (side - patch) // 2
            return cut[start : start + patch, start : start + patch]
        import torch

        from lowdose.training.augmentation import rescale_and_rotate

        # Quarter turns are in `turned` already.
        angle = (angle + math.pi / 4) % (math.pi / 2) - math.pi / 4
        result = rescale_and_rotate(
            torch.from_numpy(cut)[None, None],
            torch.tensor([scale]),
            torch.tensor([angle]),
            patch,
        )
        changed: Image = result[0, 0].numpy()
        return np.maximum(changed, 0)

    def _dose(self, rng: Random, *, typical: bool = False) -> float:
        low, high = self._config.dose_min, self._config.dose_max
        if typical:
            low, high = max(low, 0.5), min(high, 2.0)
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    def _validation_set(self, held: Dataset) -> list[tuple[Image, Image, Measures]]:
        chosen = np.unique(np.linspace(0, len(held) - 1, _VALIDATED).astype(int))
        sets = []
        for number in chosen:
            rng = np.random.default_rng([self._setting.seed, VALIDATION, int(number)])
            if self._resampler is not None:
                clean, rate = self._resampler.whole(held, int(number))
            else:
                clean = rate = held[int(number)][:_SIZE, :_SIZE]
            dose = self._dose(rng, typical=self._config.typical > 0)
            share = 0.5 if 0 < self._config.detected < 1 else None
            camera = self._camera(held, int(number), rng, share=share)
            noisy, noise = _expose(rate * dose, camera, rng)
            told = noise if self._config.known > 0 else None
            measures = measured(noisy, self._setting.normalisation, told)
            sets.append((noisy, _counts(clean * dose, camera), measures))
        return sets


def _expose(
    rate: Image, camera: Detector | None, rng: Random
) -> tuple[Image, NoiseModel | None]:
    """Record electrons per pixel; also return the noise, where it is counting noise."""
    if camera is None:
        return rng.poisson(rate).astype(np.float32), NoiseModel()
    return expose(rate, camera, rng), None


def _counts(electrons: Image, camera: Detector | None) -> Image:
    """Return what a detector without noise and blur would read."""
    if camera is not None:
        electrons = electrons * camera.gain + camera.offset
    return np.asarray(electrons, np.float32)


def iter_open(
    config: Config, setting: Setting
) -> Generator[Progress, None, Simulation]:
    """Open a simulated set (see :func:`lowdose.training.ways.iter_open`)."""
    yield from ()
    setting.refuse_frames("simulation")
    dataset = open_sample() if config.dataset == SAMPLE else Dataset(config.dataset)
    conditions = {
        key: tuple(value) if _is_range(value) else value
        for key, value in config.conditions.items()
    }
    if conditions:
        dataset = dataset.filter(**conditions)
    if len(dataset.specimens) < 2:
        msg = (
            f"{len(dataset)} images of {len(dataset.specimens)} specimens fulfil "
            f"data.conditions={config.conditions}; two specimens are needed at least, "
            "one to learn from and one to validate."
        )
        raise ParameterError(msg)
    specimens = len(dataset.specimens)
    share = min(0.5, max(config.validation, 0.51 / specimens))
    parts = dataset.split({"learn": 1 - share, "validate": share}, seed=setting.seed)
    return Simulation(config, setting, parts["learn"], parts["validate"])


def _is_range(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int | float) for v in value)
    )
