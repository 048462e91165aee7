"""Images that are read again and again: kept in memory as far as it goes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Share of the memory that is free, for what is kept unless told otherwise.
_SHARE: Final = 0.25


class Kept(Generic[T]):
    """Calls a function of a number once, and again only where memory does not suffice.

    Several threads may ask. Only one at a time reads: files are not made for more.

    Parameters
    ----------
    make : callable
        Returns the item of a number.
    size : callable
        Returns how much memory an item takes [B].
    memory : int, optional
        For all that is kept [B], by default a quarter of what is free. Once it is
        full, the items in it stay: of a random access none is worth more than
        another.
    """

    def __init__(
        self,
        make: Callable[[int], T],
        size: Callable[[T], int],
        *,
        memory: int | None = None,
    ) -> None:
        if memory is None:
            memory = int(_SHARE * psutil.virtual_memory().available)
        self._make, self._size, self._left = make, size, memory
        self._reading = threading.Lock()
        self._items: dict[int, T] = {}

    def __getitem__(self, number: int) -> T:
        if number in self._items:
            return self._items[number]
        with self._reading:
            # Another thread may have read it meanwhile.
            if number in self._items:
                return self._items[number]
            item = self._make(number)
            size = self._size(item)
            if size <= self._left:
                self._left -= size
                self._items[number] = item
            return item
