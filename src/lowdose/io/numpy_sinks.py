"""Writing NPY and NPZ.

NPY holds data and nothing else: writing one drops the calibration, with a warning. NPZ
holds the array ``data`` and the calibration record as the text ``calibration``.
"""

from __future__ import annotations

import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format

from lowdose.errors import CalibrationWarning
from lowdose.io import paths
from lowdose.io.numpy_files import CALIBRATION, DATA
from lowdose.io.records import to_text
from lowdose.io.sinks import Backend, Layout, RawFrames

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:  # noqa: ARG001
    """Return the name of the type in which samples are stored: all are."""
    return dtype.name


def create_npy(part: Path, path: Path, layout: Layout) -> Backend:
    """Lay out an NPY file and return what fills it.

    Warns
    -----
    CalibrationWarning
        If there is a calibration, which is lost.
    """
    calibration = layout.calibration
    known = any(axis.calibrated for axis in calibration.axes)
    if known or calibration.counts_per_electron or calibration.provenance:
        msg = (
            f"{path.name}: an NPY file holds nothing but the pixels. Calibration and "
            "provenance are not saved; use the suffix .npz or .tif to keep them."
        )
        warnings.warn(msg, CalibrationWarning, stacklevel=2)
    return RawFrames(part, _write_header(part, layout), layout)


def create_npz(part: Path, path: Path, layout: Layout) -> Backend:  # noqa: ARG001
    """Lay out an NPZ file and return what fills it."""
    return _NpzFrames(part, layout)


def reopen_backend(part: Path, layout: Layout, token: dict[str, Any]) -> Backend:
    """Go on with a file that :func:`create_npy` laid out."""
    return RawFrames(part, int(token["offset"]), layout)


class _NpzFrames:
    """Frames of an NPZ file: an NPY file first, which is then packed."""

    def __init__(self, part: Path, layout: Layout) -> None:
        self._part = part
        self._layout = layout
        # Zip wants the checksum of the whole in one go, frames come in any order.
        self._array = paths.temporary_name(part.with_name(part.name.strip(".")))
        try:
            paths.reserve(self._array)
            header = _write_header(self._array, layout)
            self._frames = RawFrames(self._array, header, layout)
        except BaseException:
            paths.remove(self._array)
            raise

    def put(self, number: int, frame: NDArray[Any]) -> None:
        """Write one frame."""
        self._frames.put(number, frame)

    def put_rows(self, number: int, start: int, rows: NDArray[Any]) -> None:
        """Write some rows of a frame."""
        self._frames.put_rows(number, start, rows)

    def get_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read rows that were written."""
        return self._frames.get_rows(number, start, stop)

    def flush(self) -> None:
        """Hand everything written so far to the system."""
        self._frames.flush()

    def token(self) -> None:
        """Return None: what is killed leaves an array that nobody knows of."""

    def finish(self) -> None:
        """Pack the array and the calibration."""
        self._frames.close()
        layout = self._layout
        text = np.array(to_text(layout.calibration, layout.shape))
        with zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED) as archive:
            archive.write(self._array, f"{DATA}.npy")
            with archive.open(f"{CALIBRATION}.npy", "w") as file:
                npy_format.write_array(file, text, allow_pickle=False)
        self.close()

    def close(self) -> None:
        """Remove the unpacked array."""
        self._frames.close()
        paths.remove(self._array)


def _write_header(part: Path, layout: Layout) -> int:
    """Write an NPY header and return its length [B]."""
    description = {
        "descr": npy_format.dtype_to_descr(layout.dtype.newbyteorder("<")),
        "fortran_order": False,
        "shape": layout.shape,
    }
    with part.open("wb") as file:
        npy_format.write_array_header_1_0(file, description)
        return file.tell()
