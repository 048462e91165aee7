"""Noisy and denoised side by side, and everything put back afterwards."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, ref

from napari.experimental import layers_linked
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_lowdose._memory import unwrapped
from napari_lowdose._provenance import (
    find_layer,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: What both layers share while they are compared.
LINKED: Final = ("contrast_limits", "gamma", "colormap")
#: Gap between the two [px of the screen].
GAP: Final = 6
_GRID: Final = ("enabled", "shape", "stride", "spacing")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """The viewer as it was."""

    grid: dict[str, Any]
    visible: dict[str, bool]
    looks: dict[str, dict[str, Any]]
    named: dict[str, bool]


class Comparison(QObject):
    """Shows two layers of one viewer side by side, with linked cameras and contrast.

    napari's grid links the cameras. What was changed is remembered and put back:
    the grid, the visibility of every layer, and contrast, gamma and colours of the
    two. Leaving the grid by napari's own button, or removing one of the two layers,
    ends the comparison too. There is one for each viewer: :func:`comparison_of`.

    Signal ``changed(bool)``: a comparison began, or ended, however it ended.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    """

    changed = Signal(bool)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._ref = ref(viewer)
        self._before: _Before | None = None
        self._pair: tuple[str, str] = ("", "")
        self._links = ExitStack()

    @property
    def active(self) -> bool:
        """Whether two layers are being compared."""
        return self._before is not None

    def enter(self, noisy: Image, result: Image) -> None:
        """Show these two side by side, the noisy one first, all others hidden.

        Both are shown in the contrast of the result: in that of the noisy one, which
        spans its noise, little could be seen of a result.

        Parameters
        ----------
        noisy, result : Image
            Two layers of the viewer.
        """
        if self.active:
            self.leave()
        viewer, pair = self._ref(), (noisy, result)
        if viewer is None:
            return
        grid = viewer.canvas.grid
        self._pair = (str(noisy.unique_id), str(result.unique_id))
        self._before = _Before(
            grid={key: getattr(grid, key) for key in _GRID},
            visible={str(x.unique_id): bool(x.visible) for x in viewer.layers},
            looks={
                str(x.unique_id): {key: getattr(x, key) for key in LINKED} for x in pair
            },
            named={str(x.unique_id): bool(x.name_overlay.visible) for x in pair},
        )
        for layer in viewer.layers:
            layer.visible = str(layer.unique_id) in self._pair
        for key in LINKED:
            setattr(noisy, key, getattr(result, key))
        # Only what is linked here is unlinked later, never a link of the user's.
        self._links.enter_context(layers_linked(pair, LINKED))
        for layer in pair:
            layer.name_overlay.visible = True
        order = [str(x.unique_id) for x in viewer.layers]
        grid.shape = (1, 2)
        grid.spacing = GAP
        # The grid goes by the order of the layers; a negative stride turns it round.
        noisy_below = order.index(self._pair[0]) < order.index(self._pair[1])
        grid.stride = 1 if noisy_below else -1
        grid.enabled = True
        grid.events.enabled.connect(self._on_grid)
        # Last: a widget that is open makes the context of the canvas current first.
        viewer.layers.events.removing.connect(self._on_removing, position="last")
        self.changed.emit(True)

    def leave(self) -> None:
        """Put everything back as it was. No-op when nothing is compared."""
        before, self._before = self._before, None
        viewer = self._ref()
        if before is None or viewer is None:
            return
        viewer.layers.events.removing.disconnect(self._on_removing)
        self._put_grid_back(viewer, before)
        self._links.close()
        for layer in viewer.layers:
            uid = str(layer.unique_id)
            for key, value in before.looks.get(uid, {}).items():
                setattr(layer, key, value)
            if uid in before.named:
                layer.name_overlay.visible = before.named[uid]
            layer.visible = before.visible.get(uid, layer.visible)
        self.changed.emit(False)

    def _put_grid_back(self, viewer: ViewerModel, before: _Before) -> None:
        """Make the grid what it was; to do it twice is to do it once.

        When the shape of the grid changes while it is on, as it does too when all
        layers are hidden or removed, napari (0.9) makes a new one and keeps the former
        for as long as the viewer lives: more than 1 MiB with its shaders. So the grid
        is switched off before anything else, and the next comparison finds it in the
        shape that it needs.
        """
        grid = viewer.canvas.grid
        grid.events.enabled.disconnect(self._on_grid)
        if not before.grid["enabled"]:
            grid.enabled = False
        for key in ("shape", "stride", "spacing", "enabled"):
            setattr(grid, key, before.grid[key])

    def _on_grid(self) -> None:
        viewer = self._ref()
        if viewer is not None and not viewer.canvas.grid.enabled:
            self.leave()

    def _on_removing(self, event: Any) -> None:
        viewer, before = self._ref(), self._before
        if viewer is None or before is None:
            return
        if str(viewer.layers[event.index].unique_id) in self._pair:
            # While the layer is still there: from here to the next event the canvas is
            # not whole, and would crash when it is drawn. The rest is put back after
            # that, so that layers which are about to go too are not shown again.
            self._put_grid_back(viewer, before)
            QTimer.singleShot(0, self._leave_if_broken)

    def _leave_if_broken(self) -> None:
        if self.active and self._broken():
            self.leave()

    def _broken(self) -> bool:
        """Return whether one of the two layers is gone."""
        viewer = self._ref()
        return viewer is not None and any(
            find_layer(viewer, uid) is None for uid in self._pair
        )


_COMPARISONS: WeakKeyDictionary[ViewerModel, Comparison] = WeakKeyDictionary()


def comparison_of(viewer: ViewerModel) -> Comparison:
    """Return the one comparison of a viewer, however many widgets offer it."""
    viewer = unwrapped(viewer)
    if viewer not in _COMPARISONS:
        _COMPARISONS[viewer] = Comparison(viewer)
    return _COMPARISONS[viewer]


class Peek:
    """Shows the noisy layer in place of the result for as long as a button is held.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._before: dict[str, bool] = {}

    def begin(self, noisy: Image) -> None:
        """Hide every other image layer and show this one."""
        if self._before:
            return
        uid = str(noisy.unique_id)
        images = [x for x in self._viewer.layers if isinstance(x, Image)]
        self._before = {str(x.unique_id): bool(x.visible) for x in images}
        for layer in images:
            layer.visible = str(layer.unique_id) == uid

    def end(self) -> None:
        """Show again what was shown before."""
        before, self._before = self._before, {}
        for layer in self._viewer.layers:
            layer.visible = before.get(str(layer.unique_id), layer.visible)
