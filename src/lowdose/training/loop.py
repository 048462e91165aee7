"""The training loop: an iterator that reports, stops when told, and resumes."""

from __future__ import annotations

import functools
import math
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lowdose.errors import (
    Cancelled,
    LowDoseWarning,
    OutputError,
    ParameterError,
    TrainingError,
)
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.training import checkpoint, ways
from lowdose.training.examples import Setting, make_batch
from lowdose.training.hardware import Hardware, is_leader, make_fabric, translated
from lowdose.training.learner import Learner, network_of
from lowdose.training.logs import Curve
from lowdose.training.result import TrainedModel, snapshot, write_result
from lowdose.zoo.cards import read_card
from lowdose.zoo.shelf import TRAINED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from lowdose.denoiser import Denoiser
    from lowdose.micrograph import Micrograph
    from lowdose.training.config import Recipe
    from lowdose.training.examples import Batch, Way

#: Steps between two reports without a validation, at most, and time [s], at least.
_REPORT_EVERY, _REPORT_SECONDS = 10, 0.5


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
    denoiser : callable
        Returns the averaged network of the moment of the call as a
        :class:`~lowdose.denoiser.Denoiser` on the CPU, for a preview. Call it
        between two steps of the iterator.
    """

    loss: float
    learning_rate: float
    scores: Mapping[str, float] = field(default_factory=dict)
    watched: str = ""
    denoiser: Callable[[], Denoiser] | None = None


def iter_train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    hardware: Hardware | None = None,
    given: Mapping[str, Micrograph] | None = None,
    should_stop: ShouldStop = never,
    should_finish: ShouldStop = never,
) -> Generator[Progress, None, TrainedModel]:
    """Train a network by a recipe.

    Parameters
    ----------
    recipe : Recipe
        See :func:`lowdose.training.config.read_recipe`.
    folder : Path
        Where everything goes: ``last.pt`` and ``best.pt``, ``curve.csv``, and in the
        end ``model/``, which ``lowdose denoise --denoiser`` takes.
    resume : bool, optional
        Go on from the last checkpoint in `folder`; the weights come out as they
        would have without the interruption.
    minutes : float, optional
        Stop this run after so long [min]; the model is written as it then is, and
        the training can be resumed. For a schedule that ends with the time, set
        ``training.minutes`` of the recipe instead.
    hardware : Hardware, optional
        What to train on; one device, the fastest, by default.
    given : mapping of str to Micrograph, optional
        Data in memory, by the key of ``[data]`` under which the recipe would name a
        file, such as ``{"stack": micrograph}``.
    should_stop : callable, optional
        Asked after every step. When true, a checkpoint is written and
        :class:`~lowdose.errors.Cancelled` is raised.
    should_finish : callable, optional
        Asked after every step. When true, the training ends there and the model is
        written.

    Yields
    ------
    Progress
        Plain ones while the data is made ready; then :class:`TrainingProgress`,
        stage "train", at most twice a second and at each validation.

    Returns
    -------
    TrainedModel

    Raises
    ------
    OutputError
        If the folder holds a training already and `resume` is false, or something
        cannot be written; the last checkpoint is then kept.
    TrainingError
        If the loss is not finite, or the checkpoint is damaged, of another version
        or of another recipe.
    InputError, FormatError, InvalidImageError, ParameterError
        If the data cannot be read, or cannot be learnt from in this way.
    DeviceError, OutOfMemoryError
        If the device failed; the last checkpoint is kept.
    Cancelled
        If told to stop; the checkpoint is kept.

    Warns
    -----
    LowDoseWarning
        If an assumption of the way to learn fails on the data.
    """
    last = checkpoint.find(folder)
    if last is not None and not resume and is_leader():
        msg = f"{folder} holds a training already. Resume it, or choose another folder."
        raise OutputError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {folder} cannot be made: {error.strerror}."
        raise OutputError(msg) from error
    way = yield from _opened(recipe, folder, given or {}, should_stop)
    for sentence in way.warnings:
        warnings.warn(sentence, LowDoseWarning, stacklevel=2)
    loss = recipe.training.loss
    if loss != "auto" and loss not in way.losses:
        msg = (
            f"training.loss={loss!r} is wrong for the targets of way={recipe.way!r}; "
            f"use {' or '.join(map(repr, way.losses))}, or leave it out."
        )
        raise ParameterError(msg)

    fabric = make_fabric(hardware or Hardware(), recipe.training.precision)
    fabric.launch()
    run = _Run(
        learner=Learner(recipe, fabric, way.losses[0] if loss == "auto" else loss),
        way=way,
        folder=folder,
        budget=minutes,
    )
    if last is not None and resume:
        run.learner.load(last)
    ended = yield from run.train(should_stop, should_finish)
    return run.finish(ended)


def _opened(
    recipe: Recipe,
    folder: Path,
    given: Mapping[str, Micrograph],
    should_stop: ShouldStop,
) -> Generator[Progress, None, Way]:
    network = network_of(recipe)
    setting = Setting(
        seed=recipe.seed,
        folder=folder,
        patch=recipe.training.patch,
        frames=int(network.options.get("frames", 1)),
        blind=network.architecture == "blind_spot",
        normalisation=network.normalisation,
        given=given,
    )
    opening = ways.iter_open(recipe.data, setting)
    while True:
        try:
            progress = next(opening)
        except StopIteration as end:
            way: Way = end.value
            return way
        yield progress
        if should_stop():
            msg = "The training was stopped while its data was made ready."
            raise Cancelled(msg)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run of a training, from a start or a checkpoint to an end."""

    learner: Learner
    way: Way
    folder: Path
    budget: float | None
    scores: dict[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    described: dict[str, Any] = field(default_factory=dict)
    validated: int = -1

    def train(
        self, should_stop: ShouldStop, should_finish: ShouldStop
    ) -> Generator[Progress, None, str]:
        """Make steps until something ends them, and return what it was."""
        learner, plan = self.learner, self.learner.recipe.training
        curve = Curve(self.folder, learner.step) if is_leader() else None
        clock, first, spent = Clock(), learner.step, 0.0
        reported = (learner.step, 0.0)
        since: list[float] = []
        ended = self._over(0.0)
        if not ended and learner.recipe.start and learner.step == 0:
            # What it begins with is to be beaten, and may be the best there is.
            self._validate(curve)
            yield self._progress(first, clock.seconds, since, validated=True)
        while not ended:
            started = time.perf_counter()
            loss, stop, finish = self._step(should_stop, should_finish)
            took = time.perf_counter() - started
            spent += took
            since.append(loss)
            due = learner.step % plan.validate_every == 0
            ended = self._over(spent) or ("asked" if finish else "")
            if due or ended:
                self._validate(curve)
                ended = ended or ("plateau" if learner.plateau.exhausted else "")
            if due or stop or ended or learner.step % plan.checkpoint_every == 0:
                self._save(checkpoint.LAST)
            report = (learner.step, clock.seconds)
            if (
                due
                or ended
                or report[0] - reported[0] >= _REPORT_EVERY
                or report[1] - reported[1] >= _REPORT_SECONDS
            ):
                reported = report
                yield self._progress(
                    first, clock.seconds, since, validated=due or bool(ended)
                )
                since = []
            if stop and not ended:
                if curve is not None:
                    curve.close()
                msg = (
                    f"Stopped after step {learner.step}; "
                    f"{self.folder / checkpoint.LAST} is kept to resume."
                )
                raise Cancelled(msg)
        if curve is not None:
            curve.close()
        return ended

    def finish(self, ended: str) -> TrainedModel:
        """Write the model."""
        learner = self.learner
        best = self.folder / checkpoint.BEST
        if learner.recipe.training.keep == "best" and best.exists():
            learner.take_average(best)
        if not self.scores or learner.recipe.training.keep == "best":
            self.scores = self.way.validate(learner.apply)
        if is_leader():
            write_result(learner, self.way, self.folder, self.scores)
        learner.fabric.barrier()
        if learner.fabric.world_size > 1:
            torch.distributed.destroy_process_group()
        return TrainedModel(
            folder=self.folder / TRAINED,
            card=read_card(self.folder / TRAINED),
            steps=learner.step,
            scores=dict(self.scores),
            ended=ended,
        )

    def _step(
        self, should_stop: ShouldStop, should_finish: ShouldStop
    ) -> tuple[float, bool, bool]:
        """Make a step on all devices, and return its mean loss and what was asked."""
        learner, fabric = self.learner, self.learner.fabric
        started = time.perf_counter()
        each = learner.recipe.training.batch
        mine = range(fabric.global_rank * each, (fabric.global_rank + 1) * each)
        step = learner.step
        batch = make_batch(
            self.way,
            seed=learner.recipe.seed,
            step=step,
            numbers=mine,
            conditions=learner.conditions,
        )
        with translated(fabric.device, self._kept()):
            loss = learner.learn(batch)
            seconds = time.perf_counter() - started
            asked = (float(should_stop()), float(should_finish()))
            # One message for all, so that all devices take the same decisions.
            told = torch.tensor(
                [loss, *asked, seconds], dtype=torch.float64, device=_wide(fabric)
            )
            told = fabric.all_reduce(told, reduce_op="mean")  # type: ignore[assignment]
        loss, stop, finish, seconds = told.tolist()
        learner.seconds += seconds
        if not math.isfinite(loss):
            self._diverged(step, batch)
        self.losses.append(loss)
        return loss, stop > 0, finish > 0

    def _diverged(self, step: int, batch: Batch) -> None:
        bad = [
            not (np.isfinite(seen).all() and np.isfinite(target).all())
            for seen, target in zip(batch.seen, batch.target, strict=True)
        ]
        names = [n for n, b in zip(batch.names, bad, strict=True) if b] or batch.names
        cause = (
            "these examples are not finite"
            if any(bad)
            else "the examples are sound, so the training diverged: lower "
            "training.learning_rate"
        )
        msg = (
            f"The loss of step {step + 1} is not finite, in the batch of "
            f"{'; '.join(names)}. {cause[0].upper()}{cause[1:]}. {self._kept()}"
        )
        raise TrainingError(msg)

    def _over(self, spent: float) -> str:
        """Return why the training is over, or nothing."""
        learner, plan = self.learner, self.learner.recipe.training
        if learner.step >= plan.steps:
            return "steps"
        if learner.plateau.exhausted:
            return "plateau"
        if plan.minutes is not None and learner.seconds >= 60 * plan.minutes:
            return "time"
        # A run that makes no step at all would leave nothing to go on from.
        if self.budget is not None and spent > 0 and spent >= 60 * self.budget:
            return "time"
        return ""

    def _validate(self, curve: Curve | None) -> None:
        learner = self.learner
        if self.validated == learner.step:
            return
        with translated(learner.fabric.device, self._kept()):
            scores = self.way.validate(learner.apply)
        # Those of one device, so that the plateau is the same on all.
        self.scores = dict(learner.fabric.broadcast(scores))
        self.validated = learner.step
        rate = learner.rate
        better = learner.plateau.see(self.scores[self.way.watched])
        if curve is not None:
            mean = float(np.mean(self.losses)) if self.losses else math.nan
            curve.add(
                learner.step,
                {
                    "loss": mean,
                    "learning_rate": rate,
                    "seconds": learner.seconds,
                    **self.scores,
                },
            )
        self.losses.clear()
        if better:
            self._save(checkpoint.BEST)

    def _save(self, name: str) -> None:
        if is_leader():
            self.learner.save(self.folder / name)
        self.learner.fabric.barrier()

    def _kept(self) -> str:
        last = self.folder / checkpoint.LAST
        if not last.exists():
            return "There is no checkpoint yet."
        return f"The last good checkpoint, {last}, is kept; resume from it."

    def _progress(
        self, first: int, seconds: float, since: list[float], *, validated: bool
    ) -> TrainingProgress:
        learner, plan = self.learner, self.learner.recipe.training
        scores = dict(self.scores) if validated else {}
        done, total = learner.step - first, plan.steps - first
        left = [
            60 * limit - gone
            for limit, gone in (
                (plan.minutes, learner.seconds),
                (self.budget, seconds),
            )
            if limit is not None
        ]
        if left and done:
            # In steps, so that the fraction and the time left come out right.
            total = min(total, done + max(0, round(min(left) * done / seconds)))
        return TrainingProgress(
            stage="train",
            done=done,
            total=max(done, total),
            seconds=seconds,
            message=_sentence(learner.step, scores) if scores else "",
            loss=float(np.mean(since)) if since else math.nan,
            learning_rate=learner.rate,
            scores=scores,
            watched=self.way.watched,
            denoiser=functools.partial(snapshot, learner, self.described),
        )


def _wide(fabric: Any) -> torch.device:
    """Return where a float64 tensor can be: not on Apple's devices."""
    device: torch.device = fabric.device
    return torch.device("cpu") if device.type == "mps" else device


def _sentence(step: int, scores: Mapping[str, float]) -> str:
    return f"Step {step}: {', '.join(f'{k} {v:.3f}' for k, v in scores.items())}."
