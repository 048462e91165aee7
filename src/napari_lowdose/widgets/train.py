"""The widget "Train": a model of your own, from your own data, while you watch.

It shows and forwards; what happens is in the parts. All work is done in a worker: the
check of the data before, and then one training at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from lowdose.errors import LowDoseError
from napari_lowdose._jobs import JobState
from napari_lowdose._news import catalogue_news
from napari_lowdose._settings import read_settings, use_models_folder
from napari_lowdose.training.checking import Checked, CheckRequest
from napari_lowdose.training.controls import Controls
from napari_lowdose.training.job import Begun, TrainRequest
from napari_lowdose.training.words import describe_score, explain_training, plain
from napari_lowdose.widgets.docked import TeardownOnClose
from napari_lowdose.widgets.section import fill_with_column
from napari_lowdose.widgets.train_check import DataCheck
from napari_lowdose.widgets.train_choices import TrainChoices
from napari_lowdose.widgets.train_curves import CurvesView
from napari_lowdose.widgets.train_preview import PreviewChoices, TrainPreview
from napari_lowdose.widgets.train_progress import TrainProgress
from napari_lowdose.widgets.train_resume import ResumeRow
from napari_lowdose.widgets.train_runner import TrainRunner

if TYPE_CHECKING:
    import napari.viewer

    from napari_lowdose.training.records import Record

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
        self.guard_canvas(viewer)
        self._status = ""
        self._reason = ""
        self._doubts: list[str] = []
        #: What was warned of since the training was begun; None once it is shown.
        self._warned: list[str] | None = None
        self._kept = ""
        self.resume_row = ResumeRow()
        self.choices = TrainChoices(viewer, settings)
        self.doubts = _text()
        self.preview_choices = PreviewChoices(viewer)
        self.train_button = QPushButton("Train")
        self.progress = TrainProgress()
        self.status = _text()
        self.use_button = QPushButton("Denoise with it")
        self.use_button.setToolTip("Open the widget Denoise with the new model chosen.")
        self.curves = CurvesView(viewer)
        self.preview = TrainPreview(viewer, choices=self.preview_choices, parent=self)
        self.check = DataCheck(self._make_check, self)
        self.runner = TrainRunner(self.preview, self)
        self._lay_out()
        self._connect()
        self.curves.hide()
        self.resume_row.read()
        self._on_choices_changed()

    # What scripts and tests use as well as the buttons.

    @property
    def busy(self) -> bool:
        """Whether a training runs, is being stopped, or is about to begin."""
        return self.check.waiting or self.runner.busy

    def train(self) -> None:
        """Begin to train; what becomes of it is told by the status line."""
        if self.busy or self.choices.problem():
            return
        try:
            request = self.choices.request()
        except LowDoseError as error:
            self._say(explain_training(error))
            return
        learnt = [layer.uid for source in request.sources for layer in source.layers]
        if learnt:
            self.preview_choices.layers.choose(learnt[0])
        self._start(request)

    def resume(self, record: Record) -> None:
        """Go on with a training that was interrupted."""
        if not self.busy:
            self._start(TrainRequest(record=record, controls=Controls()))

    def stop_and_keep(self) -> None:
        """End the training, and keep its model."""
        self.runner.finish()

    def cancel(self) -> None:
        """Stop the training without a model; a checkpoint stays."""
        if self.check.forget():
            self._on_ended("Cancelled before the first step; nothing is left of it.")
        self.runner.cancel()

    def use_model(self) -> None:
        """Open the widget Denoise, with the model that was kept last."""
        _, denoise = self._viewer.window.add_plugin_dock_widget(_PLUGIN, "Denoise")
        denoise.choices.denoisers.choose(self._kept)

    def reset_choices(self) -> None:
        """Read the layers anew; napari calls this when they change."""
        if not self.closed:
            self.choices.reset_choices()
            self.preview_choices.layers.reset_choices()
            self._render()

    def teardown(self) -> None:
        """Stop the work; a training leaves its checkpoint. The dock was closed."""
        self.resume_row.stop()
        self.check.close()
        self.runner.close()
        self.curves.close_for_good()

    # What the widget is made of.

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        for part in (
            self.resume_row,
            self.choices,
            self.preview_choices,
            self.doubts,
            self.train_button,
            self.progress,
            self.status,
            self.use_button,
            self.curves,
        ):
            column.addWidget(part)
        column.addStretch(1)
        self.scroll = fill_with_column(self, content)

    def _connect(self) -> None:
        self.resume_row.resumed.connect(self.resume)
        self.resume_row.said.connect(self._say)
        self.resume_row.changed.connect(self._on_choices_changed)
        self.choices.changed.connect(self._on_choices_changed)
        self.train_button.clicked.connect(self.train)
        self.use_button.clicked.connect(self.use_model)
        self.preview.said.connect(self._say)
        self.progress.pause_clicked.connect(self.runner.pause)
        self.progress.keep_clicked.connect(self.stop_and_keep)
        self.progress.cancel_clicked.connect(self.cancel)
        self.check.found.connect(self._on_checked)
        self.check.failed.connect(self._say)
        self.runner.state_changed.connect(self._render)
        self.runner.begun.connect(self._on_begun)
        self.runner.progressed.connect(self._on_progressed)
        self.runner.paused.connect(self.progress.show_paused)
        self.runner.warned.connect(self._on_warned)
        self.runner.ended.connect(self._on_ended)
        catalogue_news().changed.connect(self._on_new_model)

    # What happens.

    def _make_check(self) -> CheckRequest | None:
        if self.busy or self.choices.problem():
            return None
        sources = self.choices.sources()
        if not sources or not all(source.is_image for source in sources):
            return None  # the way itself opens its data, when the training begins
        return CheckRequest(plan=self.choices.plan(sources), sources=sources)

    def _start(self, request: TrainRequest) -> None:
        self._kept, self._status = "", ""
        self._warned = []
        self.curves.begin()
        self.curves.show()
        self.check.stop(lambda: self.runner.start(request))
        self._render()

    def _on_choices_changed(self) -> None:
        if not self.busy:
            self._kept, self._status, self._reason, self._doubts = "", "", "", []
            self.check.soon()
        self._render()

    def _on_checked(self, found: Checked) -> None:
        self._reason = f"{found.reason} It assumes: {found.assumes}"
        self._doubts = list(found.doubts)
        self._render()

    def _on_begun(self, begun: Begun) -> None:
        self._reason = begun.reason
        self.curves.begin(begun.folder, begun.recipe.training.loss)
        self._render()

    def _on_progressed(self, progress: Any) -> None:
        self.progress.show_progress(progress)
        if progress.stage != "train":
            return
        self.curves.add(progress)
        if self._warned is not None:
            # All of the data was looked at by now: this replaces the first look.
            self._doubts, self._warned = self._warned, None
            self._render()
        if progress.scores and (best := self.curves.best) is not None:
            step, score = best
            self._say(
                f"Best so far: {describe_score(self.curves.score, score)}, at step "
                f"{step}."
            )

    def _on_warned(self, text: str) -> None:
        doubts = self._doubts if self._warned is None else self._warned
        if text not in doubts:
            doubts.append(text)
        self._render()

    def _on_ended(self, sentence: str, kept: str = "") -> None:
        self._warned = None
        self.curves.draw()
        self.choices.read_models()
        self.resume_row.read()
        self._kept = kept
        self._say(sentence)

    def _on_new_model(self) -> None:
        if not self.closed and not self.busy:
            self.choices.read_models()

    # What is shown.

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
            JobState.RUNNING if self.check.waiting else self.runner.state
        )
        self.use_button.setVisible(bool(self._kept))
        lines = [plain(self._reason)] if self._reason else []
        lines += [f"⚠ {plain(doubt)}" for doubt in self._doubts]
        _show(self.doubts, lines)
        shown = self._status or ("" if busy else problem)
        _show(self.status, [shown] if shown else [])


def _show(label: QLabel, lines: list[str]) -> None:
    label.setText("\n".join(lines))
    label.setVisible(bool(lines))


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
