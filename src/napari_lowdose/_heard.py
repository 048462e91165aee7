"""Warnings of several workers at a time, each told to its own.

Python's filters and its ``showwarning`` belong to the whole process. A worker that
puts back, when it ends, what it found when it began, leaves those of another worker
behind if that one began earlier and has ended meanwhile: a warning then goes to an
object that no longer exists.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOCK: Final = threading.Lock()
#: Who is told of the warnings of a thread, by the thread's number.
_HEARERS: Final[dict[int, Callable[[tuple[Any, ...]], object]]] = {}
#: What was there before the first worker began, and is put back after the last.
_BEFORE: Final[list[tuple[warnings.catch_warnings[Any], Callable[..., Any]]]] = []


@contextmanager
def warnings_heard(tell: Callable[[tuple[Any, ...]], object]) -> Iterator[None]:
    """Tell of all warnings of this thread, in any order with other threads.

    Parameters
    ----------
    tell : callable
        Given the arguments of :func:`warnings.showwarning`.
    """
    me = threading.get_ident()
    with _LOCK:
        if not _HEARERS:
            kept = warnings.catch_warnings()
            shown = warnings.showwarning
            kept.__enter__()
            _BEFORE.append((kept, shown))
            warnings.simplefilter("always")
            warnings.showwarning = _route  # type: ignore[assignment]  # passed on whole
        _HEARERS[me] = tell
    try:
        yield
    finally:
        with _LOCK:
            del _HEARERS[me]
            if not _HEARERS:
                kept, _ = _BEFORE.pop()
                kept.__exit__(None, None, None)


def _route(*arguments: Any) -> None:
    """Tell the worker of this thread, or show as it was shown before."""
    tell = _HEARERS.get(threading.get_ident())
    if tell is not None:
        tell(arguments)
    elif _BEFORE:
        _BEFORE[-1][1](*arguments)
