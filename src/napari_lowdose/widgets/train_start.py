"""Choosing what a training begins with: a model that is there, or a fresh network."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QComboBox, QWidget
from superqt.utils import signals_blocked

from lowdose.zoo.shelf import list_models
from napari_lowdose.training.recipes import FRESH
from napari_lowdose.widgets.choosers import GROUPS, heading
from napari_lowdose.widgets.form import shrink

if TYPE_CHECKING:
    from lowdose.zoo.cards import ModelCard

#: What is offered first, and what it means.
_SUITED: Final = "suited"
_SUITED_TITLE: Final = "What suits the data"
_SUITED_WORDS: Final = (
    "Fine-tunes the general model; where frames show a lattice, and the way learns "
    "from one stack, takes a fresh network for crystals."
)


class StartBox(QComboBox):
    """Chooses a model to fine-tune, or a fresh network.

    Signal ``changed()``.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        shrink(self)
        self._cards: dict[str, ModelCard] = {}
        self.setToolTip(
            "Fine-tuning begins with what a model knows, and is soon good. A fresh\n"
            "network takes longer, and knows nothing but your data."
        )
        self.read_models()
        self.currentIndexChanged.connect(self.changed)

    @property
    def start(self) -> str:
        """Model to begin with; empty for a fresh network, or for what suits."""
        kind, name = self._chosen
        return name if kind == "start" else ""

    @property
    def fresh(self) -> str:
        """Key of the fresh network; empty for a model, or for what suits."""
        kind, name = self._chosen
        return name if kind == "fresh" else ""

    @property
    def names(self) -> set[str]:
        """Names of all models there are."""
        return set(self._cards)

    @property
    def words(self) -> str:
        """What is chosen, in a sentence."""
        if self.start:
            return self._cards[self.start].summary
        return FRESH[self.fresh].help if self.fresh else _SUITED_WORDS

    def choose(self, *, start: str = "", fresh: str = "") -> None:
        """Choose a model or a fresh network by name; nothing where there is none."""
        row = self.findData(f"start {start}" if start else f"fresh {fresh}")
        if row >= 0:
            self.setCurrentIndex(row)

    def read_models(self) -> None:
        """Read the models anew, keeping the choice where it is among them."""
        before = self.currentData()
        with warnings.catch_warnings():
            # Those that are damaged are told of by the widget "Denoise".
            warnings.simplefilter("ignore")
            self._cards = {card.name: card for card in list_models()}
        model = QStandardItemModel(self)
        model.appendRow(_entry(_SUITED_TITLE, _SUITED_WORDS, _SUITED))
        for group in ("pretrained", "yours"):
            cards = [card for card in self._cards.values() if card.group == group]
            if cards:
                model.appendRow(heading(f"Fine-tune: {GROUPS[group].lower()}"))
            for card in cards:
                model.appendRow(_entry(card.title, card.summary, f"start {card.name}"))
        model.appendRow(heading("Fresh networks"))
        for key, fresh in FRESH.items():
            model.appendRow(_entry(fresh.title, fresh.help, f"fresh {key}"))
        with signals_blocked(self):
            self.setModel(model)
            # A heading has no data either: nothing is not to be looked for.
            self.setCurrentIndex(max(0, self.findData(before)) if before else 0)
        if self.currentData() != before:
            self.changed.emit()

    @property
    def _chosen(self) -> tuple[str, str]:
        kind, _, name = str(self.currentData()).partition(" ")
        return kind, name


def _entry(title: str, help_: str, data: str) -> QStandardItem:
    item = QStandardItem(title)
    item.setData(data, Qt.ItemDataRole.UserRole)
    item.setToolTip(help_)
    return item
