"""Two combo boxes: an image layer of the viewer, and a denoiser of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari.layers import Image
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QComboBox, QWidget
from superqt.utils import signals_blocked

from napari_lowdose._provenance import (
    find_layer,
    own_metadata,
)
from napari_lowdose.widgets.form import shrink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from napari.components import ViewerModel

    from lowdose.catalogue import DenoiserInfo

#: Groups of the catalogue, in the order and the words of the menu.
GROUPS: Final = {
    "pretrained": "Pretrained networks",
    "classical": "Classical filters",
    "baseline": "Published baselines",
    "yours": "Your models",
}


class LayerBox(QComboBox):
    """Chooses one of the image layers of one viewer.

    Entries are known by the layer's unique id, so that renaming and reordering keep
    the choice. Signal ``layer_changed()``: another layer is chosen, or none.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    parent : QWidget, optional
        The Qt parent.
    """

    layer_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        shrink(self)
        self.reset_choices()
        self.currentIndexChanged.connect(self.layer_changed)

    def reset_choices(self) -> None:
        """Read the layers of the viewer anew, keeping the choice where it exists."""
        layers = list(self._candidates())
        before = self.uid
        with signals_blocked(self):
            self.clear()
            for layer in layers:
                self.addItem(str(layer.name), str(layer.unique_id))
                self.setItemData(
                    self.count() - 1, str(layer.name), Qt.ItemDataRole.ToolTipRole
                )
            self.choose(before or self._favourite(layers))
            if layers and self.currentIndex() < 0:
                self.choose(self._favourite(layers))
        if self.uid != before:
            self.layer_changed.emit()

    @property
    def uid(self) -> str:
        """Unique id of the chosen layer; empty for none."""
        return self.currentData() or ""

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return find_layer(self._viewer, self.uid)

    def choose(self, uid: str) -> None:
        """Choose the layer with this id; none where there is no such layer."""
        self.setCurrentIndex(self.findData(uid) if uid else -1)

    def _candidates(self) -> Iterator[Image]:
        for layer in self._viewer.layers:
            if isinstance(layer, Image) and not own_metadata(layer.metadata).get(
                "preview"
            ):
                yield layer

    def _favourite(self, layers: Sequence[Image]) -> str:
        """Return the id of the active layer, or of the topmost that is no result."""
        active = self._viewer.layers.selection.active
        ids = [str(layer.unique_id) for layer in layers]
        if active is not None and str(active.unique_id) in ids:
            return str(active.unique_id)
        raw = [
            str(layer.unique_id)
            for layer in layers
            if "denoiser" not in own_metadata(layer.metadata)
        ]
        return (raw or ids or [""])[-1]


class DenoiserBox(QComboBox):
    """Chooses a denoiser; the groups are headings that cannot be chosen.

    Signal ``denoiser_changed()``: another denoiser is chosen.
    """

    denoiser_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        shrink(self)
        self._infos: dict[str, DenoiserInfo] = {}
        self.currentIndexChanged.connect(self.denoiser_changed)

    def set_denoisers(self, infos: Iterable[DenoiserInfo]) -> None:
        """Offer these denoisers, keeping the choice where it is among them."""
        before = self.name
        self._infos = {info.name: info for info in infos}
        model = QStandardItemModel(self)
        for group, title in GROUPS.items():
            members = [info for info in self._infos.values() if info.group == group]
            if members:
                model.appendRow(heading(title))
            for info in members:
                model.appendRow(_entry(info))
        with signals_blocked(self):
            self.setModel(model)
            self.choose(before)
        if self.name != before:
            self.denoiser_changed.emit()

    @property
    def name(self) -> str:
        """Name of the chosen denoiser; empty for none."""
        return self.currentData() or ""

    @property
    def infos(self) -> list[DenoiserInfo]:
        """Descriptions of all denoisers that can be chosen."""
        return list(self._infos.values())

    @property
    def info(self) -> DenoiserInfo | None:
        """Description of the chosen denoiser."""
        return self._infos.get(self.name)

    def choose(self, name: str) -> None:
        """Choose a denoiser by name, or the first where there is none of that name."""
        index = self.findData(name) if name else -1
        if index < 0:
            rows = range(self.count())
            index = next((row for row in rows if self.itemData(row)), -1)
        self.setCurrentIndex(index)


def heading(title: str) -> QStandardItem:
    """Return an entry that heads a group, and cannot be chosen."""
    item = QStandardItem(title)
    item.setFlags(Qt.ItemFlag.NoItemFlags)
    font = item.font()
    font.setItalic(True)
    item.setFont(font)
    return item


def _entry(info: DenoiserInfo) -> QStandardItem:
    item = QStandardItem(info.title)
    item.setData(info.name, Qt.ItemDataRole.UserRole)
    item.setToolTip(info.summary)
    return item
