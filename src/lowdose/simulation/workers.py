"""Processes that render specimens, and end when the one that asked them is gone.

A process pool of the standard library leaves its processes waiting for ever when their
parent is killed; here each has a pipe of its own, which breaks when the parent ends.
Everything is rendered in such a process, even with one worker, so that the number of
threads and thereby the order of every sum is the same whatever the number of workers.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import LowDoseError, OutOfMemoryError, OutputError
from lowdose.process_threads import child_threads
from lowdose.simulation import store

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from lowdose.progress import ShouldStop
    from lowdose.simulation.rendering import Preset

#: How often it is asked whether to stop [s].
_POLL: Final = 0.2


def render_all(
    preset: Preset,
    folder: Path,
    numbers: Sequence[int],
    *,
    seed: int,
    workers: int,
    cache: Path | None,
    should_stop: ShouldStop,
) -> Generator[int, None, None]:
    """Render specimens into their files.

    Parameters
    ----------
    preset : Preset
        Renders a specimen.
    folder : Path
        Where the files go.
    numbers : sequence of int
        Which specimens.
    seed : int
        Seed of the set.
    workers : int
        Number of processes.
    cache : Path or None
        Folder for exit waves.
    should_stop : callable
        Asked several times a second; when true, the iteration ends.

    Yields
    ------
    int
        Number of a specimen that is finished.

    Raises
    ------
    LowDoseError
        What rendering raised.
    OutOfMemoryError
        If a process was ended from outside, as systems do that are short of memory.
    """
    waiting = list(reversed(numbers))
    team: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(workers, len(waiting))):
            pipe, process = _start(preset, folder, seed, cache)
            team[pipe] = process
            pipe.send(waiting.pop())
        busy = len(team)
        while busy and not should_stop():
            ready = wait(list(team), timeout=_POLL)
            for pipe in [pipe for pipe in team if pipe in ready]:
                yield _answer(pipe, team[pipe])
                if waiting:
                    pipe.send(waiting.pop())
                else:
                    pipe.close()
                    team.pop(pipe).join()
                    busy -= 1
    finally:
        for pipe, process in team.items():
            process.terminate()
            process.join()
            pipe.close()


def _start(
    preset: Preset, folder: Path, seed: int, cache: Path | None
) -> tuple[Connection, BaseProcess]:
    # Not forked: a copy of a process with threads, such as of napari, may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_work, args=(theirs, preset, folder, seed, cache), daemon=True
    )
    # One each: as many processes as there are workers are at work already.
    with child_threads(1):
        process.start()
    theirs.close()
    return ours, process


def _answer(pipe: Connection, process: BaseProcess) -> int:
    """Return the specimen that a process has finished, or raise its error."""
    try:
        answer: int | Exception = pipe.recv()
    except (EOFError, ConnectionError):
        process.join()
        msg = (
            f"A worker process ended with code {process.exitcode} before its specimen "
            "was rendered; systems that run short of memory end processes so. What is "
            "finished is kept: resume, with fewer workers."
        )
        raise OutOfMemoryError(msg) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _work(
    pipe: Connection, preset: Preset, folder: Path, seed: int, cache: Path | None
) -> None:
    """Render what is asked for until nobody asks any more."""
    # Ctrl-C goes to every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            number: int = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            store.write_shard(folder, number, preset.render(seed, number, cache))
            answer: Any = number
        except LowDoseError as error:
            answer = error
        except OSError as error:
            answer = OutputError(f"Cannot write into {folder}: {error}.")
        except Exception:  # noqa: BLE001  (raised again, by the parent)
            # Not every exception survives the pipe; its text does.
            answer = LowDoseError(
                f"Rendering specimen {number} of {preset.name!r} with seed {seed} "
                f"failed:\n{traceback.format_exc()}"
            )
        try:
            pipe.send(answer)
        except OSError:
            return
