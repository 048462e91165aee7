"""Many files, in this process or in several.

Processes, not threads: a file that crashes a codec, or for which the system ends a
process that takes too much memory, costs that file and not the batch; and Python's own
share of the work is done side by side. (Inside one process, filters use threads for
their tiles: see :mod:`lowdose.inference.patches`.) Each process has a pipe of its own,
which breaks when the program ends, however it ends, so that none is left behind.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
import warnings
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Final

from lowdose.batch.single import FileOptions, denoise_file
from lowdose.batch.status import FileStatus, Outcome
from lowdose.errors import Cancelled, LowDoseError, LowDoseWarning
from lowdose.inference import DenoiseOptions
from lowdose.inference.overlap import usable_threads
from lowdose.process_threads import child_threads
from lowdose.progress import Clock, never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from multiprocessing.process import BaseProcess

    from lowdose.batch.jobs import Job
    from lowdose.batch.spec import DenoiserSpec
    from lowdose.denoiser import Denoiser
    from lowdose.progress import Progress, ShouldStop

    Statuses = Generator[FileStatus, None, list[Outcome]]

#: How often it is asked whether to stop [s].
_POLL: Final = 0.2
#: Least time between two reports of a process [s]: a pipe is not free.
_REPORT_EVERY: Final = 0.1
#: Given to a process to end what it does, beside a file to do, and None to end itself.
_STOP: Final = "stop"

_DEFAULTS = DenoiseOptions()
_FILE_DEFAULTS = FileOptions()


def denoise_files(
    jobs: Sequence[Job],
    spec: DenoiserSpec,
    *,
    options: DenoiseOptions = _DEFAULTS,
    files: FileOptions = _FILE_DEFAULTS,
    workers: int = 1,
    should_stop: ShouldStop = never,
    denoiser: Denoiser | None = None,
) -> Statuses:
    """Denoise many files; one that fails does not stop the others.

    Parameters
    ----------
    jobs : sequence of Job
        The files and their results, no two results the same.
    spec : DenoiserSpec
        What denoises.
    options : DenoiseOptions, optional
        Where and in what pieces to compute. With several workers and ``"auto"`` or
        ``"cuda"``, the workers share all GPUs evenly.
    files : FileOptions, optional
        How to treat the files.
    workers : int, optional
        Processes, each with its share of the cores. One: this process.
    should_stop : callable, optional
        When it returns True the files at work are stopped, and no other is begun.
    denoiser : Denoiser, optional
        What `spec` loads, where that is done already.

    Yields
    ------
    FileStatus
        When a file is begun, now and then while it is at work, with every warning,
        and when it is done, failed or cancelled.

    Returns
    -------
    list of Outcome
        Of the files that are done or failed, in the order of `jobs`. It is shorter
        than `jobs` after a stop.

    Raises
    ------
    LowDoseError
        If the denoiser cannot be loaded.
    """
    denoiser = denoiser or spec.load()
    if workers <= 1 or len(jobs) <= 1:
        return (
            yield from _one_by_one(
                jobs, denoiser, options=options, files=files, should_stop=should_stop
            )
        )
    team = _Team(
        spec=spec,
        description=denoiser.describe(),
        options=options,
        files=files,
        size=min(workers, len(jobs)),
        gpus=_gpus(denoiser, options),
    )
    return (yield from team.run(jobs, should_stop))


def _one_by_one(
    jobs: Sequence[Job],
    denoiser: Denoiser,
    *,
    options: DenoiseOptions,
    files: FileOptions,
    should_stop: ShouldStop,
) -> Statuses:
    outcomes: list[Outcome] = []
    for number, job in enumerate(jobs):
        if should_stop():
            break
        yield FileStatus(number=number, state="running")
        steps = denoise_file(
            job, denoiser, options=options, files=files, should_stop=should_stop
        )
        try:
            with closing(steps):
                while True:
                    try:
                        progress = next(steps)
                    except StopIteration as end:
                        outcome: Outcome = end.value
                        break
                    yield FileStatus(number=number, state="running", progress=progress)
        except Cancelled:
            yield FileStatus(number=number, state="cancelled")
            break
        except LowDoseError as error:
            outcome = Outcome(job=job, error=str(error), exception=error)
        outcomes.append(outcome)
        yield FileStatus(number=number, state=outcome.state, outcome=outcome)
    return outcomes


@dataclass(slots=True, kw_only=True)
class _Team:
    """Processes that denoise files."""

    spec: DenoiserSpec
    description: dict[str, Any]
    options: DenoiseOptions
    files: FileOptions
    size: int
    gpus: tuple[str, ...]

    def run(self, jobs: Sequence[Job], should_stop: ShouldStop) -> Statuses:
        waiting = deque(enumerate(jobs))
        outcomes: dict[int, Outcome] = {}
        at_work: dict[Connection, tuple[int, Job]] = {}
        team: dict[Connection, BaseProcess] = {}
        started = 0
        stopping = False
        try:
            while at_work or (waiting and not stopping):
                while waiting and not stopping and len(at_work) < self.size:
                    pipe = next((p for p in team if p not in at_work), None)
                    if pipe is None:
                        pipe, process = self._start(started)
                        team[pipe] = process
                        started += 1
                    number, job = waiting.popleft()
                    at_work[pipe] = number, job
                    pipe.send(job)
                    yield FileStatus(number=number, state="running")
                for ready in wait(list(at_work), timeout=_POLL):
                    assert isinstance(ready, Connection)
                    number, job = at_work[ready]
                    status = self._receive(ready, team, number, job)
                    if status.state != "running":
                        del at_work[ready]
                    if status.outcome is not None:
                        outcomes[number] = status.outcome
                    yield status
                if not stopping and should_stop():
                    stopping = True
                    for pipe in at_work:
                        _tell(pipe, _STOP)
        finally:
            for pipe in team:
                # Those at work, after an error here, hear of it by the broken pipe.
                _tell(pipe, None)
                pipe.close()
            for process in team.values():
                process.join(timeout=10)
                if process.is_alive():
                    process.terminate()
                    process.join()
        return [outcomes[number] for number in sorted(outcomes)]

    def _start(self, number: int) -> tuple[Connection, BaseProcess]:
        # Not forked: a copy of a process with threads, such as of napari, may hang.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        options = self.options
        if self.gpus:
            options = replace(options, device=self.gpus[number % len(self.gpus)])
        process = context.Process(
            target=_work,
            args=(theirs, self.spec, self.description, options, self.files),
            name=f"lowdose-worker-{number}",
            daemon=True,
        )
        with child_threads(max(1, usable_threads() // self.size)):
            process.start()
        theirs.close()
        return ours, process

    def _receive(
        self,
        pipe: Connection,
        team: dict[Connection, BaseProcess],
        number: int,
        job: Job,
    ) -> FileStatus:
        """Return what a process reports, or that it is no more."""
        try:
            kind, value = pipe.recv()
        except (EOFError, OSError):
            process = team.pop(pipe)
            process.join()
            pipe.close()
            error = (
                f"The process that denoised {job.source} ended with code "
                f"{process.exitcode}. Systems that run short of memory end processes "
                "so: use fewer --workers. With --resume its frames are not lost."
            )
            outcome = Outcome(job=job, error=error)
            return FileStatus(number=number, state="failed", outcome=outcome)
        if kind == "progress":
            return FileStatus(number=number, state="running", progress=value)
        if kind == "warning":
            return FileStatus(number=number, state="running", warning=value)
        if kind == "cancelled":
            return FileStatus(number=number, state="cancelled")
        result: Outcome = value
        return FileStatus(number=number, state=result.state, outcome=result)


def _work(
    pipe: Connection,
    spec: DenoiserSpec,
    description: dict[str, Any],
    options: DenoiseOptions,
    files: FileOptions,
) -> None:
    """Denoise the files that come through a pipe, until it breaks or says so."""
    # Ctrl-C goes to every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    denoiser: Denoiser | None = None
    while True:
        try:
            job: Any = pipe.recv()
            answer: tuple[str, Outcome | None]
        except (EOFError, OSError):
            return
        if job is None:
            return
        if job == _STOP:  # for a file that was finished in the meantime
            continue
        try:
            with _warnings_sent(pipe):
                denoiser = denoiser or spec.load(description)
                answer = "outcome", _one_file(pipe, job, denoiser, options, files)
        except Cancelled:
            answer = "cancelled", None
        except LowDoseError as error:
            answer = "outcome", Outcome(job=job, error=str(error))
        except Exception:  # noqa: BLE001  (told to the user, by the parent)
            # Not every exception survives the pipe; its text does.
            text = f"{job.source} failed; please report this:\n{traceback.format_exc()}"
            answer = "outcome", Outcome(job=job, error=text)
        try:
            pipe.send(answer)
        except OSError:
            return


def _one_file(
    pipe: Connection,
    job: Job,
    denoiser: Denoiser,
    options: DenoiseOptions,
    files: FileOptions,
) -> Outcome:
    steps = denoise_file(
        job,
        denoiser,
        options=options,
        files=files,
        # The parent says something only to stop us; a broken pipe says so, too.
        should_stop=pipe.poll,
    )
    clock, last = Clock(), -_REPORT_EVERY
    with closing(steps):
        while True:
            try:
                progress: Progress = next(steps)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if clock.seconds - last >= _REPORT_EVERY:
                last = clock.seconds
                _tell(pipe, ("progress", progress))


@contextmanager
def _warnings_sent(pipe: Connection) -> Iterator[None]:
    """Send our own warnings to the parent, which knows how to show them."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(
            message: Warning | str, category: type[Warning], *rest: Any, **more: Any
        ) -> None:
            if issubclass(category, LowDoseWarning):
                _tell(pipe, ("warning", str(message)))
            else:
                usual(message, category, *rest, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", LowDoseWarning)
        yield


def _tell(pipe: Connection, message: object) -> None:
    try:
        pipe.send(message)
    except OSError:  # the other end is gone, and will be noticed where it matters
        return


def _gpus(denoiser: Denoiser, options: DenoiseOptions) -> tuple[str, ...]:
    """Return the GPUs that workers share; none where they compute elsewhere."""
    if not denoiser.needs.device or options.device not in ("auto", "cuda"):
        return ()
    from lowdose.inference.device import available_devices

    return tuple(name for name in available_devices() if name.startswith("cuda"))
