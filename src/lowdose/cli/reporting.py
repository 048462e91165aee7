"""Progress of a long job: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lowdose.cli.terminal import say
from lowdose.progress import Clock, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowdose.progress import Progress

    Report = Callable[[Progress], None]

#: Least time between two lines of progress in a log file [s].
_LINE_EVERY: Final = 10.0


@contextmanager
def reporting(
    title: str, *, unit: str = "tiles", quiet: bool = False
) -> Iterator[Report]:
    """Show the progress of one job on stderr while the context lasts.

    Parameters
    ----------
    title : str
        What is worked on, such as the name of a file.
    unit : str, optional
        What the pieces of the job are.
    quiet : bool, optional
        Show nothing.

    Yields
    ------
    callable
        To be called with every :class:`~lowdose.progress.Progress`.

    Notes
    -----
    `Progress.message` is not shown here: it is given as a warning too.
    """
    if quiet:
        yield _nothing
    elif sys.stderr.isatty():
        with _bar(title, unit) as report:
            yield report
    else:
        yield _lines(title, unit)


def describe_progress(progress: Progress, unit: str = "tiles") -> str:
    """Return the numbers of a progress in words.

    Parameters
    ----------
    progress : Progress
        Where a job stands.
    unit : str, optional
        What its pieces are.

    Returns
    -------
    str
        Such as ``"40 of 160 tiles, 3.1 Mpx/s, 2 min left"``.
    """
    parts = [f"{progress.done} of {progress.total} {unit}"]
    if (rate := progress.megapixels_per_second) is not None:
        parts.append(f"{rate:.3g} Mpx/s")
    if (left := progress.seconds_left) is not None and progress.done < progress.total:
        parts.append(f"{format_seconds(left)} left")
    return ", ".join(parts)


def took(seconds: float) -> str:
    """Return how long a job took in words; short ones to a tenth of a second."""
    return f"{seconds:.1f} s" if seconds < 10 else format_seconds(seconds)


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Report]:
    from rich import progress as rich_progress
    from rich.console import Console

    text = rich_progress.TextColumn
    bar = rich_progress.Progress(
        text("{task.description}", markup=False),
        rich_progress.BarColumn(bar_width=None),
        rich_progress.TaskProgressColumn(),
        text("{task.fields[numbers]}", markup=False),
        console=Console(file=sys.stderr, highlight=False),
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task(title, total=None, numbers="starting")

        def report(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                numbers=describe_progress(progress, unit),
            )

        yield report


def _lines(title: str, unit: str) -> Report:
    clock = Clock()
    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        if clock.seconds - last >= _LINE_EVERY:
            last = clock.seconds
            numbers = describe_progress(progress, unit)
            say(f"{title}: {progress.fraction:.0%}, {numbers}")

    return report


def _nothing(progress: Progress) -> None:
    """Show nothing."""
