"""Everything that the user chooses before a run: layer, denoiser, parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal

from napari_lowdose._layers import (
    why_not,
)
from napari_lowdose.widgets.choosers import LayerBox
from napari_lowdose.widgets.method import Method

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

    from napari_lowdose._settings import Settings


class Choices(Method):
    """A layer, and how to denoise it.

    Signals: ``layer_changed()``, and ``method_changed()`` for everything else that
    changes the result.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    settings : Settings
        The user's preferences.
    parent : QWidget, optional
        The Qt parent.
    """

    layer_changed = Signal()

    def __init__(
        self, viewer: ViewerModel, settings: Settings, parent: QWidget | None = None
    ) -> None:
        super().__init__(viewer, settings, offer_replace=True, parent=parent)
        self.layers = LayerBox(viewer)
        self.top.insertRow(0, "Layer", self.layers)
        self.layers.layer_changed.connect(self.layer_changed)

    def problem(self) -> str:
        """Return why the choices cannot be run, or an empty text."""
        layer = self.layers.layer
        if layer is None:
            return "Open or add an image layer first."
        return super().problem() or why_not(layer)

    def allow(self, allowed: bool) -> None:
        """Let the user choose, or not while a run is under way."""
        self.layers.setEnabled(allowed)
        super().allow(allowed)
