"""Images that are read again and again: kept in memory as far as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Memory for what is kept [B].
_MEMORY = 2 << 30


class Kept(Generic[T]):
    """Calls a function of a number once, and again only where memory does not suffice.

    Parameters
    ----------
    make : callable
        Returns the item of a number.
    size : callable
        Returns how much memory an item takes [B].
    memory : int, optional
        For all that is kept [B]. Once it is full, the items in it stay: of a random
        access none is worth more than another.
    """

    def __init__(
        self,
        make: Callable[[int], T],
        size: Callable[[T], int],
        *,
        memory: int = _MEMORY,
    ) -> None:
        self._make, self._size, self._left = make, size, memory
        self._items: dict[int, T] = {}

    def __getitem__(self, number: int) -> T:
        if number in self._items:
            return self._items[number]
        item = self._make(number)
        size = self._size(item)
        if size <= self._left:
            self._left -= size
            self._items[number] = item
        return item
