"""Which format a file is of: what its first bytes say, and then its name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from lowdose.errors import FormatError, OutputError, did_you_mean
from lowdose.io.rosetta import FORMATS as INSTRUMENT_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from lowdose.io.contents import Contents
    from lowdose.io.sinks import Backend, Layout

#: So much of a file is looked at [B].
_HEAD: Final = 1024

#: HDF5 files may begin with a block of something else, of these lengths [B].
_HDF5_OFFSETS: Final = (0, 512)

_HDF5_MARK: Final = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format and the functions that read and write it, imported when needed.

    Parameters
    ----------
    name : str
        In words.
    suffixes : tuple of str
        Lower case, with the dot.
    reader : str
        ``"module:function"`` in this package.
    writer : str, optional
        Likewise; empty where the format is only read.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    writer: str = ""

    def open(self, path: Path, dataset: str | None) -> Contents:
        """Return the contents of a file of this format."""
        reader = cast("Callable[[Path, str | None], Contents]", _load(self.reader))
        return reader(path, dataset)

    def stored_dtype(self, dtype: np.dtype[Any], path: Path) -> str:
        """Return the name of the type in which the format stores samples."""
        module = self.writer.partition(":")[0]
        function = cast(
            "Callable[[np.dtype[Any], Path], str]", _load(f"{module}:stored_dtype")
        )
        return function(dtype, path)

    def create(self, part: Path, path: Path, layout: Layout) -> Backend:
        """Lay out a file of this format."""
        writer = cast("Callable[[Path, Path, Layout], Backend]", _load(self.writer))
        return writer(part, path, layout)

    def reopen(
        self, part: Path, path: Path, layout: Layout, token: dict[str, Any]
    ) -> Backend:
        """Go on with a file of this format that was left unfinished.

        Raises
        ------
        OutputError
            If the format cannot, or the file is gone or damaged.
        """
        module = self.writer.partition(":")[0]
        try:
            function = cast(
                "Callable[[Path, Layout, dict[str, Any]], Backend]",
                _load(f"{module}:reopen_backend"),
            )
        except AttributeError as error:
            msg = (
                f"Cannot go on with {path}: an unfinished {self.name} file holds "
                "nothing. Begin anew, or write .tif, .mrc or .zarr."
            )
            raise OutputError(msg) from error
        try:
            return function(part, layout, token)
        except (OSError, KeyError, ValueError, TypeError) as error:
            msg = f"Cannot go on with {path}: {part.name} is gone or damaged ({error})."
            raise OutputError(msg) from error


TIFF: Final = Format(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    reader="tiff:open_file",
    writer="tiff_sinks:create_backend",
)
MRC: Final = Format(
    name="MRC",
    suffixes=(".mrc", ".mrcs", ".st", ".rec", ".map", ".ali"),
    reader="mrc:open_file",
    writer="mrc_sinks:create_backend",
)
NPY: Final = Format(
    name="NPY",
    suffixes=(".npy",),
    reader="numpy_files:open_npy",
    writer="numpy_sinks:create_npy",
)
NPZ: Final = Format(
    name="NPZ",
    suffixes=(".npz",),
    reader="numpy_files:open_npz",
    writer="numpy_sinks:create_npz",
)
ZARR: Final = Format(
    name="Zarr",
    suffixes=(".zarr",),
    reader="zarr_files:open_file",
    writer="zarr_files:create_backend",
)
HDF5: Final = Format(
    name="HDF5",
    suffixes=(".h5", ".hdf5"),
    reader="hdf5:open_file",
    writer="hdf5_sinks:create_backend",
)
INSTRUMENT: Final = Format(
    name="instrument's own",
    suffixes=tuple(INSTRUMENT_FORMATS),
    reader="rosetta:open_file",
)

FORMATS: Final = (TIFF, MRC, NPY, NPZ, ZARR, HDF5, INSTRUMENT)

#: What files begin with that this package reads under a wrong name as well.
_MARKS: Final = (
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"\x93NUMPY", NPY),
)

#: What other files begin with, to say what a file looks like.
_OTHER_MARKS: Final = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a bitmap picture"),
    (b"\x1f\x8b", "a gzip archive (unpack it first)"),
    (b"BZh", "a bzip2 archive (unpack it first)"),
    (b"PK\x03\x04", "a zip archive (unpack it first)"),
    (b"%PDF", "a PDF document"),
    (b"\x80\x04\x95", "a Python pickle, which is never loaded"),
    (b"\0\0\0\x03", "a DigitalMicrograph 3 file"),
    (b"\0\0\0\x04", "a DigitalMicrograph 4 file"),
)


def readable_suffixes() -> tuple[str, ...]:
    """Return every suffix that can be read, with optional parts installed."""
    return tuple(suffix for form in FORMATS for suffix in form.suffixes)


def writable_suffixes() -> tuple[str, ...]:
    """Return every suffix that can be written."""
    return tuple(s for form in FORMATS if form.writer for s in form.suffixes)


def format_to_read(path: Path) -> Format:
    """Return the format of an existing file.

    A file of a format that is read without optional parts is recognised whatever its
    name.

    Parameters
    ----------
    path : Path
        A file that can be read, or a Zarr folder.

    Raises
    ------
    FormatError
        If it is of no known format, or not of the one that its name says.
    """
    if path.is_dir():
        return ZARR
    with path.open("rb") as file:
        head = file.read(_HEAD)
    by_name = _by_suffix(path)
    by_content = _by_content(head, by_name)
    if by_name is INSTRUMENT and by_content in (None, HDF5):
        # Several of these are HDF5 inside, so that the name has to say which.
        return INSTRUMENT
    if by_content is not None:
        return by_content
    if by_name is MRC and _is_old_mrc(head):
        return MRC
    if by_name is not None:
        msg = (
            f"{path.name} is named like a {by_name.name} file, but does not begin like "
            f"one: it looks like {_looks_like(head)}."
        )
        raise FormatError(msg)
    msg = (
        f"{path.name} is of no format that can be read (it looks like "
        f"{_looks_like(head)}). {did_you_mean(path.suffix, readable_suffixes())}"
    )
    raise FormatError(msg)


def format_to_write(path: Path) -> Format:
    """Return the format that a file of this name is to have.

    Raises
    ------
    OutputError
        If the suffix is none that can be written.
    """
    form = _by_suffix(path)
    if form is not None and form.writer:
        return form
    known = ", ".join(writable_suffixes())
    suffix = path.suffix
    problem = (
        f"files of the suffix {suffix} can only be read"
        if form is not None
        else f"the suffix {suffix!r} is of no known format"
        if suffix
        else "the name has no suffix that says which format to write"
    )
    msg = f"Cannot write {path}: {problem}. Use one of {known}."
    raise OutputError(msg)


def _by_suffix(path: Path) -> Format | None:
    suffix = path.suffix.lower()
    return next((form for form in FORMATS if suffix in form.suffixes), None)


def _by_content(head: bytes, by_name: Format | None) -> Format | None:
    for mark, form in _MARKS:
        if head.startswith(mark):
            return form
    if any(head[n : n + len(_HDF5_MARK)] == _HDF5_MARK for n in _HDF5_OFFSETS):
        return HDF5
    if head[208:212] in (b"MAP ", b"MAP\0"):
        return MRC
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and by_name is NPZ:
        return NPZ
    return None


def _is_old_mrc(head: bytes) -> bool:
    """Return whether an .mrc without the mark of newer files may still be one."""
    from lowdose.io.mrc import looks_like_header

    return looks_like_header(head)


def _looks_like(head: bytes) -> str:
    for mark, name in _OTHER_MARKS:
        if head.startswith(mark):
            return name
    if not head.strip(b"\0"):
        return "zeros, perhaps a copy that was broken off"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return f"binary data beginning with {head[:8].hex(' ')}"
    if all(c.isprintable() or c.isspace() for c in text):
        first = text.strip().splitlines()[0][:40] if text.strip() else ""
        return f"text ({first!r}...)"
    return f"binary data beginning with {head[:8].hex(' ')}"


def _load(target: str) -> object:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(f"lowdose.io.{module}"), function)
