"""The metadata of OME-Zarr: axes, units and scales, read (0.4, 0.5) and written (0.5).

Reference: Moore et al., "OME-Zarr: a cloud-optimized bioimaging file format with
international community support", Histochem. Cell Biol. 160 (2023) 223,
https://doi.org/10.1007/s00418-023-02209-1; specification at https://ngff.openmicroscopy.org/0.5/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import FormatError
from lowdose.io.axes import Claim
from lowdose.units import UNITS

if TYPE_CHECKING:
    from lowdose.micrograph import Axis, Calibration

VERSION: Final = "0.5"

#: Our unit -> the name that the specification recommends (UDUNITS-2).
_UNIT_NAMES: Final = {
    "pm": "picometer",
    "angstrom": "angstrom",
    "nm": "nanometer",
    "um": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "inch": "inch",
    "ns": "nanosecond",
    "us": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "min": "minute",
    "h": "hour",
}
_UNITS: Final = {name: unit for unit, name in _UNIT_NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The largest level of a multiscale image.

    Parameters
    ----------
    path : str
        Path of its array in the group.
    claims : tuple of Claim
        One per array axis.
    kinds : tuple of str
        ``"time"``, ``"space"``, ``"channel"`` or empty, per array axis.
    """

    path: str
    claims: tuple[Claim, ...]
    kinds: tuple[str, ...]


def make_metadata(calibration: Calibration, name: str) -> dict[str, Any] | None:
    """Return the ``ome`` attribute of a group with one array, called ``"0"``.

    Parameters
    ----------
    calibration : Calibration
        Of the array.
    name : str
        Title of the image.

    Returns
    -------
    dict or None
        None where the specification has no place for the axes: it wants two to five,
        the time first, and names that differ.
    """
    kinds = [_kind(axis) for axis in calibration.axes]
    labels = calibration.labels
    if (
        "time" in kinds[1:]
        or not 2 <= len(kinds) <= 5
        or len(set(labels)) < len(labels)
    ):
        return None
    if kinds.count("space") > 3:
        return None
    axes = []
    for axis, kind in zip(calibration.axes, kinds, strict=True):
        entry = {"name": axis.label, "type": kind}
        if axis.calibrated and axis.unit in _UNIT_NAMES:
            entry["unit"] = _UNIT_NAMES[axis.unit]
        axes.append(entry)
    scale = [float(axis.spacing or 1.0) for axis in calibration.axes]
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    origins = [float(axis.origin) for axis in calibration.axes]
    if any(origins):
        transformations.append({"type": "translation", "translation": origins})
    level = {"path": "0", "coordinateTransformations": transformations}
    return {
        "version": VERSION,
        "multiscales": [{"name": name, "axes": axes, "datasets": [level]}],
    }


def read_metadata(attributes: Mapping[str, Any], *, source: str) -> Image | None:
    """Return what the attributes of a group say, or None where it is no image.

    Parameters
    ----------
    attributes : mapping
        Attributes of the group.
    source : str
        Name of the file, for messages.

    Raises
    ------
    FormatError
        If the metadata is damaged.
    """
    ome = attributes.get("ome", attributes)
    multiscales = ome.get("multiscales") if isinstance(ome, Mapping) else None
    if not multiscales:
        return None
    try:
        image = multiscales[0]
        level = image["datasets"][0]
        axes = [
            # Versions before 0.4 had plain names.
            {"name": axis} if isinstance(axis, str) else axis
            for axis in image.get("axes", ())
        ]
        scale, translation = _transform(
            [
                *level.get("coordinateTransformations", ()),
                *image.get("coordinateTransformations", ()),
            ],
            len(axes),
        )
        return Image(
            path=str(level["path"]),
            claims=tuple(
                Claim(
                    label=str(axis["name"]),
                    spacing=step,
                    unit=_unit(axis.get("unit")),
                    origin=origin,
                )
                for axis, step, origin in zip(axes, scale, translation, strict=True)
            ),
            kinds=tuple(
                str(axis.get("type") or _usual_kind(str(axis["name"]))) for axis in axes
            ),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        msg = f"The OME-Zarr metadata of {source} is damaged ({error!r})."
        raise FormatError(msg) from error


def _transform(
    transformations: Sequence[Mapping[str, Any]], ndim: int
) -> tuple[list[float], list[float]]:
    """Return scale and translation of transformations applied one after the other."""
    scale, translation = [1.0] * ndim, [0.0] * ndim
    for one in transformations:
        if one.get("type") == "scale":
            factors = [float(value) for value in one["scale"]]
            scale = [a * b for a, b in zip(scale, factors, strict=True)]
            translation = [a * b for a, b in zip(translation, factors, strict=True)]
        elif one.get("type") == "translation":
            shifts = [float(value) for value in one["translation"]]
            translation = [a + b for a, b in zip(translation, shifts, strict=True)]
    return scale, translation


def _kind(axis: Axis) -> str:
    """Return the type of an axis: its unit says it, without one its label does."""
    dimension = UNITS[axis.unit][0] if axis.unit else ""
    if dimension in ("length", "time"):
        return "space" if dimension == "length" else "time"
    return _usual_kind(axis.label)


def _usual_kind(label: str) -> str:
    if label.lower() in ("t", "time"):
        return "time"
    return "channel" if label.lower() in ("c", "channel") else "space"


def _unit(name: object) -> str | None:
    return _UNITS.get(name, name) if isinstance(name, str) else None
