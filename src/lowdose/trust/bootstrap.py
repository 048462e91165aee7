r"""The expected error of every pixel, by denoising new noise on the denoised image.

Parametric bootstrap (Efron [1]_): take the denoised image for the specimen, draw new
noise on it, denoise again, many times. How the results scatter is the spread of the
denoiser, and how their mean differs from what was put in is its bias.

The spread is nearly right. The bias is too small, and that is no accident: what the
denoiser smooths away from the specimen is gone from its result, so it cannot be
smoothed away again (for a linear filter H the true bias is :math:`(H - 1)x`, that of
the bootstrap :math:`(H - 1)Hx`). It is mended by a second, independent source: the
unbiased error of :mod:`lowdose.trust.pure`, far too noisy in a single pixel, but right
in the mean. The squared error is modelled as

.. math:: e_i^2 = \alpha\, s_i^2 + \beta\, b_i^2 + \gamma\, l_i + \delta,

with spread s, bias b, the local contrast l of the denoised image (detail is lost where
there is detail) and a constant, and the factors, none below zero, are fitted to the
unbiased errors of all pixels by least squares with weights. :math:`\alpha` and
:math:`\beta` are held near 1 by priors, as far as the data do not speak. So the map has
about the right mean whatever the bootstrap misses, and its shape from the bootstrap.

References
----------
.. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman and Hall
   1993, sections 6.5 and 10.2, doi:10.1007/978-1-4899-4541-9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import nnls

from lowdose.errors import ParameterError
from lowdose.metrics.intervals import Estimate, mean_interval
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.grounds import Grounds, ground
from lowdose.trust.pure import iter_risk_terms
from lowdose.trust.repeats import (
    DEFAULTS,
    check_stop,
    denoise_counts,
    draw_noise,
    finish,
)
from lowdose.trust.smoothing import local_mean

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.trust.maps import TrustMap

#: Reach of the averages that spread and bias are taken over [px]: a few repeats do not
#: tell the spread of one pixel, and the bias of noise left in the denoised image is not
#: that of the specimen.
_SPREAD_REACH: Final = 3.0
_BIAS_REACH: Final = 4.0
#: Reach of the averages that the factors are fitted to [px]. In single pixels the
#: unbiased errors and the bootstrap share the noise of the one frame there is.
_FIT_REACH: Final = 6.0
#: How far the factors of spread and bias may be from 1 (standard deviations).
_PRIORS: Final = (0.15, 1.0)
#: Least precision of the unbiased check at which factors are fitted: error over value.
_CHECKABLE: Final = 1.0
#: Share of negative pixels of a denoised image that is mentioned.
_NEGATIVE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapErrors:
    """Errors that a denoised image may be expected to have.

    Parameters
    ----------
    expected : TrustMap
        Root mean squared error of every pixel over the noise [counts rms].
    bias : TrustMap
        Mean of denoising again less what was put in [counts].
    spread : TrustMap
        Standard deviation over the noise [counts rms].
    factors : mapping of str to float
        Of spread, bias, contrast and constant (see the module); 1, 1, 0 and 0
        where they were not fitted.
    mse : Estimate or None
        Unbiased mean squared error that they were fitted to [counts²].
    """

    expected: TrustMap
    bias: TrustMap
    spread: TrustMap
    factors: Mapping[str, float]
    mse: Estimate | None

    @property
    def maps(self) -> tuple[TrustMap, ...]:
        """The three maps, the most important first."""
        return self.expected, self.bias, self.spread


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """The model of the squared error, fitted or not."""

    squared: NDArray[np.float64]
    factors: dict[str, float]
    mse: Estimate | None = None
    caveats: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


def iter_bootstrap(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    repeats: int = 16,
    probes: int = 4,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, BootstrapErrors]:
    """Predict the error of every pixel of a denoised image, step by step.

    Parameters
    ----------
    noisy, denoised : Micrograph or array_like, shape (H, W)
        Counts of one frame, as recorded and denoised.
    denoiser : Denoiser or str
        What denoised it; it is run ``repeats + probes`` times.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    repeats : int, optional
        How often new noise is drawn, at least 2.
    probes : int, optional
        How often the denoiser is probed for the unbiased error that the map is fitted
        to. 0: the plain bootstrap, whose bias is too small.
    seed : int, optional
        Seed of the noise.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Progress
        After every run of the denoiser.

    Returns
    -------
    BootstrapErrors

    Raises
    ------
    InvalidImageError
        As :func:`~lowdose.trust.grounds.ground` does.
    ParameterError
        If there are too few repeats.
    Cancelled
        If `should_stop` returned True.
    """
    if repeats < 2 or probes < 0:
        msg = (
            f"repeats={repeats} must be at least 2 and probes={probes} at least 0: "
            "a single repeat has no spread."
        )
        raise ParameterError(msg)
    grounds = ground(noisy, denoised, noise=noise)
    rng = np.random.default_rng(seed)
    bias, variance = yield from _repeat(
        grounds, denoiser, repeats, rng, options, should_stop, further=probes
    )
    terms = None
    if probes:
        steps = iter_risk_terms(
            grounds,
            denoiser,
            probes=probes,
            probe="thinning" if grounds.counted else "signs",
            rng=rng,
            options=options,
            should_stop=should_stop,
        )
        terms = yield from steps
    return _result(grounds, bias, variance, terms, repeats)


def bootstrap(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    repeats: int = 16,
    probes: int = 4,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> BootstrapErrors:
    """Predict the error of every pixel; see :func:`iter_bootstrap`."""
    return finish(
        iter_bootstrap(
            noisy,
            denoised,
            denoiser,
            noise=noise,
            repeats=repeats,
            probes=probes,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def _repeat(
    grounds: Grounds,
    denoiser: Denoiser | str,
    repeats: int,
    rng: np.random.Generator,
    options: DenoiseOptions,
    should_stop: ShouldStop,
    *,
    further: int,
) -> Generator[Progress, None, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Denoise new noise; return mean deviation [counts] and variance [counts²]."""
    clock = Clock()
    total = np.zeros(grounds.noisy.shape)
    squares = np.zeros(grounds.noisy.shape)
    for number in range(repeats):
        check_stop(should_stop)
        drawn = draw_noise(grounds.denoised, grounds.model, rng)
        again = denoise_counts(
            drawn, denoiser, grounds.frame, options=options, should_stop=should_stop
        )
        deviation = again - grounds.denoised
        total += deviation
        squares += deviation**2
        yield Progress(
            stage="bootstrap",
            done=number + 1,
            total=repeats + further,
            seconds=clock.seconds,
        )
    mean = total / repeats
    variance = np.maximum(squares / repeats - mean**2, 0) * repeats / (repeats - 1)
    return mean, variance


def _result(
    grounds: Grounds,
    bias: NDArray[np.float64],
    variance: NDArray[np.float64],
    terms: NDArray[np.float64] | None,
    repeats: int,
) -> BootstrapErrors:
    smooth = local_mean(variance, _SPREAD_REACH)
    # The mean of few repeats scatters itself, by the spread over the root of them.
    squared = np.maximum(local_mean(bias**2 - variance / repeats, _BIAS_REACH), 0)
    fit = _fit(grounds, smooth, squared, terms)
    expected = np.sqrt(fit.squared)
    caveats = list(fit.caveats)
    negative = float(np.mean((grounds.denoised < grounds.model.offset)[grounds.valid]))
    if grounds.model.gain > 0 and negative > _NEGATIVE:
        caveats.append(
            f"{negative:.1%} of the denoised pixels are below zero electrons; new "
            "noise was drawn there as if they were zero."
        )
    numbers = {
        "mean_expected_rms_counts": float(np.sqrt(np.nanmean(fit.squared))),
        "bootstrap_rms_counts": float(np.sqrt(np.nanmean(smooth + squared))),
        "repeats": repeats,
        "factors": fit.factors,
        **fit.numbers,
    }
    return BootstrapErrors(
        expected=grounds.map(
            "expected error",
            expected,
            unit="counts",
            meaning="How far (rms) a pixel of the denoised image is expected to be "
            "from the specimen.",
            numbers=numbers,
            caveats=tuple(caveats),
        ),
        bias=grounds.map(
            "bias",
            bias,
            unit="counts",
            meaning="What the denoiser adds (above 0) or takes away (below 0) however "
            "the noise falls.",
            scale="diverging",
            numbers={"rms_counts": float(np.sqrt(np.nanmean(squared)))},
            caveats=(
                "Measured on the denoised image, from which lost detail is missing "
                "already: the true bias is larger.",
            ),
        ),
        spread=grounds.map(
            "spread",
            np.sqrt(smooth),
            unit="counts",
            meaning="How much (rms) a pixel of the denoised image would change in "
            "another exposure.",
            numbers={"rms_counts": float(np.sqrt(np.nanmean(smooth)))},
        ),
        factors=fit.factors,
        mse=fit.mse,
    )


def _fit(
    grounds: Grounds,
    spread: NDArray[np.float64],
    bias: NDArray[np.float64],
    terms: NDArray[np.float64] | None,
) -> _Fit:
    """Fit the model of the squared error to unbiased terms."""
    plain = {"spread": 1.0, "bias": 1.0, "contrast": 0.0, "constant": 0.0}
    if terms is None:
        caveat = (
            "The plain bootstrap: detail that the denoiser loses is not in it, so the "
            "true error is larger."
        )
        return _Fit(squared=spread + bias, factors=plain, caveats=(caveat,))
    mse = mean_interval(terms, np.random.default_rng(0))
    error = (mse.high - mse.low) / 4
    rough = float(np.nanmean(spread + bias))
    if error > _CHECKABLE * max(rough, mse.value):
        caveat = (
            "The dose or the frame is too small to check the bootstrap without the "
            "truth; its bias, and so the error, may be larger than shown."
        )
        return _Fit(squared=spread + bias, factors=plain, mse=mse, caveats=(caveat,))
    features = _features(grounds, spread, bias)
    factors = _factors(grounds, features, terms)
    squared = sum(
        factor * feature for factor, feature in zip(factors, features, strict=True)
    )
    sureness = error / max(mse.value, error)
    caveats = (
        f"Its mean is fitted to an unbiased estimate of the error that is sure to "
        f"{sureness / 2:.0%} (rms); single pixels are not checked.",
    )
    named = dict(zip(plain, (float(f) for f in factors), strict=True))
    return _Fit(
        squared=np.maximum(squared, 0),
        factors=named,
        mse=mse,
        caveats=caveats,
        numbers={"unbiased_mse_counts2": mse.to_dict()},
    )


def _features(
    grounds: Grounds, spread: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return what the squared error is made of, all in counts²."""
    x = grounds.denoised
    contrast = local_mean(x**2, 2.0) - local_mean(x, 2.0) ** 2
    constant = np.where(grounds.valid, float(np.nanmean(spread)), np.nan)
    return spread, bias, np.maximum(contrast, 0), constant


def _factors(
    grounds: Grounds,
    features: tuple[NDArray[np.float64], ...],
    terms: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the factors of the features that explain the terms, none below zero."""
    valid = grounds.valid
    # The variance of a term is about twice the square of that of the noise.
    noise = local_mean(grounds.model.variance(grounds.denoised), 4.0)[valid]
    weight = 1 / (math.sqrt(2) * np.maximum(noise, 0.05 * noise.mean()))
    columns = [local_mean(feature, _FIT_REACH)[valid] for feature in features]
    matrix = np.stack(columns, axis=1) * weight[:, None]
    target = local_mean(terms, _FIT_REACH)[valid] * weight
    gram = matrix.T @ matrix
    right = matrix.T @ target
    # The priors, in the units of a weighted pixel.
    for number, prior in enumerate(_PRIORS):
        gram[number, number] += 1 / prior**2
        right[number] += 1 / prior**2
    # Scaled to unit diagonal: features differ by orders of magnitude.
    size = np.sqrt(np.maximum(np.diag(gram), np.finfo(np.float64).tiny))
    lower = np.linalg.cholesky(gram / np.outer(size, size) + 1e-9 * np.eye(size.size))
    solution, _ = nnls(lower.T, np.linalg.solve(lower, right / size))
    return np.asarray(solution / size)
