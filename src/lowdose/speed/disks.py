"""How fast a disk takes and gives stacks, in each format that streams."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose import io
from lowdose.io import paths
from lowdose.micrograph import Calibration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS: Final = (".tif", ".mrc", ".zarr")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRow:
    """The rates of one format on one disk.

    Parameters
    ----------
    format : str
        Suffix.
    megabytes : float
        Size of the stack [MB].
    write, read : float
        Rates [MB/s], of the float32 frames and not of what a codec makes of them. The
        written file is forced to the disk; before it is read, the system is asked to
        forget it, which not every system does.
    """

    format: str
    megabytes: float
    write: float
    read: float

    def to_dict(self) -> dict[str, Any]:
        """Return the row as a dictionary of JSON types."""
        return asdict(self)


def measure_disk(
    folder: Path, *, frames: int = 16, side: int = 2048
) -> Iterator[DiskRow]:
    """Measure how fast stacks are written to a folder and read from it.

    Parameters
    ----------
    folder : Path
        On the disk to measure. What is written is removed.
    frames : int, optional
        Frames of the stack.
    side : int, optional
        Their side [px].

    Yields
    ------
    DiskRow
        One per format.

    Raises
    ------
    OutputError
        If the folder cannot be written, or has no room.
    """
    rng = np.random.default_rng(0)
    # Denoised frames are smooth, but their last digits are not: codecs gain little.
    stack = rng.normal(5.0, 1.0, (2, side, side)).astype(np.float32)
    size = frames * stack[0].nbytes / 1e6
    for suffix in FORMATS:
        path = folder / f"lowdose-bench-{secrets.token_hex(4)}{suffix}"
        try:
            start = time.perf_counter()
            shape = (frames, side, side)
            with io.create(path, shape, Calibration.unknown(3)) as sink:
                for number in range(frames):
                    sink.write_frame(number, stack[number % 2])
            written = time.perf_counter() - start
            _forget(path)
            start = time.perf_counter()
            for frame in io.read(path).frames():
                frame.max()
            read = time.perf_counter() - start
        finally:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                paths.remove(path)
        yield DiskRow(
            format=suffix, megabytes=size, write=size / written, read=size / read
        )


def _forget(path: Path) -> None:
    """Ask the system to drop a file from its cache, where it can be asked."""
    advise = getattr(os, "posix_fadvise", None)
    if advise is None:
        return
    for file in path.rglob("*") if path.is_dir() else [path]:
        with suppress(OSError), file.open("rb") as handle:
            advise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
