"""NPY and NPZ, never unpickled, memory-mapped where they are not compressed.

NPY holds data and nothing else: writing one drops the calibration, with a warning. NPZ
holds the array ``data`` and the calibration record as the text ``calibration``.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib import format as npy_format

from lowdose.errors import (
    CalibrationWarning,
    FormatError,
    InvalidImageError,
    LowDoseError,
)
from lowdose.io import paths
from lowdose.io.axes import bare_claims
from lowdose.io.contents import (
    Contents,
    check_expansion,
    check_promise,
    choose,
    drop_channel_axis,
    make_contents,
)
from lowdose.io.records import from_text, to_text
from lowdose.io.sinks import Backend, Layout, RawFrames

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_DATA: Final = "data"
_CALIBRATION: Final = "calibration"

#: Length of the part of a zip entry that is before its name [B].
_LOCAL_HEADER: Final = 30

#: No calibration record is this long [B]; what is, is none.
_LARGEST_RECORD: Final = 2**26


_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


class _Header:
    """What an NPY header says: shape, type, order, and where the data begins."""

    def __init__(self, file: IO[bytes], source: str) -> None:
        start = file.tell()
        try:
            version = npy_format.read_magic(file)
            if version == (1, 0):
                header = npy_format.read_array_header_1_0(file)
            else:
                header = npy_format.read_array_header_2_0(file)
        except (ValueError, EOFError, SyntaxError, TypeError) as error:
            msg = f"{source} is a damaged NPY file: {error}."
            raise FormatError(msg) from error
        self.shape: tuple[int, ...] = tuple(header[0])
        self.order = "F" if header[1] else "C"
        self.dtype: np.dtype[Any] = header[2]
        self.length = file.tell() - start
        if any(n < 0 for n in self.shape):
            msg = (
                f"{source} is damaged: its header says that the shape is {self.shape}."
            )
            raise FormatError(msg)

    def check(self, source: str) -> None:
        """Refuse an array that would have to be unpickled."""
        if self.dtype.hasobject:
            msg = (
                f"{source} holds Python objects, which are never loaded since they can "
                "run code. Save the array as numbers."
            )
            raise InvalidImageError(msg)

    @property
    def is_image(self) -> bool:
        """Whether it can be an image."""
        return len(self.shape) >= 2 and self.dtype.kind in "buif"

    @property
    def nbytes(self) -> int:
        """Size of the data [B]."""
        return math.prod(self.shape) * self.dtype.itemsize


def open_npy(path: Path, dataset: str | None) -> Contents:
    """Return the array in an NPY file.

    Raises
    ------
    FormatError
        If it is damaged or truncated.
    InvalidImageError
        If it holds Python objects, or a colour image.
    """
    source = path.name
    if dataset is not None:
        msg = (
            f"dataset={dataset!r} means nothing in {source}: an NPY file is one array."
        )
        raise FormatError(msg)
    with path.open("rb") as file:
        header = _Header(file, source)
    header.check(source)
    data = _map(path, 0, header, source)
    return _contents(data, None, source, "NPY")


def open_npz(path: Path, dataset: str | None) -> Contents:
    """Return an array of an NPZ file.

    Parameters
    ----------
    path : Path
        The file.
    dataset : str or None
        Name of the array, where there are several.

    Raises
    ------
    FormatError
        If it is damaged, or it is not clear which array is meant.
    InvalidImageError
        If the array holds Python objects, or a colour image.
    """
    source = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            headers = {}
            for name, info in entries.items():
                with archive.open(info) as file:
                    headers[name] = _Header(file, f"{source} ({name})")
            images = [name for name, header in headers.items() if header.is_image]
            # Where there is none, the one array is opened to say what is wrong.
            name = choose(images or list(headers), dataset, source=source)
            headers[name].check(source)
            record = (
                _npz_record(archive, entries, headers, source)
                if name == _DATA
                else None
            )
            data = _npz_array(path, archive, entries[name], headers[name])
            compression = zipfile.compressor_names.get(  # type: ignore[attr-defined]
                entries[name].compress_type, "unknown"
            )
    except LowDoseError:
        raise
    except _DAMAGE as error:
        msg = f"{source} is a damaged NPZ file: {error}."
        raise FormatError(msg) from error
    compression = "none" if compression == "store" else str(compression)
    return _contents(data, record, source, "NPZ", compression)


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:  # noqa: ARG001
    """Return the name of the type in which samples are stored: all are."""
    return dtype.name


def create_npy(part: Path, path: Path, layout: Layout) -> Backend:
    """Lay out an NPY file and return what fills it.

    Warns
    -----
    CalibrationWarning
        If there is a calibration, which is lost.
    """
    calibration = layout.calibration
    known = any(axis.calibrated for axis in calibration.axes)
    if known or calibration.counts_per_electron or calibration.provenance:
        msg = (
            f"{path.name}: an NPY file holds nothing but the pixels. Calibration and "
            "provenance are not saved; use the suffix .npz or .tif to keep them."
        )
        warnings.warn(msg, CalibrationWarning, stacklevel=2)
    return RawFrames(part, _write_header(part, layout), layout)


def create_npz(part: Path, path: Path, layout: Layout) -> Backend:  # noqa: ARG001
    """Lay out an NPZ file and return what fills it."""
    return _NpzFrames(part, layout)


class _NpzFrames:
    """Frames of an NPZ file: an NPY file first, which is then packed."""

    def __init__(self, part: Path, layout: Layout) -> None:
        self._part = part
        self._layout = layout
        # Zip wants the checksum of the whole in one go, frames come in any order.
        self._array = paths.temporary_name(part.with_name(part.name.strip(".")))
        try:
            paths.reserve(self._array)
            header = _write_header(self._array, layout)
            self._frames = RawFrames(self._array, header, layout)
        except BaseException:
            paths.remove(self._array)
            raise

    def put(self, number: int, frame: NDArray[Any]) -> None:
        """Write one frame."""
        self._frames.put(number, frame)

    def finish(self) -> None:
        """Pack the array and the calibration."""
        self._frames.close()
        layout = self._layout
        text = np.array(to_text(layout.calibration, layout.shape))
        with zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED) as archive:
            archive.write(self._array, f"{_DATA}.npy")
            with archive.open(f"{_CALIBRATION}.npy", "w") as file:
                npy_format.write_array(file, text, allow_pickle=False)
        self.close()

    def close(self) -> None:
        """Remove the unpacked array."""
        self._frames.close()
        paths.remove(self._array)


def _write_header(part: Path, layout: Layout) -> int:
    """Write an NPY header and return its length [B]."""
    description = {
        "descr": npy_format.dtype_to_descr(layout.dtype.newbyteorder("<")),
        "fortran_order": False,
        "shape": layout.shape,
    }
    with part.open("wb") as file:
        npy_format.write_array_header_1_0(file, description)
        return file.tell()


def _map(path: Path, offset: int, header: _Header, source: str) -> NDArray[Any]:
    """Return a memory map of the data that follows a header at `offset`."""
    start = offset + header.length
    size = path.stat().st_size
    check_promise(
        start + header.nbytes,
        size,
        source=source,
        shape=header.shape,
        dtype=header.dtype,
    )
    if header.nbytes == 0 or header.dtype.itemsize == 0:
        return np.zeros(header.shape, header.dtype)  # the Micrograph says why not
    return np.memmap(path, header.dtype, "r", start, header.shape, header.order)  # type: ignore[call-overload,no-any-return]


def _npz_array(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: _Header
) -> NDArray[Any]:
    source = f"{path.name} ({info.filename})"
    check_promise(
        header.length + header.nbytes,
        info.file_size,
        source=source,
        shape=header.shape,
        dtype=header.dtype,
    )
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        return _map(path, _data_start(path, info), header, source)
    check_expansion(
        header.nbytes, info.compress_size, source=source, shape=header.shape
    )
    with archive.open(info) as file:
        array: NDArray[Any] = npy_format.read_array(file, allow_pickle=False)
    return array


def _data_start(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a stored zip entry begin.

    The name and extra field of the local header have lengths of their own.
    Reference: PKWARE APPNOTE.TXT 6.3.10, section 4.3.7.
    """
    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(_LOCAL_HEADER)
    name, extra = (int.from_bytes(head[n : n + 2], "little") for n in (26, 28))
    return info.header_offset + _LOCAL_HEADER + name + extra


def _npz_record(
    archive: zipfile.ZipFile,
    entries: Mapping[str, zipfile.ZipInfo],
    headers: Mapping[str, _Header],
    source: str,
) -> Mapping[str, Any] | None:
    header = headers.get(_CALIBRATION)
    if header is None or header.shape != () or header.dtype.kind != "U":
        return None
    if entries[_CALIBRATION].file_size > _LARGEST_RECORD:
        return None
    with archive.open(entries[_CALIBRATION]) as file:
        text = npy_format.read_array(file, allow_pickle=False)
    return from_text(str(text), source=source)


def _contents(
    data: Any,
    record: Mapping[str, Any] | None,
    source: str,
    name: str,
    compression: str = "none",
) -> Contents:
    if record is None:
        data = drop_channel_axis(data, source=source)
    return make_contents(
        data,
        bare_claims(data.ndim),
        record,
        source=source,
        format=name,
        compression=compression,
    )
