"""A widget that notices when its dock or its viewer is closed."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QDockWidget, QWidget


class TeardownOnClose(QWidget):
    """Calls :meth:`teardown` once, when the dock that holds the widget is destroyed.

    napari closes a dock by hiding and destroying it, and never sends the widget in it
    a close event; hiding alone means nothing, for the eye icon and another tab do it
    too.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    # Of the class, because Qt sends events while the widget is being made.
    _closed = False
    _watched = False

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

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802  (Qt)
        """Watch the dock, once the widget is put into one."""
        super().changeEvent(event)
        dock = self.parent()
        if (
            event.type() == QEvent.Type.ParentChange
            and isinstance(dock, QDockWidget)
            and not self._watched
        ):
            self._watched = True
            # A bound method, which Qt disconnects if this widget goes first. (PyQt
            # crashes on a partial there once the dock was part of a garbage cycle.)
            dock.destroyed.connect(self.close_for_good)

    def closeEvent(self, event: QEvent) -> None:  # noqa: N802  (Qt)
        """Tear down a widget that is a window of its own."""
        self.close_for_good()
        super().closeEvent(event)
