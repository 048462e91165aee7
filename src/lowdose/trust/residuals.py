r"""What a denoiser took away: is it noise, and noise alone.

The residual is noisy minus denoised, over the noise expected. Were the denoised image
the specimen itself, it would be white, of mean 0 and variance 1. No denoiser's is: each
follows the noise a little, so that low frequencies of the residual are weak even where
nothing is wrong. With the denoiser at hand the checks therefore compare with *its own*
residuals, on new noise drawn on the denoised image, where nothing of a specimen can be
left behind but what it has lost already (a parametric bootstrap of each statistic; see
:mod:`lowdose.trust.bootstrap`). Without it they compare with white noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import windows

from lowdose.errors import ParameterError
from lowdose.micrograph import Axis, Calibration, Micrograph
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.grounds import Grounds, ground
from lowdose.trust.maps import TrustMap
from lowdose.trust.repeats import (
    DEFAULTS,
    check_stop,
    denoise_counts,
    draw_noise,
    finish,
)
from lowdose.trust.residual_verdicts import Measured, Verdict, judge_residual
from lowdose.trust.smoothing import averaged_pixels, local_mean

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.noise import NoiseModel

#: Longest lag of the autocorrelation map [px].
_LAGS: Final = 16
#: Reach of the averages in which structure shows [px].
_REACH: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualChecks:
    """What was taken away, and the verdicts on it.

    Parameters
    ----------
    residual : TrustMap
        Noisy minus denoised over the expected noise [standard deviations].
    structure : TrustMap
        Its local means, in standard deviations of what noise alone would show.
    autocorrelation : TrustMap
        Correlation of the residual with itself at lags up to 16 px; its axes are lags.
    power : TrustMap
        Power of the residual over that expected, by spatial frequency; its axes are
        frequencies.
    verdicts : tuple of Verdict
        One sentence per check.
    """

    residual: TrustMap
    structure: TrustMap
    autocorrelation: TrustMap
    power: TrustMap
    verdicts: tuple[Verdict, ...]

    @property
    def maps(self) -> tuple[TrustMap, ...]:
        """All maps."""
        return self.residual, self.structure, self.autocorrelation, self.power


@dataclass(slots=True)
class _Expected:
    """Means over the residuals of replicates."""

    number: int = 0
    dispersion: float = 0.0
    correlation: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    power: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))

    def add(self, residual: NDArray[np.float64]) -> None:
        """Take one more residual in."""
        self.number += 1
        share = 1 / self.number
        dispersion = float(np.nanmean(residual**2))
        self.dispersion += share * (dispersion - self.dispersion)
        self.correlation = self.correlation + share * (
            autocorrelation(residual) - self.correlation
        )
        self.power = self.power + share * (_power(residual) - self.power)


def iter_residual_checks(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str | None = None,
    *,
    noise: NoiseModel | None = None,
    replicates: int = 8,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, ResidualChecks]:
    """Check what a denoiser took away, step by step.

    Parameters
    ----------
    noisy, denoised : Micrograph or array_like, shape (H, W)
        Counts of one frame, as recorded and denoised; at least 32 x 32 pixels.
    denoiser : Denoiser or str, optional
        What denoised it; it is run `replicates` times. None: the residual is compared
        with white noise, and a caveat says what that means.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    replicates : int, optional
        How many residuals of its own the denoiser is given to compare with.
    seed : int, optional
        Seed of the noise.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Progress
        After every replicate, and at the end.

    Returns
    -------
    ResidualChecks

    Raises
    ------
    InvalidImageError
        As :func:`~lowdose.trust.grounds.ground` does.
    ParameterError
        If there are no replicates although there is a denoiser, or the frame is too
        small.
    Cancelled
        If `should_stop` returned True.
    """
    grounds = ground(noisy, denoised, noise=noise)
    if min(grounds.noisy.shape) < 2 * _LAGS:
        msg = (
            f"The frame has {grounds.noisy.shape} px; residuals are checked on at "
            f"least {2 * _LAGS} x {2 * _LAGS}."
        )
        raise ParameterError(msg)
    if denoiser is not None and replicates < 1:
        msg = f"replicates={replicates} must be at least 1."
        raise ParameterError(msg)
    clock = Clock()
    rng = np.random.default_rng(seed)
    total = replicates if denoiser is not None else 0
    expected = _Expected()
    for number in range(total):
        check_stop(should_stop)
        drawn = draw_noise(grounds.denoised, grounds.model, rng)
        again = denoise_counts(
            drawn,
            denoiser if denoiser is not None else "",
            grounds.frame,
            options=options,
            should_stop=should_stop,
        )
        expected.add(normalised_residual(drawn, again, grounds))
        yield Progress(
            stage="residuals", done=number + 1, total=total, seconds=clock.seconds
        )
    check_stop(should_stop)
    yield Progress(stage="residuals", done=1, total=1, seconds=clock.seconds)
    return _result(grounds, expected)


def residual_checks(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str | None = None,
    *,
    noise: NoiseModel | None = None,
    replicates: int = 8,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> ResidualChecks:
    """Check what a denoiser took away; see :func:`iter_residual_checks`."""
    return finish(
        iter_residual_checks(
            noisy,
            denoised,
            denoiser,
            noise=noise,
            replicates=replicates,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def normalised_residual(
    noisy: NDArray[np.float64], denoised: NDArray[np.float64], grounds: Grounds
) -> NDArray[np.float64]:
    """Return noisy minus denoised over the noise expected from the denoised image."""
    variance = grounds.model.variance(denoised)
    floor = max(1e-2 * float(np.nanmean(variance)), np.finfo(np.float64).tiny)
    return np.asarray((noisy - denoised) / np.sqrt(np.maximum(variance, floor)))


def autocorrelation(
    residual: NDArray[np.float64], *, lags: int = _LAGS
) -> NDArray[np.float64]:
    """Return the autocorrelation of an image, with holes left out.

    Parameters
    ----------
    residual : ndarray, shape (H, W)
        NaN in holes.
    lags : int, optional
        Longest lag [px], below H and W.

    Returns
    -------
    ndarray, shape (2 lags + 1, 2 lags + 1)
        From -1 to 1, lag zero, where it is 1, in the middle.
    """
    finite = np.isfinite(residual)
    values = np.where(finite, residual - residual[finite].mean(), 0.0)
    size = [next_fast_len(n + lags, real=True) for n in residual.shape]

    def correlate(image: NDArray[np.float64]) -> NDArray[np.float64]:
        spectrum = np.abs(np.fft.rfft2(image, s=size)) ** 2
        full = np.fft.fftshift(np.fft.irfft2(spectrum, s=size))
        row, column = size[0] // 2, size[1] // 2
        return np.asarray(
            full[row - lags : row + lags + 1, column - lags : column + lags + 1]
        )

    products = correlate(values) / np.maximum(correlate(finite.astype(float)), 1.0)
    middle = products[lags, lags]
    return products / middle if middle > 0 else products


def _power(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the windowed power of an image, frequency zero in the middle.

    White noise of variance 1 has a mean of 1.
    """
    finite = np.isfinite(values)
    window = np.outer(*(windows.hann(n, sym=False) for n in values.shape))
    filled = np.where(finite, values - values[finite].mean(), 0.0) * window
    power = np.abs(np.fft.fftshift(np.fft.fft2(filled))) ** 2
    return np.asarray(power / np.sum(np.where(finite, window, 0.0) ** 2))


def _result(grounds: Grounds, expected: _Expected) -> ResidualChecks:
    residual = normalised_residual(grounds.noisy, grounds.denoised, grounds)
    replicated = expected.number > 0
    correlation = autocorrelation(residual)
    power = _power(residual)
    usual = local_mean(expected.power, 2.0) if replicated else np.ones_like(power)
    usual = np.maximum(usual, 1e-3)
    white = np.zeros_like(correlation)
    white[_LAGS, _LAGS] = 1.0
    measured = Measured(
        residual=residual,
        valid=grounds.valid,
        dispersion=float(np.nanmean(residual**2)),
        expected_dispersion=expected.dispersion if replicated else 1.0,
        correlation=correlation,
        expected_correlation=expected.correlation if replicated else white,
        power=power,
        expected_power=usual,
        denoised_power=_power(grounds.denoised),
        noisy_power=_power(
            grounds.noisy / np.sqrt(np.nanmean(grounds.deviation() ** 2))
        ),
        replicates=expected.number,
    )
    verdicts = judge_residual(grounds, measured)
    caveats: tuple[str, ...] = ()
    if not replicated:
        caveats = (
            "Compared with white noise, as the denoiser was not given; every denoiser "
            "follows the noise a little, which shows as correlation here.",
        )
    local = local_mean(residual, _REACH) * np.sqrt(averaged_pixels(_REACH))
    return ResidualChecks(
        residual=grounds.map(
            "residual",
            residual,
            unit="standard deviations",
            meaning="What was taken away, over the noise expected there; beyond ±5 it "
            "is no noise.",
            scale="diverging",
            numbers={
                "mean": float(np.nanmean(residual)),
                "mean_square": measured.dispersion,
                "expected_mean_square": measured.expected_dispersion,
            },
        ),
        structure=grounds.map(
            "structure left behind",
            local,
            unit="standard deviations",
            meaning="Where many pixels in a row were taken away with one sign; beyond "
            "±5 it is specimen, not noise.",
            scale="diverging",
            numbers={"reach_px": _REACH},
            caveats=caveats,
        ),
        autocorrelation=_lag_map(grounds, correlation, caveats),
        power=_power_map(grounds, power / usual, caveats),
        verdicts=verdicts,
    )


def _lag_map(
    grounds: Grounds, correlation: NDArray[np.float64], caveats: tuple[str, ...]
) -> TrustMap:
    shown = correlation.copy()
    shown[_LAGS, _LAGS] = np.nan  # 1 by definition; it would hide all others
    axes = tuple(
        Axis(
            label=axis.label,
            spacing=axis.spacing,
            unit=axis.unit,
            origin=-_LAGS * (axis.spacing or 1.0),
        )
        for axis in grounds.frame.calibration.axes
    )
    return TrustMap(
        name="residual autocorrelation",
        image=Micrograph(
            shown.astype(np.float32), Calibration(axes=axes), grounds.frame.name
        ),
        unit="1",
        meaning="How alike residuals are at a distance; noise shows nothing here.",
        scale="diverging",
        numbers={"largest": float(np.nanmax(np.abs(shown))), "lags_px": _LAGS},
        caveats=(*grounds.caveats, *caveats),
    )


def _power_map(
    grounds: Grounds, ratio: NDArray[np.float64], caveats: tuple[str, ...]
) -> TrustMap:
    axes = []
    for axis, size in zip(grounds.frame.calibration.axes, ratio.shape, strict=True):
        reciprocal = {"nm": "1/nm", "angstrom": "1/angstrom", "m": "1/m"}.get(
            axis.unit or ""
        )
        step = 1 / (size * axis.spacing) if axis.spacing and reciprocal else None
        origin = -(size // 2) * (step or 1.0)
        axes.append(
            Axis(label=axis.label, spacing=step, unit=reciprocal, origin=origin)
        )
    return TrustMap(
        name="residual power",
        image=Micrograph(
            ratio.astype(np.float32), Calibration(axes=tuple(axes)), grounds.frame.name
        ),
        unit="1",
        meaning="Power of the residual over that expected, by spatial frequency; spots "
        "are a lattice that was taken away.",
        numbers={},
        caveats=(*grounds.caveats, *caveats),
    )
