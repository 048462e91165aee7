"""What detectors make of the electrons of simulated images."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from lowdose.noise import NoiseModel
from lowdose.simulation.detector import Detector, expose
from lowdose.simulation.detectors import detector

if TYPE_CHECKING:
    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.simulation.dataset import Dataset
    from lowdose.training.ways.windows import Window

    Image = NDArray[np.float32]

#: In place of the name of a detector: that of each image.
OWN = "own"


class Cameras:
    """Chooses what records each image.

    Parameters
    ----------
    name : str
        Of a detector, or "own" for that of each image; empty for perfect counting.
    detected : float
        Share of the images that it records; the others are counted perfectly.
    even : bool
        Whether targets are lit evenly where the detector has a beam profile.

    Raises
    ------
    ParameterError
        If there is no detector of that name.
    """

    def __init__(self, name: str, *, detected: float, even: bool) -> None:
        if name and name != OWN:
            detector(name)  # raises where there is none of that name
        self._name, self._detected, self._even = name, detected, even

    def draw(
        self, dataset: Dataset, number: int, rng: Random, *, share: float | None = None
    ) -> Detector | None:
        """Return what records an image of a set; None for perfect counting."""
        detected = self._detected if share is None else share
        if not self._name or (detected < 1 and rng.uniform() >= detected):
            return None
        own = self._name == OWN
        found = dataset.detector_of(number) if own else detector(self._name)
        # Counts, of the electrons that were drawn here.
        return dataclasses.replace(found, dose=None, rescale="none")

    def light(
        self, images: Image, rates: Image, camera: Detector | None, rng: Random
    ) -> tuple[Image, Image, Detector | None]:
        """Light what is recorded and its target alike, where the target is not even."""
        if self._even or camera is None or camera.profile is None:
            return images, rates, camera
        shape = (int(rates.shape[-2]), int(rates.shape[-1]))
        light = camera.profile.draw(shape, rng).astype(np.float32)
        return images * light, rates * light, dataclasses.replace(camera, profile=None)


def recorded(
    rates: Image, window: Window, camera: Detector | None, rng: Random
) -> tuple[Image, Image, NoiseModel | None]:
    """Record each frame of a window once.

    Parameters
    ----------
    rates : ndarray, shape (F, H, W)
        Electrons expected per pixel.
    window : Window
        In which order they are seen.
    camera : Detector or None
        What records them; None for perfect counting.
    rng : Generator
        Source of the noise.

    Returns
    -------
    seen : ndarray, shape (frames, H, W), float32
        What the network sees [counts].
    middle : ndarray, shape (H, W), float32
        The frame that it denoises.
    noise : NoiseModel or None
        Of that frame, where it is counting noise.
    """
    frames, noise = [], None
    for rate in rates:
        frame, noise = _expose(rate, camera, rng)
        frames.append(frame)
    return np.stack([frames[n] for n in window.order]), frames[window.middle], noise


def detected_mean(electrons: Image, camera: Detector | None) -> Image:
    """Return what a detector without noise and blur would read."""
    if camera is not None:
        electrons = electrons * camera.gain + camera.offset
    return np.asarray(electrons, np.float32)


def _expose(
    rate: Image, camera: Detector | None, rng: Random
) -> tuple[Image, NoiseModel | None]:
    """Record electrons per pixel; also return the noise, where it is counting noise."""
    if camera is None:
        return rng.poisson(rate).astype(np.float32), NoiseModel()
    return expose(rate, camera, rng), None
