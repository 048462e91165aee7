"""HDF5: data sets read and written in place, through h5py.

Read are our own files, the layout of em_graphene_sim (data set ``images`` of shape
(N, H, W, 1)), and any file in which it is clear which data set is the image. Written
is the data set ``images``, uncompressed, and the calibration record as the text
``lowdose`` beside it.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from lowdose.errors import FormatError, InvalidImageError, LowDoseError
from lowdose.io.axes import bare_claims
from lowdose.io.checks import (
    check_expansion,
    choose,
    drop_channel_axis,
)
from lowdose.io.contents import Contents, make_contents
from lowdose.io.records import RECORD_NAME, from_text, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.io.sinks import Backend, Layout

_IMAGES: Final = "images"

_DAMAGE: Final = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def open_file(path: Path, dataset: str | None) -> Contents:
    """Return a data set of an HDF5 file; the file stays open as long as the data lives.

    Parameters
    ----------
    path : Path
        The file.
    dataset : str or None
        Path of the data set, such as ``"entry/data/data"``, where there are several.

    Raises
    ------
    FormatError
        If the file is damaged or truncated, or it is not clear which data set is meant.
    InvalidImageError
        If the data set is complex, or a colour image.
    """
    source = path.name
    file = None
    try:
        file = h5py.File(path, "r")
        images = _images(file)
        name = choose(list(images), dataset, source=source, what="data sets")
        data = images[name]
        _check(data, source)
        record = _record(file, name, source)
        compression = data.compression or "none"
        if record is None:
            data = drop_channel_axis(data, source=source)
    except LowDoseError:
        _close(file)
        raise
    except _DAMAGE as error:
        _close(file)
        msg = f"{source} is a damaged or truncated HDF5 file: {error}."
        raise FormatError(msg) from error
    return make_contents(
        data,
        bare_claims(len(data.shape)),
        record,
        source=source,
        format="HDF5",
        compression=str(compression),
    )


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:  # noqa: ARG001
    """Return the name of the type in which samples are stored: all are."""
    return dtype.name


def create_backend(part: Path, path: Path, layout: Layout) -> Backend:  # noqa: ARG001
    """Lay out an HDF5 file and return what fills it."""
    return _Hdf5Frames(part, layout)


class _Hdf5Frames:
    """Frames of a contiguous data set."""

    def __init__(self, part: Path, layout: Layout) -> None:
        self._layout = layout
        self._file = h5py.File(part, "w")
        try:
            self._images = self._file.create_dataset(
                _IMAGES, layout.shape, layout.dtype.newbyteorder("<")
            )
            # A data set of its own: attributes are limited to 64 kB.
            self._file[RECORD_NAME] = to_text(layout.calibration, layout.shape)
        except BaseException:
            _close(self._file)
            raise

    def put(self, number: int, frame: NDArray[Any]) -> None:
        """Write one frame."""
        index = np.unravel_index(number, self._layout.shape[:-2])
        with _disk_errors():
            self._images[(*index, slice(None), slice(None))] = frame

    def put_rows(self, number: int, start: int, rows: NDArray[Any]) -> None:
        """Write some rows of a frame."""
        index = np.unravel_index(number, self._layout.shape[:-2])
        with _disk_errors():
            self._images[(*index, slice(start, start + len(rows)))] = rows

    def get_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read rows that were written."""
        index = np.unravel_index(number, self._layout.shape[:-2])
        with _disk_errors():
            rows: NDArray[Any] = self._images[(*index, slice(start, stop))]
        return rows.astype(self._layout.dtype)

    def flush(self) -> None:
        """Hand everything written so far to the system."""
        with _disk_errors():
            self._file.flush()

    def token(self) -> None:
        """Return None: a file that was not closed cannot be opened again."""

    def finish(self) -> None:
        """Close the file."""
        with _disk_errors():
            self._file.close()

    def close(self) -> None:
        """Close the file."""
        _close(self._file)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Make of the errors of HDF5 what they mostly are: a disk that is full."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _images(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return every data set that can be an image, by path.

    Complex numbers and tables only where there is nothing else, to say what is wrong.
    """
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: object) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.shape is not None
            and len(item.shape) >= 2
            and item.dtype.kind in "buifcV"
        ):
            found[name] = item

    file.visititems(visit)
    real = {name: item for name, item in found.items() if item.dtype.kind in "buif"}
    return real or found


def _check(data: h5py.Dataset, source: str) -> None:
    """Refuse what cannot be an image before anything of it is read."""
    if data.dtype.kind == "c":
        msg = (
            f"{source}: {data.name} is complex ({data.dtype}). Save its intensity, or "
            "choose another data set."
        )
        raise InvalidImageError(msg)
    if data.dtype.kind == "V":
        fields = ", ".join(data.dtype.names or ())
        msg = (
            f"{source}: {data.name} is a table or a colour image with the fields "
            f"{fields}. Choose another data set."
        )
        raise InvalidImageError(msg)
    stored = data.id.get_storage_size()
    frame = math.prod(data.shape[-2:]) * data.dtype.itemsize
    check_expansion(frame, stored, source=source, shape=data.shape)


def _record(file: h5py.File, name: str, source: str) -> Mapping[str, Any] | None:
    item = file.get(RECORD_NAME)
    if name != _IMAGES or not isinstance(item, h5py.Dataset) or item.shape != ():
        return None
    text = item[()]
    return from_text(text if isinstance(text, bytes) else None, source=source)


def _close(file: h5py.File | None) -> None:
    """Close a file about which something is wrong already."""
    if file is not None:
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            file.close()
