r"""Where the counts contradict the denoised image, pixel by pixel at a chosen scale.

In a disk round every pixel the electrons, N, are compared with the denoised rate
summed over it, M. If the denoised image is right, N is Poisson with mean M, exactly.
The map shows the standard score of N: the normal deviate of its mid-p-value, a standard
normal variable under the hypothesis, with the sign of N - M. For large M it is the
signed root of the Poisson deviance :math:`2 [N \ln(N / M) - (N - M)]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import Cancelled, ParameterError
from lowdose.inference.engine import iter_denoise
from lowdose.inference.options import DenoiseOptions
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.counting import Counted, compare_counts
from lowdose.trust.disk_counts import Disks
from lowdose.trust.maps import TrustMap

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.random import Generator as Random
    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel

#: Electrons that a disk holds on average where no scale is given.
_ELECTRONS: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DevianceOptions:
    """How the counts are compared with the denoised image.

    Parameters
    ----------
    diameter_nm, diameter_px : float, optional
        Diameter of the disk [nm] or [px], one of the two at most. Without either it
        holds about 100 electrons.
    draws : int, optional
        Images drawn from the denoised rate, for the distribution of the largest score
        of a whole map.
    share : float, optional
        With a denoiser: share of the electrons that it is given.
    seed : int, optional
        Seed of draws and of the split.
    """

    diameter_nm: float | None = None
    diameter_px: float | None = None
    draws: int = 100
    share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.diameter_nm is not None and self.diameter_px is not None:
            msg = "diameter_nm and diameter_px were both given; give one of them."
            raise ParameterError(msg)
        for name in ("diameter_nm", "diameter_px"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                msg = f"{name}={value} must be above 0."
                raise ParameterError(msg)
        if self.draws < 20 or not 0 < self.share < 1:
            msg = (
                f"draws={self.draws} must be at least 20, and share={self.share} above "
                "0 and below 1."
            )
            raise ParameterError(msg)


_DEFAULTS: Final = DevianceOptions()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalDeviance:
    """Where the counts contradict the denoised image.

    Parameters
    ----------
    score : ndarray, shape (H, W), float32
        Standard score of the electrons in the disk round every pixel; NaN where the
        rate promises fewer than 0.5 in it.
    largest : float
        Largest absolute score.
    p_largest : float
        Share of the images drawn from the denoised rate (and this one) whose largest
        absolute score is at least as large.
    threshold : float
        Absolute score that 5 % of the drawn images exceed anywhere.
    diameter_px : float
        Diameter of the disk [px].
    maps : tuple of TrustMap
        The score.
    """

    score: NDArray[np.float32]
    largest: float
    p_largest: float
    threshold: float
    diameter_px: float
    maps: tuple[TrustMap, ...]


def iter_local_deviance(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    *,
    denoiser: Denoiser | str | None = None,
    noise: NoiseModel | None = None,
    options: DevianceOptions = _DEFAULTS,
    denoise_options: DenoiseOptions | None = None,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, LocalDeviance]:
    r"""Compare the counts with the denoised image at one scale, step by step.

    Parameters
    ----------
    noisy, denoised : Micrograph or array_like, shape (H, W)
        Recorded counts, and what is claimed to be their expectation.
    denoiser : Denoiser or str, optional
        What made it. With it, it denoises one random part of the electrons and the
        other part judges it: a test that the denoiser cannot have fitted away.
    noise : NoiseModel, optional
        Gain, offset and read noise. Recognised or estimated without it.
    options : DevianceOptions, optional
        Scale, draws and seed.
    denoise_options : DenoiseOptions, optional
        Where the denoiser computes.
    should_stop : callable, optional
        Asked between draws, and by the denoiser.

    Yields
    ------
    Progress

    Returns
    -------
    LocalDeviance

    Raises
    ------
    InvalidImageError
        If the images cannot be compared, or, with a denoiser, the counts are not
        whole electrons.
    ParameterError
        If a diameter in nm is given without a pixel size, or does not fit.
    Cancelled
        If `should_stop` said so.

    Notes
    -----
    Read noise of variance :math:`r^2` electrons per pixel is treated as that many
    further electrons, expected and counted [1]_.

    References
    ----------
    .. [1] D. L. Snyder, C. W. Helstrom, A. D. Lanterman, M. Faisal, R. L. White,
       "Compensation for readout noise in CCD images", J. Opt. Soc. Am. A 12, 272
       (1995). doi:10.1364/JOSAA.12.000272
    """
    clock = Clock()
    yield Progress(stage="compare counts", done=0, total=options.draws)
    counted = compare_counts(noisy, denoised, noise=noise)
    rng = np.random.default_rng(options.seed)
    diameter = _diameter(counted, options)
    testing, caveats = counted, counted.caveats
    if denoiser is None:
        caveats += (
            "The denoised image was made of the same counts and follows their noise a "
            "little, so scores are too small. Give the denoiser for an independent "
            "test.",
        )
    else:
        first, testing = counted.thinned(options.share, rng)
        image = yield from iter_denoise(
            first.counts(),
            denoiser,
            options=DenoiseOptions() if denoise_options is None else denoise_options,
            should_stop=should_stop,
        )
        rate = first.with_rate(np.asarray(image)).rate
        testing = _with_rate(testing, rate * (1 - options.share) / options.share)
        caveats += (
            f"The denoiser was given {options.share:.0%} of the electrons and judged "
            "by the others: it is noisier than on all of them.",
        )
    disks = Disks(testing, diameter)
    score = disks.score(testing.electrons)
    largest = disks.largest(testing.electrons)
    drawn = np.empty(options.draws)
    for number in range(options.draws):
        if should_stop():
            msg = f"Stopped after {number} of {options.draws} drawn images."
            raise Cancelled(msg)
        drawn[number] = disks.largest(_draw(testing, rng))
        yield Progress(
            stage="compare counts",
            done=number + 1,
            total=options.draws,
            seconds=clock.seconds,
        )
    p_largest = (1 + int((drawn >= largest).sum())) / (options.draws + 1)
    threshold = float(np.quantile(drawn, 0.95))
    finite = score[np.isfinite(score)]
    outside = float((np.abs(finite) > threshold).mean()) if finite.size else 0.0
    size = counted.pixel_size
    numbers: dict[str, Any] = {
        "diameter [px]": diameter,
        "diameter [nm]": None if size is None else diameter * size,
        "largest score": largest,
        "p of the largest score": p_largest,
        "threshold at 5 %": threshold,
        "share beyond the threshold": outside,
    }
    return LocalDeviance(
        score=score,
        largest=largest,
        p_largest=p_largest,
        threshold=threshold,
        diameter_px=diameter,
        maps=(
            TrustMap(
                name="local deviance",
                image=counted.frame.replace(data=score),
                unit="σ",
                meaning="Above 0 there are more electrons here than the denoised image "
                "says, below 0 fewer; beyond the threshold it is wrong there.",
                scale="diverging",
                numbers=numbers,
                caveats=caveats,
            ),
        ),
    )


def local_deviance(
    noisy: Micrograph | ArrayLike, denoised: Micrograph | ArrayLike, **arguments: Any
) -> LocalDeviance:
    """Compare counts with rate; see :func:`iter_local_deviance`, which this runs."""
    steps = iter_local_deviance(noisy, denoised, **arguments)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            deviance: LocalDeviance = stop.value
            return deviance


def _draw(counted: Counted, rng: Random) -> NDArray[np.float64]:
    drawn = rng.poisson(np.maximum(counted.rate, 0.0)).astype(np.float64)
    if counted.read_noise:
        drawn += counted.read_noise * rng.standard_normal(drawn.shape)
    return drawn


def _with_rate(counted: Counted, rate: NDArray[np.float64]) -> Counted:
    """Return the same electrons with a rate in electrons."""
    model = counted.model
    return counted.with_rate(rate * model.gain + model.offset)


def _diameter(counted: Counted, options: DevianceOptions) -> float:
    diameter = options.diameter_px
    if options.diameter_nm is not None:
        size = counted.pixel_size
        if size is None:
            msg = (
                f"diameter_nm={options.diameter_nm} needs a pixel size, and this image "
                "has none. Calibrate it, or give diameter_px."
            )
            raise ParameterError(msg)
        diameter = options.diameter_nm / size
    smallest = min(counted.electrons.shape)
    if diameter is None:
        mean = float(counted.electrons[counted.valid].mean())
        diameter = 2 * float(np.sqrt(_ELECTRONS / (np.pi * mean)))
        return float(np.clip(diameter, 1.0, smallest / 4))
    if diameter > smallest:
        msg = f"A disk of {diameter:.3g} px does not fit an image of {smallest} px."
        raise ParameterError(msg)
    return max(diameter, 1.0)
