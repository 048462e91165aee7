"""What a file is and holds, in JSON types, for ``lowdose info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.io.files import as_micrograph, open_contents

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


def describe(
    path: str | os.PathLike[str], *, dataset: str | None = None
) -> dict[str, Any]:
    """Describe a file without reading more than its first frame.

    Parameters
    ----------
    path : path-like
        Anything that :func:`lowdose.io.read` reads.
    dataset : str, optional
        Which image, where the file holds several; see :func:`lowdose.io.read`.

    Returns
    -------
    dict
        JSON types under the keys ``path``, ``name``, ``bytes`` (of the file, or of all
        files of a Zarr folder), ``format``, ``compression``, ``shape``, ``dtype``,
        ``byte_order`` (``"little"``, ``"big"`` or None), ``frames``, ``axes`` (each
        with ``label``, ``size``, ``spacing``, ``unit``, ``origin``),
        ``pixel_size_nm`` ([y, x] or None), ``counts_per_electron``, ``provenance`` and
        ``first_frame`` (``minimum``, ``maximum``, ``mean`` [counts], ``zeros`` and
        ``not_finite`` (fractions of the pixels) and ``integer_counts``).

    Raises
    ------
    InputError, FormatError, InvalidImageError, MissingExtraError
        As :func:`lowdose.io.read`.
    """
    source = Path(path)
    contents = open_contents(source, dataset)
    micrograph = as_micrograph(contents, source)
    calibration = micrograph.calibration
    size = calibration.pixel_size("nm")
    return {
        "path": str(source),
        "name": source.name,
        "bytes": _file_size(source),
        "format": contents.format,
        "compression": contents.compression,
        "shape": list(micrograph.shape),
        "dtype": micrograph.dtype.name,
        "byte_order": _byte_order(micrograph.dtype),
        "frames": micrograph.n_frames,
        "axes": [
            {
                "label": axis.label,
                "size": length,
                "spacing": axis.spacing,
                "unit": axis.unit,
                "origin": axis.origin,
            }
            for axis, length in zip(calibration.axes, micrograph.shape, strict=True)
        ],
        "pixel_size_nm": None if size is None else list(size),
        "counts_per_electron": calibration.counts_per_electron,
        "provenance": [step.to_dict() for step in calibration.provenance],
        "first_frame": _frame_statistics(micrograph.frame(0)),
    }


def _frame_statistics(frame: NDArray[Any]) -> dict[str, Any]:
    finite = np.isfinite(frame)
    values = frame[finite]
    return {
        "minimum": float(values.min()) if values.size else None,
        "maximum": float(values.max()) if values.size else None,
        "mean": float(values.mean(dtype=np.float64)) if values.size else None,
        "zeros": float(np.mean(frame == 0)),
        "not_finite": float(1 - np.mean(finite)),
        "integer_counts": bool(values.size and np.all(values == np.rint(values))),
    }


def _byte_order(dtype: np.dtype[Any]) -> str | None:
    if dtype.itemsize == 1:
        return None
    is_little = dtype.newbyteorder("<") == dtype
    return "little" if is_little else "big"


def _file_size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
