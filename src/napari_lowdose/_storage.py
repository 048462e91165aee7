"""Where a result is kept while it is made: in memory, or in a file without a name."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from lowdose.errors import OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FrameStore:
    """An array that is filled frame by frame and knows which frames are done.

    The worker writes, the main thread looks: a frame is marked after it is written.

    Parameters
    ----------
    array : ndarray of float32, shape ([T,] [Z,] H, W)
        What is filled.
    """

    def __init__(self, array: NDArray[np.float32]) -> None:
        self.array = array
        self.dtype = array.dtype
        self.shape = array.shape
        self.done = np.zeros(array.shape[:-2], dtype=bool)

    def __setitem__(self, index: Any, frame: NDArray[np.float32]) -> None:
        self.array[index] = frame
        self.done[index] = True

    def __getitem__(self, index: Any) -> Any:
        return self.array[index]

    @property
    def first_done(self) -> tuple[int, ...] | None:
        """Index of the first frame that is done; None before any is."""
        if not self.done.any():
            return None
        return tuple(
            int(n) for n in np.unravel_index(self.done.argmax(), self.done.shape)
        )


#: Results that would take more than this share of the free memory go to disk.
MEMORY_SHARE = 0.4


def allocate(
    shape: tuple[int, ...], *, free_memory: int | None = None
) -> NDArray[np.float32]:
    """Return an array of zeros for a result.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    free_memory : int, optional
        Memory that may be used [B]; asked from the system by default.

    Returns
    -------
    ndarray of float32
        In memory, or, where it would fill too much of that, mapped to a temporary
        file that has no name and vanishes with the array.

    Raises
    ------
    OutputError
        If it fits neither the memory nor the disk of the temporary folder.
    """
    size = 4 * math.prod(shape)
    free = psutil.virtual_memory().available if free_memory is None else free_memory
    if size <= MEMORY_SHARE * free:
        return np.zeros(shape, dtype=np.float32)
    folder = tempfile.gettempdir()
    room = shutil.disk_usage(folder).free
    if size > 0.95 * room:
        msg = (
            f"The result takes {size / 1e9:.1f} GB; {free / 1e9:.1f} GB of memory and "
            f"{room / 1e9:.1f} GB in {folder} are free. Set TMPDIR to a folder with "
            "more room, or denoise the file with the command line, which writes it "
            "out as it goes."
        )
        raise OutputError(msg)
    try:
        with tempfile.TemporaryFile(prefix="napari-lowdose-") as file:
            _reserve(file, size)
            # The mapping holds its own handle: the file lives as long as the array.
            return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
    except OSError as error:
        msg = f"No temporary file of {size / 1e9:.1f} GB can be made in {folder}: "
        raise OutputError(msg + (error.strerror or str(error)) + ".") from error


def _reserve(file: Any, size: int) -> None:
    """Make the file `size` bytes long, with its blocks where the system can."""
    # A hole in a mapped file that cannot be filled later would kill the process.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)
