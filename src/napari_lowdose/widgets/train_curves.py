"""Loss and validation of a training as they come, over its steps.

By pyqtgraph, which draws two curves of thousands of points in milliseconds on the main
thread, where matplotlib's Qt canvas takes longer than a frame of the window.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from lowdose.errors import LowDoseError
from lowdose.training.logs import CURVE, read_curve

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from qtpy.QtGui import QWheelEvent

    from lowdose.training.reports import TrainingProgress

#: Least time between two drawings [ms].
REDRAW_EVERY: Final = 500
#: Height of both curves [px].
_HEIGHT: Final = 400
#: Weight of a new report in the running mean of the loss.
_NEW: Final = 0.1
#: Points kept of the loss; of more, every second one is dropped.
_MOST: Final = 4000

#: Score -> what is written at the axis, with the unit.
_AXES: Final = {
    "gain_dB": "gain (dB)",
    "psnr_dB": "PSNR (dB)",
    "blind_dB": "blind score (dB)",
    "fidelity": "fidelity",
}
#: Which score is shown for the one that decides: the same in a unit that is known.
_SHOWN: Final = {"fidelity": "gain_dB"}
_LOSS_COLOUR, _SCORE_COLOUR, _BEST_COLOUR = "#4c9be8", "#3fb27f", "#e8a33d"


class _Plots(pg.GraphicsLayoutWidget):
    """Plots that leave the wheel to the dock they are in."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802  (Qt)
        event.ignore()


class CurvesView(QWidget):
    """The loss of the steps above, the score of the validations below.

    Parameters
    ----------
    viewer : ViewerModel
        Its theme gives the colours.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._steps: list[int] = []
        self._losses: list[float] = []
        self._means: list[float] = []
        self._validated: list[int] = []
        self._scores: list[float] = []
        self._decisive: list[float] = []
        self._score = ""
        self._plots = _Plots()
        self._plots.setFixedHeight(_HEIGHT)
        self._plots.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.upper = self._plots.addPlot(row=0, col=0)
        self.lower = self._plots.addPlot(row=1, col=0)
        for plot in (self.upper, self.lower):
            plot.setMouseEnabled(x=False, y=False)
            plot.setMenuEnabled(False)
            # Menus that nobody can open, without a parent that would delete them.
            plot.subMenus, plot.ctrlMenu = [], None
            plot.hideButtons()
            plot.getAxis("left").enableAutoSIPrefix(False)
            plot.getAxis("bottom").enableAutoSIPrefix(False)
            plot.getAxis("left").setWidth(56)
        self.lower.setXLink(self.upper)
        self.upper.setLogMode(y=True)
        self._raw = self.upper.plot(pen=pg.mkPen(_LOSS_COLOUR + "60", width=1))
        self._mean = self.upper.plot(pen=pg.mkPen(_LOSS_COLOUR, width=2))
        self._line = self.lower.plot(
            pen=pg.mkPen(_SCORE_COLOUR, width=2),
            symbol="o",
            symbolSize=4,
            symbolBrush=_SCORE_COLOUR,
            symbolPen=None,
        )
        self._best = self.lower.plot(
            pen=None, symbol="star", symbolSize=14, symbolBrush=_BEST_COLOUR
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._plots)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(REDRAW_EVERY)
        self._redraw.timeout.connect(self.draw)
        viewer.events.theme.connect(self._on_theme)
        self._on_theme()
        self.begin()

    def close_for_good(self) -> None:
        """Let go of the viewer, and draw no more."""
        self._redraw.stop()
        self._viewer.events.theme.disconnect(self._on_theme)

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and score, as it is drawn, of the best validation so far."""
        if not self._decisive:
            return None
        at = int(np.argmax(self._decisive))
        return self._validated[at], self._scores[at]

    @property
    def score(self) -> str:
        """Name of the score that is drawn; empty before the first validation."""
        return self._score

    @property
    def points(self) -> tuple[int, int]:
        """Number of losses and of validations that are drawn."""
        return len(self._losses), len(self._scores)

    def begin(self, folder: Path | None = None, loss: str = "") -> None:
        """Start anew, or with what earlier runs of a training have left.

        Parameters
        ----------
        folder : Path, optional
            Of the training; its curve is shown where there is one.
        loss : str, optional
            Name of the loss, for the axis.
        """
        for points in (self._steps, self._losses, self._means):
            points.clear()
        for points in (self._validated, self._scores, self._decisive):
            points.clear()
        self._score = ""
        named = "" if loss in ("", "auto") else f" {loss}"
        self._label(self.upper, f"loss{named} (normalised)", "")
        self._label(self.lower, "validation", "steps")
        if folder is not None and (folder / CURVE).exists():
            self._read(folder / CURVE)
        self.draw()

    def add(self, progress: TrainingProgress) -> None:
        """Take note of a report; it is drawn soon."""
        step = progress.first + progress.done
        if math.isfinite(progress.loss) and progress.loss > 0:
            self._add_loss(step, progress.loss)
        if progress.scores:
            self._add_scores(step, dict(progress.scores), progress.watched)
        if not self._redraw.isActive():
            self._redraw.start()

    def draw(self) -> None:
        """Draw now."""
        self._raw.setData(self._steps, self._losses)
        self._mean.setData(self._steps, self._means)
        self._line.setData(self._validated, self._scores)
        best = self.best
        self._best.setData([] if best is None else [best[0]], [best[1]] if best else [])

    def _add_loss(self, step: int, loss: float) -> None:
        mean = self._means[-1] if self._means else loss
        self._steps.append(step)
        self._losses.append(loss)
        self._means.append(mean + _NEW * (loss - mean))
        if len(self._steps) > _MOST:
            for points in (self._steps, self._losses, self._means):
                del points[::2]

    def _add_scores(self, step: int, scores: dict[str, float], watched: str) -> None:
        if self._validated and step <= self._validated[-1]:
            return  # the last validation of an earlier run is made again
        shown = _SHOWN.get(watched, watched)
        shown = shown if shown in scores else watched
        if shown not in scores:
            return
        if shown != self._score:
            self._score = shown
            self._label(self.lower, _AXES.get(shown, shown.replace("_", " ")), "steps")
        self._validated.append(step)
        self._scores.append(scores[shown])
        self._decisive.append(scores.get(watched, scores[shown]))

    def _read(self, path: Path) -> None:
        try:
            rows = read_curve(path)
        except (OSError, LowDoseError):  # a curve is no reason not to go on
            return
        for row in rows:
            values = _numbers(row)
            step = int(values.pop("step", 0))
            if (loss := values.get("loss", math.nan)) > 0:
                self._add_loss(step, loss)
            watched = next((k for k in ("fidelity", *_AXES) if k in values), "")
            if watched:
                self._add_scores(step, values, watched)

    def _label(self, plot: Any, left: str, bottom: str) -> None:
        colour = self._colours()[1]
        plot.setLabel("left", left, color=colour)
        if bottom:
            plot.setLabel("bottom", bottom, color=colour)

    def _colours(self) -> tuple[str, str]:
        """Return background and text of the theme."""
        theme = get_theme(self._viewer.theme)
        return theme.background.as_hex("long"), theme.text.as_hex("long")

    def _on_theme(self) -> None:
        background, text = self._colours()
        self._plots.setBackground(background)
        for plot in (self.upper, self.lower):
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(text)
                axis.setTextPen(text)


def _numbers(row: dict[str, str]) -> dict[str, float]:
    found = {}
    for key, text in row.items():
        try:
            found[key] = float(text)
        except (TypeError, ValueError):
            continue
    return found
