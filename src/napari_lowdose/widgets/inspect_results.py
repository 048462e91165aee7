"""What an inspection found, in the dock: words, columns, maps, and one filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_lowdose.inspection.checks import SHOWN
from napari_lowdose.inspection.colours import weights_rgba
from napari_lowdose.inspection.findings import (
    about_filter,
    about_map,
    in_words,
    notes_of_maps,
)
from napari_lowdose.widgets.column_table import ColumnTable
from napari_lowdose.widgets.section import Section

if TYPE_CHECKING:
    from lowdose.trust.equivalent import EquivalentFilter
    from napari_lowdose.inspection.job import Inspected

#: Edge of the picture of a filter [px of the screen].
_EDGE: Final = 200
#: Widest picture in the dock [px of the screen].
_WIDEST: Final = 380
#: Reach of that picture in radii that hold half of the weight, and at least [px of the
#: frame]. The effective radius of a network tells of its faint tails.
_RADII: Final = 3
_LEAST: Final = 6


class InspectResults(QWidget):
    """Shows what was found; hidden before anything was.

    Signals: ``maps_changed()``, other maps are to be shown; ``column_chosen(int)``.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    maps_changed = Signal()
    column_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._inspected: Inspected | None = None
        self.words = _text_label()
        self.notes = _text_label()
        self.table = ColumnTable()
        self.maps = QListWidget()
        self.about = _text_label()
        self.picture = QLabel()
        self.weights = QLabel()
        self.filter_words = _text_label()
        self.verdict = Section("Verdict")
        self.columns = Section("Atomic columns")
        self.note_section = Section("Before you believe a map")
        self.map_section = Section("Maps")
        self.filter_section = Section("Equivalent filter")
        self._lay_out()
        self.maps.itemChanged.connect(self._on_map_changed)
        self.maps.currentItemChanged.connect(self._on_map_chosen)
        self.table.column_chosen.connect(self.column_chosen)
        self.show_inspected(None)

    def show_inspected(self, inspected: Inspected | None) -> None:
        """Show what was found, or nothing."""
        self._inspected = inspected
        self.setVisible(inspected is not None)
        self.show_filter(None)
        self.table.show_evidence(inspected.evidence if inspected else None)
        with signals_blocked(self.maps):
            self.maps.clear()
            for one in inspected.maps if inspected else ():
                self.maps.addItem(self._item(one.name))
        self._on_map_chosen(None)
        if inspected is None:
            return
        self.words.setText(in_words(inspected.inspection))
        self.notes.setText(notes_of_maps(inspected.inspection))
        self.note_section.setVisible(bool(self.notes.text()))
        self.note_section.unfold()
        self.columns.setVisible(inspected.evidence is not None)
        self.verdict.unfold()
        self.columns.unfold(inspected.evidence is not None)
        rows = min(6, max(1, self.maps.count()))
        height = self.maps.sizeHintForRow(0) if self.maps.count() else 20
        self.maps.setFixedHeight(rows * height + 4)

    def shown_maps(self) -> tuple[str, ...]:
        """Return the names of the maps that are ticked."""
        items = (self.maps.item(row) for row in range(self.maps.count()))
        return tuple(
            item.text()
            for item in items
            if item.flags() & Qt.ItemFlag.ItemIsUserCheckable
            and item.checkState() == Qt.CheckState.Checked
        )

    def show_filter(self, found: EquivalentFilter | None) -> None:
        """Show which noisy pixels made a denoised one, or nothing."""
        self.filter_section.setVisible(found is not None)
        if found is None:
            return
        self.weights.setPixmap(_magnified(found))
        self.filter_words.setText(about_filter(found))
        self.filter_section.unfold()

    def _lay_out(self) -> None:
        self.picture.setMinimumWidth(1)
        for section, parts in (
            (self.verdict, [self.words]),
            (self.columns, [self.table]),
            (self.note_section, [self.notes]),
            (self.filter_section, [self.weights, self.filter_words]),
            (self.map_section, [self.maps, self.about, self.picture]),
        ):
            for part in parts:
                section.add(part)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for section in (
            self.verdict,
            self.columns,
            self.filter_section,
            self.note_section,
            self.map_section,
        ):
            column.addWidget(section)
        column.addStretch(1)

    def _item(self, name: str) -> QListWidgetItem:
        item = QListWidgetItem(name)
        assert self._inspected is not None
        if name in self._inspected.pictures:
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setToolTip("Its axes are lags or frequencies: click to see it here.")
        else:
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            shown = name in SHOWN
            item.setCheckState(
                Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked
            )
            item.setToolTip("Ticked maps are shown in the viewer.")
        return item

    def _on_map_changed(self) -> None:
        self.maps_changed.emit()

    def _on_map_chosen(self, item: QListWidgetItem | None) -> None:
        maps = self._inspected.maps if self._inspected else ()
        one = next(
            (m for m in maps if item is not None and m.name == item.text()), None
        )
        self.about.setVisible(one is not None)
        self.about.setText(about_map(one) if one is not None else "")
        picture = None
        if one is not None and self._inspected is not None:
            picture = self._inspected.pictures.get(one.name)
        self.picture.setVisible(picture is not None)
        if picture is not None:
            pixmap = QPixmap()
            pixmap.loadFromData(picture)
            self.picture.setPixmap(
                pixmap.scaledToWidth(
                    min(_WIDEST, pixmap.width()),
                    Qt.TransformationMode.SmoothTransformation,
                )
            )


class _Text(QLabel):
    """Rich text that is as high as it needs to be at the width that it is given.

    A wrapped QLabel hints at the height of another width than that, and a
    :class:`Section` takes the hint for the most that it may have.
    """

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  (Qt)
        super().resizeEvent(event)
        self._fit()

    def setText(self, text: str) -> None:  # noqa: N802  (Qt)
        super().setText(text)
        self._fit()

    def _fit(self) -> None:
        self.setFixedHeight(max(1, self.heightForWidth(self.width())))


def _text_label() -> QLabel:
    label = _Text()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    return label


def _magnified(found: EquivalentFilter) -> QPixmap:
    """Return the weights round the pixel, one square for each noisy pixel."""
    (shown,) = found.maps
    weights = np.asarray(shown.image, dtype=np.float64)
    reach = max(_LEAST, int(np.ceil(_RADII * found.half_radius_px)))
    padded = np.pad(weights, reach, constant_values=np.nan)
    cut = padded[
        found.row : found.row + 2 * reach + 1,
        found.column : found.column + 2 * reach + 1,
    ]
    pixels: Any = np.ascontiguousarray(weights_rgba(cut))
    height, width = cut.shape
    image = QImage(
        pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888
    ).copy()  # the array does not outlive this function
    return QPixmap.fromImage(image).scaled(
        QSize(_EDGE, _EDGE),
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.FastTransformation,
    )
