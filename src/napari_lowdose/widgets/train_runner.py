"""The trainings of one widget: the job, its preview, and what to say when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, Signal

from lowdose.errors import LowDoseError
from lowdose.progress import Progress
from lowdose.zoo.shelf import find_model
from napari_lowdose._jobs import JobController, JobState
from napari_lowdose._messages import is_expected
from napari_lowdose._news import catalogue_news
from napari_lowdose.training.controls import Picture
from napari_lowdose.training.job import Begun, KeptModel, Paused, TrainRequest
from napari_lowdose.training.records import find_record
from napari_lowdose.training.words import (
    describe_kept,
    describe_stopped,
    explain_training,
)
from napari_lowdose.widgets.train_closing import CloseGuard

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_lowdose.widgets.train_preview import TrainPreview


class TrainRunner(QObject):
    """Trains, one at a time; see :mod:`napari_lowdose.training.job`.

    Signals: ``state_changed(JobState)``; ``begun(Begun)`` before the first step;
    ``progressed(Progress)``; ``paused(bool)``; ``warned(str)`` for an assumption that
    fails; and at the end ``ended(str, str)``, what to say, and the name of the model
    that was kept, if any.

    Parameters
    ----------
    preview : TrainPreview
        Shows the pictures that come.
    parent : QWidget
        The Qt parent; the window that it is in is watched while a training runs.
    """

    state_changed = Signal(object)
    begun = Signal(object)
    progressed = Signal(object)
    paused = Signal(bool)
    warned = Signal(str)
    ended = Signal(str, str)

    def __init__(self, preview: TrainPreview, parent: QWidget) -> None:
        super().__init__(parent)
        self._preview = preview
        self._request: TrainRequest | None = None
        self.jobs = JobController(self, description="Training")
        self.guard = CloseGuard(self.jobs, parent)
        self.jobs.state_changed.connect(self._on_state)
        self.jobs.progressed.connect(self._on_report)
        self.jobs.warned.connect(self.warned)
        self.jobs.succeeded.connect(self._on_kept)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)

    @property
    def state(self) -> JobState:
        """What the training is doing."""
        return self.jobs.state

    @property
    def busy(self) -> bool:
        """Whether a training runs or is being stopped."""
        return self.jobs.busy

    def start(self, request: TrainRequest) -> None:
        """Begin a training, or go on with one."""
        self._request = request
        self._preview.begin(request.controls)
        self.jobs.start(request.run)

    def pause(self, pause: bool = True) -> None:
        """Let the training wait, or go on."""
        if self._request is not None:
            self._request.controls.pause(pause)

    def finish(self) -> None:
        """End the training after the step in work, and keep its model."""
        if self._request is not None:
            self._request.controls.finish()

    def cancel(self) -> None:
        """Stop the training without a model; a checkpoint stays."""
        self.jobs.cancel()

    def close(self) -> None:
        """Stop at once and say nothing more; the worker still writes its checkpoint."""
        self.jobs.abandon()
        self.guard.watch(False)
        self._request = None
        self._preview.end()

    def _on_state(self, state: JobState) -> None:
        self.guard.watch(state is not JobState.IDLE)
        self.state_changed.emit(state)

    def _on_report(self, report: Any) -> None:
        match report:
            case Begun():
                self.begun.emit(report)
            case Paused():
                self.paused.emit(report.paused)
            case Picture():
                self._preview.show(report)
            case Progress():
                self.progressed.emit(report)

    def _on_kept(self, kept: KeptModel) -> None:
        self._over()
        catalogue_news().changed.emit()
        self.ended.emit(describe_kept(kept), kept.card.name)

    def _on_failed(self, error: Exception) -> None:
        record = find_record(self._over())
        rest = "" if record is None else f" {describe_stopped(record)}"
        self.ended.emit(f"{explain_training(error)}{rest}", "")
        if not is_expected(error):
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_cancelled(self) -> None:
        name = self._over()
        record = find_record(name)
        if record is None and _is_model(name):
            # Cancel was pressed when the model was being kept already.
            catalogue_news().changed.emit()
            self.ended.emit(f"It was finished already: '{name}' is kept.", name)
        else:
            self.ended.emit(describe_stopped(record), "")

    def _over(self) -> str:
        """Let go of the training, and return its name."""
        request, self._request = self._request, None
        self._preview.end()
        return "" if request is None else request.record.name


def _is_model(name: str) -> bool:
    try:
        find_model(name)
    except LowDoseError:
        return False
    return True
