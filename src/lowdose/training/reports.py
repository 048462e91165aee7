"""How a training reports: a progress with the loss, the scores, and a preview."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowdose.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowdose.denoiser import Denoiser


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress(Progress):
    """Where a training stands; ``done`` and ``total`` count steps, from the first on.

    Parameters
    ----------
    loss : float
        Mean loss since the report before.
    learning_rate : float
        Rate of the last step.
    scores : mapping of str to float
        Of the validation that was made just now, larger is better; empty where
        there was none.
    watched : str
        The score that decides what is best.
    first : int
        Steps that earlier runs of a resumed training had made.
    denoiser : callable
        Returns the averaged network of the moment of the call as a
        :class:`~lowdose.denoiser.Denoiser` on the CPU, for a preview. Call it
        between two steps of the iterator.
    """

    loss: float
    learning_rate: float
    scores: Mapping[str, float] = field(default_factory=dict)
    watched: str = ""
    first: int = 0
    denoiser: Callable[[], Denoiser] | None = None
