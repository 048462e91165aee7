"""The best parameters of a filter: from the data alone, or from a known truth."""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import (
    Cancelled,
    InvalidImageError,
    ParameterError,
    UnknownDenoiserError,
    did_you_mean,
)
from lowdose.filters import FILTERS, make
from lowdose.filters.arguments import as_frame, recognised_noise
from lowdose.filters.searching import FINEST, SEARCH, STARTS, search
from lowdose.metrics.thinned import full_dose_error_terms
from lowdose.noise import NoiseModel, thin
from lowdose.parameters import resolve
from lowdose.progress import Clock, Progress, ShouldStop, never

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

    from lowdose.filters.searching import Cost
    from lowdose.parameters import Parameter, Value

    Images = NDArray[np.float32]
    Settings = dict[str, Any]
    Score = Literal["mse", "psnr"]

#: Largest edge of the part of a frame that is tuned on [px].
_EDGE: Final = 512
#: Share of the electrons that is kept when the others are held out.
_KEPT: Final = 0.9
#: Step of the random changes [standard deviations of the noise].
_CHANGE: Final = 0.3
#: Finest logarithmic step of tuning on one frame, whose error is known less well.
_FINEST_UNKNOWN: Final = 1.15
#: Binnings that are tried where nothing else is asked for.
_BINNINGS: Final = (1, 2, 4, 8)
#: Combinations of `vst` and `binning` that are searched, of those that are tried.
_SEARCHED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """Parameters that were found for a filter.

    Parameters
    ----------
    name : str
        The filter.
    values : mapping
        What to give to :func:`lowdose.filters.make`.
    mse : float
        Estimate of the mean squared error with these [counts²]. Where the error is
        small it scatters about it by more, and may be negative; but that scatter is
        nearly the same for all values, so that their order is surer than their errors.
    default_mse : float
        The same estimate with the defaults of the filter.
    tried : int
        How many sets of values were tried.
    """

    name: str
    values: Mapping[str, Value]
    mse: float
    default_mse: float
    tried: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "name": self.name,
            "values": dict(self.values),
            "mse_counts2": self.mse,
            "default_mse_counts2": self.default_mse,
            "tried": self.tried,
        }


def tune_by_thinning(
    frame: ArrayLike,
    name: str,
    *,
    noise: NoiseModel | None = None,
    vst: Sequence[str] | None = None,
    binnings: Sequence[int] = _BINNINGS,
    fixed: Mapping[str, Any] = MappingProxyType({}),
    most: int = 80,
    seed: int = 0,
    should_stop: ShouldStop = never,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tuned:
    """Find the best parameters of a filter on a noisy frame, without the truth.

    What is minimised is an unbiased estimate of the squared error: of counted electrons
    a tenth is held out at random, and how the filter follows them is taken off its
    apparent success (:func:`lowdose.metrics.thinned.full_dose_error_terms`). Where
    the counts are no whole electrons, small random changes take their place
    (Monte-Carlo SURE [1]_, with the variance of the noise model). All
    parameters are judged by the same electrons. Every combination of `vst` and
    `binning` is tried with the values the search starts from, and the best two are
    searched.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts as they were recorded, finite. Of a larger one the middle 512 x 512
        pixels are used.
    name : str
        A key of :data:`lowdose.filters.FILTERS`.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    vst, binnings : sequence, optional
        Values of `vst` and `binning` to try: by default without stabilisation and with
        that which suits the noise; and blocks of 1, 2, 4 and 8 px.
    fixed : mapping, optional
        Values that are not to be tuned, in the declared type or as text.
    most : int, optional
        Try no more sets of values than this.
    seed : int, optional
        Seed of the electrons that are held out.
    should_stop : callable, optional
        Asked between trials.
    on_progress : callable, optional
        Called with a :class:`~lowdose.progress.Progress` after each trial.

    Returns
    -------
    Tuned

    Raises
    ------
    UnknownDenoiserError
        If there is no such filter.
    InvalidImageError
        If the frame is none, or has no noise.
    ParameterError
        If `most`, `vst` or `binnings` are out of range.
    Cancelled
        If `should_stop` returned True.

    References
    ----------
    .. [1] S. Ramani, T. Blu, M. Unser, IEEE Trans. Image Process. 17 (2008) 1540-1554,
       doi:10.1109/TIP.2008.2001404.
    """
    axes = _axes(name)
    resolved = resolve(FILTERS[name].parameters, fixed, owner=name) if fixed else {}
    held = {key: resolved[key] for key in fixed}
    axes = {key: axis for key, axis in axes.items() if key not in held}
    if most < 1 or not binnings:
        msg = f"most={most} must be at least 1, and binnings={binnings!r} not empty."
        raise ParameterError(msg)
    whole = as_frame(frame)
    top, left = (max(0, (length - _EDGE) // 2) for length in whole.shape)
    counts = whole[top : top + _EDGE, left : left + _EDGE].astype(np.float32)
    model = recognised_noise(whole) if noise is None else noise
    if model.gain == 0 and model.read_noise == 0:
        msg = "The frame has no noise, so there is nothing to tune a filter for."
        raise InvalidImageError(msg)
    if vst is None:
        counted = model.gain == 1 and model.offset == model.read_noise == 0
        vst = (
            ("none",) if model.gain == 0 else ("none", "counts" if counted else "auto")
        )
    risk = _risk(name, counts, model, np.random.default_rng(seed))
    trials = _Trials(name, risk, most, should_stop, on_progress)
    default_mse = trials.cost(held)(_ready(name)[0])
    start = {key: axis.start for key, axis in axes.items()}
    combinations = [
        {"vst": one, "binning": factor, **held}
        for one, factor in itertools.product(vst, binnings)
        if 8 * factor <= min(counts.shape) or factor == 1
    ]
    first = sorted(combinations, key=lambda these: trials.cost(these)(start))
    for combination in first[:_SEARCHED]:
        search(trials.cost(combination), axes, start, finest=_FINEST_UNKNOWN)
    values, lowest = trials.best()
    return Tuned(
        name=name,
        values=values,
        mse=lowest,
        default_mse=default_mse,
        tried=len(trials.known),
    )


def tune_to_truth(
    name: str,
    counts: Images,
    truth: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    score: Score = "mse",
    first: int = 3,
    vst: Sequence[str] = ("none", "counts"),
    binnings: Sequence[int] = (1, 2, 3, 4),
) -> Settings:
    """Find the parameters of a filter that come nearest to a known truth.

    For benchmarks: tune on some images, and score on others. Every combination of
    `vst` and `binning` is searched on a few images spread over the stack, and
    the best two again on all of them. The defaults and the presets of the filter, with
    every `vst` and `binning`, are candidates too, so that on these images nothing that
    comes with it is better. The mean of each image is kept, as :func:`lowdose.denoise`
    does.

    Parameters
    ----------
    name : str
        A key of :data:`lowdose.filters.FILTERS`.
    counts : ndarray, shape (N, H, W), float32
        Noisy images.
    truth : array_like, shape (N, H, W)
        What they should be, times `scale`.
    scale : float or array_like, shape (N,), optional
        Counts per unit of the truth, of all images or of each.
    score : {"mse", "psnr"}, optional
        What is to be best: the mean over the images of the squared error, which hard
        images decide; or that of its logarithm, and so the mean PSNR.
    first : int, optional
        Images to search all combinations on.
    vst, binnings : sequence, optional
        The values to combine.

    Returns
    -------
    dict
        Every parameter, for :func:`lowdose.filters.make`.

    Raises
    ------
    UnknownDenoiserError
        If there is no such filter.
    """
    axes = _axes(name)
    images, wanted = np.asarray(counts), np.asarray(truth, dtype=np.float64)
    some = np.linspace(0, len(images) - 1, min(first, len(images))).astype(int)
    per_unit = np.broadcast_to(np.asarray(scale, np.float64), len(images))
    tiny = np.finfo(np.float64).tiny

    def trials(chosen: Any) -> _Trials:
        def cost(values: Settings) -> float:
            denoised = denoise_frames(name, images[chosen], values)
            errors = denoised / per_unit[chosen, None, None] - wanted[chosen]
            each = np.mean(np.square(errors), axis=(1, 2))
            return float(np.mean(np.log(each + tiny) if score == "psnr" else each))

        return _Trials(name, cost, None, never, None)

    few = trials(some)
    found: list[tuple[float, Settings]] = []
    for one, factor in itertools.product(vst, binnings):
        starts = [{key: axis.start for key, axis in axes.items()}]
        if found:
            # What was best at another binning is a good start, in units of noise.
            best = min(found, key=operator.itemgetter(0))[1]
            starts = [{key: best[key] for key in axes}]
        starts += [dict(start) for start in STARTS.get(name, ())]
        fixed = {"vst": one, "binning": factor}
        values, lowest = min(
            (search(few.cost(fixed), axes, start, finest=FINEST) for start in starts),
            key=operator.itemgetter(1),
        )
        found.append((lowest, {**values, **fixed}))
    everything = few if len(some) == len(images) else trials(slice(None))
    for _, values in sorted(found, key=operator.itemgetter(0))[:_SEARCHED]:
        fixed = {key: values[key] for key in ("vst", "binning")}
        start = {key: values[key] for key in axes}
        search(everything.cost(fixed), axes, start, finest=FINEST)
    ready = _ready(name)
    for values, one, factor in itertools.product(ready, vst, binnings):
        everything.cost({"vst": one, "binning": factor})(values)
    return {**ready[0], **everything.best()[0]}


def _ready(name: str) -> list[Settings]:
    """Return the defaults and the presets of a filter, every value of each."""
    spec = FILTERS[name]
    return [
        resolve(spec.parameters, given, owner=name)
        for given in ({}, *spec.presets.values())
    ]


def denoise_frames(name: str, frames: Images, values: Mapping[str, Any]) -> Images:
    """Denoise each frame as a whole and keep its mean, as :func:`lowdose.denoise`.

    Parameters
    ----------
    name : str
        A key of :data:`lowdose.filters.FILTERS`.
    frames : ndarray, shape (N, H, W), float32
        Counts; each is denoised for itself.
    values : mapping
        Values of parameters of the filter.

    Returns
    -------
    ndarray, shape (N, H, W), float32
    """
    denoiser = make(name, **values)
    result = denoiser.denoise_patches(
        frames[:, None], [denoiser.measure(frame) for frame in frames]
    )
    means = (frames - result).mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    result += means.astype(np.float32)
    return result


class _Trials:
    """The sets of values that were tried, each once, and what they cost."""

    def __init__(
        self,
        name: str,
        judge: Cost,
        most: int | None,
        should_stop: ShouldStop,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._name, self._judge, self._most = name, judge, most
        self._should_stop, self._on_progress = should_stop, on_progress
        self._declared = {p.name: p for p in FILTERS[name].parameters}
        self._clock = Clock()
        self.known: dict[tuple[Any, ...], tuple[float, Settings]] = {}

    def cost(self, fixed: Settings) -> Cost:
        """Return the cost of values beside some that are fixed."""

        def cost(values: Settings) -> float:
            return self._cost({**values, **fixed})

        return cost

    def best(self) -> tuple[Settings, float]:
        """Return the best values that were tried, and their cost."""
        lowest, values = min(self.known.values(), key=operator.itemgetter(0))
        return values, lowest

    def _cost(self, values: Settings) -> float:
        if not all(_within(self._declared[k], value) for k, value in values.items()):
            return math.inf
        key = tuple(
            float(f"{value:.6g}") if isinstance(value, float) else value
            for _, value in sorted(values.items())
        )
        if key in self.known:
            return self.known[key][0]
        if self._most is not None and len(self.known) >= self._most:
            return math.inf  # no step improves any more, so every search ends
        if self._should_stop():
            msg = f"Tuning {self._name} was stopped."
            raise Cancelled(msg)
        found = self._judge(values)
        self.known[key] = (found, values)
        if self._on_progress is not None:
            done = len(self.known)
            self._on_progress(
                Progress(
                    stage=f"tune {self._name}",
                    done=done,
                    total=max(self._most or done, done),
                    seconds=self._clock.seconds,
                )
            )
        return found


def _axes(name: str) -> Mapping[str, Any]:
    if name not in SEARCH:
        msg = f"There is no filter {name!r} to tune. {did_you_mean(name, SEARCH)}"
        raise UnknownDenoiserError(msg)
    return SEARCH[name]


def _within(parameter: Parameter, value: Any) -> bool:
    low, high = parameter.minimum, parameter.maximum
    return (low is None or value >= low) and (high is None or value <= high)


def _risk(
    name: str, counts: Images, model: NoiseModel, rng: np.random.Generator
) -> Cost:
    """Return the estimate of the squared error of values [counts²], up to no constant.

    The electrons that are held out, or the changes, are drawn once: all values are
    judged by the same.
    """
    unit = model.gain
    counted = unit > 0 and model.read_noise == 0
    if counted:
        whole = (counts - model.offset) / unit
        counted = bool(np.abs(whole - np.rint(whole)).max() < 1e-3 and whole.min() >= 0)
    if counted:
        kept, held = thin(counts, _KEPT, rng, gain=unit, offset=model.offset)
        electrons = np.rint(whole)
        held_out = (held - model.offset) / unit

        def thinned(values: Settings) -> float:
            full, fewer = denoise_frames(name, np.stack([counts, kept]), values)
            terms = full_dose_error_terms(
                electrons,
                held_out,
                (fewer - model.offset) / unit,
                p=_KEPT,
                full=(full - model.offset) / unit,
            )
            return float(terms.mean()) * unit**2

        return thinned
    # Not cut off at zero as that of the model is, for that would be a bias.
    variance = unit * (counts.astype(np.float64) - model.offset) + model.read_noise**2
    deviation = np.sqrt(model.variance(np.maximum(counts, model.offset)))
    deviation = np.maximum(deviation, deviation.mean() / 10)
    signs = rng.choice([-1.0, 1.0], counts.shape)
    changed = (counts + _CHANGE * deviation * signs).astype(np.float32)

    def probed(values: Settings) -> float:
        full, other = denoise_frames(name, np.stack([counts, changed]), values)
        follows = variance * signs * (other - full) / (_CHANGE * deviation)
        return float(np.mean(np.square(full - counts) - variance + 2 * follows))

    return probed
