"""Reading TIFF in all its kinds, through tifffile.

What lies in the file as it will be in memory is mapped; compressed, tiled and scattered
pages are read one by one when they are asked for.
"""

from __future__ import annotations

import math
import struct
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tifffile

from lowdose.errors import (
    FormatError,
    LowDoseError,
    LowDoseWarning,
    MissingExtraError,
)
from lowdose.io.axes import Claim
from lowdose.io.checks import (
    check_channel,
    check_expansion,
    check_promise,
    colour_error,
    parse_selection,
)
from lowdose.io.contents import Contents, make_contents
from lowdose.io.frame_array import FrameArray, hold_axes
from lowdose.io.tiff_chain import check_chain
from lowdose.io.tiff_pages import TiffPages, open_tiff
from lowdose.io.tiff_tags import Claims, read_claims

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What tifffile raises on damaged files.
_DAMAGE: Final = (
    tifffile.TiffFileError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)

#: Palette: 8-bit images with a look-up table for display; the indices are the counts.
_GREY: Final = frozenset(
    {
        tifffile.PHOTOMETRIC.MINISBLACK,
        tifffile.PHOTOMETRIC.MINISWHITE,
        tifffile.PHOTOMETRIC.PALETTE,
    }
)

_NAMES: Final = {"imagej": "TIFF (ImageJ)", "ome": "OME-TIFF"}


def open_file(path: Path, dataset: str | None) -> Contents:
    """Return the image in a TIFF file.

    Parameters
    ----------
    path : Path
        The file.
    dataset : str or None
        ``"series=1"`` for another than the first image in the file, ``"c=0"`` for one
        of several channels, or both with a comma between.

    Raises
    ------
    FormatError
        If it is damaged, truncated, or of a kind that is not supported.
    InvalidImageError
        If it is in colour, or has several channels and none is chosen.
    MissingExtraError
        If it is compressed with a codec that is not installed.
    """
    check_chain(path)
    try:
        with open_tiff(path, loose=False) as tiff:
            if not _is_loose_stack(tiff):
                return _open(tiff, path, dataset, loose=False)
        with open_tiff(path, loose=True) as tiff:
            return _open(tiff, path, dataset, loose=True)
    except LowDoseError:
        raise
    except _DAMAGE as error:
        msg = f"{path.name} is a damaged TIFF file: {error}."
        raise FormatError(msg) from error


def _is_loose_stack(tiff: tifffile.TiffFile) -> bool:
    """Return whether a stack was written image by image, each a series of its own."""
    series = tiff.series
    first = series[0]
    return len(series) > 1 and all(
        one.kind == "shaped"
        and one.shape == first.shape
        and one.dtype == first.dtype
        and len(one.pages) == 1
        for one in series
    )


def _open(
    tiff: tifffile.TiffFile,
    path: Path,
    dataset: str | None,
    *,
    loose: bool,
) -> Contents:
    source = path.name
    wanted = parse_selection(dataset, ("series", "c"), source=source)
    number = _series_number(tiff, wanted.get("series"), source)
    series = tiff.series[number]
    keyframe = series.keyframe
    shape, axes = tuple(series.get_shape(False)), str(series.get_axes(False))
    _check_kind(keyframe, shape, axes, source)
    metadata = tiff.imagej_metadata if number == 0 else None
    end = axes.index("X") + 1  # what comes after has length one
    _check_frames(series, shape[:end], metadata, source)
    offset = series.dataoffset
    data: Any
    if offset is not None and not series.is_multifile:
        dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        promised = offset + math.prod(shape) * dtype.itemsize
        size = path.stat().st_size
        check_promise(promised, size, source=source, shape=shape, dtype=dtype)
        data = np.memmap(path, dtype, "r", offset, shape[:end])
    else:
        _check_codec(keyframe.compression, source)
        _check_pages(series, path, source)
        reader = TiffPages(
            path,
            series=number,
            planes=_planes(keyframe),
            frame_shape=(shape[end - 2], shape[end - 1]),
            loose=loose,
        )
        data = FrameArray(reader, shape[:end], series.dtype)
    held = _held_axes(shape[:end], axes, wanted.get("c"), source)
    letters = "".join(a for n, a in enumerate(axes[:end]) if n not in held)
    claims, record = read_claims(tiff, number, source=source)
    name = _NAMES.get(series.kind, "TIFF")
    return make_contents(
        hold_axes(data, held),
        _in_order(claims, letters),
        record,
        source=source,
        format=name.replace("TIFF", "BigTIFF") if tiff.is_bigtiff else name,
        compression=tifffile.COMPRESSION(keyframe.compression).name.lower(),
    )


def _series_number(tiff: tifffile.TiffFile, wanted: str | None, source: str) -> int:
    count = len(tiff.series)
    if wanted is None:
        if count > 1:
            msg = (
                f"{source} holds {count} separate images; the first, of shape "
                f"{tiff.series[0].shape}, is read. For another one use "
                "dataset='series=1' and so on."
            )
            warnings.warn(msg, LowDoseWarning, stacklevel=2)
        return 0
    if int(wanted) < count:
        return int(wanted)
    msg = f"{source} has no image series={wanted}: it holds {count}, counted from 0."
    raise FormatError(msg)


def _check_kind(
    keyframe: tifffile.TiffPage, shape: tuple[int, ...], axes: str, source: str
) -> None:
    """Refuse colour, and layouts in which there is no image."""
    if keyframe.dtype is None:
        bits = keyframe.bitspersample
        msg = (
            f"{source} has samples of a type that cannot be read ({bits} bits, sample "
            f"format {keyframe.sampleformat})."
        )
        raise FormatError(msg)
    if 0 in shape:
        msg = f"{source} is damaged: its header says that the image has shape {shape}."
        raise FormatError(msg)
    if "YX" not in axes:
        msg = f"{source} has axes {axes!r}; an image with axes y and x is needed."
        raise FormatError(msg)
    after = shape[axes.index("YX") + 2 :]
    if keyframe.photometric not in _GREY or math.prod(after) > 1:
        raise colour_error(source, shape)


def _planes(keyframe: tifffile.TiffPage) -> int:
    """Return the number of images in one page (its samples, or its depth)."""
    samples, depth, _, _, _ = keyframe.shaped
    return int(samples * depth)


def _check_frames(
    series: tifffile.TiffPageSeries,
    shape: tuple[int, ...],
    metadata: Mapping[str, Any] | None,
    source: str,
) -> None:
    """Refuse a stack that lacks images which the metadata promises."""
    frames = math.prod(shape[:-2])
    promised = frames
    if metadata:
        # Not the entry "images": some programs write it wrongly.
        counts = (metadata.get(key, 1) for key in ("frames", "slices", "channels"))
        promised = max(frames, math.prod(n for n in counts if isinstance(n, int)))
    found = len(series.pages) * _planes(series.keyframe)
    # One page can stand for a contiguous stack, whose size is checked otherwise.
    found = max(found, frames) if series.dataoffset is not None else found
    if found < promised:
        msg = (
            f"{source} is truncated or damaged: its metadata promises {promised} "
            f"images, but {found} are there. Copy it again from its source."
        )
        raise FormatError(msg)


def _check_codec(compression: int, source: str) -> None:
    try:
        tifffile.TIFF.DECOMPRESSORS[compression]
    except KeyError as error:
        try:
            codec = tifffile.COMPRESSION(compression).name
        except ValueError:
            msg = f"{source} is compressed by an unknown method, number {compression}."
            raise FormatError(msg) from error
        msg = (
            f"{source} is compressed with {codec}, for which a codec is needed that is "
            'not installed. Install it with: pip install "napari-lowdose[formats]"'
        )
        raise MissingExtraError(msg) from error


def _check_pages(series: tifffile.TiffPageSeries, path: Path, source: str) -> None:
    """Refuse pages whose data lies outside the file, or is too little for them."""
    keyframe = series.keyframe
    size = path.stat().st_size
    for number, page in enumerate(series.pages):
        if page is None or series.is_multifile:
            continue
        ends = (
            a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=False)
        )
        end = max(ends, default=0)
        if end > size:
            msg = (
                f"{source} is truncated or damaged: the data of image {number} is to "
                f"end at byte {end:,}, but the file has {size:,} bytes. Copy it again "
                "from its source."
            )
            raise FormatError(msg)
        stored = sum(page.databytecounts)
        check_expansion(keyframe.nbytes, stored, source=source, shape=keyframe.shape)


def _held_axes(
    shape: tuple[int, ...], axes: str, channel: str | None, source: str
) -> dict[int, int]:
    """Return at which index to hold the axes that are none of a micrograph."""
    held: dict[int, int] = {}
    for n, length in enumerate(shape[:-2]):
        if length == 1:
            held[n] = 0
        elif axes[n] == "C":
            held[n] = check_channel(channel, length, source=source)
    return held


def _in_order(claims: Claims, letters: str) -> list[Claim]:
    """Return one claim per axis; axes without a meaning are t, then z."""
    spare = iter(
        [name for name in "tz" if name.upper() not in letters]
        + [f"axis{n}" for n in range(len(letters))]
    )
    return [
        claims.get(letter, Claim(label=letter.lower()))
        if letter in "TZYX"
        else Claim(label=next(spare))
        for letter in letters
    ]
