"""Ctrl-C stops the work between two tiles, so that nothing half-done is left."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lowdose.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowdose.progress import ShouldStop


@contextmanager
def stop_on_signals(
    message: str = "Stopping after the tiles at work; once more to stop at once.",
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
        say(message)

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, stop)
    try:
        yield asked.is_set
    finally:
        restore()
