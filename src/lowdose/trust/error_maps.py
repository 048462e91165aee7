"""Error maps where the truth is known: of one image, or over many noise instances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.noise import NoiseModel
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.artefacts import border_ratio, grid_power
from lowdose.trust.grounds import single_frame
from lowdose.trust.maps import TrustMap
from lowdose.trust.repeats import (
    DEFAULTS,
    check_stop,
    denoise_counts,
    draw_noise,
    finish,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.trust.maps import Scale

#: Means that differ by more than this share are taken for another scale.
_RESCALED = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMaps:
    """Errors against a reference.

    Parameters
    ----------
    absolute : TrustMap
        Mean absolute error of every pixel [counts].
    squared : TrustMap
        Mean squared error of every pixel [counts²].
    bias : TrustMap
        Mean error of every pixel, with its sign [counts].
    spread : TrustMap or None
        Standard deviation over the instances [counts rms]; None for one image.
    instances : int
        Over how many noise instances.
    """

    absolute: TrustMap
    squared: TrustMap
    bias: TrustMap
    spread: TrustMap | None
    instances: int

    @property
    def maps(self) -> tuple[TrustMap, ...]:
        """All maps."""
        some = (self.absolute, self.squared, self.bias)
        return some if self.spread is None else (*some, self.spread)


def errors_against(
    denoised: Micrograph | ArrayLike, truth: Micrograph | ArrayLike
) -> ErrorMaps:
    """Return the errors of one denoised image.

    Parameters
    ----------
    denoised : Micrograph or array_like, shape (H, W)
        Counts.
    truth : Micrograph or array_like, shape (H, W)
        Expected counts, on the same scale.

    Returns
    -------
    ErrorMaps

    Raises
    ------
    InvalidImageError
        If an image is no single frame, constant or nearly all NaN, the shapes
        differ, or the scales do.
    """
    found = single_frame(denoised, "denoised image")
    true = _reference(truth, found)
    error = np.asarray(found) - np.asarray(true)
    return _maps(found, np.abs(error), error**2, error, instances=1)


def iter_errors(
    truth: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    instances: int = 100,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, ErrorMaps]:
    """Return the mean errors of a denoiser over many noise instances, step by step.

    Parameters
    ----------
    truth : Micrograph or array_like, shape (H, W)
        Expected counts of a specimen, such as a simulated one at some dose.
    denoiser : Denoiser or str
        What to judge; it is run `instances` times.
    noise : NoiseModel, optional
        Detector to simulate. None: an ideal counter.
    instances : int, optional
        How often noise is drawn.
    seed : int, optional
        Seed of the noise.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Progress
        After every instance.

    Returns
    -------
    ErrorMaps

    Raises
    ------
    InvalidImageError
        If the truth is no single frame, is constant, or expects fewer than no
        electrons somewhere.
    ParameterError
        If there are no instances.
    Cancelled
        If `should_stop` returned True.
    """
    if instances < 1:
        msg = f"instances={instances} must be at least 1."
        raise ParameterError(msg)
    model = NoiseModel() if noise is None else noise
    frame = single_frame(truth, "truth")
    mean = np.asarray(frame)
    if model.gain > 0 and np.nanmin(mean) < model.offset:
        msg = (
            f"The truth expects {np.nanmin(mean):g} counts somewhere, fewer than the "
            f"{model.offset:g} of no electrons: give it in counts, not normalised."
        )
        raise InvalidImageError(msg)
    rng = np.random.default_rng(seed)
    clock = Clock()
    absolute, squared, total = np.zeros((3, *mean.shape))
    for number in range(instances):
        check_stop(should_stop)
        drawn = draw_noise(mean, model, rng)
        found = denoise_counts(
            drawn, denoiser, frame, options=options, should_stop=should_stop
        )
        error = found - mean
        absolute += np.abs(error)
        squared += error**2
        total += error
        yield Progress(
            stage="errors", done=number + 1, total=instances, seconds=clock.seconds
        )
    means = [sums / instances for sums in (absolute, squared, total)]
    return _maps(frame, *means, instances=instances)


def errors(
    truth: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    instances: int = 100,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> ErrorMaps:
    """Return the mean errors over many noise instances; see :func:`iter_errors`."""
    return finish(
        iter_errors(
            truth,
            denoiser,
            noise=noise,
            instances=instances,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def _reference(truth: Micrograph | ArrayLike, found: Micrograph) -> Micrograph:
    true = single_frame(truth, "truth")
    if true.shape != found.shape:
        msg = (
            f"The truth has shape {true.shape} and the denoised image {found.shape}; "
            "they must be the same frame."
        )
        raise InvalidImageError(msg)
    here, there = (float(np.nanmean(np.asarray(image))) for image in (found, true))
    spread = float(np.nanstd(np.asarray(true)))
    if abs(here - there) > _RESCALED * max(abs(there), spread):
        msg = (
            f"The denoised image has a mean of {here:.4g} and the truth {there:.4g}: "
            "they are not on one scale. Give both in counts."
        )
        raise InvalidImageError(msg)
    return true


def _maps(
    frame: Micrograph,
    absolute: NDArray[np.float64],
    squared: NDArray[np.float64],
    mean: NDArray[np.float64],
    *,
    instances: int,
) -> ErrorMaps:
    numbers: dict[str, Any] = {
        "instances": instances,
        "mean_absolute_counts": float(np.nanmean(absolute)),
        "rms_counts": math.sqrt(float(np.nanmean(squared))),
        "border_over_inside": border_ratio(squared),
        "grid_power": {str(k): v for k, v in grid_power(absolute).items()},
    }
    caveats = (
        ()
        if instances > 1
        else ("Of one noise instance; another exposure would show other errors.",)
    )

    def one(
        name: str,
        values: NDArray[np.float64],
        unit: str,
        meaning: str,
        scale: Scale = "sequential",
    ) -> TrustMap:
        return TrustMap(
            name=name,
            image=frame.replace(data=values.astype(np.float32)),
            unit=unit,
            meaning=meaning,
            scale=scale,
            numbers=numbers if name != "true bias" else {},
            caveats=caveats,
        )

    spread = None
    if instances > 1:
        variance = np.maximum(squared - mean**2, 0) * instances / (instances - 1)
        spread = one(
            "true spread",
            np.sqrt(variance),
            "counts",
            "How much (rms) the result changes from exposure to exposure.",
        )
    return ErrorMaps(
        absolute=one(
            "absolute error",
            absolute,
            "counts",
            "How far the result is from the truth.",
        ),
        squared=one(
            "squared error",
            squared,
            "counts²",
            "How far the result is from the truth, large errors weighing more.",
        ),
        bias=one(
            "true bias",
            mean,
            "counts",
            "What is added (above 0) or taken away (below 0) on average.",
            "diverging",
        ),
        spread=spread,
        instances=instances,
    )
