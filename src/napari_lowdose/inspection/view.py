"""The maps of an inspection, side by side in the viewer, and everything put back.

Nothing of the user's is changed but what is visible, and that only for as long as the
maps are shown. What is shown are layers of our own, one frame each, at the place of the
layer that was inspected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from qtpy.QtCore import QObject, QTimer, Signal

from napari_lowdose._compare import comparison_of
from napari_lowdose._memory import unwrapped
from napari_lowdose._provenance import find_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

#: Gap between two pictures [px of the screen].
GAP: Final = 6
#: Layers in a picture: an image, and the marks on it.
_LAYERS: Final = 2
_GRID: Final = ("shape", "stride", "spacing", "enabled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One picture of the grid.

    Parameters
    ----------
    image : Layer
        What it shows.
    marks : Layer
        What is drawn on it.
    """

    image: Layer
    marks: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """The viewer as it was."""

    grid: dict[str, Any]
    visible: dict[str, bool]
    selected: frozenset[str]
    active: str
    camera: dict[str, Any]


class InspectionView(QObject):
    """Shows cells in the grid of one viewer.

    napari's grid goes by the order of all layers, hidden ones included, `stride` of
    them to a picture; counted from the top with a negative stride, so that it does not
    matter how many layers the user has underneath. That is why every picture has two
    layers, and why ours are moved to the top again when a layer is added above them.

    Signal ``left()``: the maps are no longer shown, however that came.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    parent : QObject
        The Qt parent.
    """

    left = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._ref = ref(unwrapped(viewer))
        self._before: _Before | None = None
        self._order: list[str] = []
        self._tidying = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._tidy)

    @property
    def active(self) -> bool:
        """Whether the maps are shown."""
        return self._before is not None

    def show(self, cells: Sequence[Cell]) -> None:
        """Show these cells in place of whatever is shown.

        Parameters
        ----------
        cells : sequence of Cell
            The first comes top left. Their layers are not in the viewer yet.
        """
        viewer = self._ref()
        if viewer is None:
            return
        begins = not self.active
        if begins:
            comparison_of(viewer).leave()
            self._before = _remember(viewer)
            for layer in viewer.layers:
                layer.visible = False
            viewer.layers.events.inserted.connect(self._on_changed)
            viewer.layers.events.removed.connect(self._on_changed)
        self._tidying = True
        try:
            self._remove_ours(viewer)
            for cell in reversed(cells):
                for layer in (cell.image, cell.marks):
                    viewer.layers.append(layer)
                    self._order.append(str(layer.unique_id))
        finally:
            self._tidying = False
        viewer.layers.selection.active = cells[0].image if cells else None
        grid = viewer.canvas.grid
        grid.shape = (-1, -1)
        grid.stride = -_LAYERS
        grid.spacing = GAP
        grid.enabled = True
        if begins:
            grid.events.enabled.connect(self._on_grid)

    def leave(self) -> None:
        """Take the maps away and put everything back. No-op when none are shown."""
        before, viewer = self._before, self._ref()
        if before is None or viewer is None:
            return
        self._later.stop()
        # Something else may have been compared meanwhile; it has to go first, so that
        # each puts back what itself has found.
        comparison_of(viewer).leave()
        self._before = None
        grid = viewer.canvas.grid
        grid.events.enabled.disconnect(self._on_grid)
        viewer.layers.events.inserted.disconnect(self._on_changed)
        viewer.layers.events.removed.disconnect(self._on_changed)
        self._remove_ours(viewer)
        for layer in viewer.layers:
            layer.visible = before.visible.get(str(layer.unique_id), layer.visible)
        for key in _GRID:
            setattr(grid, key, before.grid[key])
        _select_again(viewer, before)
        for key, value in before.camera.items():
            setattr(viewer.scene.camera, key, value)
        self.left.emit()

    def _remove_ours(self, viewer: ViewerModel) -> None:
        order, self._order = self._order, []
        for uid in order:
            layer = find_layer(viewer, uid)
            if layer is not None:
                viewer.layers.remove(layer)

    def _on_grid(self) -> None:
        viewer = self._ref()
        if viewer is not None and not viewer.canvas.grid.enabled:
            self.leave()

    def _on_changed(self) -> None:
        # The list of layers must not be changed while it tells of a change.
        if not self._tidying:
            self._later.start()

    def _tidy(self) -> None:
        """Keep our layers whole pairs, and on top."""
        viewer = self._ref()
        if viewer is None or not self.active:
            return
        there = {str(layer.unique_id) for layer in viewer.layers}
        pairs = [
            pair
            for pair in zip(self._order[::2], self._order[1::2], strict=True)
            if there.issuperset(pair)
        ]
        if not pairs:
            self.leave()
            return
        kept = [uid for pair in pairs for uid in pair]
        self._tidying = True
        try:
            for uid in there.intersection(self._order).difference(kept):
                viewer.layers.remove(find_layer(viewer, uid))
            self._order = kept
            ids = [str(layer.unique_id) for layer in viewer.layers]
            if ids[-len(kept) :] != kept:
                for uid in kept:
                    at = [str(layer.unique_id) for layer in viewer.layers].index(uid)
                    viewer.layers.move(at, len(viewer.layers))
        finally:
            self._tidying = False


def _remember(viewer: ViewerModel) -> _Before:
    camera, selection = viewer.scene.camera, viewer.layers.selection
    return _Before(
        grid={key: getattr(viewer.canvas.grid, key) for key in _GRID},
        visible={str(x.unique_id): bool(x.visible) for x in viewer.layers},
        selected=frozenset(str(x.unique_id) for x in selection),
        active="" if selection.active is None else str(selection.active.unique_id),
        camera={key: getattr(camera, key) for key in ("center", "zoom", "angles")},
    )


def _select_again(viewer: ViewerModel, before: _Before) -> None:
    selection = viewer.layers.selection
    selection.clear()
    for layer in viewer.layers:
        if str(layer.unique_id) in before.selected:
            selection.add(layer)
    if (active := find_layer(viewer, before.active)) is not None:
        selection.active = active
