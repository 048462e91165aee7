"""A widget that notices when its dock or its viewer is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QDockWidget, QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel


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
    _guarded: ViewerModel | None = None

    @property
    def closed(self) -> bool:
        """Whether the widget has been torn down."""
        return self._closed

    def close_for_good(self) -> None:
        """Tear down now; later calls do nothing."""
        if not self._closed:
            self._closed = True
            if self._guarded is not None:
                self._guarded.layers.events.removing.disconnect(self._on_removing)
            self.teardown()

    def teardown(self) -> None:
        """Stop what runs, and undo every connection outside of this widget."""

    def guard_canvas(self, viewer: ViewerModel) -> None:
        """Keep the viewer from crashing where a layer goes while this widget is open.

        When a layer is removed, napari (0.9) deletes its textures and buffers at once,
        in whatever OpenGL context is current. If Qt has painted a widget beside the
        canvas since, as it does when a line of text here changes, that is the context
        in which Qt puts the window together. Mesa's drivers then crash at the next
        frame or the one after. So the context of the canvas is made current first.
        """
        self._guarded = viewer
        viewer.layers.events.removing.connect(self._on_removing)

    def _on_removing(self) -> None:
        top: QWidget = self
        while top.parentWidget() is not None:  # the window, of a floating dock too
            top = top.parentWidget()
        for canvas in top.findChildren(QOpenGLWidget):
            if canvas.isValid():
                canvas.makeCurrent()

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
