"""The runs of one widget: the job, the layer of its result, and what to say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QObject, QTimer, Signal

from lowdose.errors import LowDoseError
from napari_lowdose._denoising import DenoiseRequest, Loader
from napari_lowdose._jobs import JobController, JobState
from napari_lowdose._layers import (
    take_snapshot,
    to_micrograph,
)
from napari_lowdose._messages import (
    describe_cancelled,
    describe_done,
    explain,
    is_expected,
)
from napari_lowdose._result import ResultLayer
from napari_lowdose._storage import FrameStore, allocate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Image

    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.parameters import Value
    from lowdose.progress import Progress

#: Least time between two drawings of progress and result [ms]; tiles may come by the
#: thousand in a second.
REDRAW_EVERY: Final = 50


class Runner(QObject):
    """Denoises layers, one at a time, and takes back what is not finished.

    Signals: ``state_changed(JobState)``; ``progressed(Progress)``, at most every
    :data:`REDRAW_EVERY` ms; ``noted(str)`` for what was out of the ordinary in a run;
    ``said(str)`` with the sentence that ends it.

    Parameters
    ----------
    viewer : ViewerModel
        Where the results go.
    parent : QObject
        The Qt parent.
    """

    state_changed = Signal(object)
    progressed = Signal(object)
    noted = Signal(str)
    said = Signal(str)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._result: ResultLayer | None = None
        self._progress: Progress | None = None
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(REDRAW_EVERY)
        self._redraw.timeout.connect(self._show_progress)
        self._jobs = JobController(self, description="Denoising")
        self._jobs.state_changed.connect(self.state_changed)
        self._jobs.progressed.connect(self._on_progressed)
        self._jobs.warned.connect(self.noted)
        self._jobs.succeeded.connect(self._on_succeeded)
        self._jobs.failed.connect(self._on_failed)
        self._jobs.cancelled.connect(self._on_cancelled)

    @property
    def state(self) -> JobState:
        """What the run is doing."""
        return self._jobs.state

    @property
    def busy(self) -> bool:
        """Whether a run is under way or being stopped."""
        return self._jobs.busy

    @property
    def frames_done(self) -> int:
        """Number of frames of the present run that are finished."""
        return 0 if self._result is None else self._result.frames_done

    def start(
        self,
        layer: Image,
        *,
        denoiser: str,
        values: Mapping[str, Value],
        options: DenoiseOptions,
        replace: bool,
        loader: Loader,
    ) -> None:
        """Begin to denoise a layer, or say why that cannot be done.

        Parameters
        ----------
        layer : Image
            The noisy layer. It may be changed or removed while the run goes on.
        denoiser : str
            Name in the catalogue.
        values : mapping
            Its parameters.
        options : DenoiseOptions
            Where and in what pieces to compute.
        replace : bool
            Whether an earlier result of this layer and denoiser may be replaced.
        loader : Loader
            What loads the denoiser.
        """
        self._progress = None
        try:
            source = take_snapshot(layer)
            image = to_micrograph(source)
            out = FrameStore(allocate(image.shape))
        except LowDoseError as error:
            self.said.emit(explain(error))
            return
        self._result = ResultLayer(
            self._viewer,
            source,
            denoiser=denoiser,
            values=values,
            out=out,
            replace=replace,
        )
        request = DenoiseRequest(
            image=image,
            denoiser=denoiser,
            values=values,
            options=options,
            out=out,
            loader=loader,
        )
        self._jobs.start(request.run)

    def cancel(self) -> None:
        """Stop the run and take its result back."""
        self._jobs.cancel()

    def check_result(self) -> None:
        """Stop the run if the user has removed its result."""
        if self._result is not None and self._result.layer is None:
            self._jobs.cancel()

    def close(self) -> None:
        """Stop the run at once, take its result back, and say nothing more."""
        self._redraw.stop()
        self._jobs.abandon()
        self._discard()

    def _on_progressed(self, progress: Progress) -> None:
        self._progress = progress
        if progress.message:
            self.noted.emit(progress.message)
        if not self._redraw.isActive():
            self._redraw.start()

    def _show_progress(self) -> None:
        """Show the latest of the reports that came since the last time."""
        if self._progress is not None and self.busy:
            self.progressed.emit(self._progress)
        if self._result is not None:
            self._result.update()

    def _on_succeeded(self, micrograph: Micrograph) -> None:
        result, self._result = self._result, None
        assert result is not None
        result.finish(micrograph)
        seconds = self._progress.seconds if self._progress else 0.0
        self.said.emit(describe_done(micrograph, seconds, result.name))

    def _on_failed(self, error: Exception) -> None:
        self._discard()
        self.said.emit(explain(error))
        if is_expected(error):
            show_error(explain(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_cancelled(self) -> None:
        self._discard()
        self.said.emit(describe_cancelled(self._progress))

    def _discard(self) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.discard()
