"""One run of a training: from a start or a checkpoint, step by step, to an end."""

from __future__ import annotations

import functools
import math
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lowdose.errors import Cancelled, TrainingError
from lowdose.training import checkpoint
from lowdose.training.feed import Feed
from lowdose.training.hardware import is_leader, translated
from lowdose.training.logs import Curve
from lowdose.training.reports import TrainingProgress
from lowdose.training.result import TrainedModel, snapshot, write_result
from lowdose.zoo.cards import read_card
from lowdose.zoo.shelf import TRAINED

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from lowdose.progress import Progress, ShouldStop
    from lowdose.training.batches import Batch
    from lowdose.training.examples import Way
    from lowdose.training.learner import Learner

#: Steps between two reports without a validation, at most, and time [s], at least.
_REPORT_EVERY, _REPORT_SECONDS = 10, 0.5


class Run:
    """A run of a training.

    Parameters
    ----------
    learner : Learner
        Fresh, or as a checkpoint had it.
    way : Way
        Its examples.
    folder : Path
        Of the training.
    minutes : float, optional
        Time for this run [min]. Pauses, while nobody asks the iterator of
        :meth:`train` for the next report, do not count.
    """

    def __init__(
        self, learner: Learner, way: Way, folder: Path, *, minutes: float | None
    ) -> None:
        self.learner, self.way, self.folder = learner, way, folder
        self._minutes = minutes
        self._scores: dict[str, float] = {}
        self._validated = -1
        #: Losses since the last validation, and since the last report.
        self._losses: list[float] = []
        self._since: list[float] = []
        self._described: dict[str, Any] = {}
        self._first = learner.step
        #: Time of this run [s], when it was last looked at, and paused since then.
        self._spent, self._looked, self._paused = 0.0, 0.0, 0.0

    def train(
        self, should_stop: ShouldStop, should_finish: ShouldStop
    ) -> Generator[Progress, None, str]:
        """Make steps until something ends them.

        Parameters
        ----------
        should_stop, should_finish : callable
            See :func:`lowdose.training.loop.iter_train`.

        Yields
        ------
        TrainingProgress

        Returns
        -------
        str
            Why it ended; see :class:`~lowdose.training.result.TrainedModel`.
        """
        learner, plan = self.learner, self.learner.recipe.training
        self._looked, reported = time.perf_counter(), (learner.step, 0.0)
        ended = self._over()
        with (
            self._feed() as feed,
            closing(Curve(self.folder, learner.step, writes=is_leader())) as curve,
        ):
            if not ended and learner.recipe.start and learner.step == 0:
                # What it begins with is to be beaten, and may be the best there is.
                self._validate(curve)
                yield from self._report(validated=True)
            while not ended:
                stop, finish = self._step(feed, should_stop, should_finish)
                due = learner.step % plan.validate_every == 0
                ended = self._over() or ("asked" if finish else "")
                if due or ended:
                    # A run out of its time is no end: what it finds then must not
                    # change what an uninterrupted one would have done.
                    self._validate(curve, counts=due or ended != "budget")
                    ended = ended or ("plateau" if learner.plateau.exhausted else "")
                if due or stop or ended or learner.step % plan.checkpoint_every == 0:
                    self._save(checkpoint.LAST)
                if (
                    due
                    or ended
                    or learner.step - reported[0] >= _REPORT_EVERY
                    or self._spent - reported[1] >= _REPORT_SECONDS
                ):
                    reported = (learner.step, self._spent)
                    yield from self._report(validated=due or bool(ended))
                if stop and not ended:
                    msg = (
                        f"Stopped after step {learner.step}; "
                        f"{self.folder / checkpoint.LAST} is kept to resume."
                    )
                    raise Cancelled(msg)
        return ended

    def finish(self, ended: str) -> TrainedModel:
        """Write the model.

        Parameters
        ----------
        ended : str
            What :meth:`train` returned.

        Returns
        -------
        TrainedModel
        """
        learner = self.learner
        best = self.folder / checkpoint.BEST
        keeps_best = learner.recipe.training.keep == "best" and best.exists()
        if keeps_best:
            learner.take_average(best)
        if keeps_best or not self._scores:
            self._scores = self.way.validate(learner.apply)
        if is_leader():
            write_result(learner, self.way, self.folder, self._scores)
        learner.fabric.barrier()
        if learner.fabric.world_size > 1:
            torch.distributed.destroy_process_group()
        return TrainedModel(
            folder=self.folder / TRAINED,
            card=read_card(self.folder / TRAINED),
            steps=learner.step,
            scores=dict(self._scores),
            ended=ended,
        )

    def _feed(self) -> Feed:
        """Return the batches of this device."""
        learner, rank = self.learner, self.learner.fabric.global_rank
        each = learner.recipe.training.batch
        return Feed(
            self.way,
            seed=learner.recipe.seed,
            numbers=range(rank * each, (rank + 1) * each),
            conditions=learner.conditions,
            last=learner.recipe.training.steps,
        )

    def _step(
        self, feed: Feed, should_stop: ShouldStop, should_finish: ShouldStop
    ) -> tuple[bool, bool]:
        """Make a step on all devices, and return whether to stop and to finish."""
        learner, fabric = self.learner, self.learner.fabric
        step = learner.step
        batch = feed.batch(step)
        with translated(fabric.device, self._kept()):
            loss = learner.learn(batch)
            now = time.perf_counter()
            seconds = now - self._looked - self._paused
            self._looked, self._paused = now, 0.0
            # One message for all, so that all devices take the same decisions. Apple's
            # have no double precision.
            device = "cpu" if fabric.device.type == "mps" else fabric.device
            told = torch.tensor(
                [loss, float(should_stop()), float(should_finish()), seconds],
                dtype=torch.float64,
                device=device,
            )
            told = fabric.all_reduce(told, reduce_op="mean")  # type: ignore[assignment]
        loss, stop, finish, seconds = told.tolist()
        learner.seconds += seconds
        self._spent += seconds
        if not math.isfinite(loss):
            self._diverged(step, batch)
        self._losses.append(loss)
        self._since.append(loss)
        return stop > 0, finish > 0

    def _diverged(self, step: int, batch: Batch) -> None:
        bad = [
            name
            for name, seen, target in zip(
                batch.names, batch.seen, batch.target, strict=True
            )
            if not (np.isfinite(seen).all() and np.isfinite(target).all())
        ]
        bad, every = self._of_all(bad), self._of_all(list(batch.names))
        names = bad or every
        cause = (
            "These examples are not finite."
            if bad
            else "The examples are sound, so the training diverged: lower "
            "training.learning_rate."
        )
        msg = (
            f"The loss of step {step + 1} is not finite, in the batch of "
            f"{'; '.join(names)}. {cause} {self._kept()}"
        )
        raise TrainingError(msg)

    def _of_all(self, names: list[str]) -> list[str]:
        """Return the names of all devices: the leader tells of them all."""
        if self.learner.fabric.world_size == 1:
            return names
        found: list[list[str]] = [[] for _ in range(self.learner.fabric.world_size)]
        torch.distributed.all_gather_object(found, names)
        return [name for part in found for name in part]

    def _over(self) -> str:
        """Return why the training is over, or nothing."""
        learner, plan = self.learner, self.learner.recipe.training
        if learner.step >= plan.steps:
            return "steps"
        if learner.plateau.exhausted:
            return "plateau"
        if plan.minutes is not None and learner.seconds >= 60 * plan.minutes:
            return "time"
        # A run that makes no step at all would leave nothing to go on from.
        made = learner.step > self._first
        if self._minutes is not None and made and self._spent >= 60 * self._minutes:
            return "budget"
        return ""

    def _validate(self, curve: Curve, *, counts: bool = True) -> None:
        learner = self.learner
        if self._validated == learner.step:
            return
        with translated(learner.fabric.device, self._kept()):
            scores = self.way.validate(learner.apply)
        # Those of one device, so that the plateau is the same on all.
        self._scores = dict(learner.fabric.broadcast(scores))
        self._validated = learner.step
        row = {
            "loss": float(np.mean(self._losses)) if self._losses else math.nan,
            "learning_rate": learner.rate,
            "seconds": learner.seconds,
            **self._scores,
        }
        curve.add(learner.step, row)
        self._losses.clear()
        if counts and learner.plateau.see(self._scores[self.way.watched]):
            self._save(checkpoint.BEST)

    def _save(self, name: str) -> None:
        if is_leader():
            with translated(self.learner.fabric.device, self._kept()):
                self.learner.save(self.folder / name)
        self.learner.fabric.barrier()

    def _kept(self) -> str:
        last = self.folder / checkpoint.LAST
        if not last.exists():
            return "There is no checkpoint yet."
        return f"The last good checkpoint, {last}, is kept; resume from it."

    def _report(self, *, validated: bool) -> Generator[Progress, None, None]:
        """Yield a report, and take note of how long nobody asks for the next one."""
        learner, plan = self.learner, self.learner.recipe.training
        scores = dict(self._scores) if validated else {}
        done, total = learner.step - self._first, plan.steps - self._first
        limits = [(plan.minutes, learner.seconds), (self._minutes, self._spent)]
        left = [60 * limit - gone for limit, gone in limits if limit is not None]
        if left and done and self._spent:
            # In steps, so that the fraction and the time left come out right.
            total = min(total, done + max(0, round(min(left) * done / self._spent)))
        report = TrainingProgress(
            stage="train",
            done=done,
            total=max(done, total),
            seconds=self._spent,
            message=_sentence(learner.step, scores) if scores else "",
            loss=float(np.mean(self._since)) if self._since else math.nan,
            learning_rate=learner.rate,
            scores=scores,
            watched=self.way.watched,
            first=self._first,
            denoiser=functools.partial(snapshot, learner, self._described),
        )
        self._since.clear()
        began = time.perf_counter()
        yield report
        self._paused += time.perf_counter() - began


def _sentence(step: int, scores: Mapping[str, float]) -> str:
    return f"Step {step}: {', '.join(f'{k} {v:.3f}' for k, v in scores.items())}."
