"""The widget "Denoise": choose a layer and a denoiser, preview, run, compare.

It shows and forwards; what happens is in the parts. The catalogue is read when the
widget opens; denoisers, and torch, are loaded in the worker of the first run.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from napari.layers import Image
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from lowdose import catalogue
from lowdose.errors import LowDoseError
from napari_lowdose._calibrate import file_of, take_calibration
from napari_lowdose._denoising import DenoiseRequest, Loader, PreviewRequest
from napari_lowdose._jobs import JobController, JobState
from napari_lowdose._layers import find_pair, take_snapshot, to_micrograph, why_not
from napari_lowdose._memory import last_values
from napari_lowdose._messages import (
    describe,
    describe_cancelled,
    describe_done,
    explain,
    is_expected,
)
from napari_lowdose._result import ResultLayer
from napari_lowdose._settings import read_settings, use_models_folder
from napari_lowdose._storage import FrameStore, allocate
from napari_lowdose.widgets.card import CardView
from napari_lowdose.widgets.choosers import DenoiserBox, LayerBox
from napari_lowdose.widgets.compare import CompareRow, Pair
from napari_lowdose.widgets.docked import TeardownOnClose
from napari_lowdose.widgets.form import ParameterForm, PresetBox
from napari_lowdose.widgets.options import OptionsForm
from napari_lowdose.widgets.preview import LivePreview
from napari_lowdose.widgets.progress import ProgressRow
from napari_lowdose.widgets.section import ColumnScroll, Section

if TYPE_CHECKING:
    import napari.viewer

    from lowdose.micrograph import Micrograph
    from lowdose.parameters import Value
    from lowdose.progress import Progress


#: Least time between two drawings of progress and result [ms]; tiles may come by the
#: thousand in a second.
REDRAW_EVERY: Final = 50


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
        self._viewer = viewer
        self._settings = read_settings()
        self._loader = Loader()
        self._memory = last_values(viewer)
        self._result: ResultLayer | None = None
        self._progress: Progress | None = None
        self._waiting = False
        self._notes: list[str] = []
        self._status = ""
        self._make_parts()
        self._lay_out()
        self._connect()
        self._read_catalogue()
        self._render()

    # What the widget is made of.

    def _make_parts(self) -> None:
        viewer = self._viewer
        self.layers = LayerBox(viewer)
        self.denoisers = DenoiserBox()
        self.card = CardView()
        self.presets = PresetBox()
        self.form = ParameterForm()
        self.advanced_form = ParameterForm()
        self.options = OptionsForm(self._settings)
        self.preview_box = QCheckBox("Live preview")
        self.preview_box.setToolTip(
            "Denoises the visible part of the frame in view, and again whenever you\n"
            "change a parameter, the frame or the view. A run switches it off."
        )
        self.run_button = QPushButton("Run")
        self.run_button.setDefault(True)
        self.progress = ProgressRow()
        self.calibrate_button = QPushButton("Take calibration from the file")
        self.calibrate_button.setToolTip(
            "Sets scale, units and axis labels of this layer to those in its file,\n"
            "which the reader that opened it left there."
        )
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.jobs = JobController(self, description="Denoising")
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(REDRAW_EVERY)
        self.preview = LivePreview(
            viewer,
            make_request=self._make_preview_request,
            source=lambda: self.layers.layer,
            parent=self,
        )
        self.compare = CompareRow(viewer, self.pair, self.covered)

    def _lay_out(self) -> None:
        top = QFormLayout()
        top.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        top.addRow("Layer", self.layers)
        top.addRow("Denoiser", self.denoisers)
        self._preset_row = QWidget()
        preset_layout = QFormLayout(self._preset_row)
        preset_layout.setContentsMargins(0, 0, 0, 0)
        preset_layout.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )
        preset_layout.addRow("preset", self.presets)
        advanced = Section("Advanced")
        advanced.add(self.advanced_form)
        advanced.add(self.options)
        self.advanced = advanced
        content = QWidget()
        column = QVBoxLayout(content)
        column.addLayout(top)
        for part in (
            self.card,
            self._preset_row,
            self.form,
            advanced,
            self.preview_box,
            self.run_button,
            self.progress,
            self.status,
            self.calibrate_button,
            self.compare,
        ):
            column.addWidget(part)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(ColumnScroll(content))

    def _connect(self) -> None:
        self.layers.layer_changed.connect(self._on_layer_changed)
        self.denoisers.denoiser_changed.connect(self._on_denoiser_changed)
        self.form.changed.connect(self._on_values_changed)
        self.advanced_form.changed.connect(self._on_values_changed)
        self.options.form.changed.connect(self.preview.refresh)
        self.presets.chosen.connect(self.set_values)
        self.preview_box.toggled.connect(self._on_preview_toggled)
        self.preview.status_changed.connect(self._on_preview_status)
        self.preview.switched_off.connect(self._on_preview_switched_off)
        self.preview.quiet.connect(self._on_preview_quiet)
        self.run_button.clicked.connect(self.run)
        self.calibrate_button.clicked.connect(self.calibrate)
        self.progress.cancel_clicked.connect(self.cancel)
        self.jobs.state_changed.connect(self._render)
        self.jobs.progressed.connect(self._on_progressed)
        self._redraw.timeout.connect(self._show_progress)
        self.jobs.warned.connect(self._note)
        self.jobs.succeeded.connect(self._on_succeeded)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)

    def _read_catalogue(self) -> None:
        use_models_folder(self._settings)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                infos = catalogue.list_denoisers()
            except LowDoseError as error:
                infos = []
                self._note(explain(error))
        for warning in caught:
            self._note(str(warning.message))
        self.denoisers.set_denoisers(infos)
        if self._settings.denoiser:
            self.denoisers.choose(self._settings.denoiser)

    # What scripts and tests use as well as the buttons.

    def values(self) -> dict[str, Value]:
        """Return the value of every parameter of the chosen denoiser."""
        return {**self.form.values(), **self.advanced_form.values()}

    def set_values(self, values: dict[str, Value]) -> None:
        """Set parameters of the chosen denoiser."""
        self.form.set_values(values)
        self.advanced_form.set_values(values)

    def pair(self) -> Pair | None:
        """Return the noisy layer and the result to compare, or None."""
        return find_pair(self._viewer, self.layers.layer)

    def covered(self) -> Image | None:
        """Return the noisy layer where a result or a preview covers it, or None."""
        pair = self.pair()
        if pair is not None:
            return pair[0]
        return self.layers.layer if self.preview.layer is not None else None

    def problem(self) -> str:
        """Return why nothing can be run at present, or an empty text."""
        layer = self.layers.layer
        if layer is None:
            return "Open or add an image layer first."
        if self.denoisers.info is None:
            return "There is no denoiser to choose."
        return why_not(layer)

    def run(self) -> None:
        """Denoise the chosen layer; what becomes of it is told by the status line."""
        if self.problem() or self.jobs.busy or self._waiting:
            return
        self.preview_box.setChecked(False)
        if self.preview.busy:
            # Two workers at a time would leave Python's warning filters in disorder:
            # each puts back, when it ends, those that it found when it began.
            self._waiting = True
            self._render()
        else:
            self._begin()

    def cancel(self) -> None:
        """Stop the run and take its result back."""
        if self._waiting:
            self._waiting = False
            self._say(describe_cancelled(None))
            self._render()
        else:
            self.jobs.cancel()

    def calibrate(self) -> None:
        """Give the chosen layer the calibration that is in its file."""
        layer = self.layers.layer
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

    def reset_choices(self) -> None:
        """Read the layers anew; napari calls this when they change."""
        if self.closed:
            return
        self.layers.reset_choices()
        self.compare.refresh()
        if self._result is not None and self._result.layer is None:
            self.jobs.cancel()
        self._render()

    def teardown(self) -> None:
        """Stop the work and take back what is unfinished; the dock was closed."""
        self._redraw.stop()
        self.jobs.abandon()
        self.preview.close()
        if self._result is not None:
            self._result.discard()
            self._result = None
        self.compare.close_comparison()

    # One run.

    def _begin(self) -> None:
        layer, info = self.layers.layer, self.denoisers.info
        assert isinstance(layer, Image)
        assert info is not None
        self._notes = []
        self._progress = None
        try:
            source = take_snapshot(layer)
            image = to_micrograph(source)
            options = self.options.options()
            out = FrameStore(allocate(image.shape))
        except LowDoseError as error:
            self._say(explain(error))
            return
        values = self.values()
        self._result = ResultLayer(
            self._viewer,
            source,
            denoiser=info.name,
            values=values,
            out=out,
            replace=self.options.replace,
        )
        request = DenoiseRequest(
            image=image,
            denoiser=info.name,
            values=values,
            options=options,
            out=out,
            loader=self._loader,
        )
        self._say("")
        self.progress.begin()
        self.jobs.start(request.run)

    def _make_preview_request(
        self, frame: int, rows: slice, columns: slice
    ) -> PreviewRequest | None:
        layer, info = self.layers.layer, self.denoisers.info
        if self.problem() or layer is None or info is None:
            return None
        return PreviewRequest(
            image=to_micrograph(take_snapshot(layer)),
            frame=frame,
            rows=rows,
            columns=columns,
            denoiser=info.name,
            values=self.values(),
            options=self.options.options(),
            loader=self._loader,
        )

    def _on_progressed(self, progress: Progress) -> None:
        self._progress = progress
        if progress.message:
            self._note(progress.message)
        if not self._redraw.isActive():
            self._redraw.start()

    def _show_progress(self) -> None:
        """Show the latest of the reports that came since the last time."""
        if self._progress is not None and self.jobs.busy:
            self.progress.show_progress(self._progress)
        if self._result is not None:
            self._result.update()

    def _on_succeeded(self, micrograph: Micrograph) -> None:
        result, self._result = self._result, None
        assert result is not None
        result.finish(micrograph)
        seconds = self._progress.seconds if self._progress else 0.0
        self._say(describe_done(micrograph, seconds, result.name))
        self.compare.refresh()

    def _on_failed(self, error: Exception) -> None:
        self._discard()
        self._say(explain(error))
        if is_expected(error):
            show_error(explain(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_cancelled(self) -> None:
        self._discard()
        self._say(describe_cancelled(self._progress))

    def _discard(self) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.discard()

    # What the user changes.

    def _on_layer_changed(self) -> None:
        self._say("")
        self.preview.refresh()
        self.compare.refresh()
        self._render()

    def _on_denoiser_changed(self) -> None:
        info = self.denoisers.info
        parameters = info.parameters if info else ()
        presets = info.presets if info else {}
        self.card.show_info(info)
        self.form.set_parameters([p for p in parameters if not p.advanced])
        self.advanced_form.set_parameters([p for p in parameters if p.advanced])
        self.presets.set_presets(parameters, presets)
        self._preset_row.setVisible(bool(presets))
        if info is not None:
            self.set_values(self._memory.get(info.name, {}))
        self._on_values_changed()

    def _on_values_changed(self) -> None:
        info = self.denoisers.info
        if info is not None:
            self._memory[info.name] = self.values()
        self.presets.show_values(self.values())
        self.preview.refresh()
        self._render()

    def _on_preview_toggled(self, on: bool) -> None:
        self.preview.switch(on)

    def _on_preview_status(self, text: str) -> None:
        if not self.jobs.busy:
            self._say(text)
            self.compare.refresh()

    def _on_preview_switched_off(self) -> None:
        self.preview_box.setChecked(False)

    def _on_preview_quiet(self) -> None:
        if self._waiting:
            self._waiting = False
            self._begin()
            self._render()

    # What the widget shows.

    def _say(self, text: str) -> None:
        self._status = text
        self._render()

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
        self._render()

    def _render(self) -> None:
        """Show the state: the only place that enables and disables."""
        problem = self.problem()
        busy = self.jobs.busy or self._waiting
        self.run_button.setEnabled(not problem and not busy)
        self.run_button.setToolTip(
            problem or "Denoise every frame of the layer into a new layer."
        )
        self.preview_box.setEnabled(not problem and not busy)
        layer = self.layers.layer
        offer = not busy and layer is not None and file_of(layer) is not None
        self.calibrate_button.setVisible(offer)
        chosen_now = (self.layers, self.denoisers, self._preset_row, self.form)
        for part in (*chosen_now, self.advanced):
            part.setEnabled(not busy)
        self.progress.show_state(JobState.RUNNING if self._waiting else self.jobs.state)
        self.status.setText("\n".join([*self._lines(problem), *self._notes]).strip())
        self.status.setVisible(bool(self.status.text()))

    def _lines(self, problem: str) -> list[str]:
        if problem:
            return [problem]
        if self._status or self.jobs.busy:
            return [self._status]
        layer = self.layers.layer
        return [describe(to_micrograph(take_snapshot(layer)))] if layer else []
