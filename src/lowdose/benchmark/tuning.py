"""Tuning a filter on images whose truth is known, for one dose."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import LowDoseError
from lowdose.filters import FILTERS
from lowdose.inference import denoise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lowdose.batch.spec import DenoiserSpec
    from lowdose.benchmark.study import Scene
    from lowdose.inference import DenoiseOptions
    from lowdose.parameters import Parameter, Value

    Values = dict[str, Value]

#: First factor of a number's step, and how often it is halved (its root taken).
_FACTOR: Final = 2.0
_HALVINGS: Final = 3
#: Binnings that are tried; more where an image is large.
_BINNINGS: Final = (1, 2, 4, 8, 12)
#: Smallest side of a binned image [px].
_SMALLEST: Final = 24


def tune(
    spec: DenoiserSpec, scenes: Sequence[Scene], options: DenoiseOptions
) -> Values:
    """Find the parameters of a filter that come nearest to the truth.

    Every combination of variance stabilisation and binning is searched by coordinate
    descent over the filter's own parameters: numbers in steps of a factor of 2 and
    then of its roots, whole numbers in steps of 1, choices one by one. The two best
    combinations are refined.

    Parameters
    ----------
    spec : DenoiserSpec
        The filter; values that it has are kept.
    scenes : sequence of Scene
        To minimise the mean squared error on, summed over all.
    options : DenoiseOptions
        Where to compute.

    Returns
    -------
    dict
        Every parameter that was tuned.
    """
    entry = FILTERS[spec.name]
    start: Values = {p.name: p.default for p in entry.parameters}
    if spec.preset is not None:
        start |= entry.presets[spec.preset]
    free = [p for p in entry.own if p.name not in spec.values and p.name != "scale"]
    cost = _Cost(spec, scenes, options)
    wrappers = _wrappers(spec, min(scenes[0].truth.shape[-2:]))
    found = []
    for wrapper in wrappers:
        values, error = _search(cost, free, {**start, **wrapper}, halvings=0)
        found.append((error, len(found), values))
        # What was best so far is a good start for the next, in units of the noise.
        start |= {p.name: min(found)[2][p.name] for p in free}
    finals = [
        _search(cost, free, values, halvings=_HALVINGS)
        for _, _, values in sorted(found)[:2]
    ]
    best = min(finals, key=lambda pair: pair[1])[0]
    tuned = {p.name for p in free} | {name for w in wrappers for name in w}
    return {name: value for name, value in best.items() if name in tuned}


def _wrappers(spec: DenoiserSpec, side: int) -> list[Values]:
    """Return the combinations of `vst` and `binning` to try."""
    axes: dict[str, list[Value]] = {}
    if "vst" not in spec.values:
        axes["vst"] = ["none", "counts"]
    if "binning" not in spec.values:
        axes["binning"] = [b for b in _BINNINGS if b == 1 or side // b >= _SMALLEST]
    return [
        dict(zip(axes, chosen, strict=True))
        for chosen in itertools.product(*axes.values())
    ]


class _Cost:
    """Mean squared error of a filter on all scenes; infinite where it fails."""

    def __init__(
        self, spec: DenoiserSpec, scenes: Sequence[Scene], options: DenoiseOptions
    ) -> None:
        self._spec, self._scenes, self._options = spec, scenes, options
        self._known: dict[tuple[Any, ...], float] = {}

    def __call__(self, values: Values) -> float:
        key = tuple(
            float(f"{value:.5g}") if isinstance(value, float) else value
            for value in values.values()
        )
        if key not in self._known:
            self._known[key] = self._error(values)
        return self._known[key]

    def _error(self, values: Values) -> float:
        from lowdose.batch.spec import DenoiserSpec

        spec = DenoiserSpec(
            name=self._spec.name, values={**values, **self._spec.values}
        )
        errors = []
        try:
            denoiser = spec.load()
            for scene in self._scenes:
                result = denoise(scene.counts, denoiser, options=self._options).data
                error = np.mean(np.square(result.astype(np.float64) - scene.truth))
                # Relative, so that a bright scene does not outweigh the others.
                errors.append(float(error) / max(float(np.var(scene.truth)), 1e-12))
        except LowDoseError:  # values that the filter, or this image, does not allow
            return math.inf
        return float(np.mean(errors))


def _search(
    cost: Callable[[Values], float],
    free: Sequence[Parameter],
    start: Values,
    *,
    halvings: int,
) -> tuple[Values, float]:
    best, lowest = dict(start), cost(start)
    level = 0
    while True:
        improved = False
        for parameter in free:
            for move in _moves(parameter, level):
                # Go on in a direction for as long as it helps.
                while (moved := move(best)) is not None:
                    found = cost(moved)
                    if not found < lowest:
                        break
                    best, lowest, improved = moved, found, True
        if not improved:
            level += 1
            if level > halvings:
                return best, lowest


def _moves(
    parameter: Parameter, level: int
) -> Iterator[Callable[[Values], Values | None]]:
    match parameter.kind:
        case "choice" | "bool":
            if level == 0:
                choices: Sequence[Value] = parameter.choices or (False, True)
                for choice in choices:
                    yield functools.partial(_chosen, parameter.name, choice)
        case "int":
            if level == 0:
                yield functools.partial(_stepped, parameter, 1)
                yield functools.partial(_stepped, parameter, -1)
        case _:
            ratio = _FACTOR ** (0.5**level)
            yield functools.partial(_scaled, parameter, ratio)
            yield functools.partial(_scaled, parameter, 1 / ratio)


def _chosen(name: str, choice: Value, values: Values) -> Values | None:
    return None if values[name] == choice else {**values, name: choice}


def _stepped(parameter: Parameter, step: int, values: Values) -> Values | None:
    return _within(parameter, values, int(values[parameter.name]) + step)


def _scaled(parameter: Parameter, factor: float, values: Values) -> Values | None:
    before = float(values[parameter.name])
    if before == 0:  # a number that is off has no neighbours by a factor
        return None
    return _within(parameter, values, before * factor)


def _within(parameter: Parameter, values: Values, value: float) -> Values | None:
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        return None
    return {**values, parameter.name: value}
