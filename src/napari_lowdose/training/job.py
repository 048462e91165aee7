"""The job of the widget "Train": copy, train, preview, keep; a generator without Qt.

However it ends, nothing is lost: the record of a training goes away with its model
being kept, or by the user's word. A generator that is closed (napari closes its
workers, and with them their generators, in the middle of a report) still makes the
step that writes the checkpoint.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import Cancelled, LowDoseError, OutputError
from lowdose.progress import Progress, ShouldStop
from napari_lowdose.training.cores import one_core_left
from napari_lowdose.training.previewing import Previewer
from napari_lowdose.training.recipes import make_recipe
from napari_lowdose.training.records import Record, forget, opened, write_record
from napari_lowdose.training.sources import glance, iter_copy

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from lowdose.training.config import Recipe
    from lowdose.training.result import TrainedModel
    from lowdose.zoo.cards import ModelCard
    from napari_lowdose.training.controls import Controls
    from napari_lowdose.training.recipes import Plan
    from napari_lowdose.training.sources import Source

#: How often a paused training looks whether it is to go on [s].
_LOOK_EVERY: Final = 0.1
#: Least time between two records of how far it is [s].
_NOTE_EVERY: Final = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A training whose first step is about to be made.

    Parameters
    ----------
    reason : str
        What was chosen, and why.
    recipe : Recipe
        All of it.
    folder : Path
        Where the checkpoints are.
    """

    reason: str
    recipe: Recipe
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """The training makes no step; `paused` is false when it goes on."""

    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptModel:
    """A model among the user's own.

    Parameters
    ----------
    card : ModelCard
        Of the copy.
    trained : TrainedModel
        What the training returned.
    seconds : float
        Time spent in its steps [s].
    """

    card: ModelCard
    trained: TrainedModel
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainRequest:
    """A training to begin, or to go on with.

    Parameters
    ----------
    record : Record
        Its name, folder and time; of one to go on with also the recipe.
    controls : Controls
        Pause, end and preview.
    plan : Plan, optional
        What was chosen; None to go on with the recipe of the record.
    sources : tuple of Source
        What it learns from.
    """

    record: Record
    controls: Controls
    plan: Plan | None = None
    sources: tuple[Source, ...] = ()

    def run(self, should_stop: ShouldStop) -> Generator[Any, None, KeptModel]:
        """Train, and keep the model.

        Yields
        ------
        Progress, Begun, Paused or Picture

        Returns
        -------
        KeptModel

        Raises
        ------
        LowDoseError
            As :func:`lowdose.training.loop.iter_train` does, and where data cannot be
            copied or the model not be added. A record stays where there is a
            checkpoint.
        """
        yield Progress(stage="load", done=0, total=0)
        return (yield from _Training(self).run(should_stop))


class _Training:
    """One run of a request, with what changes while it goes on."""

    def __init__(self, request: TrainRequest) -> None:
        self.record, self.controls = request.record, request.controls
        self.plan, self.sources = request.plan, request.sources
        self._wound_up = False
        self._made = False

    def run(self, should_stop: ShouldStop) -> Generator[Any, None, KeptModel]:
        """See :meth:`TrainRequest.run`."""
        folder = Path(self.record.folder)
        with opened(folder), self._cleared_up(folder), one_core_left():
            recipe, reason = yield from self._prepare(folder, should_stop)
            yield Begun(reason=reason, recipe=recipe, folder=folder)
            trained = yield from self._train(recipe, folder, should_stop)
            card = self._keep(trained)
        return KeptModel(card=card, trained=trained, seconds=self.record.seconds)

    def _prepare(
        self, folder: Path, should_stop: ShouldStop
    ) -> Generator[Progress, None, tuple[Recipe, str]]:
        from lowdose.training.config import recipe_from_dict, recipe_to_dict

        if self.plan is None:
            self.record = write_record(replace(self.record, **_mine()))
            return recipe_from_dict(self.record.recipe, where="The record"), ""
        # Before anything is copied: is there an image at all, and one to learn from?
        images = [source.open() for source in self.sources if source.is_image]
        seen = [glance(found[0]) for found in images[:1]]
        words = {source.key: [source.words] for source in self.sources}
        make_recipe(self.plan, words, seen)
        try:
            folder.mkdir(parents=True, exist_ok=False)
            self._made = True
            data = folder / "data"
            if any(source.layers for source in self.sources):
                data.mkdir()
        except OSError as error:
            why = (
                "it is there already"
                if isinstance(error, FileExistsError)
                else (error.strerror or str(error)).lower()
            )
            msg = f"The folder {folder} cannot be made: {why}. Choose another one."
            raise OutputError(msg) from error
        names = yield from iter_copy(self.sources, data, should_stop)
        recipe, reason = make_recipe(self.plan, names, seen)
        self.record = write_record(replace(self.record, recipe=recipe_to_dict(recipe)))
        return recipe, reason

    def _train(
        self, recipe: Recipe, folder: Path, should_stop: ShouldStop
    ) -> Generator[Any, None, TrainedModel]:
        from lowdose.training.hardware import Hardware
        from lowdose.training.loop import iter_train
        from lowdose.training.reports import TrainingProgress

        def stop() -> bool:
            return self._wound_up or should_stop()

        training = iter_train(
            recipe,
            folder,
            resume=True,
            hardware=Hardware(device=self.record.device),
            should_stop=stop,
            should_finish=self.controls.should_finish,
        )
        previewer = Previewer(self.controls, self.record.device)
        noted = time.monotonic()
        before = self.record.seconds
        while True:
            try:
                report = next(training)
            except StopIteration as end:
                trained: TrainedModel = end.value
                return trained
            try:
                yield report
                if isinstance(report, TrainingProgress):
                    self.record = replace(
                        self.record,
                        steps=report.first + report.done,
                        seconds=before + report.seconds,
                    )
                    if time.monotonic() - noted > _NOTE_EVERY:
                        noted = time.monotonic()
                        self.record = write_record(self.record)
                    yield from self._between(previewer, report, stop)
            except GeneratorExit:
                self._wind_up(training)
                raise

    def _between(
        self, previewer: Previewer, report: Any, stop: ShouldStop
    ) -> Generator[Any, None, None]:
        """Preview, and wait as long as the training is paused."""
        told = False
        while True:
            picture = previewer.picture(report, stop)
            if picture is not None:
                yield picture
            if stop() or not self.controls.paused:
                break
            if not told:
                told = True
                self.record = write_record(self.record)
                yield Paused(paused=True)
            self.controls.wait(_LOOK_EVERY)
        if told:
            yield Paused(paused=False)

    def _wind_up(self, training: Generator[Any, None, TrainedModel]) -> None:
        """Let a training whose reports nobody takes any more write its checkpoint."""
        self._wound_up = True
        try:
            while True:
                next(training)
        except (StopIteration, Cancelled):
            pass
        except (LowDoseError, RuntimeError) as error:
            # The worker is being ended, and can tell nobody; where Python itself ends,
            # no thread can be begun any more. The checkpoint of before remains.
            _log.warning("The training was stopped without a checkpoint: %s", error)

    def _keep(self, trained: TrainedModel) -> ModelCard:
        """Put the model among the user's own, and forget the training."""
        card = _add(trained.folder, self.record.name)
        with suppress(OutputError):  # the model is safe; what is left is only litter
            forget(self.record)
        return card

    @contextmanager
    def _cleared_up(self, folder: Path) -> Iterator[None]:
        """Leave a record where there is something to go on with, else nothing."""
        from lowdose.training import checkpoint

        try:
            yield
        except BaseException:
            with suppress(LowDoseError):
                if (folder / checkpoint.LAST).exists():
                    write_record(self.record)
                elif self._made:  # by this run, so that nothing in it is the user's
                    forget(replace(self.record, own=True))
            raise


def _add(folder: Path, name: str) -> ModelCard:
    """Add a model, under the next free name where another one was faster."""
    from lowdose.zoo.shelf import list_models
    from lowdose.zoo.user_models import add_model

    taken = {card.name.casefold() for card in list_models()}
    free, number = name, 2
    while free.casefold() in taken:
        free, number = f"{name}-{number}", number + 1
    return add_model(folder, name=free)


def _mine() -> dict[str, Any]:
    """Return what makes a record one of this process."""
    fresh = Record(name="", folder="", recipe={}, minutes=1.0)
    return {"pid": fresh.pid, "started": fresh.started}
