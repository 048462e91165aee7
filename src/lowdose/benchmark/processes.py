"""Work divided among processes, each with one thread, that report as they go."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from lowdose.errors import LowDoseError, OutOfMemoryError
from lowdose.process_threads import child_threads

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from multiprocessing.process import BaseProcess

    from lowdose.progress import ShouldStop

Task = TypeVar("Task", contravariant=True)

#: How often it is asked whether to stop [s].
_POLL: Final = 0.2


class Job(Protocol[Task]):
    """What a process does with a task. It is sent to the process once."""

    def run(self, task: Task) -> Iterator[Any]:
        """Yield the results of a task, one by one."""


def work(
    job: Job[Task], tasks: Sequence[Task], *, workers: int, should_stop: ShouldStop
) -> Generator[Any, None, None]:
    """Do every task, and yield the results as they come.

    Parameters
    ----------
    job : Job
        What is done.
    tasks : sequence
        With what, in this order.
    workers : int
        Processes. One: this process.
    should_stop : callable
        When it returns True, the iteration ends.

    Yields
    ------
    object
        What `job` yields.

    Raises
    ------
    LowDoseError
        What a task raised.
    OutOfMemoryError
        If a process was ended from outside, as systems do that are short of memory.
    """
    if workers <= 1:
        for task in tasks:
            for result in job.run(task):
                yield result
                if should_stop():
                    return
        return
    waiting = deque(tasks)
    team: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(workers, len(waiting))):
            pipe, process = _start(job)
            team[pipe] = process
            pipe.send(waiting.popleft())
        at_work = set(team)
        while at_work and not should_stop():
            for ready in wait(list(at_work), timeout=_POLL):
                assert isinstance(ready, Connection)
                pipe = ready
                kind, value = _receive(pipe, team[pipe])
                if kind == "result":
                    yield value
                elif waiting:
                    pipe.send(waiting.popleft())
                else:
                    at_work.remove(pipe)
    finally:
        for pipe, process in team.items():
            pipe.close()
            process.terminate()
            process.join()


def _start(job: Job[Any]) -> tuple[Connection, BaseProcess]:
    # Not forked: a copy of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, job), daemon=True)
    # One each: as many processes as there are workers are at work already.
    with child_threads(1):
        process.start()
    theirs.close()
    return ours, process


def _receive(pipe: Connection, process: BaseProcess) -> tuple[str, Any]:
    """Return what a process says, or raise its error."""
    try:
        answer: tuple[str, Any] = pipe.recv()
    except (EOFError, OSError):
        process.join()
        msg = (
            f"A worker process ended with code {process.exitcode}; systems that run "
            "short of memory end processes so. What is finished is kept: resume, with "
            "fewer workers."
        )
        raise OutOfMemoryError(msg) from None
    if answer[0] == "error":
        raise answer[1]
    return answer


def _work(pipe: Connection, job: Job[Any]) -> None:
    """Do the tasks that come through a pipe, until it breaks."""
    # Ctrl-C goes to every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        last: tuple[str, Any] = "done", None
        try:
            for result in job.run(task):
                pipe.send(("result", result))
        except LowDoseError as error:
            last = "error", error
        except BrokenPipeError:
            return
        except Exception:  # noqa: BLE001  (raised again, by the parent)
            # Not every exception survives the pipe; its text does.
            text = f"A benchmark failed; please report this:\n{traceback.format_exc()}"
            last = "error", LowDoseError(text)
        try:
            pipe.send(last)
        except OSError:
            return
