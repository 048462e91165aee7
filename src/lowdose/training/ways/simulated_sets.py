"""The simulated sets of a recipe: opened, filtered, and divided by specimen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.simulation.dataset import Dataset, open_sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Name of the set that comes with the package.
SAMPLE: Final = "sample"
#: Of the division of every set, whatever the seed of a recipe: a network that goes on
#: from another is then validated on specimens that neither has learnt from.
_DIVISION: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedSet:
    """A set to learn from.

    Parameters
    ----------
    learnt, held : Dataset
        What is learnt from, and the specimens that validate.
    share : float
        Share of the examples that it gives.
    dose : float
        Multiple of its own dose at which it has, per area, that of the first set.
    """

    learnt: Dataset
    held: Dataset
    share: float = 1.0
    dose: float = 1.0


def open_sets(
    names: Sequence[str],
    *,
    shares: Sequence[float] = (),
    conditions: Mapping[str, Any],
    validation: float,
) -> list[SimulatedSet]:
    """Open sets, and hold specimens of each out.

    Parameters
    ----------
    names : sequence of str
        Files, or "sample".
    shares : sequence of float, optional
        Weights of the sets, by default alike.
    conditions : mapping
        Parameters that the images must have (see
        :meth:`lowdose.simulation.dataset.Dataset.filter`).
    validation : float
        Share of the specimens that is held out. Which ones depends on this share and
        the set alone.

    Returns
    -------
    list of SimulatedSet

    Raises
    ------
    InputError, FormatError
        If a file cannot be read.
    ParameterError
        If fewer than two specimens of a set fulfil the conditions, or the pixel size
        of one of several sets is not known.
    """
    weights = np.asarray(shares or [1.0] * len(names), float)
    opened = [_open(name, conditions) for name in names]
    found = []
    for dataset, weight in zip(opened, weights / weights.sum(), strict=True):
        specimens = len(dataset.specimens)
        held = min(0.5, max(validation, 0.51 / specimens))
        parts = dataset.split({"learn": 1 - held, "validate": held}, seed=_DIVISION)
        dose = 1.0 if dataset is opened[0] else _density(opened[0]) / _density(dataset)
        found.append(
            SimulatedSet(
                learnt=parts["learn"],
                held=parts["validate"],
                share=float(weight),
                dose=dose,
            )
        )
    return found


def _open(name: str, conditions: Mapping[str, Any]) -> Dataset:
    dataset = open_sample() if name == SAMPLE else Dataset(name)
    if conditions:
        dataset = dataset.filter(**conditions)
    if len(dataset.specimens) < 2:
        msg = (
            f"{len(dataset)} images of {len(dataset.specimens)} specimens in "
            f"{dataset.path.name} fulfil data.conditions={dict(conditions)}; two "
            "specimens are needed at least, one to learn from and one to validate."
        )
        raise ParameterError(msg)
    return dataset


def _density(dataset: Dataset) -> float:
    """Return the electrons per area of a set, in vacuum [e-/nm²]."""
    table = dataset.parameters
    if "pixel_size" not in (table.dtype.names or ()):
        msg = (
            f"The images of {dataset.path.name} have no pixel size, so that their dose "
            "cannot be made that of the other sets. Learn from this set alone."
        )
        raise ParameterError(msg)
    return dataset.vacuum / float(table["pixel_size"][0]) ** 2
