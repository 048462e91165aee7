"""Asks before napari is closed in the middle of a training, and waits for its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QEvent, QEventLoop, QObject, Qt, QTimer
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_lowdose._jobs import JobController

#: Longest time that closing waits for the checkpoint [ms]; what takes longer goes on
#: in the worker, for which napari waits, too.
_PATIENCE: Final = 60_000


class CloseGuard(QObject):
    """Watches the main window while a training runs.

    Parameters
    ----------
    jobs : JobController
        What trains.
    parent : QWidget
        A widget in a dock of the window.
    """

    def __init__(self, jobs: JobController, parent: QWidget) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._window: QMainWindow | None = None
        self._waiting = False
        #: Asks whether to close; another callable may take its place.
        self.ask: Callable[[], bool] = self._ask

    def watch(self, watch: bool) -> None:
        """Watch the window, or no longer."""
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window.destroyed.disconnect(self._on_destroyed)
            self._window = None
        if watch:
            self._window = _main_window(self.parent())
            if self._window is not None:
                self._window.installEventFilter(self)
                self._window.destroyed.connect(self._on_destroyed)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  (Qt)
        """Ask before the window is closed; True where it stays open."""
        if (
            event.type() != QEvent.Type.Close
            or watched is not self._window
            or not self._jobs.busy
            or not _is_whole(self._window)
        ):
            return False
        if self._waiting or not self.ask():
            event.ignore()
            return True
        self._wait()
        return False

    def _on_destroyed(self) -> None:
        # The dock goes after the window: by then there is nothing to let go of.
        self._window = None

    def _wait(self) -> None:
        """Stop the training, and let it write its checkpoint."""
        self._jobs.cancel()
        loop, patience = QEventLoop(), QTimer()
        patience.setSingleShot(True)
        patience.timeout.connect(loop.quit)
        self._jobs.state_changed.connect(loop.quit)
        self._waiting = True
        try:
            if self._jobs.busy:
                patience.start(_PATIENCE)
                loop.exec()
        finally:
            self._waiting = False
            self._jobs.state_changed.disconnect(loop.quit)

    def _ask(self) -> bool:
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Train")
        box.setText("A training is running.")
        box.setInformativeText(
            "If you close napari now, a checkpoint is kept, and the widget Train "
            "offers to go on from there the next time."
        )
        close = box.addButton(
            "Close, keep checkpoint", QMessageBox.ButtonRole.AcceptRole
        )
        stay = box.addButton("Go on training", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is close


def _main_window(widget: QObject | None) -> QMainWindow | None:
    """Return the main window that a widget belongs to, also in a floating dock."""
    while widget is not None and not isinstance(widget, QMainWindow):
        widget = widget.parent()
    return widget


def _is_whole(window: QMainWindow) -> bool:
    """Whether the window is on the screen and nothing of it is closed already.

    A script that calls ``viewer.close()`` closes the canvas before the window: there
    is nothing to ask any more, and nobody to answer.
    """
    central = window.centralWidget()
    inner = central.findChildren(
        QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly
    )
    return bool(window.isVisible()) and all(child.isVisible() for child in inner)
