"""Memory that is freed during a run is used again by it, not given back at once."""

from __future__ import annotations

import ctypes
import sys
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of mallopt, in malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
#: What the library comes to by itself, once large arrays were freed.
_USUAL: Final = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26}
#: No array in pages of its own; the heap keeps what is freed.
_KEPT: Final = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}

_lock = threading.Lock()
_runs = 0


@contextmanager
def heap_kept(*, wanted: bool = True) -> Iterator[None]:
    """Keep what is freed for what is allocated next, and give it back in the end.

    The feature maps of a large tile are tens of MB each. The C library gives such
    arrays back to the system when they are freed, and the next ones come as new pages,
    which the system fills with zeros one by one: a third of the time of a network on
    a CPU. What a run holds at its peak does not grow by this, but it is held to the
    end of the run.

    Parameters
    ----------
    wanted : bool, optional
        False to do nothing.

    Notes
    -----
    Only with the GNU C library, Linux's usual one; elsewhere nothing happens. The
    setting is that of the whole process, and ends with the last of several runs. In
    threads other than the first, arrays of up to 64 MB are kept, larger ones are not.
    """
    library = _gnu_library() if wanted else None
    if library is None:
        yield
        return
    global _runs
    with _lock:
        _runs += 1
        if _runs == 1:
            _set(library, _KEPT)
    try:
        yield
    finally:
        with _lock:
            _runs -= 1
            if _runs == 0:
                _set(library, _USUAL)
                library.malloc_trim(0)


def _set(library: Any, values: dict[int, int]) -> None:
    for name, value in values.items():
        library.mallopt(name, value)


@cache
def _gnu_library() -> Any:
    """Return the GNU C library, or None where there is another one."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    functions = ("gnu_get_libc_version", "mallopt", "malloc_trim")
    if not all(hasattr(library, name) for name in functions):
        return None
    return library
