"""Which parameters of each filter are searched when it is tuned, and how."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Cost = Callable[[dict[str, Any]], float]

#: Steps of logarithmic axes are halved until they are below this.
FINEST: Final = 1.03


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter to search.

    Parameters
    ----------
    start : float, int or str
        First value.
    factor : float, optional
        First step of a number on a logarithmic axis; it is halved (its root taken)
        until it is fine enough.
    step : int, optional
        Step of a whole number.
    choices : tuple, optional
        Try all of these.
    """

    start: Any
    factor: float = 0.0
    step: int = 0
    choices: tuple[Any, ...] = ()

    def ratio(self, level: int) -> float:
        """Return the step of a logarithmic axis after so many halvings."""
        return self.factor ** (0.5**level) if self.factor else 1.0


_BACKGROUNDS: Final = ("rotational", "white")
_HRTEM: Final = {
    "strength": Axis(1.0, factor=2.0),
    "low": Axis(0.04, factor=2.0),
    "cutoff": Axis(0.2, factor=2.0),
    "background": Axis("rotational", choices=_BACKGROUNDS),
}

#: Where the search starts, for every parameter that changes amplitude, size or shape.
SEARCH: Final[Mapping[str, Mapping[str, Axis]]] = MappingProxyType(
    {
        "gaussian": {"sigma": Axis(1.0, factor=2.0)},
        "butterworth": {
            "cutoff": Axis(0.15, factor=2.0),
            "order": Axis(1.5, factor=2.0),
        },
        "median": {"radius": Axis(1, step=1)},
        "bilateral": {
            "sigma_color": Axis(3.0, factor=2.0),
            "sigma_space": Axis(1.5, factor=2.0),
        },
        "wiener": {"radius": Axis(2, step=1), "strength": Axis(1.0, factor=2.0)},
        "wavelet": {
            "strength": Axis(1.0, factor=2.0),
            "wavelet": Axis(
                "sym4", choices=("db1", "db2", "db4", "sym4", "sym8", "coif2")
            ),
            "levels": Axis(3, step=1),
            "shifts": Axis(4, choices=(4, 8)),
            "mode": Axis("soft", choices=("soft", "hard")),
        },
        "tv-chambolle": {
            "weight": Axis(1.5, factor=2.0),
            "eps": Axis(2e-4, choices=(2e-4, 1e-5)),
        },
        "tv-bregman": {
            "weight": Axis(0.4, factor=2.0),
            "eps": Axis(1e-3, choices=(1e-3, 1e-4)),
            "isotropic": Axis(True, choices=(True, False)),
        },
        "nl-means": {
            "h": Axis(0.7, factor=2.0),
            "expected": Axis(1.0, factor=1.5),
            "patch_radius": Axis(2, step=1),
            "distance": Axis(3, choices=(2, 3, 5, 8, 12, 20)),
        },
        "bm3d": {
            "strength": Axis(1.0, factor=1.3),
            "group": Axis("16", choices=("8", "16", "32")),
            "search": Axis(19, choices=(19, 40)),
        },
        "pure-let": {"shifts": Axis(4, choices=(4, 8)), "levels": Axis(4, step=1)},
        "hrtem-wiener": _HRTEM,
        "absf": _HRTEM,
        "bragg": {
            "radius": Axis(0.02, factor=2.0),
            "threshold": Axis(20.0, factor=2.0),
            "low": Axis(0.04, factor=2.0),
        },
        "pca": {
            "strength": Axis(1.0, factor=1.3),
            "patch": Axis(7, step=2),
            "window": Axis(32, choices=(24, 32, 48, 96)),
        },
    }
)

#: Further starts, of filters whose error has several valleys.
STARTS: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = MappingProxyType(
    {"nl-means": ({"h": 1.0, "expected": 0.0, "patch_radius": 3, "distance": 2},)}
)


def search(
    cost: Cost,
    axes: Mapping[str, Axis],
    start: Mapping[str, Any],
    *,
    finest: float = FINEST,
) -> tuple[dict[str, Any], float]:
    """Minimise by coordinate descent, from coarse steps to fine ones.

    Parameters
    ----------
    cost : callable
        Of a value for every axis; infinite where the values are not allowed.
    axes : mapping
        The parameters to move.
    start : mapping
        Where to begin.
    finest : float, optional
        Logarithmic steps are halved until they are below this ratio.

    Returns
    -------
    values, cost
        The best found: no single step of any axis improves on it.
    """
    best, lowest = dict(start), cost(dict(start))
    level = 0
    while True:
        improved = False
        for name, axis in axes.items():
            for move in _moves(axis, level):
                # Go on in a direction for as long as it helps.
                while (found := cost(moved := {**best, name: move(best[name])})) < (
                    lowest
                ):
                    best, lowest, improved = moved, found, True
        if not improved:
            level += 1
            if all(axis.ratio(level) < finest for axis in axes.values()):
                return best, lowest


def _moves(axis: Axis, level: int) -> list[Callable[[Any], Any]]:
    if axis.choices:
        return [functools.partial(_chosen, choice) for choice in axis.choices]
    if axis.step:
        steps = {axis.step, 1, -1, -axis.step}
        return [functools.partial(operator.add, step) for step in sorted(steps)]
    ratio = axis.ratio(level)
    return [functools.partial(operator.mul, factor) for factor in (ratio, 1 / ratio)]


def _chosen(choice: Any, _value: Any) -> Any:
    return choice
