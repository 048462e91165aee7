"""Choosing what to learn from: layers of the viewer, or files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari.layers import Image
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_lowdose._layers import take_snapshot, why_not
from napari_lowdose._provenance import own_metadata
from napari_lowdose.training.sources import Source

if TYPE_CHECKING:
    from napari.components import ViewerModel

_LAYERS: Final = "layers"
_FILES: Final = "files"
#: What stands between two paths in one line.
_BETWEEN: Final = "; "
#: Rows of the list of layers that are seen at once, and height of one [px].
_ROWS: Final = 4
_ROW_HEIGHT: Final = 25
#: Key of the data -> what is browsed for, and what stands there while it is empty.
_BROWSED: Final = {
    "dataset": ("file", "empty for the small simulated set that comes along"),
    "folder": ("folder", "folder with TIFF files"),
}


class LayerList(QListWidget):
    """Ticks image layers of one viewer, known by their unique ids.

    Signal ``changed()``: other layers are ticked.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    one : bool, optional
        Whether a tick takes away the earlier one.
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        one: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._one = viewer, one
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(self._on_item_changed)
        self.reset_choices(favour=True)

    @property
    def uids(self) -> list[str]:
        """Unique ids of the layers that are ticked."""
        items = [self.item(row) for row in range(self.count())]
        return [
            item.data(Qt.ItemDataRole.UserRole)
            for item in items
            if item.checkState() == Qt.CheckState.Checked
        ]

    @property
    def layers(self) -> list[Image]:
        """The layers that are ticked."""
        chosen = set(self.uids)
        return [x for x in self._viewer.layers if str(x.unique_id) in chosen]

    def choose(self, *uids: str) -> None:
        """Tick these layers and no other."""
        with signals_blocked(self):
            for row in range(self.count()):
                item = self.item(row)
                ticked = item.data(Qt.ItemDataRole.UserRole) in uids
                item.setCheckState(_state(ticked))
        self.changed.emit()

    def reset_choices(self, *, favour: bool = False) -> None:
        """Read the layers anew, keeping the ticks.

        Parameters
        ----------
        favour : bool, optional
            Tick a layer where none is: the active one, or the topmost noisy one.
        """
        before = self.uids
        layers = [x for x in self._viewer.layers if _is_data(x)]
        ids = [str(layer.unique_id) for layer in layers]
        ticked = [uid for uid in before if uid in ids]
        if not ticked and layers and (favour or not before):
            ticked = [_favourite(self._viewer, layers)]
        with signals_blocked(self):
            self.clear()
            for layer, uid in zip(layers, ids, strict=True):
                item = QListWidgetItem(str(layer.name))
                item.setToolTip(str(layer.name))
                item.setSizeHint(QSize(0, _ROW_HEIGHT))
                item.setData(Qt.ItemDataRole.UserRole, uid)
                item.setFlags(
                    Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable
                )
                item.setCheckState(_state(uid in ticked))
                self.addItem(item)
        rows = min(max(1, self.count()), _ROWS)
        self.setFixedHeight(rows * _ROW_HEIGHT + 2 * self.frameWidth() + 4)
        if self.uids != before:
            self.changed.emit()

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        if self._one and item.checkState() == Qt.CheckState.Checked:
            self.choose(item.data(Qt.ItemDataRole.UserRole))
        else:
            self.changed.emit()


class PathField(QWidget):
    """A line for paths, with a button that browses for them.

    Signal ``changed()``.

    Parameters
    ----------
    kind : {"files", "file", "folder"}
        What is browsed for.
    hint : str
        What stands there while it is empty.
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(self, kind: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = kind
        self.line = QLineEdit()
        self.line.setPlaceholderText(hint)
        self.line.textChanged.connect(self.changed)
        self._button = QPushButton("Browse…")
        self._button.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self._button)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths, absolute, as far as they are not empty."""
        texts = (
            self.line.text().split(_BETWEEN.strip())
            if self._kind == "files"
            else [self.line.text()]
        )
        return tuple(
            str(Path(text.strip()).expanduser().absolute())
            for text in texts
            if text.strip()
        )

    def set_paths(self, *paths: str | Path) -> None:
        """Show these paths."""
        self.line.setText(_BETWEEN.join(str(path) for path in paths))

    def problem(self) -> str:
        """Return which path does not exist, or an empty text."""
        for path in map(Path, self.paths):
            if not path.exists():
                return f"There is no {path}."
            if self._kind == "folder" and not path.is_dir():
                return f"{path} is no folder."
        return ""

    def _browse(self) -> None:
        here = str(Path(self.paths[0]).parent) if self.paths else ""
        if self._kind == "folder":
            found = [QFileDialog.getExistingDirectory(self, "Choose a folder", here)]
        elif self._kind == "file":
            found = [QFileDialog.getOpenFileName(self, "Choose a file", here)[0]]
        else:
            found = QFileDialog.getOpenFileNames(self, "Choose files", here)[0]
        if any(found):
            self.set_paths(*found)


class DataField(QWidget):
    """Chooses the data under one key of a recipe, as layers or as files.

    Signal ``changed()``.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    key : str
        Of the recipe's table ``[data]``.
    layers : bool
        Whether layers can be it.
    one : bool
        Whether it is one layer at most.
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        key: str,
        *,
        layers: bool,
        one: bool,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.key = key
        self.kind = QComboBox()
        self.kind.addItems([_LAYERS, _FILES])
        self.kind.setToolTip("Learn from layers of the viewer, or from files.")
        self.layers = LayerList(viewer, one=one)
        browsed, hint = _BROWSED.get(key, ("files", "files, each an image or a stack"))
        self.files = PathField(browsed, hint)
        self._of_layers = layers
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.kind, self.layers, self.files):
            column.addWidget(part)
        self.kind.currentIndexChanged.connect(self._on_kind_changed)
        self.layers.changed.connect(self.changed)
        self.files.changed.connect(self.changed)
        self._on_kind_changed()

    @property
    def by_layers(self) -> bool:
        """Whether layers are meant."""
        return self._of_layers and bool(self.kind.currentText() == _LAYERS)

    def problem(self) -> str:
        """Return why this cannot be learnt from, or an empty text."""
        if not self.by_layers:
            if not self.files.paths and self.key != "dataset":
                return "Choose what to learn from: browse for it."
            return self.files.problem()
        layers = self.layers.layers
        if not self.layers.count():
            return "Open or add an image layer first, or learn from files."
        if not layers:
            return "Tick a layer to learn from."
        return next((why for why in map(why_not, layers) if why), "")

    def source(self) -> Source:
        """Return what is chosen; there must be no problem."""
        if self.by_layers:
            shots = tuple(take_snapshot(layer) for layer in self.layers.layers)
            return Source(key=self.key, layers=shots)
        return Source(key=self.key, paths=self.files.paths or ("sample",))

    def _on_kind_changed(self) -> None:
        self.kind.setVisible(self._of_layers)
        self.layers.setVisible(self.by_layers)
        self.files.setVisible(not self.by_layers)
        self.changed.emit()


def _is_data(layer: object) -> bool:
    return isinstance(layer, Image) and not own_metadata(layer.metadata).get("preview")


def _favourite(viewer: ViewerModel, layers: list[Image]) -> str:
    active = viewer.layers.selection.active
    noisy = [x for x in layers if "denoiser" not in own_metadata(x.metadata)]
    chosen = active if active in noisy else (noisy or layers)[-1]
    return str(chosen.unique_id)


def _state(ticked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
