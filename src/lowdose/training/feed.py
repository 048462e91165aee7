"""Draws the examples of the next step while the network learns from those of this."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from lowdose.training.batches import collate
from lowdose.training.examples import STEPS

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lowdose.training.batches import Batch
    from lowdose.training.examples import Example, Way

#: Threads at most: what they do is in turn bound by the lock of Python.
_MOST_THREADS: Final = 8
#: Steps that are drawn ahead.
_AHEAD: Final = 2


def spare_cores() -> int:
    """Return how many of the cores that this process may use it can spare.

    Returns
    -------
    int
        All but one, which is left to the network, and at most eight.
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(0, min(_MOST_THREADS, cores - 1))


class Feed:
    """Batches of a way to learn, in order of their steps.

    What is drawn depends on the seed, the step and the number of the example alone, so
    that neither the number of threads nor a training that was interrupted changes
    anything.

    Parameters
    ----------
    way : Way
        Source of the examples.
    seed : int
        Of the recipe.
    numbers : range
        Which examples of each step: a device of several draws its own share.
    conditions : int
        Number of constants that the network is told.
    last : int
        Number of the step before which the training ends.
    threads : int, optional
        How many draw ahead, by default :func:`spare_cores`; with 0 an example is
        drawn when it is asked for, as is best on a single core.
    """

    def __init__(
        self,
        way: Way,
        *,
        seed: int,
        numbers: range,
        conditions: int,
        last: int,
        threads: int | None = None,
    ) -> None:
        self._way, self._seed, self._numbers = way, seed, numbers
        self._conditions, self._last = conditions, last
        threads = spare_cores() if threads is None else threads
        self._threads = ThreadPoolExecutor(threads, "examples") if threads else None
        self._coming: dict[int, list[Future[Example]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def batch(self, step: int) -> Batch:
        """Return the examples of a step, and begin with those of the next ones.

        Raises
        ------
        LowDoseError
            What drawing an example raised.
        """
        if self._threads is None:
            examples = [self._draw(step, number) for number in self._numbers]
            return collate(examples, self._conditions)
        for coming in range(step, min(step + 1 + _AHEAD, self._last)):
            if coming not in self._coming:
                self._coming[coming] = [
                    self._threads.submit(self._draw, coming, number)
                    for number in self._numbers
                ]
        drawn = [future.result() for future in self._coming.pop(step)]
        return collate(drawn, self._conditions)

    def close(self) -> None:
        """Give up what was begun."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._coming.clear()

    def _draw(self, step: int, number: int) -> Example:
        rng = np.random.default_rng([self._seed, STEPS, step, number])
        return self._way.example(rng)
