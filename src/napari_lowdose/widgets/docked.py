"""A widget that notices when its dock or its viewer is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from qtpy.QtCore import QEvent
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
            # A bound method, which Qt disconnects if this widget goes first. (PyQt
            # crashes on a partial there once the dock was part of a garbage cycle.)
            dock.destroyed.connect(self.close_for_good)

    def closeEvent(self, event: QEvent) -> None:  # noqa: N802  (Qt)
        """Tear down a widget that is a window of its own."""
        self.close_for_good()
        super().closeEvent(event)
