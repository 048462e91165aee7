"""The files of a batch, and what has become of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from lowdose.progress import format_seconds
from napari_lowdose._messages import in_words_of_the_widget

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QKeyEvent

    from lowdose.batch import FileStatus, Outcome

#: Rows that are shown without scrolling.
_ROWS: Final = 7

_HEADINGS: Final = ("File", "Status")


@dataclass(slots=True)
class Row:
    """One file: its name, its state, and how far it is."""

    path: Path
    state: str = "waiting"
    fraction: float = 0.0
    outcome: Outcome | None = None

    @property
    def text(self) -> str:
        """What the column "Status" says."""
        match self.state:
            case "running":
                return f"▸ {self.fraction:.0%}"
            case "done" if self.outcome is not None:
                seconds = self.outcome.seconds
                took = f"{seconds:.1f} s" if seconds < 10 else format_seconds(seconds)
                return f"✓ {took}"
            case "present":
                return "✓ was there"
            case "failed":
                return "✗ failed"
            case "cancelled":
                return "stopped"
            case _:
                return self.state

    @property
    def details(self) -> str:
        """What the tool tip says."""
        if self.outcome is None:
            return str(self.path)
        if self.outcome.error:
            return f"{self.path}\n{in_words_of_the_widget(self.outcome.error)}"
        size = " × ".join(map(str, self.outcome.shape))
        lines = [str(self.path), f"→ {self.outcome.job.target}", f"{size} px"]
        if self.outcome.frames_resumed:
            lines.append(f"{self.outcome.frames_resumed} frames by an earlier run")
        if self.outcome.present:
            lines.append("The result was there already, made in the same way.")
        return "\n".join([*lines, "Double click: look at both, side by side."])


class _Files(QAbstractTableModel):
    """The files as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[Row] = []

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  (Qt)
        return 0 if parent is not None and parent.isValid() else len(self.files)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  (Qt)
        return 0 if parent is not None and parent.isValid() else len(_HEADINGS)

    def headerData(  # noqa: N802  (Qt)
        self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        return _HEADINGS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.files[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.text if index.column() else row.path.name
        return row.details if role == Qt.ItemDataRole.ToolTipRole else None

    def replace(self, files: list[Row]) -> None:
        self.beginResetModel()
        self.files = files
        self.endResetModel()

    def tell(self, first: int, last: int) -> None:
        self.dataChanged.emit(self.index(first, 0), self.index(last, 1))


class BatchTable(QTableView):
    """Shows the files of a batch; files can be dropped on it.

    Signals: ``dropped(list)`` with the paths that were dropped, ``changed()`` when
    files came or went, ``opened(int)`` with the number of the row that was double
    clicked.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    dropped = Signal(object)
    changed = Signal()
    opened = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._allowed = True
        self._files = _Files()
        self._files.setParent(self)
        self.setModel(self._files)
        self.setAcceptDrops(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.verticalHeader().setVisible(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        # Rows may be thousands: what sets a width is what is on the screen.
        header.setResizeContentsPrecision(0)
        line = self.fontMetrics().lineSpacing()
        self.verticalHeader().setDefaultSectionSize(round(1.4 * line))
        self.setMinimumHeight(round(1.4 * line * (_ROWS + 1)))
        self.doubleClicked.connect(self._on_double_clicked)

    @property
    def rows(self) -> Sequence[Row]:
        """The files, in the order of the table."""
        return self._files.files

    @property
    def paths(self) -> list[Path]:
        """The files, as paths."""
        return [row.path for row in self._files.files]

    def allow(self, allowed: bool) -> None:
        """Let files be added and removed, or not while they are denoised."""
        self._allowed = allowed

    def set_paths(self, paths: Iterable[Path]) -> None:
        """Show these files, none of them begun; those that stay keep their state."""
        known = {row.path: row for row in self._files.files}
        wanted = dict.fromkeys(paths)
        self._files.replace([known.get(path) or Row(path) for path in wanted])
        self.changed.emit()

    def add(self, paths: Iterable[Path]) -> None:
        """Add files; those that are there already stay as they are."""
        self.set_paths([*self.paths, *paths])

    def remove_selected(self) -> None:
        """Remove the selected files from the table."""
        if self._allowed:
            chosen = {index.row() for index in self.selectionModel().selectedRows()}
            kept = [p for n, p in enumerate(self.paths) if n not in chosen]
            self.set_paths(kept)

    def begin(self) -> None:
        """Show that all files wait."""
        self._files.replace([Row(path) for path in self.paths])

    def show_status(self, status: FileStatus) -> None:
        """Show what there is to say of a file."""
        row = self._files.files[status.number]
        row.state = status.state
        if status.progress is not None:
            row.fraction = status.progress.fraction
        row.outcome = status.outcome
        self._files.tell(status.number, status.number)
        if status.state == "running" and status.progress is None:
            self.scrollTo(self._files.index(status.number, 0))

    def show_stopped(self) -> None:
        """Show that what was running was stopped."""
        for number, row in enumerate(self._files.files):
            if row.state == "running":
                row.state = "cancelled"
                self._files.tell(number, number)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  (Qt)
        """Remove the selected files by the key for that."""
        if event.matches(QKeySequence.StandardKey.Delete):
            self.remove_selected()
            event.accept()
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802  (Qt)
        """Take files."""
        self._take(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:  # noqa: N802  (Qt)
        """Take files wherever they are."""
        self._take(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802  (Qt)
        """Tell which files were dropped."""
        if self._take(event):
            urls = event.mimeData().urls()
            paths = [Path(u.toLocalFile()) for u in urls if u.isLocalFile()]
            self.dropped.emit(paths)

    def _take(self, event: QDropEvent) -> bool:
        if self._allowed and event.mimeData().hasUrls():
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            return True
        event.ignore()
        return False

    def _on_double_clicked(self, index: QModelIndex) -> None:
        self.opened.emit(index.row())
