"""Writing HDF5: laid out whole, then filled frame by frame without the library.

The HDF5 library is not to be trusted on a disk that fills up: it keeps what it could
not write, fails again when the file is closed, and h5py then ends the process in its
garbage collection. So the library only lays the file out, in memory, with the whole
data set allocated early and contiguous (HDF5 User Guide, "Storage allocation"); what
it wrote, a few kB, and later the frames, are written by ordinary means, which fail
with an ordinary error. The file is a complete HDF5 file from then on, so that a run
that was killed can go on with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h5py

from lowdose.io.records import RECORD_NAME, to_text
from lowdose.io.sinks import Backend, Layout, RawFrames

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

#: Name of the data set.
IMAGES: Final = "images"

#: Pieces in which the file is kept that is laid out in memory [B].
_PAGE: Final = 4096


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:  # noqa: ARG001
    """Return the name of the type in which samples are stored: all are."""
    return dtype.name


def create_backend(part: Path, path: Path, layout: Layout) -> Backend:  # noqa: ARG001
    """Lay out an HDF5 file and return what fills it."""
    laid_out = _Sparse()
    with h5py.File(laid_out, "w") as file:
        # A data set of its own: attributes are limited to 64 kB.
        file[RECORD_NAME] = to_text(layout.calibration, layout.shape)
        offset = _allocate(file, layout)
    with part.open("wb") as target:
        laid_out.copy_to(target)
    return RawFrames(part, offset, layout)


def reopen_backend(part: Path, layout: Layout, token: dict[str, Any]) -> Backend:
    """Go on with a file that :func:`create_backend` laid out."""
    with h5py.File(part, "r") as file:
        images = file[IMAGES]
        if images.shape != layout.shape or images.id.get_offset() != token["offset"]:
            msg = "its data set is another one"
            raise ValueError(msg)
    return RawFrames(part, int(token["offset"]), layout)


def _allocate(file: h5py.File, layout: Layout) -> int:
    """Make the data set without writing it, and return where its samples lie [B]."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(layout.dtype.newbyteorder("<"), logical=True)
    space = h5py.h5s.create_simple(layout.shape)
    images = h5py.h5d.create(file.id, IMAGES.encode(), kind, space, dcpl=plan)
    return int(images.get_offset())


class _Sparse:
    """A file in memory that holds only what was written into it."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._size = 0
        self._place = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, as in any file."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        """Return the present place."""
        return self._place

    def truncate(self, size: int | None = None) -> int:
        """Set the size; what lies behind it is forgotten."""
        self._size = self._place if size is None else size
        last = -(-self._size // _PAGE)
        self._pages = {n: page for n, page in self._pages.items() if n < last}
        return self._size

    def flush(self) -> None:
        """Do nothing: there is nothing to flush to."""

    def write(self, data: Any) -> int:
        """Write at the present place."""
        view = memoryview(data).cast("B")
        for page, begin, start, count in self._pieces(len(view)):
            held = self._pages.setdefault(page, bytearray(_PAGE))
            held[begin : begin + count] = view[start : start + count]
        self._place += len(view)
        self._size = max(self._size, self._place)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """Read from the present place; what was never written is zero."""
        view = memoryview(buffer).cast("B")
        number = max(0, min(len(view), self._size - self._place))
        for page, begin, start, count in self._pieces(number):
            held = self._pages.get(page, bytes(_PAGE))
            view[start : start + count] = held[begin : begin + count]
        self._place += number
        return number

    def read(self, size: int = -1) -> bytes:
        """Read from the present place, by which h5py knows a file when it sees one."""
        left = max(0, self._size - self._place)
        data = bytearray(left if size < 0 else min(size, left))
        self.readinto(data)
        return bytes(data)

    def copy_to(self, target: Any) -> None:
        """Write everything into a real file, with holes where nothing was written."""
        for page in sorted(self._pages):
            target.seek(page * _PAGE)
            target.write(self._pages[page])
        target.truncate(self._size)

    def _pieces(self, size: int) -> list[tuple[int, int, int, int]]:
        """Return page, place in it, place in the data, and length of every piece."""
        pieces, start = [], 0
        while start < size:
            page, begin = divmod(self._place + start, _PAGE)
            count = min(_PAGE - begin, size - start)
            pieces.append((page, begin, start, count))
            start += count
        return pieces
