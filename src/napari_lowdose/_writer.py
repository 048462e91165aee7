"""Writes a layer as TIFF, with its calibration and all that was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowdose.errors import InvalidImageError
from lowdose.micrograph import Micrograph
from napari_lowdose._layers import (
    calibration_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_tiff(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write one image layer.

    Parameters
    ----------
    path : str
        Where to; napari has asked before it replaces a file.
    data : array_like
        The layer's data; of a pyramid the full resolution is written.
    attributes : mapping
        The layer's arguments, as of ``Layer.as_layer_data_tuple()``.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    InvalidImageError
        If it is a colour image, or complex.
    OutputError
        If it cannot be written there.
    """
    from lowdose.io import write

    name = str(attributes.get("name", ""))
    if attributes.get("rgb"):
        msg = (
            f"{name!r} is a colour (RGB) image, and this writes detector counts. "
            "Choose another writer in napari's dialog."
        )
        raise InvalidImageError(msg)
    pixels = data[0] if attributes.get("multiscale") else data
    metadata = attributes.get("metadata") or {}
    calibration = calibration_of(attributes, metadata, len(pixels.shape))
    written = write(path, Micrograph(pixels, calibration, name), overwrite=True)
    return [str(written)]
