"""Give a layer the calibration of its file, where the reader that opened it did not.

napari's own TIFF reader takes the pixels and leaves the pixel size in the file. This
plugin does not claim TIFF (see ``napari.yaml``), but it can look again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.errors import InvalidImageError
from napari_lowdose._layers import (
    micrograph_to_layer,
    take_snapshot,
    to_micrograph,
)

if TYPE_CHECKING:
    from napari.layers import Image


def file_of(layer: Image) -> Path | None:
    """Return the file that an uncalibrated layer was opened from, or None.

    None too where the layer is calibrated already, or the file is gone.
    """
    path = layer.source.path
    if not path or not Path(path).is_file():
        return None
    try:
        axes = to_micrograph(take_snapshot(layer)).calibration.axes
    except InvalidImageError:
        return None
    return None if any(axis.calibrated for axis in axes) else Path(path)


def take_calibration(layer: Image, path: Path) -> bool:
    """Set scale, units, axis labels and origin of a layer from a file.

    Parameters
    ----------
    layer : Image
        The layer to change.
    path : Path
        The file that it was opened from.

    Returns
    -------
    bool
        Whether the file has a calibration; without one the layer stays as it is.

    Raises
    ------
    InvalidImageError
        If the file holds an image of another shape.
    FormatError, InputError, MissingExtraError
        If the file cannot be read.
    """
    from lowdose.io import read

    micrograph = read(path)
    if not any(axis.calibrated for axis in micrograph.calibration.axes):
        return False
    shape = take_snapshot(layer).shape
    if micrograph.shape != shape:
        msg = (
            f"{path.name} holds an image of shape {micrograph.shape}, but the layer "
            f"has {shape}. Set the scale of the layer by hand."
        )
        raise InvalidImageError(msg)
    _, state, _ = micrograph_to_layer(micrograph)
    for key in ("units", "axis_labels", "scale", "translate"):
        setattr(layer, key, state[key])
    return True
