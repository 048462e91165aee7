"""What the tags of a TIFF say about its axes, in the dialects of microscopy.

Tried in this order: OME-XML, ImageJ, the private tags of Gatan, FEI/Thermo Fisher and
Zeiss, and last the resolution tags, which are believed only where a printer's default
cannot be meant.

The calibration record (:mod:`lowdose.io.records`) lies in the "Info" property of an
ImageJ TIFF, in an annotation of an OME-TIFF, and in the description of a plain one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lowdose.io.axes import Claim, plausible_print_resolution
from lowdose.io.ome_xml import read_ome_xml
from lowdose.io.records import RECORD_NAME, from_text

if TYPE_CHECKING:
    import tifffile

#: What a TIFF says, by axis letter.
Claims = dict[str, Claim]

#: ResolutionUnit -> our unit.
_RESOLUTION_UNITS: Final = {2: "inch", 3: "cm"}

# Gatan DigitalMicrograph: unit and scale of x; those of y and z are the next tags.
_GATAN_UNIT, _GATAN_SCALE = 65003, 65009


def read_claims(
    tiff: tifffile.TiffFile, number: int, *, source: str
) -> tuple[Claims, Mapping[str, Any] | None]:
    """Return what a TIFF says about its axes, and our record if it has one.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    number : int
        Number of the series that is read.
    source : str
        Name of the file, for messages.

    Returns
    -------
    claims : dict of str to Claim
        By axis letter; letters about which nothing is said are missing.
    record : mapping or None
        The calibration record.
    """
    if tiff.is_ome and tiff.ome_metadata:
        claims, text = read_ome_xml(tiff.ome_metadata, number, source=source)
        return claims, from_text(text, source=source)
    page = tiff.series[number].keyframe
    if number > 0:  # the dialects below describe the first image
        return _resolution(page), None
    metadata = tiff.imagej_metadata
    if metadata is not None:
        record = from_text(str(metadata.get("Info", "")), source=source)
        return _imagej(page, metadata), record
    claims = _gatan(page) or _fei(tiff) or _zeiss(tiff) or _resolution(page)
    shaped = tiff.shaped_metadata
    found = shaped[0].get(RECORD_NAME) if shaped else None
    return claims, found if isinstance(found, Mapping) else None


def _imagej(page: tifffile.TiffPage, metadata: Mapping[str, Any]) -> Claims:
    """ImageJ: pixels per unit in the resolution tags, the rest in the description.

    Reference: ``ij.io.TiffDecoder`` and ``ij.io.FileOpener`` of ImageJ 1.
    """
    unit = _unescape(metadata.get("unit"))
    units = {
        "X": unit,
        "Y": _unescape(metadata.get("yunit")) or unit,
        "Z": _unescape(metadata.get("zunit")) or unit,
    }
    spacings = {
        "X": _pixels_to_spacing(page, "XResolution"),
        "Y": _pixels_to_spacing(page, "YResolution"),
        "Z": _float(metadata.get("spacing")),
    }
    claims: Claims = {}
    for letter, spacing in spacings.items():
        # These units ImageJ takes over from TIFFs that were made for printing.
        if units[letter] in _RESOLUTION_UNITS.values() and not (
            spacing and plausible_print_resolution(spacing, str(units[letter]))
        ):
            continue
        # The origin is the pixel that has the coordinate zero.
        pixel = _float(metadata.get(f"{letter.lower()}origin")) or 0.0
        claims[letter] = Claim(
            label=letter.lower(),
            spacing=spacing,
            unit=units[letter],
            origin=-pixel * (spacing or 0.0) + 0.0,
        )
    interval = _float(metadata.get("finterval"))
    if interval:
        unit = _unescape(metadata.get("tunit")) or "s"
        claims["T"] = Claim(label="t", spacing=interval, unit=unit)
    return claims


def _gatan(page: tifffile.TiffPage) -> Claims:
    """Return the claims of a TIFF exported by Gatan DigitalMicrograph."""
    claims: Claims = {}
    for n, letter in enumerate("XYZ"):
        scale = _float(_tag(page, _GATAN_SCALE + n))
        unit = _tag(page, _GATAN_UNIT + n)
        if scale is not None and isinstance(unit, str):
            claims[letter] = Claim(label=letter.lower(), spacing=scale, unit=unit)
    return claims if {"X", "Y"} <= set(claims) else {}


def _fei(tiff: tifffile.TiffFile) -> Claims:
    """Return the claims of an FEI or Thermo Fisher instrument: metres per pixel."""
    scan = (tiff.fei_metadata or {}).get("Scan", {})
    if not isinstance(scan, Mapping):
        return {}
    width, height = _float(scan.get("PixelWidth")), _float(scan.get("PixelHeight"))
    if width is None or height is None:
        return {}
    return {
        "X": Claim(label="x", spacing=width, unit="m"),
        "Y": Claim(label="y", spacing=height, unit="m"),
    }


def _zeiss(tiff: tifffile.TiffFile) -> Claims:
    """Return the claims of a Zeiss SEM: value and unit in words."""
    metadata = tiff.sem_metadata or {}
    # Name, value and unit.
    entry = metadata.get("ap_image_pixel_size") or metadata.get("ap_pixel_size")
    if entry is None or len(entry) != 3:
        return {}
    spacing, unit = _float(entry[1]), entry[2]
    if spacing is None:
        return {}
    return {
        "X": Claim(label="x", spacing=spacing, unit=str(unit)),
        "Y": Claim(label="y", spacing=spacing, unit=str(unit)),
    }


def _resolution(page: tifffile.TiffPage) -> Claims:
    """Return the claims of the baseline tags, where a printer cannot be meant."""
    unit = _RESOLUTION_UNITS.get(_tag(page, "ResolutionUnit"), "")
    x = _pixels_to_spacing(page, "XResolution")
    y = _pixels_to_spacing(page, "YResolution")
    if not unit or not x or not y:
        return {}
    if not all(plausible_print_resolution(spacing, unit) for spacing in (x, y)):
        return {}
    return {
        "X": Claim(label="x", spacing=x, unit=unit),
        "Y": Claim(label="y", spacing=y, unit=unit),
    }


def _pixels_to_spacing(page: tifffile.TiffPage, tag: str) -> float | None:
    """Return the spacing that a tag of pixels per unit means; None for 0/0 or none."""
    value = _tag(page, tag)
    try:
        numerator, denominator = value
    except (TypeError, ValueError):
        return None
    if not numerator or not denominator:
        return None
    return float(denominator) / float(numerator)


def _tag(page: tifffile.TiffPage, key: int | str) -> Any:
    return page.tags.valueof(key)


def _float(value: Any) -> float | None:
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def _unescape(text: object) -> str | None:
    r"""Return a text with ImageJ's ``\u00B5`` made the character it means."""
    return (
        _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
        if isinstance(text, str)
        else None
    )
