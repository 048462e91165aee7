"""How far a job of several stages is, and the button that stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from lowdose.progress import format_seconds
from napari_lowdose._jobs import JobState

if TYPE_CHECKING:
    from lowdose.progress import Progress

#: Least time between two drawings [ms].
_REDRAW_EVERY: Final = 50
#: What a stage is called; others go by their own name.
_WORDS: Final = {
    "load": "Loading the denoiser",
    "check": "Checking that this denoiser made the image",
    "bootstrap": "Denoising new noise",
    "residuals": "Checking what was taken away",
    "find columns": "Finding atomic columns",
    "test columns": "Testing every column",
    "compare counts": "Comparing the counts with the image",
    "denoise": "Denoising a part of the electrons",
    "equivalent filter": "Finding the weights",
    "halves": "Denoising the halves",
    "unbiased error": "Estimating the error",
    "draw": "Drawing",
    "export": "Writing the page",
}


class StageRow(QWidget):
    """Shows the stage of a job and how far it is; hidden while there is none.

    Signal ``cancel_clicked()``.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    cancel_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._latest: Progress | None = None
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._cancel = QPushButton("Cancel")
        self._cancel.setToolTip("Stop as soon as the piece in work is done.")
        self._cancel.clicked.connect(self.cancel_clicked)
        self._label = QLabel()
        self._label.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self._label)
        # Small pieces come by the thousand in a second.
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_EVERY)
        self._redraw.timeout.connect(self._show_latest)
        self.show_state(JobState.IDLE)

    @property
    def text(self) -> str:
        """What is written under the bar."""
        return str(self._label.text())

    def show_state(self, state: JobState) -> None:
        """Show the row while a job is running or being stopped."""
        if state is JobState.RUNNING and self.isHidden():
            self._latest = None
            self._bar.setRange(0, 0)
            self._label.setText("Beginning…")
        self.setVisible(state is not JobState.IDLE)
        self._cancel.setEnabled(state is JobState.RUNNING)
        if state is JobState.CANCELLING:
            self._label.setText("Stopping after the piece in work…")

    def show_progress(self, progress: Progress) -> None:
        """Show where the job stands, soon."""
        self._latest = progress
        if not self._redraw.isActive():
            self._redraw.start()

    def _show_latest(self) -> None:
        progress = self._latest
        if progress is None or not self._cancel.isEnabled():
            return
        self._bar.setRange(0, progress.total)
        self._bar.setValue(progress.done)
        self._label.setText(describe_stage(progress))


def describe_stage(progress: Progress) -> str:
    """Return the stage, how much of it is done, and the time left, as text."""
    text = _WORDS.get(progress.stage, progress.stage)
    if progress.total > 1:
        text += f": {progress.done} of {progress.total}"
    if (left := progress.seconds_left) is not None and left >= 1:
        text += f", {format_seconds(left)} left"
    return f"{text}…" if progress.total <= 1 else text
