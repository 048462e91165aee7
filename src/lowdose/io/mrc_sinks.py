"""Writing MRC2014: laid out whole, then filled frame by frame.

A stack whose axis is a depth (``z``, or any unit of length) becomes a volume; any other
an image stack; two axes before the image a stack of volumes. See :mod:`lowdose.io.mrc`
for where the calibration lies.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from lowdose import __version__
from lowdose.errors import OutputError, ParameterError
from lowdose.io.axes import is_depth
from lowdose.io.mrc import (
    DTYPES,
    HEADER_BYTES,
    IMAGE_STACK,
    RECORD_TYPE,
    VOLUME,
    VOLUME_STACK,
)
from lowdose.io.records import to_text
from lowdose.io.sinks import Backend, Layout, RawFrames
from lowdose.units import convert

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.micrograph import Axis

_MODES: Final = {dtype.name: mode for mode, dtype in DTYPES.items()}

#: Types that the format lacks, and the next larger one that holds their values.
_WIDER: Final = {"bool": "uint16", "uint8": "uint16"}

#: Data begins at a multiple of this [B], as most readers like it.
_ALIGNMENT: Final = 512

_LARGEST_COUNT: Final = 2**31 - 1
_LARGEST_FLOAT: Final = 1e38

#: Pixels read at a time for the statistics of frames that were written in rows.
_STATISTICS_PIXELS: Final = 2**22

_STATISTICS: Final = ("dmin", "dmax", "dmean", "rms")


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:
    """Return the name of the type in which samples are stored.

    Raises
    ------
    OutputError
        If the format has none that holds the values.
    """
    name = _WIDER.get(dtype.name, dtype.name)
    if name not in _MODES:
        msg = (
            f"Cannot write {path}: MRC cannot hold {dtype}, only {', '.join(_MODES)}. "
            "Convert the data to float32, or use the suffix .tif, .zarr or .h5."
        )
        raise OutputError(msg)
    return name


def create_backend(part: Path, path: Path, layout: Layout) -> Backend:
    """Lay out an MRC file and return what fills it.

    Parameters
    ----------
    part : Path
        Where to write.
    path : Path
        Its final name, for messages.
    layout : Layout
        What is going to be written, of a type that :func:`stored_dtype` returned.

    Raises
    ------
    OutputError
        If there are more than four axes, or one of them is too long.
    """
    if len(layout.shape) > 4 or max(layout.frames, *layout.shape) > _LARGEST_COUNT:
        msg = (
            f"Cannot write {path}: MRC holds at most four axes, and the shape is "
            f"{layout.shape}. Use the suffix .zarr or .h5."
        )
        raise OutputError(msg)
    text = to_text(layout.calibration, layout.shape).encode("ascii")
    end = HEADER_BYTES + len(text)
    text += b" " * (-end % _ALIGNMENT)
    header = _header(layout)
    header["nsymbt"] = len(text)
    with part.open("wb") as file:
        file.write(header.tobytes())
        file.write(text)
    return _MrcFrames(part, header, layout)


def reopen_backend(part: Path, layout: Layout, token: dict[str, Any]) -> Backend:
    """Go on with a file that :func:`create_backend` laid out."""
    with part.open("rb") as file:
        header = np.frombuffer(
            file.read(HEADER_BYTES), HEADER_DTYPE.newbyteorder("<")
        ).copy()[0]
    if HEADER_BYTES + int(header["nsymbt"]) != int(token["offset"]):
        msg = "its header is another one"
        raise ValueError(msg)
    # An array without axes, like the one it was written from: fields can be set.
    return _MrcFrames(part, np.array(header), layout)


class _MrcFrames(RawFrames):
    """Frames of an MRC file, with the statistics that its header wants."""

    def __init__(self, part: Path, header: NDArray[Any], layout: Layout) -> None:
        super().__init__(part, HEADER_BYTES + int(header["nsymbt"]), layout)
        self._header = header
        # Per frame, so that a frame written twice counts once.
        self._statistics = np.zeros((layout.frames, 4))
        self._known = np.zeros(layout.frames, dtype=bool)

    def put(self, number: int, frame: NDArray[Any]) -> None:
        super().put(number, frame)
        self._statistics[number] = _statistics_of([frame])
        self._known[number] = True

    def put_rows(self, number: int, start: int, rows: NDArray[Any]) -> None:
        super().put_rows(number, start, rows)
        self._known[number] = False

    def finish(self) -> None:
        # Frames written in rows, or before the file was opened again.
        height, width = self._layout.frame_shape
        step = max(1, _STATISTICS_PIXELS // width)
        for number in np.flatnonzero(~self._known):
            self._statistics[number] = _statistics_of(
                self.get_rows(int(number), start, min(height, start + step))
                for start in range(0, height, step)
            )
        low, high, means, variances = self._statistics.T
        with np.errstate(invalid="ignore", over="ignore"):
            mean = means.mean()
            rms = np.sqrt(variances.mean() + np.square(means - mean).mean())
            values = np.array([low.min(), high.max(), mean, rms], np.float32)
        if np.all(np.isfinite(values)):
            for key, value in zip(
                ("dmin", "dmax", "dmean", "rms"), values, strict=True
            ):
                self._header[key] = value
            self.file.seek(0)
            self.file.write(self._header.tobytes())
        super().finish()


def _statistics_of(parts: Iterable[NDArray[Any]]) -> tuple[float, ...]:
    """Return least, largest and mean value and variance of a frame, from its parts."""
    low, high, mean, spread, count = np.inf, -np.inf, 0.0, 0.0, 0
    with np.errstate(invalid="ignore", over="ignore"):
        for part in parts:
            values = part.astype(np.float64)
            low, high = np.minimum(low, values.min()), np.maximum(high, values.max())
            part_mean = values.mean()
            # Chan, Golub, LeVeque 1979: the sums of squares of two parts combined.
            shift, total = part_mean - mean, count + values.size
            spread += np.square(values - part_mean).sum()
            spread += shift * shift * count * values.size / total
            mean += shift * values.size / total
            count = total
    return float(low), float(high), float(mean), float(spread / count)


def _header(layout: Layout) -> NDArray[Any]:
    """Return the header, with the statistics marked as not known."""
    shape = layout.shape
    axes = layout.calibration.axes
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    header["nx"], header["ny"], header["nz"] = shape[-1], shape[-2], layout.frames
    header["mode"] = _MODES[layout.dtype.name]
    header["mx"], header["my"], header["mz"] = shape[-1], shape[-2], 1
    header["ispg"] = IMAGE_STACK
    header["cella"]["x"] = _cell(axes[-1], shape[-1])
    header["cella"]["y"] = _cell(axes[-2], shape[-2])
    if len(shape) == 4 or (len(shape) == 3 and is_depth(axes[-3])):
        header["ispg"] = VOLUME if len(shape) == 3 else VOLUME_STACK
        header["mz"] = shape[-3]
        header["cella"]["z"] = _cell(axes[-3], shape[-3])
    for key in ("alpha", "beta", "gamma"):
        header["cellb"][key] = 90.0
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    for key, axis in zip("xyz", reversed(axes[-3:]), strict=False):
        header["origin"][key] = _angstroms(axis, axis.origin)
    for key, value in zip(_STATISTICS, (0, -1, -2, -1), strict=True):
        header[key] = value
    header["exttyp"] = RECORD_TYPE
    header["nversion"] = 20141
    header["map"] = b"MAP "
    header["machst"] = (0x44, 0x44, 0, 0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    header["label"][0] = f"napari-lowdose {__version__:40s} {now}".encode("ascii")
    header["label"][1] = b"The extended header is the calibration as JSON."
    header["nlabl"] = 2
    return header


def _cell(axis: Axis, samples: int) -> float:
    return _angstroms(axis, (axis.spacing or 0.0) * samples)


def _angstroms(axis: Axis, value: float) -> float:
    """Return a length along an axis [A], or 0, the format's "not known"."""
    if not axis.calibrated or axis.unit is None:
        return 0.0
    try:
        length = convert(value, axis.unit, "angstrom")
    except ParameterError:
        return 0.0
    return length if abs(length) < _LARGEST_FLOAT else 0.0
