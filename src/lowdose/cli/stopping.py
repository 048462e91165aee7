"""Ctrl-C stops the work between two tiles, so that nothing half-done is left."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowdose.progress import ShouldStop

_STDERR: Final = 2


@contextmanager
def stop_on_signals(
    message: str = "Stopping soon; once more to stop at once.",
) -> Iterator[ShouldStop]:
    """Turn Ctrl-C, and SIGTERM as batch systems send it, into a request to stop.

    Parameters
    ----------
    message : str, optional
        What is said when the first signal comes.

    Yields
    ------
    callable
        Returns True once a signal came. A second one ends the program at once.

    Notes
    -----
    Python lets only the main thread take signals; in another thread the callable
    returned never becomes true.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    previous: dict[signal.Signals, Any] = {}

    def stop(_number: int, _frame: object) -> None:
        asked.set()
        restore()
        # Not through sys.stderr: the signal may have come while it was being written,
        # and Python's buffers cannot be entered twice.
        os.write(_STDERR, f"lowdose: {message}\n".encode())

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell starts a job in the background with Ctrl-C ignored: so it stays.
        if signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, stop)
    try:
        yield asked.is_set
    finally:
        restore()
