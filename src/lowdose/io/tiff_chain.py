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
    entry: int
    pointer: str
    first: int


_CLASSIC: Final = _Dialect(count="H", entry=12, pointer="I", first=4)
_BIG: Final = _Dialect(count="Q", entry=20, pointer="Q", first=8)


def check_chain(path: Path) -> int:
    """Return the number of pages, or raise where the chain of pages is broken.

    Parameters
    ----------
    path : Path
        A file that begins like a TIFF.

    Raises
    ------
    FormatError
        If a directory lies outside the file or the chain returns to a former page.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        version = struct.unpack(f"{order}H", head[2:4])[0] if len(head) >= 4 else 0
        dialect = _BIG if version == 43 else _CLASSIC
        pointer, count = order + dialect.pointer, order + dialect.count
        if len(head) < dialect.first + struct.calcsize(pointer):
            raise _truncated(path, 0, len(head), size)
        (offset,) = struct.unpack_from(pointer, head, dialect.first)
        seen: set[int] = set()
        while offset:
            if offset in seen:
                msg = (
                    f"{path.name} is a damaged TIFF file: after {len(seen)} pages it "
                    "returns to a page that came before."
                )
                raise FormatError(msg)
            seen.add(offset)
            if offset + struct.calcsize(count) > size:
                raise _truncated(path, len(seen) - 1, offset, size)
            file.seek(offset)
            (entries,) = struct.unpack(count, file.read(struct.calcsize(count)))
            end = file.tell() + entries * dialect.entry
            if end + struct.calcsize(pointer) > size:
                raise _truncated(path, len(seen) - 1, end, size)
            file.seek(end)
            (offset,) = struct.unpack(pointer, file.read(struct.calcsize(pointer)))
    if not seen:
        msg = f"{path.name} is a TIFF file without a page."
        raise FormatError(msg)
    return len(seen)


def _truncated(path: Path, pages: int, promised: int, size: int) -> FormatError:
    return FormatError(
        f"{path.name} is truncated or damaged: after {pages} complete page headers the "
        f"next is to lie at byte {promised:,}, but the file has {size:,} bytes. Copy "
        "it again from its source."
    )
