"""Two layouts for a narrow dock: a part that folds away, a column that scrolls."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QFrame,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

#: Width that a column asks for, in characters; it can be made narrower.
CHARACTERS: Final = 50

#: Height that a column keeps when other docks want room, in lines.
LINES: Final = 14


class Section(QWidget):
    """A heading that shows and hides what is under it.

    superqt's QCollapsible fixes the height of its content when it is unfolded, and
    paints its arrow in the colour of the moment; ours changes its content, and napari
    its theme.

    Parameters
    ----------
    title : str
        The heading.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._button = QPushButton()
        self._button.setCheckable(True)
        self._button.setFlat(True)
        # Only the shape is set: the colours are the theme's.
        self._button.setStyleSheet(
            "text-align: left; padding: 3px 0; background: transparent; border: none"
        )
        self._button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._content = QWidget()
        self._layout = QVBoxLayout(self._content)
        self._layout.setContentsMargins(12, 0, 0, 4)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self._button)
        outer.addWidget(self._content)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._button.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    @property
    def unfolded(self) -> bool:
        """Whether the content is shown."""
        return bool(self._button.isChecked())

    def unfold(self, show: bool = True) -> None:
        """Show the content, or hide it."""
        self._button.setChecked(show)

    def add(self, widget: QWidget) -> None:
        """Add a widget under the earlier ones."""
        self._layout.addWidget(widget)

    def _on_toggled(self, shown: bool) -> None:
        self._content.setVisible(shown)
        self._button.setText(f"{'▾' if shown else '▸'} {self._title}")


def fill_with_column(widget: QWidget, column: QWidget) -> ColumnScroll:
    """Make a column that scrolls the whole of a widget, and return what scrolls it."""
    outer = QVBoxLayout(widget)
    outer.setContentsMargins(0, 0, 0, 0)
    scroll = ColumnScroll(column)
    outer.addWidget(scroll)
    return scroll


class ColumnScroll(QScrollArea):
    """Scrolls a column up and down, and is never narrower than the column.

    Parameters
    ----------
    column : QWidget
        The content.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(self, column: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(column)

    def minimumSizeHint(self) -> QSize:  # noqa: N802  (Qt)
        """Return the width of the column with its scroll bar, and some height."""
        bar = self.verticalScrollBar().sizeHint().width()
        width = self.widget().minimumSizeHint().width() + bar
        return QSize(width, LINES * self.fontMetrics().lineSpacing())

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt)
        """Return the size at which nothing has to scroll, and names can be read."""
        width = CHARACTERS * self.fontMetrics().averageCharWidth()
        wanted = self.widget().sizeHint().expandedTo(self.minimumSizeHint())
        return wanted.expandedTo(QSize(width, 0))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  (Qt)
        """Follow the column when what is in it changes."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))
