"""The learning rate of each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowdose.training.config import Recipe
    from lowdose.training.plan import TrainingConfig


def learning_rate(
    step: int, recipe: Recipe, *, seconds: float = 0.0, reduced: float = 1.0
) -> float:
    """Return the rate of a step.

    Parameters
    ----------
    step : int
        Steps made so far.
    recipe : Recipe
        Its table ``[training]`` says how.
    seconds : float, optional
        Time spent so far [s]. Where the recipe has a time budget, and its share is
        larger than that of the steps, the cosine follows the time.
    reduced : float, optional
        What the plateaus so far have made of the rate (see :class:`Plateau`).

    Returns
    -------
    float
        Rate of Adam.
    """
    plan, rate = recipe.training, recipe.learning_rate
    rise = min(1.0, (step + 1) / plan.warmup) if plan.warmup else 1.0
    if plan.schedule == "stepped":
        return rise * plan.rates[sum(step >= bound for bound in plan.boundaries)]
    if plan.schedule == "plateau":
        return rise * rate * reduced
    if plan.schedule == "constant" or step < plan.warmup:
        return rise * rate
    position = float(step)
    if plan.minutes is not None:
        position = max(position, min(1.0, seconds / (60 * plan.minutes)) * plan.steps)
    return _cosine(position, plan, rate)


def _cosine(position: float, plan: TrainingConfig, rate: float) -> float:
    bounds = [plan.warmup, *plan.restarts, plan.steps]
    cycle = min(sum(position >= bound for bound in bounds) - 1, len(bounds) - 2)
    share = (position - bounds[cycle]) / max(1, bounds[cycle + 1] - bounds[cycle])
    high = rate * plan.restart_factor**cycle
    low = 0.01 * high
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


class Plateau:
    """Watches the validation: what is best, and since when nothing was better.

    Parameters
    ----------
    plan : TrainingConfig
        ``factor``, ``patience`` and ``patience_to_stop``.
    """

    def __init__(self, plan: TrainingConfig) -> None:
        self._plan = plan
        self.best = -math.inf
        #: Validations since the best, and since the last reduction of the rate.
        self.waited = self.since_reduced = 0
        self.reduced = 1.0

    def see(self, score: float) -> bool:
        """Take note of a validation, and return whether it is the best so far."""
        if score > self.best:
            self.best, self.waited, self.since_reduced = score, 0, 0
            return True
        self.waited += 1
        self.since_reduced += 1
        if self.since_reduced > self._plan.patience:
            self.reduced *= self._plan.factor
            self.since_reduced = 0
        return False

    @property
    def exhausted(self) -> bool:
        """Whether it is time to stop early."""
        return 0 < self._plan.patience_to_stop <= self.waited

    def state(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return {
            "best": self.best,
            "waited": self.waited,
            "since_reduced": self.since_reduced,
            "reduced": self.reduced,
        }

    def restore(self, state: dict[str, float]) -> None:
        """Go on from :meth:`state`."""
        self.best, self.reduced = float(state["best"]), float(state["reduced"])
        self.waited = int(state["waited"])
        self.since_reduced = int(state["since_reduced"])
