"""Read the next piece and write the last one while the present one is computed."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
S = TypeVar("S")

#: Stands for the end of an iteration: the items themselves may be anything.
_END: Final = object()


@contextmanager
def read_ahead(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Make each item of an iteration in a thread, while the one before is used.

    Parameters
    ----------
    items : iterable
        Read one item ahead of use, always from the same thread.

    Yields
    ------
    iterator
        The same items. An error is raised where its item would come.

    Notes
    -----
    Leaving the context waits for the item that is being read, so that no thread
    outlives it.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="lowdose-read") as pool:

        def following() -> Iterator[T]:
            pending: Future[object] = pool.submit(next, source, _END)
            while (item := pending.result()) is not _END:
                pending = pool.submit(next, source, _END)
                yield item  # type: ignore[misc]

        yield following()


class WriteBehind:
    """Writes frames in a thread, one at a time and in order.

    Parameters
    ----------
    write : callable
        Takes the number of a frame and its pixels, shape (H, W), float32.
    behind : bool, optional
        If false, frames are written at once, by the caller's thread.

    Notes
    -----
    Used as a context manager: leaving it waits for the frame that is being written,
    so that a file can then be closed or removed. At most one frame waits.
    """

    def __init__(
        self,
        write: Callable[[int, NDArray[np.float32]], None],
        *,
        behind: bool = True,
    ) -> None:
        self._write = write
        self._behind = behind
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lowdose-write")
        self._pending: Future[None] | None = None
        #: Number of the last frame that was written; -1 before any.
        self.last = -1

    def write(self, number: int, frame: NDArray[np.float32]) -> None:
        """Take one frame; raises what went wrong with the one before."""
        self.wait()
        if self._behind:
            self._pending = self._pool.submit(self._one, number, frame)
        else:
            self._one(number, frame)

    def wait(self) -> None:
        """Wait until everything is written; raises what went wrong."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._pool.shutdown(wait=True)

    def _one(self, number: int, frame: NDArray[np.float32]) -> None:
        self._write(number, frame)
        self.last = number


def in_threads(function: Callable[[S], T], items: Sequence[S], threads: int) -> list[T]:
    """Return the results of a function, worked out in several threads.

    Parameters
    ----------
    function : callable
        Gives the same whichever thread calls it.
    items : sequence
        Its arguments.
    threads : int
        How many at most; one means this thread.

    Returns
    -------
    list
        In the order of the items.
    """
    count = min(threads, len(items))
    if count <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(count, thread_name_prefix="lowdose-filter") as pool:
        return list(pool.map(function, items))


def usable_threads() -> int:
    """Return how many threads may compute here.

    The cores that this process may use, or what ``OMP_NUM_THREADS`` says where that
    is less: a batch system, and every worker of a batch of ours, sets it.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        limit = int(os.environ.get("OMP_NUM_THREADS", "0"))
    except ValueError:
        limit = 0
    return max(1, min(cores, limit) if limit > 0 else cores)
