"""The widget "Denoise": choose a layer and a denoiser, preview, run, compare.

It shows and forwards; what happens is in the parts. The catalogue is read when the
widget opens; denoisers, and torch, are loaded in the worker of the first run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget

from lowdose.errors import LowDoseError
from napari_lowdose._calibrate import file_of, take_calibration
from napari_lowdose._denoising import Loader, PreviewRequest
from napari_lowdose._jobs import JobState
from napari_lowdose._layers import (
    take_snapshot,
    to_micrograph,
)
from napari_lowdose._memory import last_values
from napari_lowdose._messages import describe, describe_cancelled, explain
from napari_lowdose._provenance import (
    find_pair,
)
from napari_lowdose._result import frame_number
from napari_lowdose._settings import read_settings
from napari_lowdose._suggesting import SuggestRequest
from napari_lowdose.widgets.choices import Choices
from napari_lowdose.widgets.compare import CompareRow, Pair
from napari_lowdose.widgets.docked import TeardownOnClose
from napari_lowdose.widgets.preview import LivePreview
from napari_lowdose.widgets.progress import ProgressRow
from napari_lowdose.widgets.runner import Runner
from napari_lowdose.widgets.section import fill_with_column
from napari_lowdose.widgets.suggest import SuggestBox, candidates

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from napari.layers import Image

    from lowdose.parameters import Value


class DenoiseWidget(TeardownOnClose):
    """Denoises an image layer of one viewer.

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
        settings = read_settings()
        self._viewer = viewer
        self.guard_canvas(viewer)
        self._loader = Loader()
        self._waiting: Callable[[], None] | None = None
        self._status = ""
        self._notes: list[str] = []
        self.choices = Choices(viewer, settings)
        self.suggest = SuggestBox()
        self.preview_box = QCheckBox("Live preview")
        self.preview_box.setToolTip(
            "Denoises the visible part of the frame in view, and again whenever you\n"
            "change a parameter, the frame or the view. A run switches it off."
        )
        self.run_button = QPushButton("Run")
        self.progress = ProgressRow()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.calibrate_button = QPushButton("Take calibration from the file")
        self.calibrate_button.setToolTip(
            "Sets scale, units and axis labels of this layer to those in its file,\n"
            "which the reader that opened it left there."
        )
        self.runner = Runner(viewer, self)
        self.preview = LivePreview(
            viewer,
            make_request=self._make_preview_request,
            source=self._source,
            parent=self,
        )
        self.compare = CompareRow(viewer, self.pair, self.covered)
        self._lay_out()
        self._connect()
        self._notes = self.choices.read_catalogue(settings)
        self._render()

    # What scripts and tests use as well as the buttons.

    def run(self) -> None:
        """Denoise the chosen layer; what becomes of it is told by the status line."""
        if self.choices.problem() or self._busy:
            return
        self._notes = []
        self._after_preview(self._begin)

    def rank(self) -> None:
        """Compare all denoisers on the frame in view, and offer them in their order."""
        if not self.choices.problem() and not self._busy:
            self._after_preview(self._begin_ranking)

    def cancel(self) -> None:
        """Stop the run and take its result back."""
        if self._waiting is not None:
            self._waiting = None
            self._say(describe_cancelled(None))
        else:
            self.runner.cancel()

    def calibrate(self) -> None:
        """Give the chosen layer the calibration that is in its file."""
        layer = self._source()
        path = file_of(layer) if layer is not None else None
        if layer is None or path is None:
            return
        try:
            found = take_calibration(layer, path)
        except LowDoseError as error:
            self._say(explain(error))
            return
        if found:
            self._viewer.reset_view()  # the layer has another size now
            self._say("")
        else:
            self._say(f"There is no calibration in {path.name}.")

    def pair(self) -> Pair | None:
        """Return the noisy layer and the result to compare, or None."""
        return find_pair(self._viewer, self._source())

    def covered(self) -> Image | None:
        """Return the noisy layer where a result or a preview covers it, or None."""
        pair = self.pair()
        if pair is not None:
            return pair[0]
        return self._source() if self.preview.layer is not None else None

    def reset_choices(self) -> None:
        """Read the layers anew; napari calls this when they change."""
        if self.closed:
            return
        self.choices.layers.reset_choices()
        self.runner.check_result()
        self._render()

    def teardown(self) -> None:
        """Stop the work and take back what is unfinished; the dock was closed."""
        self.runner.close()
        self.suggest.close_for_good()
        self.preview.close()
        self.compare.close_comparison()

    @property
    def _busy(self) -> bool:
        return self._waiting is not None or self.runner.busy or self.suggest.busy

    def _source(self) -> Image | None:
        return self.choices.layers.layer

    # What the widget is made of.

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        for part in (
            self.choices,
            self.suggest,
            self.preview_box,
            self.run_button,
            self.progress,
            self.status,
            self.calibrate_button,
            self.compare,
        ):
            column.addWidget(part)
        column.addStretch(1)
        fill_with_column(self, content)

    def _connect(self) -> None:
        self.choices.layer_changed.connect(self._on_layer_changed)
        self.choices.method_changed.connect(self._on_method_changed)
        self.preview_box.toggled.connect(self.preview.switch)
        self.preview.status_changed.connect(self._on_preview_status)
        self.preview.switched_off.connect(self._on_preview_switched_off)
        self.preview.quiet.connect(self._on_preview_quiet)
        self.run_button.clicked.connect(self.run)
        self.suggest.asked.connect(self.rank)
        self.suggest.taken.connect(self._on_taken)
        self.suggest.state_changed.connect(self._render)
        self.suggest.said.connect(self._say)
        self.calibrate_button.clicked.connect(self.calibrate)
        self.progress.cancel_clicked.connect(self.cancel)
        self.runner.state_changed.connect(self._render)
        self.runner.progressed.connect(self.progress.show_progress)
        self.runner.noted.connect(self._note)
        self.runner.said.connect(self._say)

    # What happens.

    def _after_preview(self, begin: Callable[[], None]) -> None:
        """Switch the preview off, and begin something when its worker has ended.

        Two workers at a time would leave Python's warning filters in disorder: each
        puts back, when it ends, those that it found when it began.
        """
        self.preview_box.setChecked(False)
        if self.preview.busy:
            self._waiting = begin
            self._say("")
        else:
            begin()

    def _begin_ranking(self) -> None:
        layer = self._source()
        if not self.choices.problem() and layer is not None:
            self.suggest.start(
                SuggestRequest(
                    image=to_micrograph(take_snapshot(layer)),
                    frame=frame_number(self._viewer, layer),
                    candidates=candidates(
                        self.choices.denoisers.infos, last_values(self._viewer)
                    ),
                    options=self.choices.options.options(),
                )
            )

    def _on_taken(self, name: str, values: dict[str, Value]) -> None:
        self.choices.denoisers.choose(name)
        self.choices.set_values(values)

    def _begin(self) -> None:
        layer, info = self._source(), self.choices.denoisers.info
        if self.choices.problem() or layer is None or info is None:
            return
        self.progress.begin()
        self._say("")
        self.runner.start(
            layer,
            denoiser=info.name,
            values=self.choices.values(),
            options=self.choices.options.options(),
            replace=self.choices.options.replace,
            loader=self._loader,
        )

    def _make_preview_request(
        self, frame: int, rows: slice, columns: slice
    ) -> PreviewRequest | None:
        layer, info = self._source(), self.choices.denoisers.info
        if self.choices.problem() or layer is None or info is None:
            return None
        snapshot = take_snapshot(layer)
        return PreviewRequest(
            image=to_micrograph(snapshot),
            source_id=snapshot.uid,
            frame=frame,
            rows=rows,
            columns=columns,
            denoiser=info.name,
            values=self.choices.values(),
            options=self.choices.options.options(),
            loader=self._loader,
        )

    def _on_layer_changed(self) -> None:
        self.suggest.forget()
        self._say("")
        self.preview.refresh()

    def _on_method_changed(self) -> None:
        self.preview.refresh()
        self._render()

    def _on_preview_status(self, text: str) -> None:
        if not self._busy:
            self._say(text)

    def _on_preview_switched_off(self) -> None:
        self.preview_box.setChecked(False)

    def _on_preview_quiet(self) -> None:
        begin, self._waiting = self._waiting, None
        if begin is not None:
            begin()
            self._render()

    # What is shown.

    def _say(self, text: str) -> None:
        self._status = text
        self._render()

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
        self._render()

    def _render(self) -> None:
        """Show the state: the only place that enables and disables."""
        if self.closed:
            return
        problem, busy = self.choices.problem(), self._busy
        self.choices.allow(not busy)
        self.preview_box.setEnabled(not problem and not busy)
        self.run_button.setEnabled(not problem and not busy)
        self.suggest.allow(not problem and not busy, problem)
        self.run_button.setToolTip(
            problem or "Denoise every frame of the layer into a new layer."
        )
        self.progress.show_state(
            JobState.RUNNING if self._waiting is not None else self.runner.state
        )
        layer = self._source()
        uncalibrated = layer is not None and file_of(layer) is not None
        self.calibrate_button.setVisible(uncalibrated and not busy)
        self.compare.refresh()
        lines = [problem or self._status or self._description(), *self._notes]
        self.status.setText("\n".join(line for line in lines if line))
        self.status.setVisible(bool(self.status.text()))

    def _description(self) -> str:
        """Return what the chosen layer is, for as long as there is nothing to say."""
        layer = self._source()
        if layer is None or self._busy:
            return ""
        return describe(to_micrograph(take_snapshot(layer)))
