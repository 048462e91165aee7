"""Training examples: crops of clean images, with noise drawn anew at every step."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from lowdose.networks.normalising import column, constants, measure
from lowdose.noise import NoiseModel
from lowdose.simulation import procedural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.training.config import DataConfig, NoiseConfig

    Images = NDArray[np.float32]

#: Keeps the streams of random numbers of the images, the validation and the steps
#: apart under one seed.
_IMAGES, _VALIDATION, _STEPS = range(3)


def draw_images(config: DataConfig, seed: int, path: Path) -> Iterator[tuple[int, int]]:
    """Draw the clean images into a file, unless it is there already.

    Image n depends on the seed and n alone.

    Parameters
    ----------
    config : DataConfig
        Kinds, number and size.
    seed : int
        Seed of the recipe.
    path : Path
        An NPY file, float16, shape (images, size, size), written under a temporary
        name first.

    Yields
    ------
    done, total : int
        Images drawn so far, and of how many.
    """
    if path.exists():
        return
    kinds = list(config.kinds)
    share = np.array([config.kinds[kind] for kind in kinds])
    part = path.with_name(f".{path.name}.part")
    shape = (config.images, config.size, config.size)
    images = np.lib.format.open_memmap(part, "w+", np.float16, shape)
    for number in range(config.images):
        rng = np.random.default_rng([seed, _IMAGES, number])
        kind = str(rng.choice(kinds, p=share / share.sum()))
        images[number] = procedural.draw(kind, rng, config.size, grain=_grain(config))
        yield number + 1, config.images
    images.flush()
    del images
    os.replace(part, path)


def validation_set(
    config: DataConfig, noise: NoiseConfig, seed: int, doses: tuple[float, ...]
) -> dict[float, tuple[Images, Images]]:
    """Make noisy and clean images that the training never sees.

    Parameters
    ----------
    config, noise : DataConfig, NoiseConfig
        Of the recipe.
    seed : int
        Seed of the recipe.
    doses : tuple of float
        Mean doses [e-/px].

    Returns
    -------
    dict
        Dose to (noisy, clean), each of shape (images, H, W) in counts. Six images of
        each kind, with Poisson noise.
    """
    clean = [
        procedural.draw(
            kind,
            np.random.default_rng([seed, _VALIDATION, number]),
            128,
            grain=_grain(config),
        )
        for number in range(6)
        for kind in config.kinds
    ]
    sets = {}
    for dose in doses:
        rng = np.random.default_rng([seed, _VALIDATION, 1000, int(dose * 1000)])
        rates = np.stack([_rate(image, noise, dose, rng) for image in clean])
        sets[dose] = rng.poisson(rates).astype(np.float32), rates.astype(np.float32)
    return sets


def network_input(
    noisy: Images, measures: Sequence[Measures], *, conditions: int
) -> NDArray[np.float32]:
    """Return what a network sees of noisy images.

    Parameters
    ----------
    noisy : ndarray, shape (N, H, W)
        Counts.
    measures : sequence of mapping
        Of :func:`lowdose.networks.normalising.measure`, one per image.
    conditions : int
        Number of constant channels that the network takes.

    Returns
    -------
    ndarray, shape (N, 1 + conditions, H, W), float32
        The normalised image and the constant channels.
    """
    z = (noisy - column(measures, "mean")) / column(measures, "sigma")
    if not conditions:
        return np.asarray(z[:, None], np.float32)
    constant = constants(measures, conditions)[:, :, None, None]
    constant = np.broadcast_to(constant, (*constant.shape[:2], *noisy.shape[1:]))
    return np.concatenate([z[:, None], constant], 1, dtype=np.float32)


def batches(
    path: Path,
    noise: NoiseConfig,
    *,
    seed: int,
    batch: int,
    patch: int,
    conditions: int = 0,
) -> Callable[[int], tuple[Images, Images]]:
    """Return a function that makes the batch of a given step.

    A batch depends on the seed and the step alone, so that a resumed training sees
    what an uninterrupted one would have seen.

    Parameters
    ----------
    path : Path
        File made by :func:`draw_images`.
    noise : NoiseConfig
        Of the recipe.
    seed, batch, patch : int
        Of the recipe.
    conditions : int, optional
        Number of constant channels that the network takes.

    Returns
    -------
    callable
        Step number to (input, target): what the network sees, of shape
        (batch, channels, patch, patch), and the clean crop normalised alike, of
        shape (batch, 1, patch, patch); both float32.
    """
    images = np.load(path, mmap_mode="r")

    def make(step: int) -> tuple[Images, Images]:
        rng = np.random.default_rng([seed, _STEPS, step])
        triples = [_example(images, noise, patch, rng) for _ in range(batch)]
        noisy = np.stack([counts for counts, _, _ in triples])
        clean = np.stack([rate for _, rate, _ in triples])
        measures = [measure(counts, known) for counts, _, known in triples]
        target = (clean - column(measures, "mean")) / column(measures, "sigma")
        seen = network_input(noisy, measures, conditions=conditions)
        return seen, target[:, None].astype(np.float32)

    return make


def _grain(config: DataConfig) -> procedural.Grain:
    share, low, high = config.grain
    return share, low, high


def _example(
    images: NDArray[np.float16], noise: NoiseConfig, patch: int, rng: Generator
) -> tuple[Images, Images, NoiseModel | None]:
    """Return noisy and clean counts of a crop, and the noise where it is told."""
    number, (top, left) = (
        rng.integers(len(images)),
        rng.integers(0, images.shape[1] - patch + 1, 2),
    )
    crop = images[number, top : top + patch, left : left + patch].astype(np.float32)
    crop = np.rot90(crop, int(rng.integers(4)))
    crop = crop[::-1] if rng.uniform() < 0.5 else crop
    dose = np.exp(rng.uniform(np.log(noise.dose_min), np.log(noise.dose_max)))
    rate = _rate(crop, noise, float(dose), rng)
    noisy, known = _expose(rate, noise, rng)
    told = rng.uniform() < noise.known
    return noisy, rate.astype(np.float32), known if told else None


def _rate(
    image: Images, noise: NoiseConfig, dose: float, rng: Generator
) -> NDArray[np.float64]:
    """Return the electron rate of an image at a random contrast and a mean dose."""
    contrast = np.exp(rng.uniform(np.log(noise.contrast_min), 0))
    contrast = 1.0 if rng.uniform() < noise.full_contrast else contrast
    rate = 1 - contrast + contrast * image.astype(np.float64)
    mean = rate.mean()
    return rate * (dose / mean) if mean > 0 else np.full_like(rate, dose)


def _expose(
    rate: NDArray[np.float64], noise: NoiseConfig, rng: Generator
) -> tuple[Images, NoiseModel]:
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
