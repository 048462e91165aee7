"""Where a layer comes from: what the plugin writes into metadata, and reads again.

A layer is known by napari's unique id and by what is in its metadata, never by its
name, which may be anyone's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from lowdose.micrograph import Calibration

#: The one key of `layer.metadata` that is this plugin's.
METADATA_KEY: Final = "napari-lowdose"


def own_metadata(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what this plugin wrote into a layer's metadata; empty for none."""
    ours = metadata.get(METADATA_KEY, {})
    return ours if isinstance(ours, Mapping) else {}


def describe_calibration(calibration: Calibration) -> dict[str, Any]:
    """Return what napari's own attributes cannot hold, for the metadata."""
    return {
        "counts_per_electron": calibration.counts_per_electron,
        "provenance": [step.to_dict() for step in calibration.provenance],
    }


def is_result_of(
    layer: Image, *, source_id: str, denoiser: str, shape: tuple[int, ...]
) -> bool:
    """Whether `layer` is this plugin's finished result of a source and a denoiser.

    Parameters
    ----------
    layer : Image
        Any layer.
    source_id : str
        Unique id of the source.
    denoiser : str
        Name of the denoiser.
    shape : tuple of int
        Shape that the result must have.
    """
    ours = own_metadata(layer.metadata)
    return (
        not layer.multiscale
        and ours.get("complete") is True
        and ours.get("source_id") == source_id
        and ours.get("denoiser") == denoiser
        and tuple(layer.data.shape) == shape
    )


def find_layer(viewer: ViewerModel, uid: str) -> Any:
    """Return the layer with this unique id, or None where it is gone."""
    return next((x for x in viewer.layers if str(x.unique_id) == uid), None)


def find_pair(viewer: ViewerModel, layer: Image | None) -> tuple[Image, Image] | None:
    """Return the noisy layer and the result that belong together.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layer : Image or None
        A noisy layer, whose latest result is taken, or a result.

    Returns
    -------
    tuple of Image, or None
        Noisy layer and finished result; None where one of them does not exist.
    """
    if layer is None:
        return None
    source_id = own_metadata(layer.metadata).get("source_id")
    if source_id and (source := find_layer(viewer, str(source_id))) is not None:
        return source, layer
    for other in reversed(list(viewer.layers)):
        ours = own_metadata(other.metadata)
        if ours.get("source_id") == str(layer.unique_id) and ours.get("complete"):
            return layer, other
    return None
