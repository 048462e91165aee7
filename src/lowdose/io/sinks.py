"""Files that are written frame by frame, in any order, and appear only when complete.

A sink never writes through a memory map: the pages of a map count as memory of the
program until the system has written them, so that a long stack would fill it. The raw
formats (TIFF, MRC, NPY) are laid out first, header and all, and each frame is then
written at its place through an ordinary file.
"""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from lowdose.errors import InvalidImageError, OutputError, ParameterError
from lowdose.io import paths

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray

    from lowdose.micrograph import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is going to be written.

    Parameters
    ----------
    shape : tuple of int
        Shape of the whole, ``([T,] [Z,] H, W)``.
    dtype : dtype
        Type of the samples, in native byte order.
    calibration : Calibration
        One axis per axis of the shape.
    name : str
        Title of the image, for formats that keep one.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    calibration: Calibration
    name: str

    @property
    def frames(self) -> int:
        """Number of images."""
        return int(np.prod(self.shape[:-2], dtype=np.int64))

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of one image [px]."""
        return self.shape[-2], self.shape[-1]

    @property
    def frame_bytes(self) -> int:
        """Size of one image [B]."""
        return self.shape[-2] * self.shape[-1] * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Size of all images [B]."""
        return self.frames * self.frame_bytes


class Backend(Protocol):
    """What a format does for a :class:`Sink`: it writes into a temporary file."""

    def put(self, number: int, frame: NDArray[Any]) -> None:
        """Write one frame of the right shape and type at its place."""

    def put_rows(self, number: int, start: int, rows: NDArray[Any]) -> None:
        """Write some rows of a frame, of the right width and type, at their place."""

    def get_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read rows that were written, as a new array."""

    def flush(self) -> None:
        """Hand everything written so far to the system."""

    def token(self) -> dict[str, Any] | None:
        """Return what :func:`lowdose.io.reopen` needs, or None where it cannot."""

    def finish(self) -> None:
        """Write what can only be known at the end, and close the file."""

    def close(self) -> None:
        """Close the file, finished or not. May be called twice."""


class RawFrames:
    """Frames one after the other in a file that has its header already.

    Parameters
    ----------
    part : Path
        The file.
    offset : int
        Where the first frame begins [B].
    layout : Layout
        What is written, little-endian.
    """

    def __init__(self, part: Path, offset: int, layout: Layout) -> None:
        self._offset = offset
        self._layout = layout
        self.file = part.open("r+b")

    def put(self, number: int, frame: NDArray[Any]) -> None:
        """Write one frame at its place."""
        # Little-endian, whatever this machine is.
        data = np.ascontiguousarray(frame, frame.dtype.newbyteorder("<"))
        self.file.seek(self._offset + number * self._layout.frame_bytes)
        self.file.write(data.view(np.uint8).data)

    def put_rows(self, number: int, start: int, rows: NDArray[Any]) -> None:
        """Write some rows of a frame at their place."""
        data = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
        self.file.seek(self._place(number, start))
        self.file.write(data.view(np.uint8).data)

    def get_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read rows that were written."""
        shape = (stop - start, self._layout.shape[-1])
        stored = self._layout.dtype.newbyteorder("<")
        self.file.seek(self._place(number, start))
        raw = self.file.read(shape[0] * shape[1] * stored.itemsize)
        if len(raw) < shape[0] * shape[1] * stored.itemsize:
            raise OSError(errno.EIO, f"frame {number} is cut short")
        return np.frombuffer(raw, stored).reshape(shape).astype(self._layout.dtype)

    def flush(self) -> None:
        """Hand everything written so far to the system."""
        self.file.flush()

    def token(self) -> dict[str, Any] | None:
        """Return where the frames begin."""
        return {"offset": self._offset}

    def finish(self) -> None:
        """Close the file."""
        self.close()

    def _place(self, number: int, row: int) -> int:
        row_bytes = self._layout.shape[-1] * self._layout.dtype.itemsize
        return self._offset + number * self._layout.frame_bytes + row * row_bytes

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class Sink:
    """A file being written, frame by frame in any order; see :func:`lowdose.io.create`.

    As a context manager it commits at the end of the block and, after an exception,
    aborts. Whatever happens, the final name shows either nothing (or the file that was
    there before) or the complete new file.

    Parameters
    ----------
    path : Path
        Final name.
    part : Path
        Temporary name beside it.
    backend : Backend
        Writes into the temporary file.
    layout : Layout
        What is written.
    overwrite : bool
        Whether a file of the final name is replaced.
    written : ndarray of bool, optional
        Frames that the temporary file holds already; none by default.
    """

    def __init__(
        self,
        path: Path,
        part: Path,
        backend: Backend,
        layout: Layout,
        *,
        overwrite: bool,
        written: NDArray[np.bool_] | None = None,
    ) -> None:
        self._path = path
        self._part = part
        self._backend = backend
        self._layout = layout
        self._overwrite = overwrite
        self._written = (
            np.zeros(layout.frames, bool) if written is None else written.copy()
        )
        self._state = "open"

    @property
    def path(self) -> Path:
        """Final name of the file."""
        return self._path

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole."""
        return self._layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples in the file."""
        return self._layout.dtype

    @property
    def part(self) -> Path:
        """Temporary name of the file while it is written."""
        return self._part

    def token(self) -> dict[str, Any] | None:
        """Return what :func:`lowdose.io.reopen` needs to go on with this file.

        Returns
        -------
        dict or None
            JSON types. None for the formats that cannot be gone on with: NPZ and
            HDF5, which a program that is killed leaves without their contents.
        """
        return self._backend.token()

    def write_frame(self, number: int, frame: ArrayLike) -> None:
        """Write one frame. A frame may be written again; the last one counts.

        Parameters
        ----------
        number : int
            Frame number, counted through all leading axes, the last fastest.
        frame : array_like, shape (H, W)
            Detector counts. Converted to the type of the file where that keeps the
            values (floating point may lose digits, but not overflow).

        Raises
        ------
        ParameterError
            If there is no frame of that number.
        InvalidImageError
            If the frame has another shape, or values that the type cannot hold.
        OutputError
            If the disk refuses, or the sink is closed.
        """
        self._check_open()
        frames = self._layout.frames
        if not 0 <= number < frames:
            msg = f"There is no frame {number}: frames go from 0 to {frames - 1}."
            raise ParameterError(msg)
        array = np.asarray(frame)
        if array.shape != self._layout.frame_shape:
            msg = (
                f"Frame {number} has shape {array.shape}, but {self._path.name} has "
                f"frames of {self._layout.frame_shape}."
            )
            raise InvalidImageError(msg)
        converted = _convert(array, self.dtype, number)
        with paths.in_words(self._path):
            self._backend.put(number, converted)
        self._written[number] = True

    def write_rows(self, number: int, start: int, rows: ArrayLike) -> None:
        """Write some rows of a frame that is too large to be held as a whole.

        Parameters
        ----------
        number : int
            Frame number.
        start : int
            First row. The frame counts as written when its last row is: give the
            rows from the first to the last.
        rows : array_like, shape (N, W)
            Detector counts.

        Raises
        ------
        ParameterError, InvalidImageError, OutputError
            As :meth:`write_frame` does.
        """
        array = np.asarray(rows)
        stop = start + len(array)
        self._check_rows(number, start, stop)
        if array.shape[1:] != self._layout.shape[-1:]:
            msg = (
                f"Rows of shape {array.shape} are no part of frame {number} of "
                f"{self._path.name}, which is {self._layout.shape[-1]} px wide."
            )
            raise InvalidImageError(msg)
        converted = _convert(array, self.dtype, number)
        with paths.in_words(self._path):
            self._backend.put_rows(number, start, converted)
        if stop == self._layout.shape[-2]:
            self._written[number] = True

    def read_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read back rows that were written.

        Parameters
        ----------
        number : int
            Frame number.
        start, stop : int
            First row and the one after the last.

        Returns
        -------
        ndarray, shape (stop - start, W)
            In the type of the file, native byte order.

        Raises
        ------
        ParameterError
            If there are no such rows.
        OutputError
            If they cannot be read, or the sink is closed.
        """
        self._check_rows(number, start, stop)
        with paths.in_words(self._path):
            return self._backend.get_rows(number, start, stop)

    def flush(self) -> None:
        """Hand everything written so far to the system.

        It is then safe from the end of this program, if not from a loss of power.

        Raises
        ------
        OutputError
            If the disk refuses, or the sink is closed.
        """
        self._check_open()
        with paths.in_words(self._path):
            self._backend.flush()

    def detach(self) -> None:
        """Close the unfinished file and leave it, for :func:`lowdose.io.reopen`."""
        if self._state != "open":
            return
        self._state = "detached"
        with contextlib.suppress(OSError):
            self._backend.close()

    def commit(self) -> Path:
        """Complete the file and give it its final name.

        Returns
        -------
        Path
            The final name.

        Raises
        ------
        OutputError
            If a frame was never written, the disk refuses, or the sink is closed.
            Nothing is left behind then.
        """
        self._check_open()
        try:
            missing = np.flatnonzero(~self._written)
            if missing.size:
                msg = (
                    f"{self._path} was not written: {missing.size} of "
                    f"{self._layout.frames} frames were never given, the first of "
                    f"them frame {missing[0]}."
                )
                raise OutputError(msg)
            with paths.in_words(self._path):
                self._backend.finish()
                paths.publish(self._part, self._path, overwrite=self._overwrite)
            self._state = "committed"
        finally:
            if self._state != "committed":
                self.abort()
        return self._path

    def abort(self) -> None:
        """Remove the unfinished file. Does nothing once committed or aborted."""
        if self._state != "open":
            return
        self._state = "aborted"
        # What cannot be written out any more is not wanted any more.
        with contextlib.suppress(OSError):
            self._backend.close()
        paths.remove(self._part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abort()
        elif self._state == "open":
            self.commit()

    def __del__(self) -> None:
        # A sink that was forgotten leaves no temporary file behind either.
        if getattr(self, "_state", "") == "open":
            self.abort()

    def __repr__(self) -> str:
        done = int(self._written.sum())
        return f"<Sink {self._path.name}: {done} of {self._layout.frames} frames>"

    def _check_rows(self, number: int, start: int, stop: int) -> None:
        self._check_open()
        frames, height = self._layout.frames, self._layout.shape[-2]
        if not (0 <= number < frames and 0 <= start < stop <= height):
            msg = (
                f"There are no rows {start} to {stop} of frame {number} in "
                f"{self._path.name}, which has {frames} frames of {height} rows."
            )
            raise ParameterError(msg)

    def _check_open(self) -> None:
        if self._state != "open":
            msg = f"{self._path} is {self._state} already; create a new sink."
            raise OutputError(msg)


def _convert(frame: NDArray[Any], dtype: np.dtype[Any], number: int) -> NDArray[Any]:
    """Return the frame in another type, or raise where its values would change."""
    if frame.dtype == dtype:
        return frame
    if frame.dtype.kind not in "buif":
        msg = f"Frame {number} has the type {frame.dtype}, which is not a real number."
        raise InvalidImageError(msg)
    if np.can_cast(frame.dtype, dtype, "safe"):
        return frame.astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = frame.astype(dtype)
        if dtype.kind == "f":
            kept = bool(np.all(np.isfinite(converted) == np.isfinite(frame)))
        else:
            kept = bool(np.array_equal(converted.astype(frame.dtype), frame))
    if not kept:
        msg = (
            f"Frame {number} has values ({frame.dtype}, {frame.min()} to "
            f"{frame.max()}) that {dtype} cannot hold. Create the file with "
            "dtype=float32."
        )
        raise InvalidImageError(msg)
    return converted
