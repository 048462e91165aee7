"""Pages of a TIFF that have to be decoded, read one at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from lowdose.errors import FormatError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def open_tiff(path: Path, *, loose: bool) -> tifffile.TiffFile:
    """Open a TIFF file.

    Parameters
    ----------
    path : Path
        The file.
    loose : bool
        Whether to read as one stack what tifffile wrote image by image, each with a
        description of its own that makes it a series.
    """
    return tifffile.TiffFile(path, is_shaped=False if loose else None)


class TiffPages:
    """Reads images of a TIFF series by number; opens the file on the first read.

    It can be pickled, and then opens the file again where it is unpickled.

    Parameters
    ----------
    path : Path
        The file.
    series : int
        Number of the series in the file.
    planes : int
        Images in one page: more than one where a stack was stored as the samples or
        the depth of a page.
    frame_shape : tuple of int
        Height and width [px].
    loose : bool
        Whether the images are series of their own in the eyes of tifffile; see
        :func:`open_tiff`.
    """

    def __init__(
        self,
        path: Path,
        *,
        series: int,
        planes: int,
        frame_shape: tuple[int, int],
        loose: bool,
    ) -> None:
        self._path = path
        self._series = series
        self._planes = planes
        self._frame_shape = frame_shape
        self._loose = loose
        self._tiff: tifffile.TiffFile | None = None
        # Seeking and reading are two steps, and napari reads from several threads.
        self._lock = threading.Lock()

    def __call__(self, number: int) -> NDArray[Any]:
        """Return image `number`, of shape (H, W).

        Raises
        ------
        FormatError
            If the page is missing or its data is damaged.
        MissingExtraError
            If decoding it needs a codec that is not installed.
        """
        page_number, plane = divmod(number, self._planes)
        with self._lock:
            if self._tiff is None:
                self._tiff = open_tiff(self._path, loose=self._loose)
            try:
                page = self._tiff.series[self._series].pages[page_number]
                if page is None:
                    msg = f"page {page_number} of {self._path.name} is missing"
                    raise ValueError(msg)
                data = page.asarray()
            except MemoryError:
                raise
            # The codecs each raise errors of their own, derived from RuntimeError,
            # zlib.error, ValueError and more.
            except Exception as error:
                if "imagecodecs" in str(error):
                    msg = (
                        f"{self._path.name} cannot be decoded: {error}. Install it "
                        'with: pip install "napari-lowdose[formats]"'
                    )
                    raise MissingExtraError(msg) from error
                msg = (
                    f"Image {number} of {self._path.name} cannot be decoded: {error}. "
                    "Copy the file again from its source."
                )
                raise FormatError(msg) from error
        frame: NDArray[Any] = np.reshape(data, (self._planes, *self._frame_shape))[
            plane
        ]
        return frame

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        with self._lock:
            if self._tiff is not None:
                self._tiff.close()
                self._tiff = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tiff": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __del__(self) -> None:
        if getattr(self, "_tiff", None) is not None:
            self.close()
