"""Writing TIFF: laid out whole, then filled frame by frame.

Three dialects. ``.tif`` is an ImageJ TIFF where ImageJ can represent the image (8 or 16
bit unsigned, 32 bit float; below 4 GB; axes in the order t, z, y, x), since that opens
calibrated nearly everywhere. What ImageJ cannot hold is written as OME-TIFF, as BigTIFF
from 4 GB, and what that cannot hold (64-bit integers, half precision, more axes) as a
plain TIFF. ``.ome.tif`` is an OME-TIFF. Uncompressed, little-endian.

The calibration record lies in the "Info" property of the ImageJ dialect (Image > Show
Info...), in a CommentAnnotation of the OME dialect, and under the key "lowdose" of the
JSON description of the plain one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import tifffile

from lowdose import __version__
from lowdose.errors import OutputError, ParameterError
from lowdose.io.axes import is_depth
from lowdose.io.ome_xml import PIXEL_TYPES, make_ome_xml
from lowdose.io.records import RECORD_NAME, to_record, to_text
from lowdose.io.sinks import Backend, Layout, RawFrames
from lowdose.units import convert

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from lowdose.micrograph import Axis

#: Offsets in a classic TIFF have 32 bits; some of them are for the page headers.
_CLASSIC_LIMIT: Final = 2**32 - 2**25
_BYTES_PER_PAGE_HEADER: Final = 512

_IMAGEJ_TYPES: Final = frozenset({"uint8", "uint16", "float32"})

_NO_RESOLUTION_UNIT: Final = 1


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:  # noqa: ARG001
    """Return the name of the type in which samples are stored; TIFF keeps all."""
    return "uint8" if dtype.name == "bool" else dtype.name


def create_backend(part: Path, path: Path, layout: Layout) -> Backend:
    """Lay out a TIFF file and return what fills it.

    Parameters
    ----------
    part : Path
        Where to write.
    path : Path
        Its final name, which says whether an OME-TIFF is wanted.
    layout : Layout
        What is going to be written.

    Raises
    ------
    OutputError
        If an OME-TIFF is wanted and cannot hold the image.
    """
    letters = _stack_letters(layout.calibration.axes[:-2])
    ome_wanted = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
    ome_can = letters is not None and layout.dtype.name in PIXEL_TYPES
    if ome_wanted and not ome_can:
        msg = (
            f"Cannot write {path}: an OME-TIFF holds {', '.join(PIXEL_TYPES)} with at "
            f"most the axes t, z, y, x, and this is {layout.dtype} of shape "
            f"{layout.shape}. Use the suffix .tif, .zarr or .h5."
        )
        raise OutputError(msg)
    header = layout.frames * _BYTES_PER_PAGE_HEADER
    text = to_text(layout.calibration, layout.shape)
    big = layout.nbytes + header + 4 * len(text) > _CLASSIC_LIMIT
    arguments: dict[str, Any]
    imagej = not ome_wanted and not big and _imagej_can(layout, letters)
    if imagej:
        assert letters is not None
        arguments = _imagej_arguments(layout, letters, text)
    elif letters is not None and ome_can:
        xml = make_ome_xml(layout, letters, text)
        arguments = {"description": xml, "metadata": None}
    else:
        record = to_record(layout.calibration, layout.shape)
        axes = "Q" * (len(layout.shape) - 2) + "YX"
        arguments = {"metadata": {"axes": axes, RECORD_NAME: record}}
    if not imagej:
        # A pixel is one sample. Unsaid, a width of one would be taken for the samples.
        arguments |= {"planarconfig": "contig", "extrasamples": ()}
    # tifffile would write OME-XML of its own, by the name; ours comes as description.
    with tifffile.TiffWriter(
        part, bigtiff=big, byteorder="<", imagej=imagej, ome=False
    ) as writer:
        place = writer.write(
            shape=layout.shape,
            dtype=layout.dtype.newbyteorder("<"),
            photometric="minisblack",
            contiguous=True,
            returnoffset=True,
            software=f"napari-lowdose {__version__}",
            **arguments,
        )
    assert place is not None
    return RawFrames(part, place[0], layout)


def reopen_backend(part: Path, layout: Layout, token: dict[str, Any]) -> Backend:
    """Go on with a file that :func:`create_backend` laid out."""
    return RawFrames(part, int(token["offset"]), layout)


def _stack_letters(axes: tuple[Axis, ...]) -> str | None:
    """Return T or Z for each axis before the image, or None where that cannot be."""
    letters = "".join("Z" if is_depth(axis) else "T" for axis in axes)
    return letters if len(set(letters)) == len(letters) else None


def _imagej_can(layout: Layout, letters: str | None) -> bool:
    return (
        layout.dtype.name in _IMAGEJ_TYPES
        and letters in ("", "T", "Z", "TZ")
        and layout.shape[-1] > 1  # tifffile takes a width of one for the samples
    )


def _imagej_arguments(layout: Layout, letters: str, text: str) -> dict[str, Any]:
    """Return what makes tifffile write a calibrated ImageJ TIFF."""
    axes = dict(zip(f"{letters}YX", layout.calibration.axes, strict=True))
    metadata: dict[str, Any] = {"axes": f"{letters}YX", "Info": text}
    arguments: dict[str, Any] = {
        "metadata": metadata,
        "resolutionunit": _NO_RESOLUTION_UNIT,
    }
    if "T" in axes and (interval := _spacing_in(axes["T"], "s")):
        metadata["finterval"] = interval
    # ImageJ has one unit for all axes of space; it is the one of x.
    unit = axes["X"].unit
    if unit is None:
        return arguments
    x, y = _spacing_in(axes["X"], unit), _spacing_in(axes["Y"], unit)
    if not x or not y or not all(1e-9 < value < 1e9 for value in (x, y)):
        return arguments  # rationals of 32 bits cannot say it; the record does
    arguments["resolution"] = (_pixels_per_unit(x), _pixels_per_unit(y))
    metadata["unit"] = unit
    for letter in "XY":
        # In pixels, and the other way round: the pixel with the coordinate zero.
        origin, spacing = axes[letter].origin, axes[letter].spacing
        if origin and spacing:
            metadata[f"{letter.lower()}origin"] = -origin / spacing
    if "Z" in axes and (z := _spacing_in(axes["Z"], unit)):
        metadata["spacing"] = z
    return arguments


def _pixels_per_unit(spacing: float) -> tuple[int, int]:
    """Return the inverse of a spacing as numerator and denominator of 32 bits."""
    largest = 2**32 - 1
    if spacing < 1:
        ratio = Fraction(1 / spacing).limit_denominator(int(largest * spacing))
        return ratio.numerator, ratio.denominator
    ratio = Fraction(spacing).limit_denominator(int(largest / spacing))
    return ratio.denominator, ratio.numerator


def _spacing_in(axis: Axis, unit: str) -> float | None:
    """Return the spacing of an axis in `unit`, or None where it has none in it."""
    if axis.spacing is None or axis.unit is None:
        return None
    try:
        return convert(axis.spacing, axis.unit, unit)
    except ParameterError:
        return None
