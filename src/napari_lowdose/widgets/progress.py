"""A progress bar with tiles, rate and time left, and the button that stops the run."""

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
from napari_lowdose._messages import describe_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowdose.progress import Progress

#: Resolution of the bar; tiles may be more than a bar has pixels.
_STEPS: Final = 1000


class ProgressRow(QWidget):
    """Shows how far a run is; hidden while there is none.

    Signal ``cancel_clicked()``.

    Parameters
    ----------
    describe : callable, optional
        Returns what is written under the bar.
    cancelling : str, optional
        What the button does, for its tool tip.
    parent : QWidget, optional
        The Qt parent.
    """

    cancel_clicked = Signal()

    def __init__(
        self,
        *,
        describe: Callable[[Progress], str] = describe_progress,
        cancelling: str = "Stop after the tile in work and remove the result.",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._describe = describe
        self._bar = QProgressBar()
        self._bar.setTextVisible(True)
        self._cancel = QPushButton("Cancel")
        self._cancel.setToolTip(cancelling)
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
        self.show_state(JobState.IDLE)

    @property
    def text(self) -> str:
        """What is written under the bar."""
        return str(self._label.text())

    def show_state(self, state: JobState) -> None:
        """Show the row while a run is running or being stopped."""
        self.setVisible(state is not JobState.IDLE)
        self._cancel.setEnabled(state is JobState.RUNNING)
        if state is JobState.CANCELLING:
            self._label.setText("Stopping after the tile in work…")

    def begin(self) -> None:
        """Show that the work is about to begin."""
        self._bar.setRange(0, 0)
        self._label.setText("Loading the denoiser…")

    def show_progress(self, progress: Progress) -> None:
        """Show where the run stands."""
        if not progress.total:
            return  # still loading: the bar stays indeterminate
        # Qt would draw the bar at once, and the window with its canvas along with it,
        # in whatever state that is; it is drawn with everything else instead.
        self._bar.setUpdatesEnabled(False)
        self._bar.setRange(0, _STEPS)
        self._bar.setValue(round(_STEPS * progress.fraction))
        self._bar.setUpdatesEnabled(True)
        if self._cancel.isEnabled():
            self._label.setText(self._describe(progress))
