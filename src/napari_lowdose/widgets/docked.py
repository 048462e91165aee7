"""A widget that notices when its dock or its viewer is closed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import ref

from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from qtpy.QtCore import QEvent, QObject
    from qtpy.QtGui import QShowEvent


class TeardownOnClose(QWidget):
    """Calls :meth:`teardown` once, when the dock that holds the widget is destroyed.

    napari closes a dock by hiding and destroying it, and never sends the widget in it
    a close event; hiding alone means nothing, for the eye icon and another tab do it
    too. The dock is known when the widget is first shown.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._closed = False
        self._watched = False

    @property
    def closed(self) -> bool:
        """Whether the widget has been torn down."""
        return self._closed

    def close_for_good(self) -> None:
        """Tear down now; later calls do nothing."""
        if not self._closed:
            self._closed = True
            self.teardown()

    def teardown(self) -> None:
        """Stop what runs, and undo every connection outside of this widget."""

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  (Qt)
        """Find the dock, the first time."""
        super().showEvent(event)
        dock = self.parent()
        if not self._watched and dock is not None:
            self._watched = True
            # Qt disconnects a bound method of an object that it is destroying, and
            # the dock goes down together with its content when the window closes.
            dock.destroyed.connect(partial(_close, ref(self)))

    def closeEvent(self, event: QEvent) -> None:  # noqa: N802  (Qt)
        """Tear down a widget that is a window of its own."""
        self.close_for_good()
        super().closeEvent(event)


def _close(widget: ref[TeardownOnClose], _dock: QObject | None = None) -> None:
    alive = widget()
    if alive is not None:
        alive.close_for_good()
