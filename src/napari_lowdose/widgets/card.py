"""What a denoiser is, in a few lines under its name."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_lowdose.widgets.section import Section

if TYPE_CHECKING:
    from lowdose.catalogue import DenoiserInfo

#: Entries of a card that people ask for first, with the words shown for them.
_HEADINGS: Final = {
    "training_data": "Trained on",
    "dose": "Dose",
    "pixel_size": "Pixel size",
    "limits": "Limits",
    "licence": "Licence",
    "version": "Version",
}


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
        Lines of HTML without any colour.
    """
    rows = [("Reference", info.reference)] if info.reference else []
    rows += [(_HEADINGS[key], card_text(value)) for key, value in _entries(info.card)]
    return "<br>".join(
        f"<b>{heading}:</b> {escape(text)}" for heading, text in rows if text
    )


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


def _entries(card: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    return [(key, card[key]) for key in _HEADINGS if key in card] if card else []


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
