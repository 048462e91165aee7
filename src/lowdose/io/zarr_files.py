"""Zarr: OME-Zarr images and plain arrays, read lazily; OME-Zarr 0.5 written.

A written image is a Zarr 3 group with one array, ``0``, of one chunk per frame (or a
few, where frames are large), the OME metadata, and the calibration record as the
attribute ``lowdose`` of the group.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zarr

from lowdose.errors import FormatError, LowDoseError, LowDoseWarning
from lowdose.io.axes import Claim, bare_claims
from lowdose.io.checks import (
    check_channel,
    choose,
    drop_channel_axis,
    parse_selection,
)
from lowdose.io.contents import Contents, make_contents
from lowdose.io.frame_array import hold_axes
from lowdose.io.ome_zarr import Image, make_metadata, read_metadata
from lowdose.io.records import RECORD_NAME, to_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.io.sinks import Backend, Layout

_ARRAY: Final = "0"

#: Largest chunk [B]: several fit the memory of any machine, and one is worth a file.
_LARGEST_CHUNK: Final = 2**24

_DAMAGE: Final = (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError)


def open_file(path: Path, dataset: str | None) -> Contents:
    """Return an image of a Zarr folder.

    Parameters
    ----------
    path : Path
        Folder of a group or an array.
    dataset : str or None
        ``"c=0"`` for one of several channels of an OME-Zarr image; path of the array
        or image in the group, where there are several.

    Raises
    ------
    FormatError
        If the metadata is damaged, or it is not clear which array is meant.
    InvalidImageError
        If the image has several channels and none is chosen.
    """
    source = path.name
    try:
        node = zarr.open(str(path), mode="r")
        if isinstance(node, zarr.Array):
            return _plain(node, None, source, dataset)
        image = read_metadata(_attributes(node), source=source)
        if image is not None:
            return _ome(node, image, source, dataset)
        return _group(node, source, dataset)
    except LowDoseError:
        raise
    except _DAMAGE as error:
        msg = f"{source} is a damaged Zarr folder: {error}."
        raise FormatError(msg) from error


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:  # noqa: ARG001
    """Return the name of the type in which samples are stored: all are."""
    return dtype.name


def create_backend(part: Path, path: Path, layout: Layout) -> Backend:
    """Make a Zarr folder and return what fills it."""
    return _ZarrFrames(_create_array(part, layout, layout.name or path.stem), layout)


def reopen_backend(part: Path, layout: Layout, token: dict[str, Any]) -> Backend:
    """Go on with a folder that :func:`create_backend` made."""
    array = zarr.open_array(str(part / str(token["array"])), mode="r+")
    if tuple(array.shape) != layout.shape or array.dtype != layout.dtype:
        msg = f"it has shape {array.shape}"
        raise ValueError(msg)
    return _ZarrFrames(array, layout)


def _create_array(part: Path, layout: Layout, name: str) -> zarr.Array[Any]:
    """Make a Zarr folder with an array of the layout in it."""
    record = to_record(layout.calibration, layout.shape)
    attributes: dict[str, Any] = {RECORD_NAME: record}
    ome = make_metadata(layout.calibration, name)
    if ome is not None:
        attributes["ome"] = ome
    group = zarr.create_group(str(part), zarr_format=3, attributes=attributes)
    labels = layout.calibration.labels
    return group.create_array(
        _ARRAY,
        shape=layout.shape,
        dtype=layout.dtype,
        chunks=_chunks(layout),
        dimension_names=labels,
    )


class _ZarrFrames:
    """Frames of a Zarr array, each in chunks of its own."""

    def __init__(self, array: zarr.Array[Any], layout: Layout) -> None:
        self._lead = layout.shape[:-2]
        self._array = array

    def put(self, number: int, frame: NDArray[Any]) -> None:
        """Write one frame."""
        region = self._region(number)
        block = frame.reshape(*[1] * len(region), *frame.shape)
        self._array[region or ...] = block

    def put_rows(self, number: int, start: int, rows: NDArray[Any]) -> None:
        """Write some rows of a frame."""
        region = self._region(number)
        block = rows.reshape(*[1] * len(region), *rows.shape)
        self._array[(*region, slice(start, start + len(rows)))] = block

    def get_rows(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Read rows that were written."""
        region = self._region(number)
        block = np.asarray(self._array[(*region, slice(start, stop))])
        return block.reshape(block.shape[-2:])

    def flush(self) -> None:
        """Do nothing: every frame is with the system already."""

    def token(self) -> dict[str, Any] | None:
        """Return the name of the array."""
        return {"array": _ARRAY}

    def _region(self, number: int) -> tuple[slice, ...]:
        place = np.unravel_index(number, self._lead)
        return tuple(slice(int(n), int(n) + 1) for n in place)

    def finish(self) -> None:
        """Do nothing: every frame is on the disk already."""

    def close(self) -> None:
        """Do nothing: no file is open."""


def _chunks(layout: Layout) -> tuple[int, ...]:
    height, width = layout.frame_shape
    pieces = math.ceil(layout.frame_bytes / _LARGEST_CHUNK)
    rows = max(1, math.ceil(height / pieces))
    return (*[1] * (len(layout.shape) - 2), rows, width)


def _ome(group: zarr.Group, image: Image, source: str, dataset: str | None) -> Contents:
    """Return the largest level of a multiscale image."""
    wanted = parse_selection(dataset, ("c",), source=source)
    array = group[image.path]
    if not isinstance(array, zarr.Array):
        msg = f"The OME-Zarr metadata of {source} names no array, but {image.path!r}."
        raise FormatError(msg)
    shape = tuple(array.shape)
    claims, kinds = image.claims, image.kinds
    if len(claims) != len(shape):
        msg = (
            f"The OME-Zarr metadata of {source} describes {len(claims)} axes, but the "
            f"array has shape {shape}."
        )
        raise FormatError(msg)
    if "channel" in kinds[-2:]:
        msg = f"{source} has its channels last; they must come before y and x."
        raise FormatError(msg)
    record = _attributes(group).get(RECORD_NAME)
    held: dict[int, int] = {}
    for n, length in enumerate(shape[:-2]):
        if kinds[n] == "channel":
            held[n] = (
                0
                if length == 1
                else check_channel(wanted.get("c"), length, source=source)
            )
        elif length == 1 and record is None:
            held[n] = 0
    kept = [claim for n, claim in enumerate(claims) if n not in held]
    return make_contents(
        hold_axes(array, held),
        kept,
        record,
        source=source,
        format=f"OME-Zarr (Zarr {array.metadata.zarr_format})",
        compression=_compression(array),
    )


def _plain(
    array: zarr.Array[Any],
    record: Mapping[str, Any] | None,
    source: str,
    dataset: str | None,
) -> Contents:
    """Return an array that nothing is known of but perhaps the names of its axes."""
    if dataset is not None:
        msg = f"dataset={dataset!r} means nothing in {source}: it is one array."
        raise FormatError(msg)
    data = array if record else drop_channel_axis(array, source=source)
    claims = bare_claims(len(data.shape))
    names = getattr(array.metadata, "dimension_names", None)
    if names and len(names) == len(data.shape) and all(names):
        claims = [Claim(label=str(name)) for name in names]
    return make_contents(
        data,
        claims,
        record,
        source=source,
        format=f"Zarr {array.metadata.zarr_format}",
        compression=_compression(array),
    )


def _group(group: zarr.Group, source: str, dataset: str | None) -> Contents:
    """Return the image of a group that is none itself: one of its members."""
    members = dict(group.members(max_depth=None))
    images = {
        name: image
        for name, member in members.items()
        if isinstance(member, zarr.Group)
        and (image := read_metadata(_attributes(member), source=source)) is not None
    }
    if images:
        name, _, rest = (dataset or "").partition(",")
        if not name and len(images) > 1:
            msg = (
                f"{source} holds {len(images)} images; {min(images)!r} is read. For "
                f"another one use dataset={max(images)!r}."
            )
            warnings.warn(msg, LowDoseWarning, stacklevel=2)
            name = min(images)
        name = choose(list(images), name or None, source=source, what="images")
        return _ome(group[name], images[name], source, rest or None)  # type: ignore[arg-type]
    arrays = {
        name: member
        for name, member in members.items()
        if isinstance(member, zarr.Array)
        and len(member.shape) >= 2
        and np.dtype(member.dtype).kind in "buifc"
    }
    name = choose(list(arrays), dataset, source=source)
    record = _attributes(group).get(RECORD_NAME) if name == _ARRAY else None
    return _plain(arrays[name], record, source, None)


def _attributes(group: zarr.Group) -> dict[str, Any]:
    return dict(group.attrs)


def _compression(array: zarr.Array[Any]) -> str:
    names = []
    for codec in array.compressors:
        name = getattr(codec, "codec_id", None)
        names.append(str(name or type(codec).__name__.removesuffix("Codec").lower()))
    return ", ".join(names) or "none"
