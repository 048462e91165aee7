"""The button "Suggest": denoisers in the order of their errors, a click takes one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari.utils.notifications import notification_manager
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_lowdose._jobs import JobController
from napari_lowdose._messages import explain, is_expected
from napari_lowdose._suggesting import Candidate, Suggestion
from napari_lowdose.widgets.stages import StageRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.catalogue import DenoiserInfo
    from lowdose.parameters import Value
    from lowdose.trust.ranking import Ranked
    from napari_lowdose._suggesting import SuggestRequest


class SuggestBox(QWidget):
    """A button, and the denoisers in the order of their errors when that is known.

    Signals: ``asked()``, the button was pressed; ``state_changed(JobState)``;
    ``taken(str, dict)``, name and values of the denoiser that the user clicked on;
    ``said(str)`` with what became of it.

    Parameters
    ----------
    parent : QWidget, optional
        The Qt parent.
    """

    asked = Signal()
    state_changed = Signal(object)
    taken = Signal(str, object)
    said = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggestion: Suggestion | None = None
        self.button = QPushButton("Suggest")
        self.progress = StageRow()
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        self.offers: list[QPushButton] = []
        self._jobs = JobController(self, description="Comparing denoisers")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.button, self.progress, self.verdict):
            self._layout.addWidget(part)
        self.button.clicked.connect(self.asked)
        self.progress.cancel_clicked.connect(self._jobs.cancel)
        self._jobs.state_changed.connect(self.progress.show_state)
        self._jobs.state_changed.connect(self.state_changed)
        self._jobs.progressed.connect(self.progress.show_progress)
        self._jobs.succeeded.connect(self._on_succeeded)
        self._jobs.failed.connect(self._on_failed)
        self._jobs.cancelled.connect(self._on_cancelled)
        self.forget()

    @property
    def busy(self) -> bool:
        """Whether a comparison is running or being stopped."""
        return self._jobs.busy

    def start(self, request: SuggestRequest) -> None:
        """Compare; what was found before is taken away."""
        self.forget()
        self.said.emit("")
        self._jobs.start(request.run)

    def forget(self) -> None:
        """Take the suggestion away: it was about another frame or layer."""
        self._suggestion = None
        self.verdict.hide()
        for offer in self.offers:
            offer.hide()
            offer.deleteLater()
        self.offers = []

    def allow(self, allowed: bool, why_not: str = "") -> None:
        """Let the user ask for a suggestion and take it, or not."""
        self.button.setEnabled(allowed)
        self.button.setToolTip(
            why_not
            or "Runs every denoiser on the frame in view, and on copies with some of\n"
            "the electrons held out: that tells their errors without the truth."
        )
        for offer in self.offers:
            offer.setEnabled(allowed)

    def close_for_good(self) -> None:
        """Stop at once and say nothing more."""
        self._jobs.abandon()

    def _on_succeeded(self, found: Suggestion) -> None:
        self._suggestion = found
        self.verdict.setText("\n".join([found.ranking.verdict, *found.notes]))
        self.verdict.show()
        for row in found.ranking.rows:
            offer = QPushButton(_offered(row))
            offer.setObjectName(row.name)
            offer.setToolTip(_details(row, found.candidates[row.name].values))
            offer.clicked.connect(self._on_offer)
            self._layout.addWidget(offer)
            self.offers.append(offer)

    def _on_offer(self) -> None:
        # A bound slot, which Qt drops with this object; a partial would keep it.
        title = self.sender().objectName()
        if self._suggestion is not None:
            chosen = self._suggestion.candidates[title]
            self.taken.emit(chosen.name, dict(chosen.values))

    def _on_failed(self, error: Exception) -> None:
        self.said.emit(f"No suggestion. {explain(error)}")
        if not is_expected(error):
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_cancelled(self) -> None:
        self.said.emit("Cancelled: no suggestion was made.")


def candidates(
    infos: list[DenoiserInfo], known: Mapping[str, Mapping[str, Value]]
) -> list[Candidate]:
    """Return the denoisers of the catalogue with the values to run them with.

    Baselines of publications are left out: they are there to be measured.

    Parameters
    ----------
    infos : list of DenoiserInfo
        All that there are.
    known : mapping
        Values that the user gave, by name of the denoiser.
    """
    infos = [info for info in infos if info.group != "baseline"]
    titles = [info.title for info in infos]
    return [
        Candidate(
            name=info.name,
            title=info.title
            if titles.count(info.title) == 1
            else f"{info.title} ({info.name})",
            values={
                **{p.name: p.default for p in info.parameters},
                **known.get(info.name, {}),
            },
        )
        for info in infos
    ]


def _offered(row: Ranked) -> str:
    return f"{row.name}: {_chance(row.best)} to be best, {_decibels(row)}"


def _details(row: Ranked, values: Mapping[str, Value]) -> str:
    lines = [
        f"PSNR {row.psnr.low:.2f} to {row.psnr.high:.2f} dB (95 %); the interval has\n"
        "in it the noise that all share, the chance to be best has not."
    ]
    if row.deviance is not None:
        lines.append(f"Deviance of electrons held out: {row.deviance:.4f} nats/px.")
    lines += [f"{name}: {value}" for name, value in values.items()]
    return "\n".join([*lines, "Click to choose it."])


def _chance(value: float) -> str:
    if value >= 0.995:
        return "over 99 %"
    return "under 1 %" if value < 0.01 else f"{value:.0%}".replace("%", " %")


def _decibels(row: Ranked) -> str:
    known = math.isfinite(row.psnr.value)
    return f"{row.psnr.value:.1f} dB" if known else f"over {row.psnr.low:.1f} dB"
