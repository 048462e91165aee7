"""Where denoised frames go: a new array, an array given by the caller, or a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from lowdose.errors import (
    InputError,
    LowDoseError,
    OutOfMemoryError,
    OutputError,
    ParameterError,
)
from lowdose.inference.device import free_memory
from lowdose.micrograph import release_pages

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph


@runtime_checkable
class FrameSink(Protocol):
    """A file being written frame by frame; :class:`lowdose.io.Sink` is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole stack."""

    @property
    def path(self) -> Path:
        """Where the file will be."""

    def write_frame(self, number: int, frame: NDArray[np.float32]) -> None:
        """Write one frame."""

    def commit(self) -> Path:
        """Finish the file and give it its name."""

    def abort(self) -> None:
        """Remove what was written."""


@runtime_checkable
class RowSink(FrameSink, Protocol):
    """A file that takes frames in rows, too."""

    def write_rows(self, number: int, start: int, rows: NDArray[np.float32]) -> None:
        """Write some rows of a frame."""

    def read_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read back rows that were written."""


class Target(Protocol):
    """What the engine writes into."""

    @property
    def slow(self) -> bool:
        """Whether writing takes long enough to be done while the next is computed."""

    @property
    def takes_rows(self) -> bool:
        """Whether frames may be given in rows, from the first to the last."""

    def write_rows(self, number: int, start: int, rows: NDArray[np.float32]) -> None:
        """Take some rows of a frame; only where `takes_rows`."""

    def read_rows(self, number: int, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows that were written; only where `takes_rows`."""

    def write(self, number: int, frame: NDArray[np.float32]) -> None:
        """Take one finished frame."""

    def finish(self) -> Any:
        """Return the finished stack, as the data of a Micrograph."""

    def abort(self) -> None:
        """Undo what can be undone."""


class ArrayTarget:
    """Frames go into an array.

    Parameters
    ----------
    array : array_like
        Has the shape of the stack and takes ``array[index] = frame``.
    shape : tuple of int
        Shape of the stack.
    """

    def __init__(self, array: Any, shape: tuple[int, ...]) -> None:
        self._array = array
        self._shape = shape

    @property
    def slow(self) -> bool:
        """Whether it is anything but memory."""
        return not isinstance(self._array, np.ndarray)

    @property
    def takes_rows(self) -> bool:
        """True: an array can be indexed by rows."""
        return True

    def write(self, number: int, frame: NDArray[np.float32]) -> None:
        """Take one finished frame."""
        self._put(number, self._index(number) or ..., frame)

    def write_rows(self, number: int, start: int, rows: NDArray[np.float32]) -> None:
        """Take some rows of a frame."""
        part = slice(start, start + len(rows))
        self._put(number, (*self._index(number), part), rows)

    def read_rows(self, number: int, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows that were written."""
        rows = self._array[(*self._index(number), slice(start, stop))]
        return np.array(rows, np.float32)

    def _index(self, number: int) -> tuple[int, ...]:
        return tuple(int(n) for n in np.unravel_index(number, self._shape[:-2]))

    def _put(self, number: int, index: Any, pixels: NDArray[np.float32]) -> None:
        try:
            self._array[index] = pixels
            release_pages(self._array)
        except LowDoseError:
            raise
        except (OSError, RuntimeError) as error:
            msg = (
                f"Cannot write frame {number} to `out`: {error}. Check that its disk "
                "has space left and can be written."
            )
            raise OutputError(msg) from error

    def finish(self) -> Any:
        """Return the array."""
        return self._array

    def abort(self) -> None:
        """Leave the frames that are finished where they are."""


class SinkTarget:
    """Frames go into a file.

    Parameters
    ----------
    sink : FrameSink
        Committed by :meth:`finish`, aborted by :meth:`abort`.
    """

    def __init__(self, sink: FrameSink) -> None:
        self._sink = sink

    @property
    def slow(self) -> bool:
        """True: it is a disk."""
        return True

    @property
    def takes_rows(self) -> bool:
        """Whether the sink does."""
        return isinstance(self._sink, RowSink)

    def write(self, number: int, frame: NDArray[np.float32]) -> None:
        """Take one finished frame."""
        self._sink.write_frame(number, frame)

    def write_rows(self, number: int, start: int, rows: NDArray[np.float32]) -> None:
        """Take some rows of a frame."""
        assert isinstance(self._sink, RowSink)
        self._sink.write_rows(number, start, rows)

    def read_rows(self, number: int, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows that were written."""
        assert isinstance(self._sink, RowSink)
        return np.asarray(self._sink.read_rows(number, start, stop), np.float32)

    def finish(self) -> Any:
        """Commit the file and return its data, read lazily."""
        from lowdose import io

        path = self._sink.commit()
        try:
            return io.read(path).data
        except OSError as error:
            msg = f"The result was written to {path} but cannot be read back: {error}"
            raise InputError(msg) from error

    def abort(self) -> None:
        """Remove the unfinished file."""
        self._sink.abort()


def open_target(out: Any, image: Micrograph) -> Target:
    """Return where the frames go.

    Parameters
    ----------
    out : array_like, FrameSink or None
        What the caller of the engine gave. None for a new array.
    image : Micrograph
        What is denoised.

    Returns
    -------
    Target
        Takes frames of the shape of `image`.

    Raises
    ------
    ParameterError
        If `out` is neither, has another shape, or holds integers.
    OutputError
        If `out` is read-only.
    OutOfMemoryError
        If a new array does not fit.
    """
    if out is None:
        return ArrayTarget(_new_array(image), image.shape)
    is_sink = isinstance(out, FrameSink)
    if not is_sink and not (hasattr(out, "__setitem__") and hasattr(out, "dtype")):
        msg = (
            f"`out` is a {type(out).__name__}; give an array of shape {image.shape}, "
            "or a sink made by lowdose.io.create()."
        )
        raise ParameterError(msg)
    shape = tuple(int(n) for n in out.shape)
    if shape != image.shape:
        msg = f"`out` has shape {shape}, but the image has {image.shape}."
        raise ParameterError(msg)
    if is_sink:
        return SinkTarget(out)
    dtype = np.dtype(out.dtype)
    if dtype.kind != "f" or dtype.itemsize < 4:
        msg = (
            f"`out` has the type {dtype}, which cannot hold the result: give float32 "
            "(or float64)."
        )
        raise ParameterError(msg)
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        msg = "`out` is read-only. Open it for writing, such as np.memmap mode 'r+'."
        raise OutputError(msg)
    return ArrayTarget(out, shape)


def _new_array(image: Micrograph) -> NDArray[np.float32]:
    size = 4 * math.prod(image.shape)
    msg = (
        f"The result, of shape {image.shape}, takes {size / 2**30:.1f} GiB, which is "
        "more than the free memory. Write it to a file instead: pass out= a sink of "
        "lowdose.io.create() or a memory-mapped array (-o on the command line)."
    )
    # Some systems grant any memory and end the process when it is used.
    if size > free_memory("cpu"):
        raise OutOfMemoryError(msg)
    try:
        return np.empty(image.shape, dtype=np.float32)
    except MemoryError as error:
        raise OutOfMemoryError(msg) from error
