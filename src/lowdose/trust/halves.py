r"""Whether two independent halves of the electrons give the same denoised image.

The electrons are divided by chance into two halves (:func:`lowdose.noise.thin`), which
are independent where the counts are Poisson, and each is denoised. Where the results
differ the noise has decided. Halves have half the dose, so that both differ more than
two full exposures would: for a linear denoiser the variance of the full-dose result is
a quarter of the mean square of the difference of the doubled halves, which is what the
map shows the root of. What both halves get wrong alike, the bias, no comparison of
halves can see. The Fourier ring correlation of the halves as they were counted says
what the data resolve, that of the denoised ones what the denoiser repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics.ring_correlation import RingCorrelation, fourier_ring_correlation
from lowdose.noise import thin
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.grounds import Grounds, ground
from lowdose.trust.repeats import DEFAULTS, check_stop, denoise_counts, finish
from lowdose.trust.smoothing import local_mean

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.trust.maps import TrustMap

#: Reach of the averages of squared differences [px].
_REACH: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """How two halves of the electrons agree.

    Parameters
    ----------
    difference : TrustMap
        Half the difference of the doubled, denoised halves of the last split [counts].
    spread : TrustMap
        Standard deviation of the denoised image that follows [counts rms].
    counted, denoised : RingCorrelation
        Of the halves as counted, and as denoised, of the last split.
    """

    difference: TrustMap
    spread: TrustMap
    counted: RingCorrelation
    denoised: RingCorrelation

    @property
    def maps(self) -> tuple[TrustMap, ...]:
        """The two maps."""
        return self.spread, self.difference


def iter_halves(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    splits: int = 3,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Halves]:
    """Compare two denoised halves of the electrons, step by step.

    Parameters
    ----------
    noisy, denoised : Micrograph or array_like, shape (H, W)
        Counts of one frame, as recorded and denoised.
    denoiser : Denoiser or str
        What denoised it; it is run twice per split.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    splits : int, optional
        How often the electrons are divided anew.
    seed : int, optional
        Seed of the division.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Progress
        After every half.

    Returns
    -------
    Halves

    Raises
    ------
    InvalidImageError
        As :func:`~lowdose.trust.grounds.ground` does, or if the counts are not whole
        electrons: the signal of an integrating detector cannot be divided.
    ParameterError
        If there are no splits.
    Cancelled
        If `should_stop` returned True.
    """
    if splits < 1:
        msg = f"splits={splits} must be at least 1."
        raise ParameterError(msg)
    grounds = ground(noisy, denoised, noise=noise)
    if not grounds.counted:
        msg = (
            "The counts are not whole electrons of a known gain, so they cannot be "
            "divided into halves. Give the gain and the offset, or frames of a "
            "counting camera."
        )
        raise InvalidImageError(msg)
    rng = np.random.default_rng(seed)
    clock = Clock()
    model, valid = grounds.model, grounds.valid
    counts = np.where(valid, grounds.noisy, model.offset)
    squares = np.zeros(counts.shape)
    for split in range(splits):
        parts = thin(counts, 0.5, rng, gain=model.gain, offset=model.offset)
        cleaned = []
        for number, part in enumerate(parts):
            check_stop(should_stop)
            clean = denoise_counts(
                np.where(valid, part, np.nan),
                denoiser,
                grounds.frame,
                options=options,
                should_stop=should_stop,
            )
            cleaned.append(clean)
            yield Progress(
                stage="halves",
                done=2 * split + number + 1,
                total=2 * splits,
                seconds=clock.seconds,
            )
        # Twice the halves, less each other, halved: the scale of the full dose.
        difference = cleaned[0] - cleaned[1]
        squares += difference**2
    return _result(grounds, difference, squares / splits, parts, cleaned)


def halves(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    splits: int = 3,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Halves:
    """Compare two denoised halves of the electrons; see :func:`iter_halves`."""
    return finish(
        iter_halves(
            noisy,
            denoised,
            denoiser,
            noise=noise,
            splits=splits,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def _result(
    grounds: Grounds,
    difference: NDArray[np.float64],
    squares: NDArray[np.float64],
    parts: tuple[NDArray[np.float32], NDArray[np.float32]],
    cleaned: list[NDArray[np.float64]],
) -> Halves:
    counted, denoised = (
        _correlation(grounds, first, second)
        for first, second in (parts, tuple(cleaned))
    )
    caveats = (
        "Measured at half the dose; an adaptive denoiser smooths more there.",
        "Blind to bias: what both halves get wrong alike does not show.",
    )
    spread = grounds.map(
        "disagreement of halves",
        np.sqrt(local_mean(squares, _REACH)),
        unit="counts",
        meaning="How much (rms) the denoised image depends on which electrons happened "
        "to be counted.",
        numbers={
            "rms_counts": float(np.sqrt(np.nanmean(squares[grounds.valid]))),
            "ring_correlation_counted": counted.to_dict(),
            "ring_correlation_denoised": denoised.to_dict(),
        },
        caveats=caveats,
    )
    shown = grounds.map(
        "difference of halves",
        difference,
        unit="counts",
        meaning="Structure here is in one half of the electrons only.",
        scale="diverging",
        caveats=caveats,
    )
    return Halves(difference=shown, spread=spread, counted=counted, denoised=denoised)


def _correlation(
    grounds: Grounds, first: NDArray[np.floating], second: NDArray[np.floating]
) -> RingCorrelation:
    sizes = grounds.frame.calibration.pixel_size("nm")
    square = sizes is not None and abs(sizes[0] / sizes[1] - 1) < 0.01
    filled = [
        np.where(grounds.valid, image, np.mean(image[grounds.valid]))
        for image in (first, second)
    ]
    return fourier_ring_correlation(
        *filled, pixel_size=sizes[0] if sizes is not None and square else None
    )
