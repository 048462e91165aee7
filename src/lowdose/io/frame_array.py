"""A lazy stack for formats that can only be read one image at a time.

Memory maps, zarr arrays and h5py datasets are indexed directly. A compressed TIFF, or
an array with an axis that has to be fixed (a channel), is not an array of frames yet:
:class:`FrameArray` makes it look like one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Reads frame number n, counted through all leading axes, the last fastest.
ReadFrame = Callable[[int], "NDArray[Any]"]


class FrameArray:
    """A read-only array of frames, each read when it is asked for.

    Parameters
    ----------
    read_frame : callable
        Takes a frame number, counted through all leading axes, the last fastest, and
        returns the frame as an array of shape (H, W).
    shape : tuple of int
        Shape of the whole, ``([...,] H, W)``.
    dtype : dtype
        Type of the samples.

    Notes
    -----
    Integers, slices, an ellipsis and, on the leading axes, arrays of integers can be
    used as indices. What is asked for is read into memory, nothing else.
    """

    def __init__(
        self, read_frame: ReadFrame, shape: tuple[int, ...], dtype: Any
    ) -> None:
        self._read_frame = read_frame
        self.shape = tuple(int(n) for n in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of samples."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the whole [B]."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        key = _expand(index, self.ndim)
        lead = self.shape[:-2]
        numbers = np.arange(math.prod(lead)).reshape(lead)[key[:-2]]
        inside = key[-2:]
        if numbers.ndim == 0:
            return self._read_frame(int(numbers))[inside]
        # A probe of no memory says what shape the index leaves of a frame.
        probe = np.broadcast_to(np.zeros((), bool), self.shape[-2:])[inside]
        result = np.empty(numbers.shape + probe.shape, self.dtype)
        for position, number in np.ndenumerate(numbers):
            result[position] = self._read_frame(int(number))[inside]
        return result

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        """Read everything; `copy` may not be False, since reading makes an array."""
        if copy is False:
            msg = "This array is read from a file: it cannot be had without a copy."
            raise ValueError(msg)
        everything: NDArray[Any] = np.asarray(self[...], dtype=dtype)
        return everything

    def __repr__(self) -> str:
        return f"FrameArray(shape={self.shape}, dtype={self.dtype})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    """Reads a frame of an array some of whose axes are held at an index."""

    array: Any
    held: Mapping[int, int]
    lead: tuple[int, ...]

    def __call__(self, number: int) -> NDArray[Any]:
        free = iter((*np.unravel_index(number, self.lead), slice(None), slice(None)))
        index = tuple(
            self.held[axis] if axis in self.held else next(free)
            for axis in range(len(self.array.shape))
        )
        return np.asarray(self.array[index])


def hold_axes(array: Any, held: Mapping[int, int]) -> Any:
    """Return `array` with some axes held at an index, and so removed, without reading.

    Parameters
    ----------
    array : array_like
        A numpy array, memory map, h5py dataset or zarr array.
    held : mapping of int to int
        Index at which to hold, by axis number. At least two axes stay free.

    Returns
    -------
    array_like
        A view of a numpy array; the array itself where nothing is held; otherwise a
        :class:`FrameArray`.
    """
    if not held:
        return array
    if isinstance(array, np.ndarray):
        return array[tuple(held.get(axis, slice(None)) for axis in range(array.ndim))]
    shape = tuple(n for axis, n in enumerate(array.shape) if axis not in held)
    plane = _Plane(array=array, held=dict(held), lead=shape[:-2])
    return FrameArray(plane, shape, array.dtype)


def reshape_lead(array: Any, shape: tuple[int, ...]) -> Any:
    """Return `array` with other axes before the image, without reading.

    Parameters
    ----------
    array : array_like, shape ([...,] H, W)
        A numpy array, memory map, h5py dataset, zarr array or :class:`FrameArray`.
    shape : tuple of int
        As many frames of the same height and width.

    Returns
    -------
    array_like
        The array itself where the shape is the same already.
    """
    if tuple(array.shape) == shape:
        return array
    if isinstance(array, np.ndarray):
        return array.reshape(shape)
    plane = _Plane(array=array, held={}, lead=tuple(array.shape[:-2]))
    return FrameArray(plane, shape, array.dtype)


def _expand(index: Any, ndim: int) -> tuple[Any, ...]:
    """Return one integer, slice or index array per axis."""
    key = index if isinstance(index, tuple) else (index,)
    gaps = [n for n, item in enumerate(key) if item is Ellipsis]
    if len(gaps) > 1:
        msg = "An index can only have a single ellipsis (...)."
        raise IndexError(msg)
    if not gaps:
        key, gaps = (*key, Ellipsis), [len(key)]
    fill = ndim - (len(key) - 1)
    if fill < 0:
        msg = f"Too many indices: the array has {ndim} axes, {len(key) - 1} were given."
        raise IndexError(msg)
    gap = gaps[0]
    full = (*key[:gap], *[slice(None)] * fill, *key[gap + 1 :])
    return tuple(
        _index_item(item, leading=axis < ndim - 2) for axis, item in enumerate(full)
    )


def _index_item(item: Any, *, leading: bool) -> Any:
    if isinstance(item, slice):
        return item
    try:
        return operator.index(item)
    except TypeError:
        pass
    if leading and isinstance(item, (list, np.ndarray)):
        return np.asarray(item)
    msg = (
        f"{item!r} cannot index a stack that is read from a file; use integers, "
        "slices, '...', and arrays of integers on the axes before the image."
    )
    raise IndexError(msg)
