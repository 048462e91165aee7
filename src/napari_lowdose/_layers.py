"""From a napari layer to a Micrograph and back: pure functions, no viewer, no Qt.

A layer is read once, on the main thread, into a :class:`LayerSnapshot`; whatever
happens to the layer afterwards cannot change a job that is running. What napari does
not do for plugins is done here: scale, translate, rotate, shear, affine, units and
axis labels all go from the source to the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import InvalidImageError
from lowdose.micrograph import Axis, Calibration, Micrograph, Step
from lowdose.units import canonical_unit
from napari_lowdose._display import extremes
from napari_lowdose._provenance import METADATA_KEY, describe_calibration, own_metadata

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

#: napari's own name for the unit of an axis that has none.
NO_UNIT: Final = "pixel"

#: What a result takes over from its source, so that both lie on each other.
PLACE: Final = (
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
    "units",
    "axis_labels",
)
#: What it takes over so that both look alike. Not the contrast limits: see
#: :mod:`napari_lowdose._display`.
_LOOK: Final = ("colormap", "gamma", "interpolation2d")

LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerSnapshot:
    """Everything about an image layer that a job and its result need.

    Parameters
    ----------
    data : array_like, shape ([T,] [Z,] H, W)
        The layer's own data, not a copy; of a pyramid the full resolution.
    name : str
        Name of the layer.
    uid : str
        napari's unique id of the layer; it survives renaming.
    state : mapping
        The arguments that make a layer lie where this one lies and look like it.
    limits : tuple of float
        Contrast limits, in counts.
    metadata : mapping
        The layer's metadata, this plugin's and others'.
    """

    data: Any
    name: str
    uid: str
    state: Mapping[str, Any]
    limits: tuple[float, float]
    metadata: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return tuple(int(n) for n in self.data.shape)


def take_snapshot(layer: Image) -> LayerSnapshot:
    """Return what a job needs of `layer`. Reads no pixels.

    Raises
    ------
    InvalidImageError
        If the layer is a colour image.
    """
    if layer.rgb:
        msg = (
            f"{layer.name!r} is a colour (RGB) image, and denoising works on detector "
            "counts. Split the layer (right click, Split RGB) and use one channel."
        )
        raise InvalidImageError(msg)
    data, state, _ = layer.as_layer_data_tuple()
    low, high = state["contrast_limits"]
    return LayerSnapshot(
        data=data[0] if layer.multiscale else data,
        name=str(layer.name),
        uid=str(layer.unique_id),
        state={key: state[key] for key in (*PLACE, *_LOOK)},
        limits=(float(low), float(high)),
        metadata=dict(layer.metadata),
    )


def to_micrograph(snapshot: LayerSnapshot) -> Micrograph:
    """Return the micrograph that a layer shows.

    Raises
    ------
    InvalidImageError
        If the data is complex, empty, not numeric, or has fewer than two axes.
    """
    calibration = calibration_of(snapshot.state, snapshot.metadata, len(snapshot.shape))
    return Micrograph(snapshot.data, calibration, snapshot.name)


def why_not(layer: Image) -> str:
    """Return why `layer` cannot be denoised, or an empty text where it can."""
    try:
        to_micrograph(take_snapshot(layer))
    except InvalidImageError as error:
        return str(error)
    return ""


def calibration_of(
    state: Mapping[str, Any], metadata: Mapping[str, Any], ndim: int
) -> Calibration:
    """Return the calibration that a layer's arguments and metadata describe.

    Parameters
    ----------
    state : mapping
        ``scale``, ``translate``, ``units`` and ``axis_labels`` as in the dictionary
        of ``Layer.as_layer_data_tuple()``; each may be missing.
    metadata : mapping
        The layer's metadata; this plugin's key holds gain and provenance.
    ndim : int
        Number of axes.
    """
    # `or` is no way to write these: scale and translate may be arrays.
    scale = _given(state, "scale", (1.0,) * ndim)
    translate = _given(state, "translate", (0.0,) * ndim)
    units = [unit_name(unit) for unit in _given(state, "units", (None,) * ndim)]
    labels = _given(state, "axis_labels", ("",) * ndim)
    axes = tuple(
        _axis(str(label), default.label, float(step), unit, float(origin))
        for label, default, step, unit, origin in zip(
            labels, Calibration.unknown(ndim).axes, scale, units, translate, strict=True
        )
    )
    ours = own_metadata(metadata)
    gain = ours.get("counts_per_electron")
    steps = ours.get("provenance", ())
    return Calibration(
        axes=axes,
        counts_per_electron=float(gain) if gain else None,
        provenance=tuple(Step.from_dict(s) for s in steps if isinstance(s, Mapping)),
    )


def unit_name(unit: Any) -> str | None:
    """Return the canonical unit of a napari layer's axis, or None for pixels.

    napari hands out pint units, which do not compare equal to their names.
    """
    if unit is None:
        return None
    short = f"{unit:~}" if hasattr(unit, "dimensionality") else str(unit)
    return canonical_unit(str(unit)) or canonical_unit(short.replace(" ", ""))


def micrograph_to_layer(micrograph: Micrograph) -> LayerData:
    """Return the layer that shows a micrograph read from a file or simulated.

    The contrast is that of its first frame: napari would show counts of a few e-/px
    in the whole range of their type, which is black.
    """
    axes = micrograph.calibration.axes
    limits = extremes(micrograph.frame(0))
    seen = limits is not None and limits[0] < limits[1]
    return (
        micrograph.data,
        {
            **({"contrast_limits": limits} if seen else {}),
            "name": micrograph.name or "micrograph",
            "scale": tuple(axis.spacing or 1.0 for axis in axes),
            "translate": tuple(axis.origin for axis in axes),
            "units": tuple(axis.unit or NO_UNIT for axis in axes),
            "axis_labels": tuple(axis.label for axis in axes),
            "metadata": {METADATA_KEY: describe_calibration(micrograph.calibration)},
        },
        "image",
    )


def result_to_layer(
    data: Any, source: LayerSnapshot, *, denoiser: str, values: Mapping[str, Any]
) -> LayerData:
    """Return the layer of a result: where its source lies, and looking like it.

    Parameters
    ----------
    data : array_like
        The result, finished or not. With fewer axes than the source (a stack that
        was averaged) the leading entries of every transform are dropped.
    source : LayerSnapshot
        The noisy layer.
    denoiser : str
        Name of the denoiser.
    values : mapping
        Its parameters.

    Returns
    -------
    tuple
        Data, keyword arguments and layer type, as for ``Layer.create``.
    """
    ndim = len(data.shape)
    state = {key: _last_axes(key, value, ndim) for key, value in source.state.items()}
    others = {k: v for k, v in source.metadata.items() if k != METADATA_KEY}
    record = {
        "source": source.name,
        "source_id": source.uid,
        "denoiser": denoiser,
        "parameters": dict(values),
        "complete": False,
    }
    return (
        data,
        {
            **state,
            "name": f"{source.name} ({denoiser})",
            "contrast_limits": source.limits,
            "metadata": {**others, METADATA_KEY: record},
        },
        "image",
    )


def _given(state: Mapping[str, Any], key: str, default: tuple[Any, ...]) -> Any:
    value = state.get(key)
    return default if value is None else value


def _axis(
    label: str, default: str, step: float, unit: str | None, origin: float
) -> Axis:
    # napari labels an axis that has no name by its negative index.
    named = label if label and not label.lstrip("-").isdigit() else default
    step = abs(step)
    if unit is None and step == 1.0:
        return Axis(label=named, origin=origin)
    return Axis(label=named, spacing=step or None, unit=unit, origin=origin)


def _last_axes(key: str, value: Any, ndim: int) -> Any:
    """Return a transform without its leading axes."""
    if key in {"scale", "translate", "units", "axis_labels"}:
        return tuple(value)[-ndim:]
    if key in {"rotate", "affine"}:
        size = ndim + (key == "affine")
        return np.asarray(value, dtype=float)[-size:, -size:]
    if key == "shear":
        return _last_shear(np.asarray(value, dtype=float), ndim)
    return value


def _last_shear(shear: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return the last axes' part of a shear, kept as its upper triangle in rows."""
    if shear.ndim == 2:
        return shear[-ndim:, -ndim:]
    return shear[len(shear) - ndim * (ndim - 1) // 2 :]
