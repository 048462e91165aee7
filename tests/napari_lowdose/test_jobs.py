from __future__ import annotations

import gc
import threading
import warnings

import pytest
from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QObject, QThreadPool

from lowdose.errors import Cancelled, InvalidImageError, MemoryWarning
from lowdose.progress import Progress
from napari_lowdose._jobs import (
    CancelToken,
    JobController,
    JobState,
    StrictGeneratorWorker,
    run_job,
)


@pytest.fixture
def controller(qtbot):
    jobs = JobController()
    yield jobs
    jobs.abandon()
    assert QThreadPool.globalInstance().waitForDone(20_000)
    jobs.deleteLater()


@pytest.fixture
def heard(controller):
    """Everything that the controller said, in order."""
    events = []
    controller.state_changed.connect(lambda state: events.append(state))
    controller.progressed.connect(lambda value: events.append(("progressed", value)))
    controller.warned.connect(lambda text: events.append(("warned", text)))
    controller.succeeded.connect(lambda value: events.append(("succeeded", value)))
    controller.failed.connect(lambda error: events.append(("failed", error)))
    controller.cancelled.connect(lambda: events.append("cancelled"))
    return events


class Gate:
    """A job that yields once whenever the test lets it."""

    def __init__(self, steps=3):
        self.steps = steps
        self.permits = threading.Semaphore(0)
        self.steps_done = 0
        self.closed_in = None

    def __call__(self, should_stop):
        try:
            for number in range(self.steps):
                yield number
                assert self.permits.acquire(timeout=30)
                if should_stop():
                    raise Cancelled("stopped")
                self.steps_done += 1
            return "result"
        finally:
            self.closed_in = threading.current_thread()


def quick(should_stop):
    yield "half"
    return "whole"


def test_a_job_reports_progress_and_result_and_ends_idle(controller, heard, until):
    controller.start(quick)
    assert controller.busy
    until(lambda: not controller.busy)
    assert heard == [
        JobState.RUNNING,
        ("progressed", "half"),
        JobState.IDLE,
        ("succeeded", "whole"),
    ]


def test_signals_arrive_on_the_main_thread(controller, until):
    threads = []
    controller.progressed.connect(lambda _: threads.append(threading.current_thread()))
    controller.succeeded.connect(lambda _: threads.append(threading.current_thread()))
    controller.start(quick)
    until(lambda: len(threads) == 2)
    assert set(threads) == {threading.main_thread()}


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        InvalidImageError("it is complex"),
        KeyError("x"),
    ],
)
def test_every_error_is_reported_and_leaves_the_controller_idle(
    controller, heard, until, error
):
    def job(should_stop):
        yield
        raise error

    controller.start(job)
    until(lambda: not controller.busy)
    assert heard[-1] == ("failed", error)


def test_the_base_worker_still_swallows_runtime_errors(qtbot, until):
    # When this fails, napari has mended it, and StrictGeneratorWorker.work can go.
    def job():
        yield
        raise RuntimeError("any failure of torch")

    events = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        worker = create_worker(job, _worker_class=GeneratorWorker, _ignore_errors=True)
        worker.errored.connect(lambda _: events.append("errored"))
        worker.finished.connect(lambda: events.append("finished"))
        worker.start()
        assert QThreadPool.globalInstance().waitForDone(20_000)
    qtbot.wait(20)
    assert events == []
    assert worker.is_running
    type(worker)._worker_set.discard(worker)


def test_a_strict_worker_reports_a_runtime_error(qtbot, until):
    events = []
    worker = StrictGeneratorWorker(run_job, _failing, CancelToken())
    worker.errored.connect(lambda error: events.append(error))
    worker.finished.connect(lambda: events.append("finished"))
    worker.start()
    until(lambda: "finished" in events)
    assert isinstance(events[0], RuntimeError)
    assert not worker.is_running


def _failing(should_stop):
    yield
    raise RuntimeError("any failure of torch")


def test_the_finally_of_a_stopped_job_runs_at_once_in_the_worker(
    controller, heard, until
):
    gate = Gate()
    controller.start(gate)
    until(lambda: ("progressed", 0) in heard)
    gc.disable()
    try:
        controller.cancel()
        gate.permits.release()
        until(lambda: not controller.busy)
        assert gate.closed_in is not None
        assert gate.closed_in is not threading.main_thread()
    finally:
        gc.enable()


def test_cancel_stops_the_job_before_its_next_step(controller, heard, until):
    gate = Gate(steps=100)
    controller.start(gate)
    until(lambda: ("progressed", 0) in heard)
    controller.cancel()
    assert controller.state is JobState.CANCELLING
    gate.permits.release(100)
    until(lambda: not controller.busy)
    assert gate.steps_done == 0
    assert heard[-1] == "cancelled"
    assert not [x for x in heard if isinstance(x, tuple) and x[0] == "succeeded"]


def test_a_job_that_is_quit_from_outside_ends_as_cancelled(controller, heard, until):
    # napari does that to every worker when its window closes.
    gate = Gate(steps=100)
    controller.start(gate)
    until(lambda: ("progressed", 0) in heard)
    controller._switch.worker.quit()
    gate.permits.release(100)
    until(lambda: not controller.busy)
    assert heard[-1] == "cancelled"


def test_a_result_that_comes_after_cancelling_is_dropped(controller, heard, until):
    asked = threading.Event()

    def job(should_stop):
        yield "begun"
        asked.wait(30)
        return "too late"

    controller.start(job)
    until(lambda: ("progressed", "begun") in heard)
    controller.cancel()
    asked.set()
    until(lambda: not controller.busy)
    assert heard[-1] == "cancelled"


def test_an_abandoned_run_says_nothing_even_when_another_has_begun(
    controller, heard, until, let_events_run
):
    first = Gate()
    controller.start(first)
    until(lambda: ("progressed", 0) in heard)
    controller.abandon()
    assert controller.state is JobState.IDLE
    heard.clear()
    second = Gate(steps=1)
    controller.start(second)
    first.permits.release(10)
    second.permits.release(10)
    until(lambda: not controller.busy)
    let_events_run()
    assert heard == [
        JobState.RUNNING,
        ("progressed", 0),
        JobState.IDLE,
        ("succeeded", "result"),
    ]
    assert first.steps_done == 0


def test_a_second_start_is_refused(controller, heard, until):
    gate = Gate()
    controller.start(gate)
    with pytest.raises(ValueError, match="running already"):
        controller.start(quick)
    controller.cancel()
    gate.permits.release()
    until(lambda: not controller.busy)


def test_a_slot_may_start_the_next_job(controller, until):
    results = []

    def on_succeeded(value):
        results.append(value)
        if len(results) < 3:
            controller.start(quick)

    controller.succeeded.connect(on_succeeded)
    controller.start(quick)
    until(lambda: len(results) == 3 and not controller.busy)


def test_warnings_of_the_core_are_told_and_others_are_logged(
    controller, heard, until, caplog
):
    def job(should_stop):
        yield
        warnings.warn("a smaller tile was used", MemoryWarning, stacklevel=2)
        warnings.warn("torch is talkative", UserWarning, stacklevel=2)

    controller.start(job)
    until(lambda: not controller.busy)
    warned = [x[1] for x in heard if isinstance(x, tuple) and x[0] == "warned"]
    assert warned == ["a smaller tile was used"]
    assert "torch is talkative" in caplog.text


def test_destroying_the_parent_stops_the_job(qtbot, until, let_events_run):
    parent = QObject()
    jobs = JobController(parent)
    gate = Gate(steps=100)
    begun = []
    jobs.progressed.connect(begun.append)
    jobs.start(gate)
    until(lambda: begun)
    parent.deleteLater()
    del parent, jobs
    let_events_run()
    gate.permits.release(100)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    assert gate.steps_done == 0


def test_an_announced_job_moves_the_activity_bar(qtbot, until):
    from napari.utils import progress as activity

    jobs = JobController(description="Denoising")
    seen = []

    def look(_):
        seen.extend((bar.desc, bar.n, bar.total) for bar in activity._all_instances)

    jobs.progressed.connect(look)

    def job(should_stop):
        yield Progress(stage="denoise", done=3, total=10)
        yield Progress(stage="denoise", done=10, total=10)

    jobs.start(job)
    until(lambda: not jobs.busy)
    qtbot.wait(20)
    assert len(seen) == 2
    description, done, total = seen[1]  # the bar follows when all others were told
    assert description.startswith("Denoising")
    assert (done, total) == (3, 10)
    assert not activity._all_instances
    jobs.deleteLater()


def test_a_quiet_job_is_not_announced(qtbot, until):
    from napari.utils import progress as activity

    jobs = JobController()
    seen = []
    jobs.progressed.connect(lambda _: seen.append(len(activity._all_instances)))
    jobs.start(quick)
    until(lambda: not jobs.busy)
    assert seen == [0]
    jobs.deleteLater()


def test_reports_keep_their_order_though_the_bar_lets_qt_handle_events(
    qtbot, until, monkeypatch
):
    from qtpy.QtCore import QCoreApplication

    jobs = JobController(description="Denoising")
    told = []
    jobs.progressed.connect(lambda value: told.append(value.done))
    # What napari's own bar does in a real window.
    monkeypatch.setattr(
        jobs, "_move_bar", lambda bar, value: QCoreApplication.processEvents()
    )

    def job(should_stop):
        for number in range(50):
            yield Progress(stage="denoise", done=number, total=50)

    jobs.start(job)
    assert QThreadPool.globalInstance().waitForDone(20_000)  # all reports are queued
    until(lambda: not jobs.busy)
    assert told == list(range(50))
    jobs.deleteLater()
