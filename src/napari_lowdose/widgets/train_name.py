"""The name of the model that a training makes: suggested, and checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from qtpy.QtWidgets import QLineEdit, QWidget
from superqt.utils import signals_blocked

from napari_lowdose.training.records import find_record
from napari_lowdose.training.sources import file_name

if TYPE_CHECKING:
    from napari_lowdose.widgets.train_start import StartBox

#: Names of models, as recipes allow them.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class NameField(QLineEdit):
    """A line for a name that no model, filter or unfinished training has.

    Parameters
    ----------
    models : StartBox
        Knows all models.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(self, models: StartBox, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._models = models
        self._given = False
        self.setToolTip(
            "Name of the model: letters, digits, point, hyphen and underscore."
        )
        self.textEdited.connect(self._on_edited)

    def suggest(self, stem: str) -> None:
        """Show a free name made of a text, unless the user has given one."""
        if self._given:
            return
        stem = file_name(stem)
        name, number = stem, 2
        while self._taken(name):
            name, number = f"{stem}-{number}", number + 1
        with signals_blocked(self):
            self.setText(name)

    def forget(self) -> None:
        """Let the next suggestion take the place of what the user has given."""
        self._given = False

    def problem(self) -> str:
        """Return why a model cannot be called so, or an empty text."""
        name = self.text()
        if not _NAME.fullmatch(name):
            return (
                f"{name!r} is no name for a model. Use letters, digits, point, hyphen "
                "and underscore, beginning with a letter or digit."
            )
        if self._taken(name):
            return (
                f"There is a model, a filter or an unfinished training {name!r} "
                "already. Choose another name."
            )
        return ""

    def _taken(self, name: str) -> bool:
        from lowdose.filters import FILTERS

        known = {other.casefold() for other in (*self._models.names, *FILTERS)}
        return name.casefold() in known or find_record(name) is not None

    def _on_edited(self) -> None:
        self._given = bool(self.text())
