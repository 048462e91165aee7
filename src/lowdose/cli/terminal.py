"""What the commands share in talking to the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from lowdose.errors import LowDoseWarning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2

#: Characters on a line of a table that goes to a file or a pipe, and at least in the
#: last column of any table.
_FILE_WIDTH: Final = 120
_NARROWEST: Final = 30


def say(text: str) -> None:
    """Write a line about the work, as opposed to its result, to stderr."""
    sys.stderr.write(f"lowdose: {text}\n")
    sys.stderr.flush()


def report_error(error: Exception, *, about: str = "") -> None:
    """Write an error to stderr; its traceback too where ``LOWDOSE_DEBUG=1``.

    Parameters
    ----------
    error : Exception
        An error whose message is meant for the user.
    about : str, optional
        Name of the file that it is about, for messages that do not have it.
    """
    if os.environ.get("LOWDOSE_DEBUG") == "1":
        traceback.print_exception(error)
    say(f"error: {about_file(str(error), about)}")


def about_file(message: str, name: str) -> str:
    """Put the name of a file before a message that does not say it."""
    return message if not name or name in message else f"{name}: {message}"


def write(text: str) -> None:
    """Write a line of the result to stdout."""
    sys.stdout.write(f"{text}\n")


def width() -> int:
    """Return how many characters fit on a line of stdout."""
    if sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return _FILE_WIDTH


def columns(rows: Sequence[tuple[str, ...]], *, indent: int = 2) -> str:
    """Return rows as aligned columns, of which the last one is wrapped.

    Parameters
    ----------
    rows : sequence of tuple of str
        All of one length.
    indent : int, optional
        Spaces before the first column.

    Returns
    -------
    str
        One line or more per row.
    """
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines: list[str] = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row, sizes, strict=False)]
        start = " " * indent + "".join(f"{cell}  " for cell in cells)
        room = max(_NARROWEST, width() - len(start))
        first, *rest = textwrap.wrap(row[-1], room) or [""]
        lines.append(f"{start}{first}".rstrip())
        lines += [" " * len(start) + line for line in rest]
    return "\n".join(lines)


@contextmanager
def warnings_as_text() -> Iterator[None]:
    """Show the package's own warnings as one line each, and each only once."""
    shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> Any:
        if not issubclass(category, LowDoseWarning):
            return usual(message, category, filename, lineno, file, line)
        if str(message) not in shown:
            shown.add(str(message))
            say(f"warning: {message}")
        return None

    with warnings.catch_warnings():
        usual = warnings.showwarning
        warnings.showwarning = show
        warnings.simplefilter("always", LowDoseWarning)
        yield
