"""The widget "Train": a model of your own, from your own data, while you watch.

It shows and forwards; what happens is in the parts. All work is done in a worker: the
check of the data before, and then one training at a time.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget

from lowdose.errors import LowDoseError
from lowdose.progress import Progress
from napari_lowdose._jobs import JobController, JobState
from napari_lowdose._messages import is_expected
from napari_lowdose._news import catalogue_news
from napari_lowdose._settings import read_settings, use_models_folder
from napari_lowdose.training.checking import Checked, CheckRequest
from napari_lowdose.training.controls import Controls, Picture
from napari_lowdose.training.job import Begun, KeptModel, Paused, TrainRequest
from napari_lowdose.training.records import find_record
from napari_lowdose.training.words import (
    describe_kept,
    describe_stopped,
    explain_training,
    plain,
)
from napari_lowdose.widgets.choosers import LayerBox
from napari_lowdose.widgets.docked import TeardownOnClose
from napari_lowdose.widgets.section import ColumnScroll
from napari_lowdose.widgets.train_choices import TrainChoices
from napari_lowdose.widgets.train_closing import CloseGuard
from napari_lowdose.widgets.train_curves import CurvesView
from napari_lowdose.widgets.train_preview import TrainPreview
from napari_lowdose.widgets.train_progress import TrainProgress
from napari_lowdose.widgets.train_resume import ResumeRow

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

    from napari_lowdose.training.records import Record

#: Time without a change after which the data is looked at [ms].
_QUIET: Final = 400
_PLUGIN: Final = "napari-lowdose"


class TrainWidget(TeardownOnClose):
    """Trains a model on layers of one viewer, or on files.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        settings = read_settings()
        use_models_folder(settings)
        self._viewer = viewer
        self._request: TrainRequest | None = None
        self._waiting: TrainRequest | None = None
        self._status = ""
        self._looked = ""
        self._doubts: list[str] = []
        self._warned: list[str] | None = None
        self._kept = ""
        self.resume_row = ResumeRow()
        self.choices = TrainChoices(viewer, settings)
        self.doubts = _text()
        self.train_button = QPushButton("Train")
        self.progress = TrainProgress()
        self.preview_box = QCheckBox("Live preview every 5 s, on")
        self.preview_box.setChecked(True)
        self.preview_box.setToolTip(
            "Shows what the network makes of the visible part of the frame in view,\n"
            "as a layer. It takes a tenth of the time at most."
        )
        self.preview_layer = LayerBox(viewer)
        self.curves = CurvesView(viewer)
        self.status = _text()
        self.use_button = QPushButton("Denoise with it")
        self.use_button.setToolTip("Open the widget Denoise with the new model chosen.")
        self.preview = TrainPreview(viewer, source=self._previewed, parent=self)
        self.checks = JobController(self)
        self.jobs = JobController(self, description="Training")
        self.guard = CloseGuard(self.jobs, self)
        self._check_soon = QTimer(self)
        self._check_soon.setSingleShot(True)
        self._check_soon.setInterval(_QUIET)
        self._lay_out()
        self._connect()
        self.preview.switch(True)
        self.resume_row.read()
        self.curves.hide()
        self._on_choices_changed()

    # What scripts and tests use as well as the buttons.

    @property
    def busy(self) -> bool:
        """Whether a training runs, is being stopped, or is about to begin."""
        return self._waiting is not None or self.jobs.busy

    def train(self) -> None:
        """Begin to train; what becomes of it is told by the status line."""
        if self.busy or self.choices.problem():
            return
        try:
            request = self.choices.request()
        except LowDoseError as error:
            self._say(explain_training(error))
            return
        for field in self.choices.fields:
            if field.by_layers and field.layers.uids:
                self.preview_layer.choose(field.layers.uids[0])
                break
        self._start(request)

    def resume(self, record: Record) -> None:
        """Go on with a training that was interrupted."""
        if not self.busy:
            self._start(TrainRequest(record=record, controls=Controls()))

    def pause(self, pause: bool = True) -> None:
        """Let the training wait, or go on."""
        if self._request is not None:
            self._request.controls.pause(pause)

    def stop_and_keep(self) -> None:
        """End the training, and keep its model."""
        if self._request is not None:
            self._request.controls.finish()

    def cancel(self) -> None:
        """Stop the training without a model; a checkpoint stays."""
        if self._waiting is not None:
            self._waiting = None
            self._say("Cancelled before the first step; nothing is left of it.")
        self.jobs.cancel()

    def use_model(self) -> None:
        """Open the widget Denoise, with the model that was kept last."""
        _, denoise = self._viewer.window.add_plugin_dock_widget(_PLUGIN, "Denoise")
        denoise.choices.denoisers.choose(self._kept)

    def reset_choices(self) -> None:
        """Read the layers anew; napari calls this when they change."""
        if self.closed:
            return
        self.choices.reset_choices()
        self.preview_layer.reset_choices()
        self._render()

    def teardown(self) -> None:
        """Stop the work; a training leaves its checkpoint. The dock was closed."""
        self._check_soon.stop()
        self._waiting = None
        self.resume_row.stop()
        self.guard.watch(False)
        self.checks.abandon()
        self.jobs.abandon()
        self.preview.end()
        self.curves.close_for_good()

    # What the widget is made of.

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        for part in (
            self.resume_row,
            self.choices,
            self.doubts,
            self.preview_box,
            self.preview_layer,
            self.train_button,
            self.progress,
            self.status,
            self.use_button,
            self.curves,
        ):
            column.addWidget(part)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self.scroll = ColumnScroll(content)
        outer.addWidget(self.scroll)

    def _connect(self) -> None:
        self.resume_row.resumed.connect(self.resume)
        self.resume_row.said.connect(self._say)
        self.resume_row.changed.connect(self._on_choices_changed)
        self.choices.changed.connect(self._on_choices_changed)
        self.train_button.clicked.connect(self.train)
        self.use_button.clicked.connect(self.use_model)
        self.preview_box.toggled.connect(self.preview.switch)
        self.preview_box.toggled.connect(self._render)
        self.preview_layer.layer_changed.connect(self.preview.refresh)
        self.preview.switched_off.connect(self._on_preview_off)
        self.preview.said.connect(self._say)
        self.progress.pause_clicked.connect(self.pause)
        self.progress.keep_clicked.connect(self.stop_and_keep)
        self.progress.cancel_clicked.connect(self.cancel)
        self._check_soon.timeout.connect(self._check)
        self.checks.succeeded.connect(self._on_checked)
        self.checks.failed.connect(self._on_check_failed)
        self.checks.cancelled.connect(self._on_check_over)
        self.jobs.state_changed.connect(self._on_state)
        self.jobs.progressed.connect(self._on_report)
        self.jobs.warned.connect(self._on_warned)
        self.jobs.succeeded.connect(self._on_kept)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)
        catalogue_news().changed.connect(self._on_new_model)

    # The check before.

    def _on_choices_changed(self) -> None:
        self._kept = ""
        self._looked, self._doubts = "", []
        if not self.busy:
            self._status = ""
            self._check_soon.start()
        self._render()

    def _check(self) -> None:
        """Look at the data, or stop the look that is under way first."""
        if self.busy or self.choices.problem():
            return
        if self.checks.busy:
            self.checks.cancel()
            return
        try:
            sources = self.choices.sources()
        except LowDoseError as error:
            self._say(explain_training(error))
            return
        if sources and all(source.is_image for source in sources):
            plan = self.choices.plan(sources)
            self.checks.start(CheckRequest(plan=plan, sources=sources).run)

    def _on_checked(self, found: Checked) -> None:
        if not self._check_soon.isActive():
            self._looked = f"{found.reason} It assumes: {found.assumes}"
            self._doubts = list(found.doubts)
        self._on_check_over()

    def _on_check_failed(self, error: Exception) -> None:
        if not self._check_soon.isActive():
            self._status = explain_training(error)
        self._tell(error)
        self._on_check_over()

    def _on_check_over(self) -> None:
        """Begin the training that waited, or look again at what changed meanwhile."""
        request, self._waiting = self._waiting, None
        if request is not None:
            self._begin(request)
        elif not self._looked and not self._status and not self._check_soon.isActive():
            self._check_soon.start()
        self._render()

    # The training.

    def _start(self, request: TrainRequest) -> None:
        """Begin, once the check has ended.

        Two workers at a time would leave Python's warning filters in disorder: each
        puts back, when it ends, those that it found when it began.
        """
        self._check_soon.stop()
        self._kept = ""
        if self.checks.busy:
            self._waiting = request
            self.checks.cancel()
            self._say("")
        else:
            self._begin(request)

    def _begin(self, request: TrainRequest) -> None:
        self._request = request
        self._warned = []
        self._say("")
        self.curves.show()
        self.curves.begin()
        self.preview.begin(request.controls)
        self.jobs.start(request.run)

    def _on_report(self, report: object) -> None:
        match report:
            case Begun():
                if report.reason:
                    self._looked = report.reason
                self.curves.begin(report.folder, report.recipe.training.loss)
                self._render()
            case Paused():
                self.progress.show_paused(report.paused)
            case Picture():
                self.preview.show(report)
            case Progress():
                self._on_progress(report)

    def _on_progress(self, progress: Any) -> None:
        self.progress.show_progress(progress)
        if progress.stage != "train":
            return
        self.curves.add(progress)
        if self._warned is not None:
            # All of the data was looked at now, so that this replaces the first look.
            self._doubts, self._warned = self._warned, None
            self._render()
        if progress.scores and (best := self.curves.best) is not None:
            self._say(f"Best so far: {self._best_words(*best)}.")

    def _best_words(self, step: int, score: float) -> str:
        name, _, unit = self.curves.score.rpartition("_")
        shown = f"{name.replace('_', ' ')} {score:.2f} dB" if unit == "dB" else ""
        return f"{shown or f'{self.curves.score} {score:.3f}'} at step {step}"

    def _on_warned(self, text: str) -> None:
        doubts = self._doubts if self._warned is None else self._warned
        if text not in doubts:
            doubts.append(text)
        self._render()

    def _on_kept(self, kept: KeptModel) -> None:
        self._over()
        self._kept = kept.card.name
        self._status = describe_kept(kept)
        catalogue_news().changed.emit()
        self._render()

    def _on_failed(self, error: Exception) -> None:
        self._over()
        record = self._left()
        rest = "" if record is None else f" {describe_stopped(record)}"
        self._say(f"{explain_training(error)}{rest}")
        self._tell(error)

    def _on_cancelled(self) -> None:
        name = "" if self._request is None else self._request.record.name
        self._over()
        record = self._left(name)
        if record is None and name in self._models():
            # Cancel came when the model was being kept already.
            catalogue_news().changed.emit()
            self._say(f"It was finished already: the model '{name}' is kept.")
        else:
            self._say(describe_stopped(record))

    def _over(self) -> None:
        self._last = "" if self._request is None else self._request.record.name
        self._request = None
        self._warned = None
        self.preview.end()
        self.curves.draw()
        self.resume_row.read()
        self.choices.reset_choices()

    def _left(self, name: str = "") -> Record | None:
        """Return the record of the training that has just ended, where there is one."""
        return find_record(name or self._last)

    def _models(self) -> set[str]:
        self.choices.start.read_models()
        return self.choices.start.names

    def _on_state(self, state: JobState) -> None:
        self.guard.watch(state is not JobState.IDLE)
        self._render()

    def _on_new_model(self) -> None:
        if not self.closed and not self.busy:
            self.choices.read_models()

    def _on_preview_off(self) -> None:
        self.preview_box.setChecked(False)

    def _previewed(self) -> Image | None:
        return self.preview_layer.layer

    # What is shown.

    def _tell(self, error: Exception) -> None:
        """Give errors that nobody expects to napari, which shows their traceback."""
        if not is_expected(error):
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _say(self, text: str) -> None:
        self._status = text
        self._render()

    def _render(self) -> None:
        """Show the state: the only place that enables and disables."""
        if self.closed:
            return
        problem, busy = self.choices.problem(), self.busy
        self.resume_row.setEnabled(not busy)
        self.choices.allow(not busy)
        self.train_button.setEnabled(not problem and not busy)
        self.train_button.setToolTip(problem or "Learn from these data in the worker.")
        self.progress.show_state(
            JobState.RUNNING if self._waiting is not None else self.jobs.state
        )
        self.preview_layer.setEnabled(self.preview_box.isChecked())
        self.use_button.setVisible(bool(self._kept))
        lines = [f"⚠ {escape(plain(doubt))}" for doubt in self._doubts]
        if self._looked:
            lines.insert(0, escape(plain(self._looked)))
        _show(self.doubts, "<br>".join(lines))
        shown = self._status if busy or self._kept else self._status or problem
        _show(self.status, escape(shown))


def _show(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
