"""Comparing the noisy layer with its result: two buttons, and a widget round them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_lowdose._compare import Peek, comparison_of
from napari_lowdose._provenance import (
    find_pair,
)
from napari_lowdose.widgets.choosers import LayerBox
from napari_lowdose.widgets.docked import TeardownOnClose

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer

Pair = tuple[Image, Image]


class CompareRow(QWidget):
    """Two buttons: "Side by side", and "hold to show noisy".

    Parameters
    ----------
    viewer : Viewer
        The viewer.
    pair : callable
        Returns the noisy layer and the result, or None where there are no two.
    noisy : callable
        Returns the layer to show while the second button is held, or None where
        nothing covers it.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        pair: Callable[[], Pair | None],
        noisy: Callable[[], Image | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._pair = pair
        self._noisy = noisy
        self._comparison = comparison_of(viewer)
        self._peek = Peek(viewer)
        self.side_by_side = QPushButton("Side by side")
        self.side_by_side.setCheckable(True)
        self.side_by_side.setToolTip(
            "Show noisy and denoised next to each other, moving together and with\n"
            "the same contrast. Press again to put everything back."
        )
        self.hold = QPushButton("Hold for noisy")
        self.hold.setToolTip("Shows the noisy layer for as long as you hold it down.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.side_by_side)
        layout.addWidget(self.hold)
        self.side_by_side.clicked.connect(self._on_side_by_side)
        self.hold.pressed.connect(self._on_pressed)
        self.hold.released.connect(self._on_released)
        self._comparison.changed.connect(self._on_changed)
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be used with the present layers."""
        active = self._comparison.active
        self.side_by_side.setChecked(active)
        self.side_by_side.setEnabled(active or self._pair() is not None)
        self.hold.setEnabled(not active and self._noisy() is not None)

    def close_comparison(self) -> None:
        """Put everything back."""
        self._peek.end()
        self._comparison.leave()

    def _on_side_by_side(self) -> None:
        pair = self._pair()
        if self._comparison.active:
            self._comparison.leave()
        elif pair is not None:
            self._comparison.enter(*pair)
        self.refresh()

    def _on_pressed(self) -> None:
        noisy = self._noisy()
        if noisy is not None:
            self._peek.begin(noisy)

    def _on_released(self) -> None:
        self._peek.end()

    def _on_changed(self) -> None:
        self.refresh()


class CompareWidget(TeardownOnClose):
    """Compares any two image layers.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.guard_canvas(viewer)
        self._noisy = LayerBox(viewer)
        self._result = LayerBox(viewer)
        self._row = CompareRow(viewer, self.pair, self.covered)
        self._hint = QLabel()
        self._hint.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Noisy", self._noisy)
        form.addRow("Denoised", self._result)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self._row)
        layout.addWidget(self._hint)
        layout.addStretch(1)
        pair = find_pair(viewer, self._result.layer)
        if pair is not None:
            self._noisy.choose(str(pair[0].unique_id))
            self._result.choose(str(pair[1].unique_id))
        self._noisy.layer_changed.connect(self._render)
        self._result.layer_changed.connect(self._render)
        self._render()

    def pair(self) -> Pair | None:
        """Return the two layers, or None unless two different ones are chosen."""
        noisy, result = self._noisy.layer, self._result.layer
        if noisy is None or result is None or noisy.unique_id == result.unique_id:
            return None
        return noisy, result

    def covered(self) -> Image | None:
        """Return the noisy layer where there is a result to hide, or None."""
        pair = self.pair()
        return pair[0] if pair is not None else None

    def reset_choices(self) -> None:
        """Read the layers anew; napari calls this when they change."""
        if not self.closed:
            self._noisy.reset_choices()
            self._result.reset_choices()
            self._render()

    def teardown(self) -> None:
        """Put everything back."""
        self._row.close_comparison()

    def _render(self) -> None:
        self._row.refresh()
        self._hint.setText("" if self.pair() else "Choose two different image layers.")
