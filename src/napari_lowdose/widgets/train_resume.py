"""Offers trainings that were interrupted, to go on with or to discard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from lowdose.errors import OutputError
from napari_lowdose.training.records import forget, read_records
from napari_lowdose.training.words import describe_record
from napari_lowdose.widgets.form import shrink

if TYPE_CHECKING:
    from napari_lowdose.training.records import Record

#: Time between two looks whether a training that was closed has written its
#: checkpoint [ms].
_LOOK_EVERY: Final = 1000


class ResumeRow(QWidget):
    """Lists unfinished trainings; hidden while there is none.

    Signals: ``resumed(Record)`` when one is to go on, ``said(str)`` with a sentence,
    and ``changed()`` when one was discarded.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    resumed = Signal(object)
    said = Signal(str)
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._records: list[Record] = []
        self._told: list[str] = []
        title = QLabel("Unfinished:")
        self.box = QComboBox()
        shrink(self.box)
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip("Go on from the checkpoint, for the time left.")
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Remove its checkpoints for good.")
        row = QHBoxLayout()
        row.addWidget(title)
        row.addWidget(self.box, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.resume_button)
        buttons.addWidget(self.discard_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addLayout(buttons)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_LOOK_EVERY)
        self._later.timeout.connect(self.read)
        self.resume_button.clicked.connect(self.resume)
        self.discard_button.clicked.connect(self.discard)
        self.box.currentIndexChanged.connect(self._on_chosen)
        self.hide()

    @property
    def record(self) -> Record | None:
        """The training that is chosen."""
        at = self.box.currentIndex()
        return self._records[at] if 0 <= at < len(self._records) else None

    def read(self) -> None:
        """Read the records anew, and say what is wrong with any of them."""
        records, notes = read_records()
        # One that another napari is training is none of ours.
        self._records = [record for record in records if not record.running]
        with signals_blocked(self.box):
            self.box.clear()
            self.box.addItems([describe_record(record) for record in self._records])
        self.setVisible(bool(self._records))
        self._on_chosen()
        if any(record.running for record in records):
            self._later.start()
        for note in notes:
            if note not in self._told:
                self._told.append(note)
                self.said.emit(note)

    def resume(self) -> None:
        """Go on with the training that is chosen."""
        if self.record is not None:
            self.resumed.emit(self.record)

    def discard(self) -> None:
        """Remove the training that is chosen."""
        record = self.record
        if record is None:
            return
        try:
            forget(record)
        except OutputError as error:
            self.said.emit(str(error))
        else:
            kept = "" if record.own else f" Its files in {record.folder} are kept."
            self.said.emit(f"'{record.name}' is discarded.{kept}")
        self.read()
        self.changed.emit()

    def stop(self) -> None:
        """Look no more."""
        self._later.stop()

    def _on_chosen(self) -> None:
        record = self.record
        self.box.setToolTip("" if record is None else f"Learns from {record.source}.")
