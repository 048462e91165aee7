"""What ``lowdose denoise`` says while it works, and at the end."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from lowdose.cli.reporting import took
from lowdose.cli.terminal import (
    DONE,
    FAILED,
    about_file,
    report_error,
    say,
    write,
)
from lowdose.errors import LowDoseError, LowDoseWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from contextlib import AbstractContextManager

    from lowdose.batch import FileStatus, Job, Outcome
    from lowdose.progress import Progress

    Report = Callable[[Progress], None]
    Reporting = Callable[..., AbstractContextManager[Report]]


def show_statuses(
    todo: Sequence[Job],
    statuses: Generator[FileStatus, None, list[Outcome]],
    *,
    together: bool,
    quiet: bool,
    results: bool,
    reporting: Reporting,
) -> list[Outcome]:
    """Show a batch while it runs, and return what became of its files.

    Parameters
    ----------
    todo : sequence of Job
        The files.
    statuses : generator
        From :func:`lowdose.batch.denoise_files` or
        :func:`lowdose.batch.denoise_on_cluster`.
    together : bool
        Whether several files are at work at a time: then one bar shows all of them,
        else each file has its own.
    quiet : bool
        Show no progress.
    results : bool
        Write a line to stdout for every result.
    reporting : callable
        :func:`lowdose.cli.reporting.reporting`.
    """
    # Not above: `lowdose denoise --help` would wait for numpy.
    from lowdose.batch.overall import Overall

    overall = Overall(todo)
    with ExitStack() as whole, closing(statuses):
        current = whole.enter_context(ExitStack())
        report: Report | None = None
        if together:
            title = f"{len(todo)} files" if len(todo) > 1 else todo[0].source.name
            report = whole.enter_context(reporting(title, quiet=quiet))
        while True:
            try:
                status = next(statuses)
            except StopIteration as end:
                outcomes: list[Outcome] = end.value
                return outcomes
            job = todo[status.number]
            if status.warning:
                message = about_file(status.warning, str(job.source))
                warnings.warn(message, LowDoseWarning, stacklevel=2)
            elif status.progress is not None and report is not None:
                report(overall.with_file(status) if together else status.progress)
            elif status.state == "running" and not together:
                current.close()
                count = f"{status.number + 1}/{len(todo)} " if len(todo) > 1 else ""
                report = current.enter_context(
                    reporting(f"{count}{job.source.name}", quiet=quiet)
                )
            elif status.outcome is not None:
                current.close()
                _show_outcome(status.outcome, results=results)
                if together and report is not None:
                    report(overall.with_file(status))


def _show_outcome(outcome: Outcome, *, results: bool) -> None:
    if outcome.error:
        error = outcome.exception or LowDoseError(outcome.error)
        report_error(error, about=str(outcome.job.source))
    elif results:
        write(_line(outcome))


def _line(outcome: Outcome) -> str:
    """Return the line that says what was made."""
    size = " x ".join(map(str, outcome.shape))
    if outcome.present:
        return f"{outcome.job.target}  ({size} px, was there already)"
    resumed = (
        f", {outcome.frames_resumed} frames of it by an earlier run"
        if outcome.frames_resumed
        else ""
    )
    seconds = took(outcome.seconds)
    return (
        f"{outcome.job.target}  ({size} px in {seconds}{resumed}, from "
        f"{outcome.job.source})"
    )


def conclude(
    todo: Sequence[Job], outcomes: Sequence[Outcome], *, cancelled: bool
) -> int:
    """Say how a batch went, and return the exit code."""
    failed = [outcome for outcome in outcomes if outcome.error]
    done = len(outcomes) - len(failed)
    if cancelled and len(outcomes) < len(todo):
        known = {outcome.job.source for outcome in outcomes}
        rest = [str(job.source) for job in todo if job.source not in known]
        say(
            f"Cancelled: {done} of {len(todo)} files are done. Not done: "
            f"{_listed(rest)}."
        )
    if failed and len(todo) > 1:
        say(f"{len(failed)} of {len(todo)} files failed:")
        for outcome in failed:
            say(f"  {about_file(outcome.error, str(outcome.job.source))}")
    return DONE if done == len(todo) else FAILED


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
