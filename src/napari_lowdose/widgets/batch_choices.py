"""What the user chooses before a batch: files, folder, format, and how to denoise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from lowdose.io.registry import readable_suffixes, writable_suffixes
from napari_lowdose._batch_plan import BatchPlan
from napari_lowdose.widgets.batch_table import BatchTable
from napari_lowdose.widgets.form import shrink
from napari_lowdose.widgets.method import Method, form_layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel

    from lowdose.batch import FileOptions
    from napari_lowdose._settings import Settings

#: The folder that is proposed, beside the first file.
PROPOSED: Final = "denoised"


class BatchChoices(QWidget):
    """Files with their table, a folder for the results, and how to denoise.

    Signal ``changed()``: anything that is chosen.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    settings : Settings
        The user's preferences.
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, settings: Settings, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.table = BatchTable()
        self.folder_edit = QLineEdit()
        self.folder_edit.setPlaceholderText("folder of the results")
        self.folder_edit.setToolTip("It is made where it does not exist yet.")
        self.format_box = QComboBox()
        self.format_box.addItems(writable_suffixes())
        shrink(self.format_box)
        self.format_box.setToolTip("Format of the results; all but .npy keep units.")
        self.resume_box = QCheckBox("Go on where a batch stopped")
        self.resume_box.setChecked(True)
        self.resume_box.setToolTip(
            "Keeps what is finished when a batch is stopped, and goes on with what an\n"
            "earlier one left, frame by frame. Results that are there and were made\n"
            "in the same way of the same files are kept."
        )
        self.replace_box = QCheckBox("Replace results that are there")
        self.replace_box.setToolTip("The files themselves are never replaced.")
        self.method = Method(viewer, settings)
        self._buttons = QWidget()
        self._remove = QPushButton("Remove")
        self._clear = QPushButton("Clear")
        self._outputs = QWidget()
        self._lay_out()
        self._connect()

    @property
    def folder(self) -> Path | None:
        """Where the results go; None where nothing is chosen."""
        text = self.folder_edit.text().strip()
        return Path(text).expanduser() if text else None

    def set_folder(self, folder: Path) -> None:
        """Choose where the results go."""
        self.folder_edit.setText(str(folder))
        self.changed.emit()

    def add(self, paths: Iterable[Path]) -> None:
        """Add files, and the images in folders; propose a folder for the results."""
        # Here, as everything that reads and computes: the widget opens without it.
        from lowdose.batch.jobs import expand

        found = expand([str(path) for path in paths])
        self.table.add(found)
        if found and self.folder is None:
            self.set_folder(found[0].parent / PROPOSED)

    def plan(self) -> BatchPlan | None:
        """Return what is chosen; None where something is missing."""
        info, folder = self.method.denoisers.info, self.folder
        if info is None or folder is None or not self.table.paths:
            return None
        return BatchPlan(
            sources=tuple(self.table.paths),
            folder=folder,
            suffix=str(self.format_box.currentText()),
            denoiser=info.name,
            values=self.method.values(),
        )

    def show_plan(self, plan: BatchPlan) -> None:
        """Choose what a plan says, as far as that exists."""
        self.table.set_paths(plan.sources)
        self.format_box.setCurrentText(plan.suffix)
        self.method.denoisers.choose(plan.denoiser)
        self.method.set_values(dict(plan.values))
        self.resume_box.setChecked(True)
        self.set_folder(plan.folder)

    def file_options(self) -> FileOptions:
        """Return how to treat results that are there."""
        from lowdose.batch import FileOptions

        return FileOptions(
            resume=bool(self.resume_box.isChecked()),
            overwrite=bool(self.replace_box.isChecked()),
        )

    def problem(self) -> str:
        """Return why the choices cannot be run, or an empty text."""
        if not self.table.paths:
            return "Add files or a folder of files first, or drop them on the table."
        if self.folder is None:
            return "Choose a folder for the results."
        return self.method.problem()

    def allow(self, allowed: bool) -> None:
        """Let the user choose, or not while a batch is under way."""
        for part in (self._buttons, self._outputs, self.resume_box, self.replace_box):
            part.setEnabled(allowed)
        self.method.allow(allowed)
        self.table.allow(allowed)

    def ask_for_files(self) -> None:
        """Ask for files to add."""
        known = " ".join(f"*{suffix}" for suffix in readable_suffixes())
        names, _ = QFileDialog.getOpenFileNames(
            self, "Files to denoise", "", f"Images ({known});;All files (*)"
        )
        self.add(map(Path, names))

    def ask_for_folder(self) -> None:
        """Ask for a folder whose images are added."""
        name = QFileDialog.getExistingDirectory(self, "Folder of files to denoise")
        if name:
            self.add([Path(name)])

    def ask_for_target(self) -> None:
        """Ask for the folder of the results."""
        name = QFileDialog.getExistingDirectory(self, "Folder for the results")
        if name:
            self.set_folder(Path(name))

    def _lay_out(self) -> None:
        row = QHBoxLayout(self._buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for text, action, tip in (
            ("Files…", self.ask_for_files, "Add files."),
            ("Folder…", self.ask_for_folder, "Add all images in a folder."),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(action)
            row.addWidget(button)
        self._remove.setToolTip("Take the selected files off the table (Delete).")
        self._clear.setToolTip("Take all files off the table.")
        row.addWidget(self._remove)
        row.addWidget(self._clear)
        target = QHBoxLayout()
        choose = QPushButton("…")
        choose.setToolTip("Choose the folder for the results.")
        choose.setMaximumWidth(3 * self.fontMetrics().averageCharWidth() + 24)
        choose.clicked.connect(self.ask_for_target)
        target.addWidget(self.folder_edit, 1)
        target.addWidget(choose)
        outputs = form_layout()
        outputs.addRow("Results in", target)
        outputs.addRow("Format", self.format_box)
        self._outputs.setLayout(outputs)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (
            self._buttons,
            self.table,
            self._outputs,
            self.method,
            self.resume_box,
            self.replace_box,
        ):
            column.addWidget(part)

    def _connect(self) -> None:
        self.table.dropped.connect(self.add)
        self.table.changed.connect(self.changed)
        self._remove.clicked.connect(self.table.remove_selected)
        self._clear.clicked.connect(lambda: self.table.set_paths([]))
        self.folder_edit.editingFinished.connect(self.changed)
        self.method.denoisers.denoiser_changed.connect(self.changed)
