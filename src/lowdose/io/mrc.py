"""MRC2014: maps, image stacks and movies, memory-mapped.

The layout of the header is mrcfile's; its checks are not used, because they raise or
warn where a header is only a little wrong, and map files that end early.

Reference: Cheng, Henderson, Mastronarde, Ludtke, Schoenmakers, Short, Marabini,
Dallakyan, Agard and Winn, "MRC2014: Extensions to the MRC format header for electron
cryo-microscopy and tomography", J. Struct. Biol. 192 (2015) 146,
https://doi.org/10.1016/j.jsb.2015.04.002.

The format knows no frame time, no unit but the angstrom and no provenance. The
calibration record is the extended header, of type "JSON", which other programs skip.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from lowdose.errors import FormatError, InvalidImageError
from lowdose.io.axes import Claim
from lowdose.io.checks import check_promise
from lowdose.io.contents import Contents, make_contents
from lowdose.io.records import from_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER_BYTES: Final = 1024

_Order = Literal["<", ">"]
_BIG_ENDIAN_STAMP: Final = 0x11

#: Type of our extended header.
RECORD_TYPE: Final = b"JSON"

#: Modes that are images of real numbers.
DTYPES: Final[dict[int, np.dtype[Any]]] = {
    0: np.dtype("i1"),
    1: np.dtype("i2"),
    2: np.dtype("f4"),
    6: np.dtype("u2"),
    12: np.dtype("f2"),
}

_COMPLEX_MODES: Final = (3, 4)
_COLOUR_MODE: Final = 16
_PACKED_MODE: Final = 101

#: Space groups: 0 is a stack of images, 401 to 630 a stack of volumes.
IMAGE_STACK: Final = 0
VOLUME: Final = 1
VOLUME_STACK: Final = 401

#: IMOD marks its files, and then says whether bytes have a sign.
_IMOD_STAMP: Final = 1146047817
_IMOD_STAMP_AT: Final = 40  # in the field "extra2"

#: No image has so many rows; read in the wrong byte order it would.
_LARGEST_SIZE: Final = 2**24

#: Extended headers above this size are not searched for a record [B].
_LARGEST_RECORD: Final = 2**26


def open_file(path: Path, dataset: str | None) -> Contents:
    """Return the image, stack or volume in an MRC file.

    Rows are in the order of the file. (Some programs show it with the first row at the
    bottom.) An image stack has the axes (t, y, x), a volume (z, y, x).

    Parameters
    ----------
    path : Path
        The file.
    dataset : str or None
        There is nothing to choose; must be None.

    Raises
    ------
    FormatError
        If the header is absurd, or promises more data than the file has.
    InvalidImageError
        If the image is complex or in colour.

    Warns
    -----
    CalibrationWarning
        If the pixel size is negative, no number, or the 1 angstrom of programs that do
        not know it.
    """
    source = path.name
    if dataset is not None:
        msg = (
            f"dataset={dataset!r} means nothing in {source}: MRC files hold one image."
        )
        raise FormatError(msg)
    size = path.stat().st_size
    with path.open("rb") as file:
        header, order = _read_header(file.read(HEADER_BYTES), source)
        shape = _shape(header, source)
        dtype = _dtype(header, order, source)
        extended = int(header["nsymbt"])
        offset = HEADER_BYTES + extended
        if extended < 0:
            msg = f"{source} is damaged: its extended header has {extended} bytes."
            raise FormatError(msg)
        promised = offset + math.prod(shape) * dtype.itemsize
        check_promise(promised, size, source=source, shape=shape, dtype=dtype)
        is_ours = bytes(header["exttyp"]) == RECORD_TYPE
        wanted = is_ours and extended <= _LARGEST_RECORD
        record = from_text(file.read(extended), source=source) if wanted else None
    data: NDArray[Any] = np.memmap(path, dtype, "r", offset, shape)
    # A single section is an image. The record knows of leading axes of length one.
    data = data.reshape(shape[-2:]) if math.prod(shape[:-2]) == 1 else data
    claims = _claims(header, data.ndim)
    return make_contents(data, claims, record, source=source, format="MRC")


def looks_like_header(head: bytes) -> bool:
    """Return whether bytes begin an MRC file, with or without its later "MAP " mark."""
    if len(head) < HEADER_BYTES:
        return False
    if head[208:211] == b"MAP":
        return True
    return _byte_order(head) is not None


def _byte_order(head: bytes) -> _Order | None:
    """Return the byte order in which the header makes sense, or None."""
    orders: tuple[_Order, ...] = ("<", ">")
    for order in orders:
        numbers = np.frombuffer(head, f"{order}i4", 19)
        size, mode, axes = numbers[:3], int(numbers[3]), numbers[16:19]
        # Files older than the mark have the axes 1, 2, 3, or none at all.
        if (
            mode in (*DTYPES, *_COMPLEX_MODES, _COLOUR_MODE, _PACKED_MODE)
            and size.min() > 0
            and size.max() < _LARGEST_SIZE
            and (head[208:211] == b"MAP" or sorted(axes) in ([1, 2, 3], [0, 0, 0]))
        ):
            return order
    return None


def _read_header(head: bytes, source: str) -> tuple[np.void, _Order]:
    if len(head) < HEADER_BYTES:
        msg = (
            f"{source} is truncated: an MRC header has {HEADER_BYTES} bytes, and the "
            f"file has {len(head)}."
        )
        raise FormatError(msg)
    # Where the numbers make no sense in either order, the machine stamp decides.
    order = _byte_order(head) or (">" if head[212] == _BIG_ENDIAN_STAMP else "<")
    header: np.void = np.frombuffer(head, HEADER_DTYPE.newbyteorder(order))[0]
    return header, order


def _shape(header: np.void, source: str) -> tuple[int, ...]:
    nx, ny, nz = (int(header[key]) for key in ("nx", "ny", "nz"))
    if min(nx, ny, nz) <= 0:
        msg = (
            f"{source} is damaged: its MRC header says {nz} sections of {ny} rows and "
            f"{nx} columns."
        )
        raise FormatError(msg)
    mz, group = int(header["mz"]), int(header["ispg"])
    if VOLUME_STACK <= group <= 630 and mz > 0 and nz % mz == 0:
        return nz // mz, mz, ny, nx
    return nz, ny, nx


def _dtype(header: np.void, order: _Order, source: str) -> np.dtype[Any]:
    mode = int(header["mode"])
    if mode in _COMPLEX_MODES:
        msg = (
            f"{source} holds complex numbers (MRC mode {mode}), a Fourier transform. "
            "Give the image in real space."
        )
        raise InvalidImageError(msg)
    if mode == _COLOUR_MODE:
        msg = f"{source} is a colour image (MRC mode 16). Convert it to grey first."
        raise InvalidImageError(msg)
    if mode == _PACKED_MODE:
        msg = (
            f"{source} holds packed 4-bit counts (MRC mode 101), which are not "
            "supported. Unpack them first, for example with IMOD: newstack -mode 0."
        )
        raise FormatError(msg)
    if mode not in DTYPES:
        msg = (
            f"{source} has the MRC mode {mode}, which is not known. Known modes: "
            f"{', '.join(str(n) for n in DTYPES)}."
        )
        raise FormatError(msg)
    if mode == 0 and _imod_bytes_are_unsigned(header, order):
        return np.dtype("u1")
    return DTYPES[mode].newbyteorder(order)


def _imod_bytes_are_unsigned(header: np.void, order: _Order) -> bool:
    extra = bytes(header["extra2"]).ljust(84, b"\0")
    dtype = np.dtype("i4").newbyteorder(order)
    stamp, flags = np.frombuffer(extra, dtype, 2, _IMOD_STAMP_AT)
    return int(stamp) == _IMOD_STAMP and not int(flags) & 1


def _claims(header: np.void, ndim: int) -> list[Claim]:
    """Return what the header says about the axes: cell size over grid size [A]."""
    cell = [float(header["cella"][key]) for key in "xyz"]
    grid = [int(header[key]) for key in ("mx", "my", "mz")]
    size = [int(header[key]) for key in ("nx", "ny", "nz")]
    order = [int(header[key]) for key in ("mapc", "mapr", "maps")]
    if sorted(order) != [1, 2, 3]:
        order = [1, 2, 3]
    spacings: list[float | None] = []
    for n, axis in enumerate(order):
        length, samples = cell[axis - 1], grid[axis - 1]
        samples = samples if samples > 0 else size[n]
        # A cell of zero is how the format says "not known".
        spacings.append(length / samples if length != 0 else None)
    x, y, z = spacings
    # Labels or an extended header come from a program that cared.
    is_default = x == y == 1.0 and header["nsymbt"] == 0 and header["nlabl"] <= 0
    doubt = (
        "a pixel size of exactly 1 angstrom is what programs write that do not know it"
        if is_default
        else ""
    )
    image = [
        Claim(label="y", spacing=y, unit="angstrom", doubt=doubt),
        Claim(label="x", spacing=x, unit="angstrom", doubt=doubt),
    ]
    if ndim == 2:
        return image
    depth = Claim(label="z", spacing=z, unit="angstrom", doubt=doubt)
    if ndim == 4:
        return [Claim(label="t"), depth, *image]
    is_stack = int(header["ispg"]) == IMAGE_STACK
    return [Claim(label="t") if is_stack else depth, *image]
