"""The results of a benchmark, as a report reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.study import Item

    Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Everything that was found.

    Parameters
    ----------
    methods : sequence of Method
        What was compared.
    items : sequence of Item
        On what.
    rows : sequence of mapping
        With ``item`` and ``denoiser``; ``error`` where it failed.
    tuned : mapping
        Label, then level, to the parameters that were tuned.
    pictures : callable
        ``pictures(item key, label)``: the images kept, by name; empty without any.
    sums : callable
        ``sums(label, name)``: sum over all items, and of how many; None without any.
    """

    methods: Sequence[Method]
    items: Sequence[Item]
    rows: Rows
    tuned: Mapping[str, Mapping[str, Mapping[str, Any]]]
    pictures: Callable[[str, str], Mapping[str, NDArray[Any]]]
    sums: Callable[[str, str], tuple[NDArray[np.float64], int] | None]
    _kept: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> list[str]:
        """Labels of the methods, in the order that they were asked for."""
        return [method.label for method in self.methods]

    def of(self, label: str, **conditions: Any) -> list[Mapping[str, Any]]:
        """Return the rows of a method that did not fail and have these values."""
        if label not in self._kept:
            self._kept[label] = [
                row
                for row in self.rows
                if row["denoiser"] == label and "error" not in row
            ]
        return [
            row
            for row in self._kept[label]
            if all(row.get(key) == value for key, value in conditions.items())
        ]

    def failures(self) -> dict[str, list[str]]:
        """Return the errors of every method that failed on an item."""
        failed: dict[str, list[str]] = {}
        for row in self.rows:
            if "error" in row:
                failed.setdefault(row["denoiser"], []).append(str(row["error"]))
        return failed


def numbers(rows: Rows, key: str) -> NDArray[np.float64]:
    """Return the finite numbers of a key; rows without one are left out."""
    values = [row.get(key) for row in rows]
    array = np.array([np.nan if value is None else value for value in values], float)
    known: NDArray[np.float64] = array[np.isfinite(array)]
    return known


def mean(rows: Rows, key: str) -> float | None:
    """Return the mean of a key over the rows that have it; None without any."""
    values = numbers(rows, key)
    return float(values.mean()) if len(values) else None


def deviation(rows: Rows, key: str) -> float | None:
    """Return the standard deviation of a key between rows; None with fewer than two."""
    values = numbers(rows, key)
    return float(values.std(ddof=1)) if len(values) > 1 else None


def total(rows: Rows, key: str) -> float | None:
    """Return the sum of a key over the rows that have it; None without any."""
    values = numbers(rows, key)
    return float(values.sum()) if len(values) else None


def root_mean_square(rows: Rows, key: str) -> float | None:
    """Return the root mean square of a key over rows; None without any."""
    values = numbers(rows, key)
    return float(np.sqrt(np.mean(values**2))) if len(values) else None
