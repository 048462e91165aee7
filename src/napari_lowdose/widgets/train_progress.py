"""How far a training is, and the three ways to interrupt it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_lowdose._jobs import JobState
from napari_lowdose.training.words import describe_training

if TYPE_CHECKING:
    from lowdose.progress import Progress

_STEPS: Final = 1000


class TrainProgress(QWidget):
    """Bar, speed and time left; hidden while nothing is trained.

    Signals ``pause_clicked(bool)``, ``keep_clicked()`` and ``cancel_clicked()``.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    pause_clicked = Signal(bool)
    keep_clicked = Signal()
    cancel_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._training = False
        self._keeping = False
        self._bar = QProgressBar()
        self._bar.setTextVisible(True)
        self._label = QLabel()
        self._label.setWordWrap(True)
        self.pause = QPushButton("Pause")
        self.pause.setCheckable(True)
        self.pause.setToolTip("Make no step for now; press again to go on.")
        self.keep = QPushButton("Stop and keep")
        self.keep.setToolTip(
            "End after the step in work. The best of the validations becomes a model\n"
            "of yours, as it would at the end of the time."
        )
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip(
            "Stop without a model. Where steps were made, a checkpoint stays, to be\n"
            "resumed or discarded above."
        )
        buttons = QHBoxLayout()
        for button in (self.pause, self.keep, self.cancel):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._bar)
        layout.addWidget(self._label)
        layout.addLayout(buttons)
        self.pause.toggled.connect(self._on_pause)
        self.keep.clicked.connect(self._on_keep)
        self.cancel.clicked.connect(self.cancel_clicked)
        self.show_state(JobState.IDLE)

    @property
    def text(self) -> str:
        """What is written under the bar."""
        return str(self._label.text())

    def show_state(self, state: JobState) -> None:
        """Show the row while a training is running or being stopped."""
        if state is JobState.IDLE:
            self._training = self._keeping = False
            self.pause.setChecked(False)
        elif self.isHidden():
            self._bar.setRange(0, 0)
            self._label.setText("Loading…")
        self.setVisible(state is not JobState.IDLE)
        running = state is JobState.RUNNING
        self.cancel.setEnabled(running)
        self.pause.setEnabled(running and self._training and not self._keeping)
        self.keep.setEnabled(running and self._training and not self._keeping)
        if state is JobState.CANCELLING:
            self._label.setText("Stopping after the step in work, with a checkpoint…")

    def show_progress(self, progress: Progress) -> None:
        """Show where the training stands."""
        if not self.cancel.isEnabled() or self._keeping:
            return
        self._training = progress.stage == "train"
        self.show_state(JobState.RUNNING)
        if progress.total and progress.done:
            self._bar.setRange(0, _STEPS)
            self._bar.setValue(round(_STEPS * progress.fraction))
        else:
            self._bar.setRange(0, 0)
        if not self.pause.isChecked():
            self._label.setText(describe_training(progress))

    def show_paused(self, paused: bool) -> None:
        """Show that the training waits, or goes on."""
        if self.cancel.isEnabled() and not self._keeping:
            self._label.setText("Paused." if paused else "Going on…")

    def _on_pause(self, paused: bool) -> None:
        self.pause.setText("Continue" if paused else "Pause")
        if paused:
            self._label.setText("Pausing after the step in work…")
        self.pause_clicked.emit(paused)

    def _on_keep(self) -> None:
        self._keeping = True
        self.show_state(JobState.RUNNING)
        self._label.setText("Ending after the step in work, and keeping the best…")
        self.keep_clicked.emit()
