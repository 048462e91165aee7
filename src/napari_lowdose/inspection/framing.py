"""The camera of the viewer while pictures stand side by side in its grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import napari.viewer

    from napari_lowdose.inspection.cells import Cells

#: Share of the width of its cell that a picture takes, beside its colour bar.
_ROOM: Final = 0.84


class Framing:
    """Brings whole pictures, or one place of all of them, into view.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._fit = 1.0

    def fit(self, cells: Cells) -> None:
        """Show whole pictures, with room for their colour bars on the right."""
        self._viewer.reset_view()
        camera = self._viewer.scene.camera
        left, right = cells.in_world(0, 0)[1], cells.in_world(0, 1)[1]
        width = (right - left) * cells.width
        camera.zoom *= _ROOM
        # The picture ends where it ended, and the room is on one side of it.
        *before, x = tuple(camera.center)
        camera.center = (*before, x + width * (1 - _ROOM) / (2 * _ROOM))
        self._fit = float(camera.zoom)

    def zoom_to(self, cells: Cells, row: float, column: float, times: float) -> None:
        """Bring a place to the middle, enlarged so many times at least."""
        camera = self._viewer.scene.camera
        y, x = cells.in_world(row, column)
        camera.center = (*tuple(camera.center)[:-2], y, x)
        camera.zoom = max(float(camera.zoom), self._fit * max(1.0, times))
