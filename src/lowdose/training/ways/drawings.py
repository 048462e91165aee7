"""Learning from drawings: clean images by formulas, any dose, noise known or not."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from lowdose.errors import ParameterError, did_you_mean
from lowdose.noise import NoiseModel
from lowdose.progress import Clock, Progress
from lowdose.simulation import procedural
from lowdose.training import scores
from lowdose.training.examples import (
    IMAGES,
    VALIDATION,
    Apply,
    Example,
    Sample,
    Setting,
    corner,
    measured,
    turned,
)
from lowdose.training.tables import Table

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures

    Image = NDArray[np.float32]

#: Mean doses of the validation [e-/px], and the side of its images [px].
VALIDATION_DOSES = (0.5, 5.0, 50.0, 500.0)
_VALIDATION_SIZE, _VALIDATION_IMAGES = 128, 6
_REPORT_EVERY = 32


class Noise(Table):
    """The noise, drawn anew at every step: the ``[noise]`` table of a recipe.

    Parameters
    ----------
    dose_min, dose_max : float
        Mean dose of a crop [e-/px], drawn log-uniformly between these.
    contrast_min : float
        Smallest (max - min) / max of the clean rate of an image, drawn
        log-uniformly up to 1.
    full_contrast : float
        Share of crops whose darkest pixel has rate 0.
    read_noise : float
        Share of crops with Gaussian noise of up to the shot noise added.
    gaussian : float
        Share of crops with Gaussian noise only.
    known : float
        Share of crops whose noise is told to the network.
    """

    dose_min: float = Field(default=0.2, gt=0)
    dose_max: float = Field(default=2000.0, gt=0)
    contrast_min: float = Field(default=0.05, gt=0, le=1)
    full_contrast: float = Field(default=0.4, ge=0, le=1)
    read_noise: float = Field(default=0.3, ge=0, le=1)
    gaussian: float = Field(default=0.1, ge=0, le=1)
    known: float = Field(default=0.6, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.dose_min > self.dose_max:
            msg = f"dose_min={self.dose_min} must be at most dose_max={self.dose_max}."
            raise ValueError(msg)
        return self


class Config(Table):
    """The clean images: drawn by :mod:`lowdose.simulation.procedural`.

    Parameters
    ----------
    kinds : mapping of str to float
        Kind of image to its relative share.
    images : int
        Number of images to draw.
    size : int
        Their height and width [px].
    grain : list of float
        Share of them with fine texture, and its least and largest strength, as a
        multiple of the deviation of the image.
    smooth : list of str
        Kinds of image that get none of it.
    noise : Noise
        The ``[noise]`` table of the recipe.
    """

    way: Literal["drawings"] = "drawings"
    kinds: dict[str, float]
    images: int = Field(default=4096, ge=1)
    size: int = Field(default=224, ge=16)
    grain: list[float] = Field(default_factory=lambda: list(procedural.GRAIN))
    smooth: list[str] = Field(default_factory=list)
    noise: Noise = Noise()

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        for key, names in (("kinds", self.kinds), ("smooth", self.smooth)):
            unknown = set(names) - set(procedural.KINDS)
            if unknown:
                name = min(unknown)
                near = did_you_mean(name, procedural.KINDS)
                msg = f"{key} has no {name!r}. {near}"
                raise ValueError(msg)
        shares = list(self.kinds.values())
        if not shares or min(shares) < 0 or sum(shares) <= 0:
            msg = f"kinds={self.kinds} needs shares of at least 0, not all 0."
            raise ValueError(msg)
        if len(self.grain) != 3 or not 0 < self.grain[1] <= self.grain[2]:
            msg = f"grain={self.grain} must be a share and two strengths."
            raise ValueError(msg)
        return self


class Drawings:
    """Crops of drawn images (see :class:`lowdose.training.examples.Way`)."""

    assumes: ClassVar[str] = (
        "The noise is white: counting noise, read noise, or both, of any gain."
    )
    losses: ClassVar[tuple[str, ...]] = ("rmse", "mse")
    watched = "gain_dB"
    warnings: tuple[str, ...] = ()

    def __init__(self, config: Config, setting: Setting, images: Path) -> None:
        if setting.patch > config.size:
            msg = (
                f"training.patch={setting.patch} is larger than data.size="
                f"{config.size}; no crop of that size can be cut."
            )
            raise ParameterError(msg)
        self._config, self._setting = config, setting
        self._images = np.load(images, mmap_mode="r")
        self._sets = _validation_set(config, setting.seed)

    def example(self, rng: Random) -> Example:
        """Draw an example."""
        noise, patch = self._config.noise, self._setting.patch
        number = int(rng.integers(len(self._images)))
        top, left = corner(rng, self._images.shape[1:], patch)
        crop = self._images[number, top : top + patch, left : left + patch]
        crop = turned(crop.astype(np.float32), int(rng.integers(8)))
        dose = np.exp(rng.uniform(np.log(noise.dose_min), np.log(noise.dose_max)))
        rate = _rate(crop, noise, float(dose), rng)
        noisy, known = _expose(rate, noise, rng)
        told = rng.uniform() < noise.known
        return Example(
            noisy=noisy[None],
            measures=self._measure(noisy, known if told else None),
            target=rate.astype(np.float32),
            name=f"image {number}, {dose:.3g} e-/px",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Return the gain in PSNR over Poisson counts by dose, and means over doses.

        ``psnr_sbd_dB`` is that of the least dose.
        """
        by_dose, every = {}, []
        for dose, (noisy, clean) in self._sets.items():
            measures = [self._measure(image, NoiseModel()) for image in noisy]
            denoised = apply(noisy[:, None], measures)
            every.append(scores.with_truth(denoised, clean, noisy))
            by_dose[f"gain_dB_{dose:g}"] = every[-1]["gain_dB"]
        over_doses = scores.averaged(every)
        means = {key: over_doses[key] for key in ("gain_dB", "psnr_dB", "ssim")}
        # That convention cuts off what is above one electron: at the least dose only.
        means["psnr_sbd_dB"] = every[0]["psnr_sbd_dB"]
        return {**by_dose, **means}

    def sample(self) -> Sample:
        """Return a drawing of the validation, at a middle dose."""
        noisy, clean = self._sets[VALIDATION_DOSES[len(VALIDATION_DOSES) // 2]]
        measures = self._measure(noisy[0], NoiseModel())
        return Sample(noisy=noisy[:1], measures=measures, clean=clean[0])

    def _measure(self, counts: Image, noise: NoiseModel | None) -> Measures:
        return measured(counts, self._setting.normalisation, noise)


def iter_open(config: Config, setting: Setting) -> Generator[Progress, None, Drawings]:
    """Draw the clean images into ``images.npy``, unless they are there already.

    Image n depends on the seed and n alone. The file, of shape (images, size, size),
    float16, is written under a temporary name first; ``images.json`` beside it says
    what it was drawn by, and another recipe draws it anew.
    """
    path = setting.folder / "images.npy"
    about = path.with_suffix(".json")
    drawn_by = {"seed": setting.seed, **config.model_dump(exclude={"noise", "way"})}
    if not (path.exists() and _read(about) == drawn_by):
        about.unlink(missing_ok=True)
        yield from _draw(config, setting.seed, path)
        about.write_text(json.dumps(drawn_by), encoding="utf-8")
    return Drawings(config, setting, path)


def _read(about: Path) -> Any:
    try:
        return json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or cut short: nothing is known of the images
        return None


def _draw(config: Config, seed: int, path: Path) -> Generator[Progress, None, None]:
    kinds = list(config.kinds)
    share = np.array([config.kinds[kind] for kind in kinds])
    part = path.with_name(f".{path.name}.part")
    shape = (config.images, config.size, config.size)
    images = np.lib.format.open_memmap(part, "w+", np.float16, shape)
    clock = Clock()
    for number in range(config.images):
        rng = np.random.default_rng([seed, IMAGES, number])
        kind = str(rng.choice(kinds, p=share / share.sum()))
        images[number] = procedural.draw(
            kind, rng, config.size, grain=_grain(config, kind)
        )
        done = number + 1
        if done % _REPORT_EVERY == 0 or done == config.images:
            yield Progress(
                stage="draw", done=done, total=config.images, seconds=clock.seconds
            )
    images.flush()
    del images
    os.replace(part, path)


def _validation_set(config: Config, seed: int) -> dict[float, tuple[Image, Image]]:
    """Make noisy and clean images that the training never sees, by dose."""
    clean = [
        procedural.draw(
            kind,
            np.random.default_rng([seed, VALIDATION, number]),
            _VALIDATION_SIZE,
            grain=_grain(config, kind),
        )
        for number in range(_VALIDATION_IMAGES)
        for kind in config.kinds
    ]
    sets = {}
    for dose in VALIDATION_DOSES:
        rng = np.random.default_rng([seed, VALIDATION, 1000, int(dose * 1000)])
        rates = np.stack([_rate(image, config.noise, dose, rng) for image in clean])
        sets[dose] = rng.poisson(rates).astype(np.float32), rates.astype(np.float32)
    return sets


def _grain(config: Config, kind: str) -> procedural.Grain:
    share, low, high = config.grain
    return 0.0 if kind in config.smooth else share, low, high


def _rate(image: Image, noise: Noise, dose: float, rng: Random) -> NDArray[np.float64]:
    """Return the electron rate of an image at a random contrast and a mean dose."""
    contrast = np.exp(rng.uniform(np.log(noise.contrast_min), 0))
    contrast = 1.0 if rng.uniform() < noise.full_contrast else contrast
    rate = 1 - contrast + contrast * image.astype(np.float64)
    mean = rate.mean()
    return rate * (dose / mean) if mean > 0 else np.full_like(rate, dose)


def _expose(
    rate: NDArray[np.float64], noise: Noise, rng: Random
) -> tuple[Image, NoiseModel]:
    """Draw the counts of one exposure, and say what noise they have."""
    shot = float(np.sqrt(rate.mean()))
    kind = rng.uniform()
    counts: NDArray[np.floating | np.integer]
    if kind < noise.gaussian:
        counts = rate + rng.normal(0, shot, rate.shape)
        known = NoiseModel(gain=0.0, read_noise=shot)
    elif kind < noise.gaussian + noise.read_noise:
        read = float(rng.uniform(0, 1)) * shot
        counts = rng.poisson(rate) + rng.normal(0, read, rate.shape)
        known = NoiseModel(read_noise=read)
    else:
        counts = rng.poisson(rate)
        known = NoiseModel()
    return counts.astype(np.float32), known
