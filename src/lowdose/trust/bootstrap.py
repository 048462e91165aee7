r"""The expected error of every pixel, by denoising new noise on the denoised image.

Parametric bootstrap (Efron [1]_): take the denoised image for the specimen, draw new
noise on it, denoise again, many times. How the results scatter is the spread of the
denoiser, and how their mean differs from what was put in is its bias.

The spread is nearly right. The bias is too small, and that is no accident: what the
denoiser smooths away from the specimen is gone from its result, so it cannot be
smoothed away again (for a linear filter H the true bias is :math:`(H - 1)x`, that of
the bootstrap :math:`(H - 1)Hx`). Two further sources mend that, see
:mod:`lowdose.trust.error_model`: a second bootstrap of a result of the first one, whose
true error is known, and the unbiased error of :mod:`lowdose.trust.pure`, far too noisy
in a single pixel, but right in the mean.

References
----------
.. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman and Hall
   1993, sections 6.5 and 10.2, doi:10.1007/978-1-4899-4541-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.error_model import ErrorFit, Repeats, fit_errors
from lowdose.trust.grounds import Grounds, ground
from lowdose.trust.pure import iter_risk_terms
from lowdose.trust.repeats import (
    DEFAULTS,
    check_stop,
    denoise_counts,
    draw_noise,
    finish,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.metrics.intervals import Estimate
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.trust.maps import TrustMap

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
        Mean of the parts of the model, relative to that of the two bootstraps, see
        :mod:`lowdose.trust.error_model`.
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
        What denoised it; it is run ``1.5 * repeats + probes + 1`` times.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    repeats : int, optional
        How often new noise is drawn, at least 2.
    probes : int, optional
        How often the denoiser is probed for the unbiased error that the map is fitted
        to. 0: the plain bootstrap, whose bias is too small; ``repeats`` runs.
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
    second_repeats = max(2, repeats // 2) if probes else 0
    total = repeats + probes + (second_repeats + 1 if probes else 0)
    clock = Clock()

    def progress(done: int) -> Progress:
        return Progress(
            stage="bootstrap", done=done, total=total, seconds=clock.seconds
        )

    def again(image: NDArray[np.float64]) -> NDArray[np.float64]:
        check_stop(should_stop)
        return denoise_counts(
            draw_noise(image, grounds.model, rng),
            denoiser,
            grounds.frame,
            options=options,
            should_stop=should_stop,
        )

    first = Repeats(grounds.denoised)
    for number in range(repeats):
        first.add(again(grounds.denoised))
        yield progress(number + 1)
    second = None
    if probes:
        second = Repeats(again(grounds.denoised))
        for number in range(second_repeats):
            second.add(again(second.image))
            yield progress(repeats + number + 2)
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
    return _result(grounds, first, fit_errors(grounds, first, second, terms))


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


def _result(grounds: Grounds, first: Repeats, fit: ErrorFit) -> BootstrapErrors:
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
        "bootstrap_rms_counts": float(np.sqrt(np.nanmean(first.squared))),
        "repeats": first.number,
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
            first.mean,
            unit="counts",
            meaning="What the denoiser adds (above 0) or takes away (below 0) however "
            "the noise falls.",
            scale="diverging",
            numbers={"rms_counts": float(np.sqrt(np.nanmean(first.bias_squared)))},
            caveats=(
                "Measured on the denoised image, from which lost detail is missing "
                "already: the true bias is larger.",
            ),
        ),
        spread=grounds.map(
            "spread",
            np.sqrt(first.spread_squared),
            unit="counts",
            meaning="How much (rms) a pixel of the denoised image would change in "
            "another exposure.",
            numbers={"rms_counts": float(np.sqrt(np.nanmean(first.spread_squared)))},
        ),
        factors=fit.factors,
        mse=fit.mse,
    )
