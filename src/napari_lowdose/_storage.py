"""Where a result is kept while it is made: in memory, or in a temporary Zarr folder."""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
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
    array : array_like of float32, shape ([T,] [Z,] H, W)
        What is filled: a numpy or a zarr array.
    """

    def __init__(self, array: Any) -> None:
        self.array = array
        self.dtype = array.dtype
        self.shape = array.shape
        self.done = np.zeros(array.shape[:-2], dtype=bool)

    def __setitem__(self, index: Any, frame: NDArray[np.float32]) -> None:
        self.array[index] = frame
        lead = self.done.ndim
        if not isinstance(index, tuple) or len(index) <= lead:
            self.done[index] = True
        elif index[lead].stop == self.shape[-2]:  # the last rows of a huge frame
            self.done[index[:lead]] = True

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


#: Largest chunk of a result on disk [B]: one frame of a 2k camera.
_CHUNK = 2**24

#: Results that would take more than this share of the free memory go to disk.
MEMORY_SHARE = 0.4


def allocate(shape: tuple[int, ...], *, free_memory: int | None = None) -> Any:
    """Return an array for a result.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    free_memory : int, optional
        Memory that may be used [B]; asked from the system by default.

    Returns
    -------
    ndarray or zarr.Array of float32
        Zeros in memory; or, where it would fill too much of that, a Zarr array in a
        temporary folder that is removed with the array, or at the latest when the
        program ends. What of it is not written yet reads as NaN, and costs nothing.

    Raises
    ------
    OutputError
        If it fits neither the memory nor the disk of the temporary folder.
    """
    size = 4 * math.prod(shape)
    free = psutil.virtual_memory().available if free_memory is None else free_memory
    if size <= MEMORY_SHARE * free:
        return np.zeros(shape, dtype=np.float32)
    parent = tempfile.gettempdir()
    room = shutil.disk_usage(parent).free
    if size > 0.95 * room:
        msg = (
            f"The result takes {size / 1e9:.1f} GB; {free / 1e9:.1f} GB of memory and "
            f"{room / 1e9:.1f} GB in {parent} are free. Set TMPDIR to a folder with "
            "more room, or denoise the file with the command line, which writes it "
            "out as it goes."
        )
        raise OutputError(msg)
    try:
        return _on_disk(shape)
    except OSError as error:
        msg = f"No temporary folder for {size / 1e9:.1f} GB can be made in {parent}: "
        raise OutputError(msg + (error.strerror or str(error)) + ".") from error


def _on_disk(shape: tuple[int, ...]) -> Any:
    """Return a Zarr array in a temporary folder that goes with it."""
    import zarr

    height, width = shape[-2:]
    rows = max(1, min(height, _CHUNK // (4 * width)))
    folder = tempfile.mkdtemp(prefix="napari-lowdose-", suffix=".zarr")
    try:
        array = zarr.create_array(
            folder,
            shape=shape,
            chunks=(*[1] * (len(shape) - 2), rows, width),
            dtype="float32",
            fill_value=np.nan,
            # Scrolling should be fast, and floating-point noise hardly shrinks.
            compressors=None,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(array, shutil.rmtree, folder, ignore_errors=True)
    return array
