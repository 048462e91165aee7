"""Denoising again and again: new noise on an image, and the denoiser run on it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lowdose.errors import Cancelled
from lowdose.inference import DenoiseOptions, denoise
from lowdose.micrograph import Micrograph
from lowdose.noise import sample_poisson_gauss

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.noise import NoiseModel
    from lowdose.progress import Progress, ShouldStop

T = TypeVar("T")

#: The options of a run where none are given.
DEFAULTS = DenoiseOptions()


def finish(
    job: Generator[Progress, None, T],
    *,
    on_progress: Callable[[Progress], object] | None = None,
) -> T:
    """Run a job to its end and return its result.

    Parameters
    ----------
    job : generator
        What an ``iter_...`` function returned.
    on_progress : callable, optional
        Called with every :class:`~lowdose.progress.Progress`.

    Returns
    -------
    object
        What the generator returns.
    """
    with closing(job):
        while True:
            try:
                progress = next(job)
            except StopIteration as end:
                result: T = end.value
                return result
            if on_progress is not None:
                on_progress(progress)


def check_stop(should_stop: ShouldStop) -> None:
    """Raise :class:`~lowdose.errors.Cancelled` where the caller wants to stop."""
    if should_stop():
        msg = "Cancelled."
        raise Cancelled(msg)


def denoise_counts(
    counts: NDArray[np.floating],
    denoiser: Denoiser | str,
    like: Micrograph,
    *,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop,
) -> NDArray[np.float64]:
    """Denoise one frame by the engine.

    Parameters
    ----------
    counts : ndarray, shape (H, W)
        Counts, NaN allowed.
    denoiser : Denoiser or str
        The denoiser, or its name.
    like : Micrograph
        Frame whose calibration it has.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable
        Asked between tiles.

    Returns
    -------
    ndarray, shape (H, W), float64
        Denoised counts; NaN where the counts are.

    Raises
    ------
    LowDoseError
        As :func:`lowdose.denoise` does.
    """
    frame = Micrograph(counts.astype(np.float32), like.calibration, like.name)
    result = denoise(frame, denoiser, options=options, should_stop=should_stop)
    return np.asarray(result, dtype=np.float64)


def draw_noise(
    mean: NDArray[np.float64], model: NoiseModel, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw what the detector would read of an image.

    Parameters
    ----------
    mean : ndarray
        Expected counts; NaN stays NaN, and rates below zero are taken as zero.
    model : NoiseModel
        The detector. With gain 0 the noise is Gaussian and the same everywhere.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, float64
        Counts.
    """
    finite = np.isfinite(mean)
    filled = np.where(finite, mean, model.offset)
    if model.gain == 0:
        noisy = filled + model.read_noise * rng.standard_normal(mean.shape)
    else:
        rate = np.maximum((filled - model.offset) / model.gain, 0.0)
        noisy = np.asarray(
            sample_poisson_gauss(
                rate,
                rng,
                gain=model.gain,
                offset=model.offset,
                read_noise=model.read_noise,
            ),
            dtype=np.float64,
        )
    return np.where(finite, noisy, np.nan)
