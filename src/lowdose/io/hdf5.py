"""HDF5: data sets read in place, through h5py.

Read are our own files, the layout of em_graphene_sim (data set ``images`` of shape
(N, H, W, 1)), and any file in which it is clear which data set is the image. What
:mod:`lowdose.io.hdf5_sinks` writes is the data set ``images``, uncompressed, and the
calibration record as the text ``lowdose`` beside it.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Final

import h5py

from lowdose.errors import FormatError, InvalidImageError, LowDoseError
from lowdose.io.axes import bare_claims
from lowdose.io.checks import (
    check_expansion,
    choose,
    drop_channel_axis,
)
from lowdose.io.contents import Contents, make_contents
from lowdose.io.hdf5_sinks import IMAGES
from lowdose.io.records import RECORD_NAME, from_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DAMAGE: Final = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def open_file(path: Path, dataset: str | None) -> Contents:
    """Return a data set of an HDF5 file; the file stays open as long as the data lives.

    Parameters
    ----------
    path : Path
        The file.
    dataset : str or None
        Path of the data set, such as ``"entry/data/data"``, where there are several.

    Raises
    ------
    FormatError
        If the file is damaged or truncated, or it is not clear which data set is meant.
    InvalidImageError
        If the data set is complex, or a colour image.
    """
    source = path.name
    file = None
    try:
        file = h5py.File(path, "r")
        images = _images(file)
        name = choose(list(images), dataset, source=source, what="data sets")
        data = images[name]
        _check(data, source)
        record = _record(file, name, source)
        compression = data.compression or "none"
        if record is None:
            data = drop_channel_axis(data, source=source)
    except LowDoseError:
        _close(file)
        raise
    except _DAMAGE as error:
        _close(file)
        msg = f"{source} is a damaged or truncated HDF5 file: {error}."
        raise FormatError(msg) from error
    return make_contents(
        data,
        bare_claims(len(data.shape)),
        record,
        source=source,
        format="HDF5",
        compression=str(compression),
    )


def _images(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return every data set that can be an image, by path.

    Complex numbers and tables only where there is nothing else, to say what is wrong.
    """
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: object) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.shape is not None
            and len(item.shape) >= 2
            and item.dtype.kind in "buifcV"
        ):
            found[name] = item

    file.visititems(visit)
    real = {name: item for name, item in found.items() if item.dtype.kind in "buif"}
    return real or found


def _check(data: h5py.Dataset, source: str) -> None:
    """Refuse what cannot be an image before anything of it is read."""
    if data.dtype.kind == "c":
        msg = (
            f"{source}: {data.name} is complex ({data.dtype}). Save its intensity, or "
            "choose another data set."
        )
        raise InvalidImageError(msg)
    if data.dtype.kind == "V":
        fields = ", ".join(data.dtype.names or ())
        msg = (
            f"{source}: {data.name} is a table or a colour image with the fields "
            f"{fields}. Choose another data set."
        )
        raise InvalidImageError(msg)
    stored = data.id.get_storage_size()
    frame = math.prod(data.shape[-2:]) * data.dtype.itemsize
    check_expansion(frame, stored, source=source, shape=data.shape)


def _record(file: h5py.File, name: str, source: str) -> Mapping[str, Any] | None:
    item = file.get(RECORD_NAME)
    if name != IMAGES or not isinstance(item, h5py.Dataset) or item.shape != ():
        return None
    text = item[()]
    return from_text(text if isinstance(text, bytes) else None, source=source)


def _close(file: h5py.File | None) -> None:
    """Close a file about which something is wrong already."""
    if file is not None:
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            file.close()
