"""What a denoiser is, in a few lines under its name."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_lowdose.widgets.section import Section

if TYPE_CHECKING:
    from lowdose.catalogue import DenoiserInfo


class CardView(QWidget):
    """Shows the summary of a denoiser, and its card under "About".

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._summary = _text()
        self._details = _text()
        self._about = Section("About this denoiser")
        self._about.add(self._details)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._summary)
        layout.addWidget(self._about)

    def show_info(self, info: DenoiserInfo | None) -> None:
        """Show this denoiser, or nothing."""
        self._summary.setText(escape(info.summary) if info else "")
        details = card_html(info) if info else ""
        self._details.setText(details)
        self._about.setVisible(bool(details))


def card_html(info: DenoiserInfo) -> str:
    """Return the reference and the card of a denoiser as rich text.

    Parameters
    ----------
    info : DenoiserInfo
        Description from the catalogue.

    Returns
    -------
    str
        Lines of HTML without any colour; texts of the card are escaped.
    """
    return "<br>".join(
        f"<b>{heading}:</b> {escape(text)}" for heading, text in _rows(info) if text
    )


def _rows(info: DenoiserInfo) -> list[tuple[str, str]]:
    """Return what people ask for first, with its heading."""
    card = info.card or {}
    valid, training = _table(card, "valid"), _table(card, "training")
    measured = [(key, _table(training, key)) for key in training]
    return [
        ("Dose", _range(valid.get("dose_e_per_px"), "e-/px")),
        ("Pixel size", _range(valid.get("pixel_size_nm"), "nm")),
        ("Limits", " ".join(str(text) for text in card.get("limits", ()))),
        *((key.replace("_", " "), card_text(table)) for key, table in measured),
        ("Recipe", card_text(training.get("recipe", ""))),
        ("Network", _network(card)),
        ("Reference", info.reference),
        ("Licence", card_text(card.get("licence", ""))),
    ]


def _table(card: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = card.get(key)
    return value if isinstance(value, Mapping) else {}


def _range(value: Any, unit: str) -> str:
    """Return a pair of numbers as a range; anything else in words."""
    match value:
        case None:
            return ""
        case [int() | float() as low, int() | float() as high]:
            return f"{low:g} to {high:g} {unit}"
        case _:
            return card_text(value)


def _network(card: Mapping[str, Any]) -> str:
    count = card.get("parameters")
    name = card_text(card.get("architecture", ""))
    return f"{name}, {count:,} parameters" if isinstance(count, int) else name


def card_text(value: Any) -> str:
    """Return an entry of a card in words: texts, numbers, ranges and tables."""
    match value:
        case str():
            return value
        case Mapping():
            return ", ".join(f"{k} {card_text(v)}" for k, v in value.items())
        case list() | tuple():
            return ", ".join(card_text(v) for v in value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
