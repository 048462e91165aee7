"""A sink whose frames are written down in a manifest as they are finished."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.batch.manifest import Manifest
    from lowdose.io import Sink

#: Pixels that are read back at a time.
_PIXELS = 2**22


class RecordedSink:
    """Gives every frame to a sink and then writes it down.

    The engine's `abort` does nothing here: whether an unfinished file is removed or
    kept is decided by who knows why the work ended, through :meth:`end`.

    Parameters
    ----------
    sink : Sink
        Writes the file.
    manifest : Manifest
        Begun.
    before_commit : callable
        Called when every frame is written; what it raises, ends the work.
    """

    def __init__(
        self, sink: Sink, manifest: Manifest, before_commit: Callable[[], object]
    ) -> None:
        self._sink = sink
        self._manifest = manifest
        self._before_commit = before_commit
        self._in_rows: int | None = None
        self._committed = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole."""
        return self._sink.shape

    @property
    def path(self) -> Path:
        """Final name of the file."""
        return self._sink.path

    def write_frame(self, number: int, frame: NDArray[np.float32]) -> None:
        """Write one frame, and then write it down."""
        self._sink.write_frame(number, frame)
        if self._sink.token() is not None:
            # Only what the system has: a checksum written before would be a lie.
            self._sink.flush()
            self._manifest.finished(number, _add(0, frame))

    def write_rows(self, number: int, start: int, rows: NDArray[np.float32]) -> None:
        """Write some rows of a frame; it is finished when another one is begun."""
        before, self._in_rows = self._in_rows, number
        if before not in (None, number) and self._sink.token() is not None:
            assert before is not None
            self._sink.flush()
            self._manifest.finished(before, checksum(self._sink, before))
        self._sink.write_rows(number, start, rows)

    def read_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read back rows that were written."""
        return self._sink.read_rows(number, start, stop)

    def commit(self) -> Path:
        """Complete the file, give it its name, and remove the manifest."""
        self._before_commit()
        path = self._sink.commit()
        self._committed = True
        self._manifest.remove()
        return path

    def abort(self) -> None:
        """Do nothing; see :meth:`end`."""

    def end(self, *, keep: bool) -> None:
        """End the work on a file that is not complete; nothing where it is.

        Parameters
        ----------
        keep : bool
            Leave what is finished for a later run, where the format allows it.
        """
        if self._committed:
            return
        if keep and self._sink.token() is not None:
            self._sink.detach()
            self._manifest.close()
        else:
            self._sink.abort()
            self._manifest.remove()


def checksum(sink: Sink, number: int) -> int:
    """Return the CRC-32 of a frame as it is in the file."""
    value = 0
    for rows in _rows(sink, number):
        value = _add(value, rows)
    return value


def verified_frames(sink: Sink, checksums: dict[int, int]) -> NDArray[np.bool_]:
    """Return which frames of an unfinished file are what was written.

    Parameters
    ----------
    sink : Sink
        The file, opened again.
    checksums : dict of int to int
        What was written down, by frame number.

    Returns
    -------
    ndarray of bool, shape (frames,)
        True for frames whose checksum is the one written down.
    """
    frames = int(np.prod(sink.shape[:-2], dtype=np.int64))
    good = np.zeros(frames, dtype=bool)
    for number, wanted in checksums.items():
        if 0 <= number < frames:
            try:
                good[number] = checksum(sink, number) == wanted
            except (OutputError, ValueError, RuntimeError):  # cut short, or no codec's
                good[number] = False
    return good


def _rows(sink: Sink, number: int) -> Iterator[NDArray[Any]]:
    height, width = sink.shape[-2:]
    step = max(1, _PIXELS // width)
    for start in range(0, height, step):
        yield sink.read_rows(number, start, min(height, start + step))


def _add(value: int, rows: NDArray[Any]) -> int:
    data = np.ascontiguousarray(rows, "<f4")
    return zlib.crc32(data.view(np.uint8).data, value)
