"""The widget "Batch": files into a folder, one after the other, failures told.

It shows and forwards; the work is :mod:`lowdose.batch`, in the worker of a
:class:`~napari_lowdose._jobs.JobController`. Nothing becomes a layer unless a row is
double clicked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from lowdose.errors import LowDoseError
from lowdose.progress import Clock
from napari_lowdose._batch_plan import BatchPlan, read_plan
from napari_lowdose._batching import (
    BatchProgress,
    BatchRequest,
    Opened,
    OpenRequest,
)
from napari_lowdose._compare import comparison_of
from napari_lowdose._jobs import JobController
from napari_lowdose._messages import (
    describe_batch,
    describe_batch_done,
    explain,
    in_words_of_the_widget,
    is_expected,
)
from napari_lowdose._provenance import METADATA_KEY, find_layer
from napari_lowdose._settings import read_settings
from napari_lowdose.widgets.batch_choices import BatchChoices
from napari_lowdose.widgets.compare import CompareRow, Pair
from napari_lowdose.widgets.docked import TeardownOnClose
from napari_lowdose.widgets.progress import ProgressRow
from napari_lowdose.widgets.section import fill_with_column

if TYPE_CHECKING:
    from pathlib import Path

    import napari.viewer
    from napari.layers import Image

    from lowdose.batch import Outcome

#: Warnings that are shown: hundreds of files may have one each.
_MOST_NOTES = 5


class BatchWidget(TeardownOnClose):
    """Denoises files into a folder.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where files and results are opened to be looked at.
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
        self._status = ""
        self._notes: list[str] = []
        self._running: BatchRequest | None = None
        self._interrupted: BatchPlan | None = None
        self._clock = Clock()
        self._opened: dict[Path, tuple[str, str]] = {}
        self._pair: tuple[str, str] = ("", "")
        self.choices = BatchChoices(viewer, settings)
        self.go_on_button = QPushButton("Go on with the batch that stopped")
        self.run_button = QPushButton("Run")
        self.progress = ProgressRow(
            describe=describe_batch,
            cancelling="Stop after the tile in work. Finished results stay.",
        )
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.compare = CompareRow(viewer, self.pair, self._noisy)
        self.jobs = JobController(self, description="Denoising files")
        self.opening = JobController(self)
        self._lay_out()
        self._connect()
        self._notes = self.choices.method.read_catalogue(settings)
        self._render()

    # What scripts and tests use as well as the buttons.

    def run(self) -> None:
        """Denoise the files; what becomes of them is told by table and status line."""
        plan = self.choices.plan()
        if plan is None or self.choices.problem() or self.jobs.busy:
            return
        try:
            request = self._request(plan)
        except LowDoseError as error:
            self._say(in_words_of_the_widget(explain(error)))
            return
        self._running, self._notes = request, []
        self._opened = {}
        self._clock = Clock()
        self.choices.table.begin()
        self.progress.begin()
        self._say("")
        self.jobs.start(request.run)

    def go_on(self) -> None:
        """Take over the batch that was stopped in the chosen folder, and run it."""
        if self._interrupted is not None and not self.jobs.busy:
            plan = self._interrupted
            self.choices.show_plan(plan)
            if self.choices.method.denoisers.name != plan.denoiser:
                self._say(
                    f"The batch was begun with the denoiser {plan.denoiser!r}, which "
                    "is not here. Add it, or run the batch with another one."
                )
                return
            self.run()

    def cancel(self) -> None:
        """Stop the batch; finished results stay."""
        self.jobs.cancel()

    def open_row(self, number: int) -> None:
        """Open a file, side by side with its result where there is one."""
        row = self.choices.table.rows[number]
        if self._show_again(row.path) or self.opening.busy:
            return
        from lowdose.batch import Job

        outcome, run = row.outcome, self._running
        request = OpenRequest(
            job=outcome.job if outcome else Job(source=row.path, target=row.path),
            denoiser=run.plan.denoiser if run else "",
            values=run.plan.values if run else {},
            result=outcome is not None and not outcome.error,
        )
        self.opening.start(request.run)

    def pair(self) -> Pair | None:
        """Return the noisy layer and the result that were opened last, or None."""
        noisy, clean = (find_layer(self._viewer, uid) for uid in self._pair)
        return None if noisy is None or clean is None else (noisy, clean)

    def reset_choices(self) -> None:
        """Look at the layers anew; napari calls this when they change."""
        if not self.closed:
            self.compare.refresh()

    def teardown(self) -> None:
        """Stop the work; the dock was closed. What is finished stays."""
        self.jobs.abandon()
        self.opening.abandon()
        self.compare.close_comparison()

    # What the widget is made of.

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        for part in (
            self.choices,
            self.go_on_button,
            self.run_button,
            self.progress,
            self.status,
            self.compare,
        ):
            column.addWidget(part)
        column.addStretch(1)
        fill_with_column(self, content)

    def _connect(self) -> None:
        self.choices.changed.connect(self._on_changed)
        self.choices.table.opened.connect(self.open_row)
        self.go_on_button.clicked.connect(self.go_on)
        self.run_button.clicked.connect(self.run)
        self.progress.cancel_clicked.connect(self.cancel)
        self.jobs.state_changed.connect(self._render)
        self.jobs.progressed.connect(self._on_progressed)
        self.jobs.warned.connect(self._note)
        self.jobs.succeeded.connect(self._on_succeeded)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)
        self.opening.succeeded.connect(self._on_opened)
        self.opening.failed.connect(self._on_failed_to_open)

    def _request(self, plan: BatchPlan) -> BatchRequest:
        """Return what to run, after all that can be checked without a file.

        Raises
        ------
        LowDoseError
            If a result would replace a file, two results have one name, or the folder
            cannot be made.
        """
        from lowdose.batch.jobs import make_folder, plan_jobs

        jobs = plan_jobs(plan.sources, f"{plan.folder}/", plan.suffix)
        make_folder(plan.folder)
        return BatchRequest(
            plan=plan,
            jobs=tuple(jobs),
            options=self.choices.method.options.options(),
            files=self.choices.file_options(),
        )

    # What happens.

    def _on_changed(self) -> None:
        if not self.jobs.busy:
            self._look_into_folder()
            self._say("")

    def _on_progressed(self, progress: BatchProgress) -> None:
        self.progress.show_progress(progress)
        if progress.status is not None:
            self.choices.table.show_status(progress.status)
        if progress.message:
            self._note(progress.message)

    def _on_succeeded(self, outcomes: list[Outcome]) -> None:
        total = len(self.choices.table.rows)
        self._look_into_folder()
        self._say(describe_batch_done(outcomes, total, self._clock.seconds))

    def _on_cancelled(self) -> None:
        self.choices.table.show_stopped()
        rows = self.choices.table.rows
        outcomes = [row.outcome for row in rows if row.outcome is not None]
        told = describe_batch_done(outcomes, len(rows), self._clock.seconds)
        kept = self._running is not None and self._running.files.resume
        rest = "Run goes on where it stopped." if kept else "The rest was not begun."
        self._look_into_folder()
        self._say(f"Stopped. {told}\n{rest}")

    def _on_failed(self, error: Exception) -> None:
        self.choices.table.show_stopped()
        self._look_into_folder()
        self._say(in_words_of_the_widget(explain(error)))
        if is_expected(error):
            show_error(explain(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _look_into_folder(self) -> None:
        """Look whether a batch that was stopped is left in the chosen folder."""
        folder = self.choices.folder
        self._interrupted = read_plan(folder) if folder is not None else None

    def _on_opened(self, opened: Opened) -> None:
        noisy = self._add(opened.noisy)
        clean_id = ""
        if opened.clean is not None:
            ours: dict[str, Any] = opened.clean[1]["metadata"][METADATA_KEY]
            ours["source_id"] = str(noisy.unique_id)
            clean_id = str(self._add(opened.clean).unique_id)
        source = opened.request.job.source
        self._opened[source] = (str(noisy.unique_id), clean_id)
        self._show_again(source)

    def _on_failed_to_open(self, error: Exception) -> None:
        self._note(explain(error))

    def _add(self, layer_data: tuple[Any, dict[str, Any], str]) -> Image:
        layer = Layer.create(*layer_data)
        self._viewer.add_layer(layer)
        return layer

    def _show_again(self, path: Path) -> bool:
        """Show what was opened of a file, if it is still there; return whether."""
        noisy_id, clean_id = self._opened.get(path, ("", ""))
        noisy = find_layer(self._viewer, noisy_id)
        clean = find_layer(self._viewer, clean_id)
        if noisy is None or (clean_id and clean is None):
            return False
        self._pair = (noisy_id, clean_id)
        comparison = comparison_of(self._viewer)
        if clean is not None:
            comparison.enter(noisy, clean)
        elif comparison.active:
            comparison.leave()
        self._viewer.reset_view()
        self.compare.refresh()
        return True

    def _noisy(self) -> Image | None:
        pair = self.pair()
        return pair[0] if pair is not None else None

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
        problem, busy = self.choices.problem(), self.jobs.busy
        self.choices.allow(not busy)
        self.run_button.setEnabled(not problem and not busy)
        self.run_button.setToolTip(problem or "Denoise every file into the folder.")
        self.progress.show_state(self.jobs.state)
        plan = self._interrupted
        self.go_on_button.setVisible(plan is not None and not busy)
        if plan is not None:
            self.go_on_button.setToolTip(
                f"A batch of {len(plan.sources)} files with {plan.denoiser!r} did not "
                f"end in {plan.folder}.\nThis chooses it again, and runs the rest."
            )
        self.compare.refresh()
        self.compare.setVisible(self.pair() is not None)
        lines = [self._status or problem, *self._notes[:_MOST_NOTES]]
        if len(self._notes) > _MOST_NOTES:
            lines.append(f"and {len(self._notes) - _MOST_NOTES} more warnings.")
        self.status.setText("\n".join(line for line in lines if line))
        self.status.setVisible(bool(self.status.text()))
