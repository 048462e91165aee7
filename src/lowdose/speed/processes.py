"""Each case in a process of its own, so that none inherits another's memory."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from typing import TYPE_CHECKING, Any

from lowdose.errors import Cancelled, LowDoseError, OutOfMemoryError
from lowdose.progress import never
from lowdose.speed.cases import Case, measure_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    from lowdose.progress import ShouldStop
    from lowdose.speed.cases import SpeedRow

#: How often it is asked whether to stop [s].
_POLL = 0.2


def measure_cases(
    cases: Sequence[Case], *, should_stop: ShouldStop = never
) -> Iterator[SpeedRow]:
    """Measure cases one after the other, each in a fresh process.

    Parameters
    ----------
    cases : sequence of Case
        What to measure.
    should_stop : callable, optional
        When it returns True, the work stops.

    Yields
    ------
    SpeedRow
        As it is measured.

    Raises
    ------
    Cancelled
        If `should_stop` returned True.
    LowDoseError
        If a denoiser cannot be made or placed, or its process ended.
    """
    context = multiprocessing.get_context("spawn")
    for case in cases:
        ours, theirs = context.Pipe()
        process = context.Process(target=_measure, args=(theirs, case), daemon=True)
        process.start()
        theirs.close()
        try:
            while (answer := _receive(ours, case, should_stop)) is not None:
                yield answer
        finally:
            ours.close()
            process.terminate()
            process.join()


def _receive(pipe: Connection, case: Case, should_stop: ShouldStop) -> SpeedRow | None:
    while not pipe.poll(_POLL):
        if should_stop():
            msg = "The benchmark was stopped."
            raise Cancelled(msg)
    try:
        answer: Any = pipe.recv()
    except EOFError:
        msg = (
            f"The process that measured {case.denoiser!r} at {case.size} px ended. "
            "Systems that run short of memory end processes so: take a smaller --size."
        )
        raise OutOfMemoryError(msg) from None
    if isinstance(answer, Exception):
        raise answer
    row: SpeedRow | None = answer
    return row


def _measure(pipe: Connection, case: Case) -> None:
    # Ctrl-C goes to every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for row in measure_case(case):
            pipe.send(row)
        pipe.send(None)
    except BrokenPipeError:
        return
    except LowDoseError as error:
        pipe.send(error)
    except Exception:  # noqa: BLE001  (raised again, by the parent)
        # Not every exception survives the pipe; its text does.
        text = f"Measuring {case.denoiser!r} failed:\n{traceback.format_exc()}"
        pipe.send(LowDoseError(text))
