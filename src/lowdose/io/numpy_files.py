"""NPY and NPZ, never unpickled, memory-mapped where they are not compressed.

How they are written, and where the calibration lies, says
:mod:`lowdose.io.numpy_sinks`.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib import format as npy_format

from lowdose.errors import FormatError, InvalidImageError, LowDoseError
from lowdose.io.axes import bare_claims
from lowdose.io.checks import (
    check_expansion,
    check_promise,
    choose,
    drop_channel_axis,
)
from lowdose.io.contents import Contents, make_contents
from lowdose.io.records import from_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

#: Names of the image and of its record in our NPZ files.
DATA: Final = "data"
CALIBRATION: Final = "calibration"

#: Length of the part of a zip entry that is before its name [B].
_LOCAL_HEADER: Final = 30

#: No calibration record is this long [B]; what is, is none.
_LARGEST_RECORD: Final = 2**26

#: What zipfile and numpy raise on damaged files.
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
        except (ValueError, EOFError, SyntaxError, TypeError, TokenError) as error:
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
                _npz_record(archive, entries, headers, source) if name == DATA else None
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
    header = headers.get(CALIBRATION)
    if header is None or header.shape != () or header.dtype.kind != "U":
        return None
    if entries[CALIBRATION].file_size > _LARGEST_RECORD:
        return None
    with archive.open(entries[CALIBRATION]) as file:
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
