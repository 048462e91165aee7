r"""Which denoiser is best on this very image, and how sure that is.

Each denoiser's squared error is estimated without the truth, pixel by pixel (see
:mod:`lowdose.trust.pure`), all of them on the same counts, thinned alike. What is
common to all, above all the noise of the counts themselves, then cancels in the
*differences* between denoisers, which are far surer than the errors. How sure an order
is, is told by resampling blocks of pixels for all denoisers together (paired block
bootstrap) and counting how often it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.inference.fitting import fitted
from lowdose.inference.preview import loaded_denoiser
from lowdose.metrics.intervals import Estimate, block_means, resampled_means
from lowdose.micrograph import Micrograph
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.grounds import Grounds, find_noise, single_frame
from lowdose.trust.pure import probe_once
from lowdose.trust.repeats import DEFAULTS, check_stop, denoise_counts, finish

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.noise import NoiseModel

_LEVEL: Final = 0.95
#: Quantiles of the denoised images whose distance is the peak of the PSNR.
_RANGE: Final = (0.001, 0.999)
#: Chances that are put in words.
_SURE: Final = 0.95
_LIKELY: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One denoiser and its scores.

    Parameters
    ----------
    name : str
        As it was given.
    mse : Estimate
        Mean squared error [counts²], unbiased.
    psnr : Estimate
        The same as PSNR [dB], for the peak of the ranking.
    deviance : float or None
        Poisson deviance per pixel of electrons held out [nats]; None where they
        could not be.
    best : float
        How often it was the best of all in the bootstrap, 0 to 1.
    beats_next : float or None
        How often it was better than the next; None for the last.
    """

    name: str
    mse: Estimate
    psnr: Estimate
    deviance: float | None
    best: float
    beats_next: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as JSON types."""
        return {
            "name": self.name,
            "mse_counts2": self.mse.to_dict(),
            "psnr_db": self.psnr.to_dict(),
            "held_out_deviance_nats": self.deviance,
            "best_probability": self.best,
            "beats_next_probability": self.beats_next,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Denoisers in the order of their errors.

    Parameters
    ----------
    rows : tuple of Ranked
        The best first.
    peak : float
        What the PSNR calls the peak: the range of the denoised images [counts].
    frames : int
        Number of frames that were scored.
    verdict : str
        The outcome in words, with how sure it is.
    caveats : tuple of str
        What to know before believing it.
    """

    rows: tuple[Ranked, ...]
    peak: float
    frames: int
    verdict: str
    caveats: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the ranking as JSON types."""
        return {
            "ranking": [row.to_dict() for row in self.rows],
            "peak_counts": self.peak,
            "frames": self.frames,
            "verdict": self.verdict,
            "caveats": list(self.caveats),
        }


def iter_ranking(
    noisy: Micrograph | ArrayLike,
    denoisers: Mapping[str, Denoiser | str],
    *,
    noise: NoiseModel | None = None,
    frames: int = 3,
    probes: int = 2,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Ranking]:
    """Rank denoisers by their error on an image of which no truth is known.

    Parameters
    ----------
    noisy : Micrograph or array_like, shape (..., H, W)
        Detector counts as they were recorded; a stack or one frame.
    denoisers : mapping of str to Denoiser or str
        What to compare, at least two, by the name to report. Those that must know the
        pixel size are fitted to the image.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    frames : int, optional
        Score at most this many frames, spread over the stack.
    probes : int, optional
        How often each denoiser is probed per frame; each is run once more than that.
    seed : int, optional
        Seed of probes and bootstrap.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Progress
        After every run of a denoiser.

    Returns
    -------
    Ranking

    Raises
    ------
    InvalidImageError
        If a frame is constant, has no finite pixel or no noise.
    ParameterError
        If there are fewer than two denoisers, or no frames or probes.
    Cancelled
        If `should_stop` returned True.
    """
    if len(denoisers) < 2:
        msg = f"{len(denoisers)} denoisers cannot be compared; give at least two."
        raise ParameterError(msg)
    if frames < 1 or probes < 1:
        msg = f"frames={frames} and probes={probes} must be at least 1."
        raise ParameterError(msg)
    micrograph = noisy if isinstance(noisy, Micrograph) else Micrograph(noisy)
    chosen = np.unique(
        np.linspace(0, micrograph.n_frames - 1, frames).round().astype(int)
    )
    # Once for all, not for each of the noisier probes.
    denoisers = {
        name: fitted(loaded_denoiser(denoiser), micrograph)
        for name, denoiser in denoisers.items()
    }
    clock = Clock()
    total = len(chosen) * len(denoisers) * (probes + 1)
    done = 0
    errors: dict[str, list[NDArray[np.float64]]] = {name: [] for name in denoisers}
    deviances: dict[str, list[float]] = {name: [] for name in denoisers}
    ranges: list[float] = []
    caveats: tuple[str, ...] = ()
    for number in chosen:
        frame = _frame(micrograph, int(number))
        model, counted, told = find_noise(frame, noise=noise)
        caveats = caveats or told
        for name, denoiser in denoisers.items():
            check_stop(should_stop)
            clean = denoise_counts(
                np.asarray(frame),
                denoiser,
                frame,
                options=options,
                should_stop=should_stop,
            )
            done += 1
            yield Progress(stage=name, done=done, total=total, seconds=clock.seconds)
            grounds = Grounds(
                noisy=np.where(np.isfinite(clean), np.asarray(frame), np.nan),
                denoised=clean,
                model=model,
                counted=counted,
                frame=frame,
            )
            low, high = np.nanquantile(clean, _RANGE)
            ranges.append(float(high - low))
            # The same seed for all: the same electrons are held out.
            rng = np.random.default_rng([seed, int(number)])
            terms = np.zeros(clean.shape)
            for _ in range(probes):
                check_stop(should_stop)
                probed = probe_once(
                    grounds,
                    denoiser,
                    probe="thinning" if counted else "signs",
                    rng=rng,
                    options=options,
                    should_stop=should_stop,
                )
                terms += probed.terms / probes
                if probed.deviance is not None:
                    deviances[name].append(float(probed.deviance[grounds.valid].mean()))
                done += 1
                yield Progress(
                    stage=name, done=done, total=total, seconds=clock.seconds
                )
            errors[name].append(block_means(np.where(grounds.valid, terms, np.nan)))
    return _rank(
        {name: np.concatenate(parts) for name, parts in errors.items()},
        deviances,
        peak=float(np.median(ranges)),
        frames=len(chosen),
        caveats=(*caveats, *_caveats(denoisers)),
        rng=np.random.default_rng(seed),
    )


def ranking(
    noisy: Micrograph | ArrayLike,
    denoisers: Mapping[str, Denoiser | str],
    *,
    noise: NoiseModel | None = None,
    frames: int = 3,
    probes: int = 2,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Ranking:
    """Rank denoisers on an image; see :func:`iter_ranking`."""
    return finish(
        iter_ranking(
            noisy,
            denoisers,
            noise=noise,
            frames=frames,
            probes=probes,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def _frame(micrograph: Micrograph, number: int) -> Micrograph:
    calibration = micrograph.calibration.last(2)
    frame = Micrograph(micrograph.frame(number), calibration, micrograph.name)
    what = "image" if micrograph.n_frames == 1 else f"frame {number}"
    return single_frame(frame, what)


def _caveats(denoisers: Mapping[str, Denoiser | str]) -> tuple[str, ...]:
    blind = [
        name
        for name, denoiser in denoisers.items()
        if not isinstance(denoiser, str) and denoiser.needs.frames > 1
    ]
    caveats = ["Right only where the noise is independent from pixel to pixel."]
    if blind:
        caveats.append(
            f"{', '.join(blind)} would see neighbouring frames of a movie, but was "
            "given single ones here."
        )
    return tuple(caveats)


def _rank(
    errors: Mapping[str, NDArray[np.float64]],
    deviances: Mapping[str, list[float]],
    *,
    peak: float,
    frames: int,
    caveats: tuple[str, ...],
    rng: np.random.Generator,
) -> Ranking:
    if peak <= 0:
        msg = "Every denoiser made a constant image: there is nothing to rank."
        raise InvalidImageError(msg)
    names = sorted(errors, key=lambda name: float(errors[name].mean()))
    means = np.stack([errors[name] for name in names])
    samples = resampled_means(means, rng)
    # Equals share a first place, so that a twin of the best does not look beaten.
    leads = samples == samples.min(axis=0)
    first = leads / leads.sum(axis=0)
    rows = []
    for place, name in enumerate(names):
        low, high = np.quantile(samples[place], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        mse = Estimate(
            value=float(means[place].mean()),
            low=float(low),
            high=float(high),
            level=_LEVEL,
        )
        held = deviances[name]
        last = place + 1 == len(names)
        rows.append(
            Ranked(
                name=name,
                mse=mse,
                psnr=mse.decibels(peak),
                deviance=float(np.mean(held)) if held else None,
                best=float(np.mean(first[place])),
                beats_next=None if last else _ahead(samples[place], samples[place + 1]),
            )
        )
    return Ranking(
        rows=tuple(rows),
        peak=peak,
        frames=frames,
        verdict=_verdict(rows),
        caveats=caveats,
    )


def _ahead(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how often one error is below another; equals count half."""
    return float(np.mean(one < other) + np.mean(one == other) / 2)


def _verdict(rows: list[Ranked]) -> str:
    best = rows[0]
    if best.best >= _SURE:
        return f"{best.name} is the best of these on this image ({best.best:.0%} sure)."
    rivals = [row.name for row in rows[1:] if row.best >= (1 - _SURE)]
    if best.best >= _LIKELY:
        return (
            f"{best.name} is probably the best of these on this image "
            f"({best.best:.0%} sure); {' or '.join(rivals) or 'another'} may be."
        )
    tied = " and ".join([best.name, *rivals])
    return (
        f"{tied} cannot be told apart on this image (the first is ahead with "
        f"{best.best:.0%}). Compare on more frames, or choose by eye."
    )
