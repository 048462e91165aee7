r"""The error of a denoised image without the truth: unbiased risk estimates.

For a denoised image x of noisy counts y,

.. math:: u_i = (x_i - y_i)^2 - v_i + 2 c_i

has the true squared error as its expectation, where :math:`v_i` is the variance of the
noise and :math:`c_i` the covariance of :math:`x_i` with the noise of its own pixel: how
far the denoiser follows the noise. Both are known without the truth:

- The variance from the counts, :math:`v_i = g (y_i - o) + r^2`, without bias.
- The covariance for counted electrons by thinning (see :mod:`lowdose.metrics.thinned`),
  which is Luisier's PURE [1]_ with finite differences; otherwise by Monte-Carlo
  probing [2]_ as in the PG-URE of Le Montagner et al. [3]_: counts are perturbed by
  :math:`\epsilon\sigma_i b_i` with random signs :math:`b_i`, and
  :math:`c_i \approx v_i b_i\,\Delta x_i / (\epsilon\sigma_i)`. With gain 0 that is
  SURE. Terms of second order in the derivative of the denoiser are left out, as in
  Le Montagner's practical form.

A single pixel's estimate scatters by :math:`\sqrt 2` times the variance of its noise,
so the map is an average over a neighbourhood, chosen such that it means something.

References
----------
.. [1] F. Luisier, T. Blu, M. Unser, "Image denoising in mixed Poisson-Gaussian
   noise", IEEE Trans. Image Process. 20 (2011) 696-708, doi:10.1109/TIP.2010.2073477.
.. [2] S. Ramani, T. Blu, M. Unser, "Monte-Carlo SURE: a black-box optimization of
   regularization parameters for general denoising algorithms", IEEE Trans. Image
   Process. 17 (2008) 1540-1554, doi:10.1109/TIP.2008.2001404.
.. [3] Y. Le Montagner, E. D. Angelini, J.-C. Olivo-Marin, "An unbiased risk estimator
   for image denoising in the presence of mixed Poisson-Gaussian noise", IEEE Trans.
   Image Process. 23 (2014) 1255-1268, doi:10.1109/TIP.2014.2300821.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from lowdose.errors import ParameterError
from lowdose.metrics.intervals import Estimate, mean_interval
from lowdose.metrics.thinned import full_dose_error_terms, held_out_deviance_terms
from lowdose.noise import thin
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.grounds import Grounds, ground
from lowdose.trust.repeats import DEFAULTS, check_stop, denoise_counts, finish
from lowdose.trust.smoothing import averaged_pixels, local_mean

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.trust.maps import TrustMap

Probe = Literal["thinning", "signs"]

#: Share of the electrons that the denoiser is given when it is probed by thinning. With
#: 0.9 total variation seems to follow the noise of 0.1 e-/px by 7 % more than it does,
#: which makes 1.5 dB of its error.
KEPT: Final = 0.97
#: Step of the probing by signs [standard deviations of the noise].
_STEP: Final = 0.3
#: Reach of the averages that may be chosen [px].
_SCALES: Final = (2.0, 48.0)
#: What the scatter of an average should be, relative to the mean squared error.
_SCATTER: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The error of a denoised image, estimated without the truth.

    Parameters
    ----------
    terms : ndarray, shape (H, W), float64
        Unbiased estimate of the squared error of every pixel [counts²]; noisy.
    mse : Estimate
        Their mean with its interval [counts²].
    map : TrustMap
        Their local averages [counts²].
    scale : float
        Standard deviation of the Gaussian weights of these averages [px].
    probe : {"thinning", "signs"}
        How the denoiser was probed.
    """

    terms: NDArray[np.float64]
    mse: Estimate
    map: TrustMap
    scale: float
    probe: Probe

    @property
    def maps(self) -> tuple[TrustMap, ...]:
        """The map, as every result has them."""
        return (self.map,)


def iter_risk(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    probes: int = 4,
    probe: Probe | None = None,
    scale: float | None = None,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Risk]:
    """Estimate the squared error of a denoised image, step by step.

    Parameters
    ----------
    noisy, denoised : Micrograph or array_like, shape (H, W)
        Counts of one frame, as recorded and denoised.
    denoiser : Denoiser or str
        What denoised it; it is run `probes` times more.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    probes : int, optional
        How often the denoiser is probed.
    probe : {"thinning", "signs"}, optional
        How; by thinning where the electrons were counted, by default.
    scale : float, optional
        Standard deviation of the Gaussian weights of local averages [px]. None: as
        small as the scatter allows, from 2 to 48 px.
    seed : int, optional
        Seed of the probes.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Progress
        After every probe.

    Returns
    -------
    Risk

    Raises
    ------
    InvalidImageError
        As :func:`~lowdose.trust.grounds.ground` does, or if probing by thinning is
        asked for and the electrons were not counted.
    ParameterError
        If a number is out of its range.
    Cancelled
        If `should_stop` returned True.
    """
    if probes < 1:
        msg = f"probes={probes} must be at least 1."
        raise ParameterError(msg)
    if scale is not None and not (math.isfinite(scale) and scale >= 0):
        msg = f"scale={scale} must be a number of pixels, at least 0."
        raise ParameterError(msg)
    grounds = ground(noisy, denoised, noise=noise)
    how = probe or ("thinning" if grounds.counted else "signs")
    terms = yield from iter_risk_terms(
        grounds,
        denoiser,
        probes=probes,
        probe=how,
        rng=np.random.default_rng(seed),
        options=options,
        should_stop=should_stop,
    )
    mse = mean_interval(terms, np.random.default_rng(seed))
    sigma = _scale(grounds, mse) if scale is None else scale
    return Risk(
        terms=terms,
        mse=mse,
        map=_map(grounds, terms, mse, sigma, how),
        scale=sigma,
        probe=how,
    )


def risk(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    noise: NoiseModel | None = None,
    probes: int = 4,
    probe: Probe | None = None,
    scale: float | None = None,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Risk:
    """Estimate the squared error of a denoised image; see :func:`iter_risk`."""
    return finish(
        iter_risk(
            noisy,
            denoised,
            denoiser,
            noise=noise,
            probes=probes,
            probe=probe,
            scale=scale,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def iter_risk_terms(
    grounds: Grounds,
    denoiser: Denoiser | str,
    *,
    probes: int,
    probe: Probe,
    rng: np.random.Generator,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, NDArray[np.float64]]:
    """Estimate the squared error of every pixel [counts²], step by step.

    Parameters
    ----------
    grounds : Grounds
        The two images and their noise.
    denoiser, probes, probe, options, should_stop
        As for :func:`iter_risk`.
    rng : numpy.random.Generator
        Source of the probes.

    Yields
    ------
    Progress
        After every probe.

    Returns
    -------
    ndarray, shape (H, W), float64
        NaN where a pixel is not valid.

    Raises
    ------
    InvalidImageError
        If thinning is asked for and the electrons were not counted.
    Cancelled
        If `should_stop` returned True.
    """
    clock = Clock()
    total = np.zeros(grounds.noisy.shape)
    for number in range(probes):
        check_stop(should_stop)
        total += probe_once(
            grounds,
            denoiser,
            probe=probe,
            rng=rng,
            options=options,
            should_stop=should_stop,
        ).terms
        yield Progress(
            stage="unbiased error",
            done=number + 1,
            total=probes,
            seconds=clock.seconds,
        )
    return np.where(grounds.valid, total / probes, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one more run of the denoiser tells.

    Parameters
    ----------
    terms : ndarray, shape (H, W), float64
        Unbiased estimate of the squared error of every pixel [counts²]; anything in
        pixels that are not valid.
    deviance : ndarray, shape (H, W), float64, or None
        Poisson deviance of the electrons held out [nats]; None where none were.
    """

    terms: NDArray[np.float64]
    deviance: NDArray[np.float64] | None = None


def probe_once(
    grounds: Grounds,
    denoiser: Denoiser | str,
    *,
    probe: Probe,
    rng: np.random.Generator,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Probed:
    """Run the denoiser once more, on counts that were changed on purpose.

    Parameters
    ----------
    grounds, denoiser, probe, rng, options, should_stop
        As for :func:`iter_risk_terms`.

    Returns
    -------
    Probed

    Raises
    ------
    InvalidImageError
        If thinning is asked for and the electrons were not counted.
    """
    if probe == "thinning":
        return _thinned(grounds, denoiser, rng, options, should_stop)
    return Probed(terms=_signed(grounds, denoiser, rng, options, should_stop))


def _thinned(
    grounds: Grounds,
    denoiser: Denoiser | str,
    rng: np.random.Generator,
    options: DenoiseOptions,
    should_stop: ShouldStop,
) -> Probed:
    model, valid = grounds.model, grounds.valid
    counts = np.where(valid, grounds.noisy, model.offset)
    gain, offset = model.gain, model.offset
    first, second = thin(counts, KEPT, rng, gain=gain, offset=offset)
    part = denoise_counts(
        np.where(valid, first, np.nan),
        denoiser,
        grounds.frame,
        options=options,
        should_stop=should_stop,
    )
    y, held_out, f, m = (
        np.where(valid, (image - offset) / gain, 0.0)
        for image in (counts, second, part, grounds.denoised)
    )
    terms = full_dose_error_terms(y, held_out, f, p=KEPT, full=m)
    return Probed(
        terms=np.asarray(gain**2 * terms),
        deviance=held_out_deviance_terms(held_out, f, p=KEPT),
    )


def _signed(
    grounds: Grounds,
    denoiser: Denoiser | str,
    rng: np.random.Generator,
    options: DenoiseOptions,
    should_stop: ShouldStop,
) -> NDArray[np.float64]:
    variance = grounds.unbiased_variance()
    # A step away from zero counts has to be as long as one of the mean signal.
    sigma = np.sqrt(local_mean(grounds.model.variance(grounds.denoised), 4.0))
    step = _STEP * np.maximum(sigma, 0.1 * np.nanmean(sigma))
    signs = rng.choice([-1.0, 1.0], grounds.noisy.shape)
    moved = denoise_counts(
        grounds.noisy + step * signs,
        denoiser,
        grounds.frame,
        options=options,
        should_stop=should_stop,
    )
    # One step will do: what is even in it cancels over the random signs.
    follows = variance * signs * (moved - grounds.denoised) / step
    distance = np.square(grounds.denoised - grounds.noisy)
    return np.asarray(distance - variance + 2 * follows)


def _scale(grounds: Grounds, mse: Estimate) -> float:
    """Return the least reach of averages whose scatter is below the error [px]."""
    scatter = math.sqrt(
        2 * float(np.nanmean(grounds.model.variance(grounds.denoised) ** 2))
    )
    error = max(mse.value, (mse.high - mse.low) / 4)
    if error <= 0:
        return _SCALES[1]
    needed = (scatter / (_SCATTER * error)) ** 2
    return float(np.clip(math.sqrt(needed / (4 * math.pi)), *_SCALES))


def _map(
    grounds: Grounds,
    terms: NDArray[np.float64],
    mse: Estimate,
    sigma: float,
    probe: Probe,
) -> TrustMap:
    averages = local_mean(terms, sigma)
    scatter = float(np.nanstd(terms)) / math.sqrt(averaged_pixels(sigma))
    caveats = [
        f"Averages over a neighbourhood of {sigma:.3g} px (standard deviation); they "
        f"scatter by about {scatter:.3g} counts² around the truth, below zero too.",
        "Right only where the noise is independent from pixel to pixel.",
    ]
    if mse.low <= 0:
        caveats.append(
            "The error of this image is too small, or the dose too low, to be told "
            "from zero without the truth."
        )
    return grounds.map(
        "unbiased squared error",
        averages,
        unit="counts²",
        meaning="A large value says that the denoised image is far from the specimen.",
        numbers={
            "mse_counts2": mse.to_dict(),
            "rms_counts": math.sqrt(mse.value) if mse.value > 0 else None,
            "scale_px": sigma,
            "probe": probe,
        },
        caveats=tuple(caveats),
    )
