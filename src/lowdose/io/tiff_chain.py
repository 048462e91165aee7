"""Whether the pages of a TIFF hang together, before anything is believed of them.

A TIFF is a chain of directories (IFDs), one per page. In a truncated file the chain
leads out of it; readers that carry on then show a shorter stack, as if it were whole.

Reference: TIFF 6.0, section 2; BigTIFF as proposed at
https://www.awaresystems.be/imaging/tiff/bigtiff.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lowdose.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    """How numbers are packed in a directory."""

    count: str
    entry: str
    pointer: str
    first: int


_CLASSIC: Final = _Dialect(count="H", entry="HHI4s", pointer="I", first=4)
_BIG: Final = _Dialect(count="Q", entry="HHQ8s", pointer="Q", first=8)
_BIG_VERSION: Final = 43

#: No page has more tags; more than these are read from damaged files.
_MOST_ENTRIES: Final = 4096

#: Tags without which a page cannot be understood: its description, and where the pixels
#: are. Of the others, private ones above all, many a file has some that are broken.
_ESSENTIAL: Final = frozenset({270, 273, 279, 324, 325})

#: TIFF type -> size of a value [B].
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 13: 4, 16: 8, 17: 8, 18: 8}


def check_chain(path: Path) -> int:
    """Return the number of pages, or raise where the chain of pages is broken.

    Parameters
    ----------
    path : Path
        A file that begins like a TIFF.

    Raises
    ------
    FormatError
        If a directory, or the value of a tag that is needed, lies outside the file, or
        the chain returns to a former page.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        version = struct.unpack(f"{order}H", head[2:4])[0] if len(head) >= 4 else 0
        dialect = _BIG if version == _BIG_VERSION else _CLASSIC
        pointer, count = order + dialect.pointer, order + dialect.count
        entry = order + dialect.entry
        if len(head) < dialect.first + struct.calcsize(pointer):
            raise _truncated(path, 0, dialect.first + struct.calcsize(pointer), size)
        (offset,) = struct.unpack_from(pointer, head, dialect.first)
        seen: set[int] = set()
        while offset:
            if offset in seen:
                msg = (
                    f"{path.name} is a damaged TIFF file: after {len(seen)} pages it "
                    "returns to a page that came before."
                )
                raise FormatError(msg)
            start = offset + struct.calcsize(count)
            if start > size:
                raise _truncated(path, len(seen), start, size)
            file.seek(offset)
            (entries,) = struct.unpack(count, file.read(struct.calcsize(count)))
            length = entries * struct.calcsize(entry)
            end = start + length + struct.calcsize(pointer)
            if entries > _MOST_ENTRIES or end > size:
                raise _truncated(path, len(seen), end, size)
            last = _last_value(file.read(length), entry, pointer)
            if last > size:
                raise _truncated(path, len(seen), last, size)
            seen.add(offset)
            (offset,) = struct.unpack(pointer, file.read(struct.calcsize(pointer)))
    if not seen:
        msg = f"{path.name} is a TIFF file without a page."
        raise FormatError(msg)
    return len(seen)


def _last_value(directory: bytes, entry: str, pointer: str) -> int:
    """Return where the values of the essential tags of a page end [B]."""
    last = 0
    for code, kind, number, place in struct.iter_unpack(entry, directory):
        length = number * _SIZES.get(kind, 0)
        if code in _ESSENTIAL and length > len(place):
            last = max(last, struct.unpack(pointer, place)[0] + length)
    return last


def _truncated(path: Path, pages: int, promised: int, size: int) -> FormatError:
    return FormatError(
        f"{path.name} is truncated or damaged: after {pages} complete page headers the "
        f"next one is to end at byte {promised:,}, but the file has {size:,} bytes. "
        "Copy it again from its source."
    )
