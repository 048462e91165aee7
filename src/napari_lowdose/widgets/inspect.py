"""The widget "Inspect", which says how far a denoised image may be believed.

It shows and forwards; what happens is in the parts. All work is done by one job at a
time in a worker: an inspection, the filter of a pixel, or a page to write.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from lowdose.errors import LowDoseError
from napari_lowdose._denoising import Loader
from napari_lowdose._jobs import JobController
from napari_lowdose._layers import take_snapshot, to_micrograph
from napari_lowdose._messages import explain, is_expected
from napari_lowdose._result import frame_number
from napari_lowdose._settings import read_settings, use_models_folder
from napari_lowdose.inspection.cells import Cells
from napari_lowdose.inspection.exporting import ExportRequest
from napari_lowdose.inspection.framing import Framing
from napari_lowdose.inspection.job import Inspected, InspectRequest
from napari_lowdose.inspection.picking import Clicks, FilterRequest
from napari_lowdose.inspection.view import InspectionView
from napari_lowdose.widgets.docked import TeardownOnClose
from napari_lowdose.widgets.inspect_choices import InspectChoices
from napari_lowdose.widgets.inspect_results import InspectResults
from napari_lowdose.widgets.section import fill_with_column
from napari_lowdose.widgets.stages import StageRow

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

    from lowdose.trust.equivalent import EquivalentFilter

#: Column spacings across a picture when a column is zoomed to.
_ACROSS: Final = 12
#: Distance of a click from a column that still means it, in radii of a column.
_NEAR: Final = 1.5


class InspectWidget(TeardownOnClose):
    """Inspects a denoised layer of one viewer.

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
        use_models_folder(settings)
        self._viewer = viewer
        self.guard_canvas(viewer)
        self._loader = Loader()
        self._inspected: Inspected | None = None
        self._filter: EquivalentFilter | None = None
        self._cells: Cells | None = None
        self._framing = Framing(viewer)
        self._wanted: tuple[int, int] | None = None
        self._status = ""
        self.choices = InspectChoices(viewer, settings)
        self.results = InspectResults()
        self.run_button = QPushButton("Inspect")
        self.show_button = QPushButton("Maps in the viewer")
        self.show_button.setCheckable(True)
        self.show_button.setToolTip(
            "Show noisy, denoised and maps side by side, moving together. Press again\n"
            "to put everything back as it was."
        )
        self.export_button = QPushButton("Export page…")
        self.export_button.setToolTip(
            "Write one HTML page with all pictures, numbers and where they come from."
        )
        self.filter_box = QCheckBox("Equivalent filter of the pixel I click on")
        self.filter_box.setToolTip(
            "A click into any picture shows which noisy pixels made that pixel\n"
            "of the denoised image, and with what weight."
        )
        self.progress = StageRow()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.view = InspectionView(viewer, self)
        self.clicks = Clicks(viewer, self)
        self.jobs = JobController(self, description="Inspecting")
        self._lay_out()
        self._connect()
        self._render()

    # What scripts and tests use as well as the buttons.

    @property
    def inspected(self) -> Inspected | None:
        """What was found last."""
        return self._inspected

    def run(self) -> None:
        """Inspect the frame in view; what becomes of it is told by the status line."""
        noisy, denoised = self.choices.noisy.layer, self.choices.denoised.layer
        problem = self.choices.problem()
        if problem or noisy is None or denoised is None or self.jobs.busy:
            return
        try:
            request = self._request(noisy, denoised)
        except LowDoseError as error:
            self._say(explain(error))
            return
        self._say("")
        self.jobs.start(request.run)

    def cancel(self) -> None:
        """Stop what is under way."""
        self._wanted = None
        self.jobs.cancel()

    def show_maps(self, show: bool = True) -> None:
        """Show the maps in the viewer, or put everything back."""
        if not show:
            self.view.leave()
        elif self._cells is not None and not self.view.active:
            self._show_cells()
            self._framing.fit(self._cells)
        self._render()

    def show_found(self, found: Inspected) -> None:
        """Show what an inspection has found, in the dock and in the viewer."""
        before, self._inspected, self._filter = self._inspected, found, None
        self._cells = Cells(found)
        self.results.show_inspected(found)
        self._say(f"{len(found.maps)} maps of {found.inspection.subject.noisy.name}.")
        if not self.view.active:
            self.show_maps()
            return
        self._show_cells()
        if before is None or before.request.source.uid != found.request.source.uid:
            self._framing.fit(self._cells)

    def show_column(self, number: int) -> None:
        """Mark an atomic column, and bring it to the middle of every picture."""
        evidence = self._inspected.evidence if self._inspected else None
        if evidence is None or self._cells is None:
            return
        columns = evidence.columns
        row, column = (float(at) for at in columns.positions[number])
        self._cells.choose(row, column)
        if self.view.active:
            across = _ACROSS * (columns.spacing or 4 * columns.radius)
            times = max(columns.shape) / across
            self._framing.zoom_to(self._cells, row, column, times)

    def pick(self, row: int, column: int) -> None:
        """Mark a pixel and its column, and find its filter where that is asked for."""
        if self._inspected is None or self._cells is None:
            return
        self._cells.choose(row, column)
        self._select_near(row, column)
        if self.filter_box.isChecked() and self.filter_box.isEnabled():
            self._wanted = (row, column)
            self._find_filter()

    def export(self, path: Path) -> None:
        """Write everything as one page."""
        if self._inspected is None or self.jobs.busy:
            return
        inspection = self._inspected.inspection
        if self._filter is not None:
            inspection = replace(
                inspection, maps=(*inspection.maps, *self._filter.maps)
            )
        self._say("")
        self.jobs.start(ExportRequest(inspection=inspection, path=path).run)

    def reset_choices(self) -> None:
        """Read the layers anew; napari calls this when they change."""
        if not self.closed:
            self.choices.reset_choices()
            self._render()

    def teardown(self) -> None:
        """Stop the work and put the viewer back; the dock was closed."""
        self.jobs.abandon()
        self.clicks.listen(None)
        self.view.leave()

    # What the widget is made of.

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        buttons = QHBoxLayout()
        buttons.addWidget(self.show_button)
        buttons.addWidget(self.export_button)
        for part in (self.choices, self.run_button, self.progress, self.status):
            column.addWidget(part)
        column.addLayout(buttons)
        column.addWidget(self.filter_box)
        column.addWidget(self.results)
        column.addStretch(1)
        self.scroll = fill_with_column(self, content)

    def _connect(self) -> None:
        self.choices.changed.connect(self._render)
        self.run_button.clicked.connect(self.run)
        self.progress.cancel_clicked.connect(self.cancel)
        self.show_button.clicked.connect(self.show_maps)
        self.export_button.clicked.connect(self._on_export)
        self.results.maps_changed.connect(self._on_maps_changed)
        self.results.column_chosen.connect(self.show_column)
        self.view.left.connect(self._on_left)
        self.clicks.clicked.connect(self.pick)
        self.jobs.state_changed.connect(self._render)
        self.jobs.progressed.connect(self.progress.show_progress)
        self.jobs.warned.connect(self._say)
        self.jobs.succeeded.connect(self._on_succeeded)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)

    # What happens.

    def _request(self, noisy: Image, denoised: Image) -> InspectRequest:
        recorded = self.choices.recorded()
        values: dict[str, Any] = self.choices.form.values()
        source = take_snapshot(noisy)
        return InspectRequest(
            noisy=to_micrograph(source),
            denoised=to_micrograph(take_snapshot(denoised)),
            source=source,
            frame=frame_number(self._viewer, noisy),
            denoised_frame=frame_number(self._viewer, denoised),
            recorded=recorded if self.choices.again.isChecked() else None,
            checks=self.choices.chosen(),
            noise=self.choices.noise(),
            vacuum=self.choices.drawn_vacuum(),
            diameter_nm=values["diameter"] or None,
            repeats=values["repeats"],
            seed=values["seed"],
            options=self.choices.engine(
                keep_mean=recorded is None or recorded.keep_mean
            ),
            loader=self._loader,
        )

    def _find_filter(self) -> None:
        inspected = self._inspected
        if self._wanted is None or inspected is None or self.jobs.busy:
            return
        request, recorded = inspected.request, inspected.request.recorded
        if recorded is None:
            return
        (row, column), self._wanted = self._wanted, None
        columns = inspected.evidence.columns if inspected.evidence else None
        job = FilterRequest(
            noisy=request.noisy,
            frame=request.frame,
            recorded=recorded,
            row=row,
            column=column,
            spacing=None if columns is None else columns.spacing,
            loader=self._loader,
        )
        self.jobs.start(job.run)

    def _select_near(self, row: int, column: int) -> None:
        """Select the column that was clicked on, without moving the view."""
        evidence = self._inspected.evidence if self._inspected else None
        if evidence is None:
            return
        columns = evidence.columns
        distance = np.hypot(*(columns.positions - (row, column)).T)
        nearest = int(distance.argmin())
        if distance[nearest] <= _NEAR * columns.radius:
            self.results.table.select(nearest, quietly=True)

    def _show_cells(self) -> None:
        if self._cells is None:
            return
        names = list(self.results.shown_maps())
        if self._filter is not None:
            names += [one.name for one in self._filter.maps]
        cells = self._cells.make(names)
        self.view.show(cells)
        self.clicks.listen(cells[0].image)
        self._render()

    def _on_succeeded(self, found: object) -> None:
        if isinstance(found, Inspected):
            self.show_found(found)
        elif isinstance(found, Path):
            self._say(f"Written to {found}.")
        else:
            self._show_filter(found)
        self._find_filter()

    def _show_filter(self, found: Any) -> None:
        if self._cells is None:
            return
        first, self._filter = self._filter is None, found
        for one in found.maps:
            self._cells.add_map(one)
        self.results.show_filter(found)
        if first and self.view.active:
            self._show_cells()
        self._say("")

    def _on_failed(self, error: Exception) -> None:
        self._wanted = None
        self._say(explain(error))
        if not is_expected(error):
            notification_manager.receive_error(type(error), error, error.__traceback__)
        elif not isinstance(error, LowDoseError):
            show_error(explain(error))

    def _on_cancelled(self) -> None:
        self._say("Cancelled.")

    def _on_maps_changed(self) -> None:
        if self.view.active:
            self._show_cells()

    def _on_left(self) -> None:
        self.clicks.listen(None)
        self._render()

    def _on_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Export the inspection", "inspection.html", "Web page (*.html)"
        )
        if name:
            path = Path(name)
            self.export(path if path.suffix else path.with_suffix(".html"))

    # What is shown.

    def _say(self, text: str) -> None:
        self._status = text
        self._render()

    def _render(self) -> None:
        """Show the state: the only place that enables and disables."""
        if self.closed:
            return
        problem, busy = self.choices.problem(), self.jobs.busy
        found = self._inspected
        self.choices.allow(not busy)
        self.run_button.setEnabled(not problem and not busy)
        self.run_button.setToolTip(problem or "Inspect the frame in view.")
        self.progress.show_state(self.jobs.state)
        self.show_button.setVisible(found is not None)
        self.show_button.setChecked(self.view.active)
        self.export_button.setVisible(found is not None)
        self.export_button.setEnabled(not busy)
        known = found is not None and found.request.recorded is not None
        self.filter_box.setVisible(known)
        self.filter_box.setEnabled(self.view.active)
        self.status.setText(problem or self._status)
        self.status.setVisible(bool(self.status.text()))
