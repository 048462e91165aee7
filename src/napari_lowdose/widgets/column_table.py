"""The table of atomic columns: sorted as one likes, and a click leads to one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

if TYPE_CHECKING:
    from lowdose.trust.evidence import ColumnEvidence

#: Rows that are shown without scrolling.
_ROWS: Final = 9


class _Columns(QAbstractTableModel):
    """Evidence as rows; what is sorted by are numbers, what is shown is text."""

    def __init__(self) -> None:
        super().__init__()
        self._headings: list[tuple[str, str]] = []
        self._rows: list[tuple[Any, ...]] = []

    def show(self, evidence: ColumnEvidence | None) -> None:
        self.beginResetModel()
        self._headings, self._rows = [], []
        if evidence is not None:
            size = evidence.columns.pixel_size
            unit = "px" if size is None else "nm"
            self._headings = [
                (
                    "evidence [nats]",
                    "Above 0 the counts want the column, below 0 they do not.",
                ),
                ("q", "False discovery rate at which it counts as supported."),
                ("verdict", "What the counts say at a false discovery rate of 5 %."),
                (f"x [{unit}]", "Position, from the centre of the first pixel."),
                (f"y [{unit}]", "Position, from the centre of the first pixel."),
                ("height [e-/px]", "Over its surroundings, as the counts say."),
            ]
            positions = evidence.columns.positions * (size or 1.0)
            self._rows = [
                (float(llr), float(q), verdict, float(x), float(y), float(height))
                for (y, x), llr, q, height, verdict in zip(
                    positions,
                    evidence.llr,
                    evidence.q,
                    evidence.height,
                    evidence.verdicts,
                    strict=True,
                )
            ]
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  (Qt)
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  (Qt)
        return 0 if parent is not None and parent.isValid() else len(self._headings)

    def headerData(  # noqa: N802  (Qt)
        self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        title, meaning = self._headings[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return title
        return meaning if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        value = self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.UserRole:
            # What is not known comes last, not anywhere.
            unknown = isinstance(value, float) and math.isnan(value)
            return math.inf if unknown else value
        if role == Qt.ItemDataRole.DisplayRole:
            return value if isinstance(value, str) else _text(value)
        return None


class ColumnTable(QTableView):
    """Shows the evidence of every column, the most doubtful first.

    Signal ``column_chosen(int)``: the number of the column that the user clicked on,
    or moved to with the arrow keys.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    column_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._quiet = False
        self._columns = _Columns()
        self._columns.setParent(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._columns)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().setVisible(False)
        self.horizontalHeader().setSectionResizeMode(
            QHeaderView.ResizeMode.ResizeToContents
        )
        line = self.fontMetrics().lineSpacing()
        self.verticalHeader().setDefaultSectionSize(round(1.4 * line))
        self.setMinimumHeight(round(1.4 * line * (_ROWS + 1)))
        self.selectionModel().currentRowChanged.connect(self._on_current)

    def show_evidence(self, evidence: ColumnEvidence | None) -> None:
        """Show these columns, or none."""
        self._columns.show(evidence)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)

    def select(self, number: int, *, quietly: bool = False) -> None:
        """Select a column by its number, and scroll to it.

        Parameters
        ----------
        number : int
            Of the column, in the order of the evidence.
        quietly : bool, optional
            Without telling that it was chosen.
        """
        index = self._sorted.mapFromSource(self._columns.index(number, 0))
        flags = QItemSelectionModel.SelectionFlag
        self._quiet = quietly
        self.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
        self._quiet = False
        self.scrollTo(index)

    def numbers(self) -> list[int]:
        """Return the numbers of the columns in the order in which they are shown."""
        return [
            self._sorted.mapToSource(self._sorted.index(row, 0)).row()
            for row in range(self._sorted.rowCount())
        ]

    def _on_current(self, current: QModelIndex) -> None:
        if current.isValid() and not self._quiet:
            self.column_chosen.emit(self._sorted.mapToSource(current).row())


def _text(value: float) -> str:
    if math.isnan(value):
        return "not tested"
    return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"
