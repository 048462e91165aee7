"""How a denoised layer was made, as its own record says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_lowdose._provenance import own_metadata

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The denoiser that made a layer.

    Parameters
    ----------
    denoiser : str
        Its name in the catalogue.
    values : mapping
        Its parameters.
    keep_mean : bool
        Whether the mean of every frame was kept.
    """

    denoiser: str
    values: Mapping[str, Any] = field(default_factory=dict)
    keep_mean: bool = True


def recorded_denoiser(layer: Image) -> Recorded | None:
    """Return what made `layer`, or None where nothing of it is recorded.

    The last step called ``denoise`` of its history counts, whether the layer was made
    in this session or read from a file.
    """
    ours = own_metadata(layer.metadata)
    steps = [s for s in ours.get("provenance", ()) if isinstance(s, Mapping)]
    for step in reversed(steps):
        if step.get("action") != "denoise":
            continue
        details = step.get("details")
        found = _of_details(details) if isinstance(details, Mapping) else None
        if found is not None:
            return found
    name, values = ours.get("denoiser"), ours.get("parameters", {})
    if isinstance(name, str) and name and isinstance(values, Mapping):
        return Recorded(denoiser=name, values=dict(values))
    return None


def latest_result(viewer: ViewerModel) -> Image | None:
    """Return the topmost finished result of this plugin, or None."""
    for layer in reversed(list(viewer.layers)):
        if own_metadata(layer.metadata).get("complete"):
            return layer
    return None


def _of_details(details: Mapping[str, Any]) -> Recorded | None:
    made = details.get("denoiser")
    if not isinstance(made, Mapping) or not made.get("name"):
        return None
    values, options = made.get("parameters", {}), details.get("options", {})
    return Recorded(
        denoiser=str(made["name"]),
        values=dict(values) if isinstance(values, Mapping) else {},
        keep_mean=bool(options.get("keep_mean", True))
        if isinstance(options, Mapping)
        else True,
    )
