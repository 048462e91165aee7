"""The only threads of the plugin: one job at a time, started, watched and stopped.

:class:`JobController` lives on the main thread, owns the state of one job and turns
what its worker reports into Qt signals. :class:`StrictGeneratorWorker` is napari's
generator worker without its two faults. :class:`CancelToken` is what the core asks
between two tiles.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QObject, Signal

from lowdose.errors import Cancelled, LowDoseWarning
from lowdose.progress import Progress, ShouldStop
from napari_lowdose._heard import warnings_heard

if TYPE_CHECKING:
    from napari.utils import progress

#: What a controller runs: a generator function that is given the question "stop?".
Job = Callable[[ShouldStop], Generator[Any, None, Any]]

#: Least time between two movements of napari's activity bar [s].
BAR_EVERY: Final = 0.1

_log = logging.getLogger(__name__)


class JobState(Enum):
    """What a :class:`JobController` is doing."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"


class CancelToken:
    """A question that is answered no until someone says stop; safe across threads."""

    __slots__ = ("_stopped",)

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def cancel(self) -> None:
        """Answer yes from now on."""
        self._stopped.set()

    def __call__(self) -> bool:
        """Return whether the work should stop."""
        return self._stopped.is_set()


class StrictGeneratorWorker(GeneratorWorker):
    """A generator worker that reports every error and closes its own generator.

    The base class takes a :class:`RuntimeError`, and every failure of torch is one,
    for the deletion of its own Qt object: it emits neither ``errored`` nor
    ``finished``. It also drops the generator on ``quit()``, so that a ``finally`` in
    it runs whenever the worker is collected, and then on the main thread. And it
    leaves Python's warning filters in disorder where two workers overlap.
    """

    def run(self) -> None:
        """Do the work and tell of it; called in a thread of Qt's pool."""
        self.started.emit()
        self._running = True
        try:
            with warnings_heard(self.warned.emit):
                result = self.work()
            if not self.abort_requested:
                self.returned.emit(result)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is reported)
            self.errored.emit(error)
        self._running = False
        self.finished.emit()
        self._finished.emit(self)  # superqt lets go of the worker

    def work(self) -> Any:
        """Run the generator to its end, its failure, or the request to stop."""
        try:
            result = super().work()
        finally:
            self._gen.close()
        if isinstance(result, Exception):
            raise result
        return result


def run_job(job: Job, should_stop: ShouldStop) -> Generator[Any, None, Any]:
    """Run `job`; a generator function by itself, because workers accept no other."""
    return (yield from job(should_stop))


class _Run(QObject):
    """Receives the signals of one worker, until it is told to be deaf.

    There is one for every start, so that a late signal of an earlier run can never
    be taken for one of the present run.
    """

    progressed = Signal(object)
    warned = Signal(object)
    ended = Signal()

    def __init__(self, worker: StrictGeneratorWorker, parent: QObject) -> None:
        super().__init__(parent)
        self.returned = False
        self.result: Any = None
        self.error: Exception | None = None
        self._deaf = False
        worker.yielded.connect(self._on_yielded)
        worker.returned.connect(self._on_returned)
        worker.errored.connect(self._on_errored)
        worker.warned.connect(self._on_warned)
        worker.finished.connect(self._on_finished)

    def stop_listening(self) -> None:
        """Drop everything that the worker still reports."""
        self._deaf = True

    def _on_yielded(self, value: object) -> None:
        if not self._deaf:
            self.progressed.emit(value)

    def _on_returned(self, result: object) -> None:
        self.returned, self.result = True, result

    def _on_errored(self, error: Exception) -> None:
        self.error = error

    def _on_warned(self, arguments: tuple[Any, ...]) -> None:
        if not self._deaf:
            self.warned.emit(arguments[0])

    def _on_finished(self) -> None:
        if not self._deaf:
            self.ended.emit()


class _Switch:
    """Stops the current worker; plain Python, so that it outlives the Qt object."""

    def __init__(self) -> None:
        self.token = CancelToken()
        self.worker: StrictGeneratorWorker | None = None

    def off(self) -> None:
        self.token.cancel()
        if self.worker is not None:
            self.worker.quit()
            self.worker = None


class JobController(QObject):
    """Runs one job at a time in a worker thread.

    Signals, all on the main thread: ``state_changed(JobState)``,
    ``progressed(object)`` for what the job yields, ``warned(str)`` for a
    :class:`~lowdose.errors.LowDoseWarning`, and at the end of every run exactly one
    of ``succeeded(object)``, ``failed(Exception)`` and ``cancelled()``. The state is
    IDLE again when one of these three is emitted, so that a slot may start the next.

    Parameters
    ----------
    parent : QObject, optional
        The Qt parent. When it is destroyed, the job is stopped.
    description : str, optional
        What napari's activity bar calls the job. With an empty text the job is not
        announced to napari, and closing the window asks no question because of it.
    """

    state_changed = Signal(object)
    progressed = Signal(object)
    warned = Signal(str)
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None, *, description: str = "") -> None:
        super().__init__(parent)
        self._description = description
        self._state = JobState.IDLE
        self._run: _Run | None = None
        self._bar: progress | None = None
        self._bar_moved = -math.inf
        self._switch = _Switch()
        # Our own `destroyed` would be too late for a bound method of ours, and PyQt
        # crashes on a partial there once it was part of a garbage cycle.
        finalize(self, _Switch.off, self._switch)
        if parent is not None:
            parent.destroyed.connect(self._on_parent_destroyed)

    @property
    def state(self) -> JobState:
        """What the controller is doing."""
        return self._state

    @property
    def busy(self) -> bool:
        """Whether a job is running or being stopped."""
        return self._state is not JobState.IDLE

    def start(self, job: Job) -> None:
        """Run `job` in a worker thread.

        Parameters
        ----------
        job : callable
            Given `should_stop`, returns a generator that yields progress and
            returns the result. It must not touch widgets, layers or the viewer.

        Raises
        ------
        ValueError
            If a job is running already.
        """
        if self.busy:
            msg = f"A job is {self._state.value} already. Cancel it, or wait for it."
            raise ValueError(msg)
        self._switch.token = CancelToken()
        worker = self._make_worker(job, self._switch.token)
        self._switch.worker = worker
        self._run = _Run(worker, self)
        self._run.progressed.connect(self._on_progressed)
        self._run.warned.connect(self._on_warned)
        self._run.ended.connect(self._on_ended)
        self._set_state(JobState.RUNNING)
        worker.start()

    def cancel(self) -> None:
        """Ask the job to stop; ``cancelled`` tells when it has. No-op when idle."""
        if self._state is JobState.RUNNING:
            self._set_state(JobState.CANCELLING)
            self._switch.off()

    def abandon(self) -> None:
        """Stop the job and forget it: nothing more is emitted about it."""
        self._switch.off()
        if self._run is not None:
            self._run.stop_listening()
            self._forget_run()
            self._set_state(JobState.IDLE)

    def _on_parent_destroyed(self) -> None:
        self._switch.off()

    def _make_worker(self, job: Job, token: CancelToken) -> StrictGeneratorWorker:
        if not self._description:
            return StrictGeneratorWorker(run_job, job, token)
        worker = create_worker(
            run_job,
            job,
            token,
            _worker_class=StrictGeneratorWorker,
            _progress={"desc": self._description},
            _start_thread=False,
            _ignore_errors=True,  # they are reported through `failed`
        )
        self._bar = worker.pbar
        return worker  # type: ignore[no-any-return]  # untyped napari

    def _on_progressed(self, value: object) -> None:
        bar = self._bar
        self.progressed.emit(value)
        # Last: napari's bar lets Qt handle events meanwhile, among them reports that
        # came after this one and must not be told before it.
        if bar is not None and isinstance(value, Progress):
            self._move_bar(bar, value)

    def _move_bar(self, bar: progress, value: Progress) -> None:
        # Thousands of tiles a second would keep the window busy with drawing.
        now = time.perf_counter()
        if now - self._bar_moved < BAR_EVERY and value.done < value.total:
            return
        self._bar_moved = now
        if value.total != bar.total:
            bar.total = value.total
        bar.update(value.done - bar.n)

    def _on_warned(self, warning: Warning) -> None:
        # Those of other packages (torch is talkative) are for developers.
        if isinstance(warning, LowDoseWarning):
            self.warned.emit(str(warning))
        else:
            _log.warning("%s: %s", type(warning).__name__, warning)

    def _on_ended(self) -> None:
        """Become idle and say how the run ended: the only place that does."""
        run, stopped = self._run, self._state is JobState.CANCELLING
        assert run is not None
        self._switch.worker = None
        self._forget_run()
        self._set_state(JobState.IDLE)
        if run.error is not None and not isinstance(run.error, Cancelled):
            if stopped:
                _log.warning("The cancelled job failed: %r", run.error)
                self.cancelled.emit()
            else:
                self.failed.emit(run.error)
        elif run.returned and not stopped:
            self.succeeded.emit(run.result)
        else:
            self.cancelled.emit()

    def _forget_run(self) -> None:
        assert self._run is not None
        self._run.deleteLater()
        self._run = None
        self._bar = None

    def _set_state(self, state: JobState) -> None:
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state)
