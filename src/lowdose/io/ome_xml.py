"""The parts of OME-XML that a grey image needs, read and written.

Reference: OME Data Model, schema of June 2016,
https://docs.openmicroscopy.org/ome-model/6.3.1/ome-xml/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from lowdose.errors import FormatError
from lowdose.io.axes import Claim
from lowdose.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.io.sinks import Layout

_SCHEMA: Final = "http://www.openmicroscopy.org/Schemas/OME/2016-06"

#: Marks our annotation among those of other programs.
NAMESPACE: Final = "github.com/napari-lowdose/calibration"

#: numpy type -> pixel type of the data model.
PIXEL_TYPES: Final[Mapping[str, str]] = {
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "float32": "float",
    "float64": "double",
}

#: Our unit -> how the data model spells it. The others are its own spelling already.
_SPELLINGS: Final = {"um": "µm", "us": "µs", "angstrom": "Å", "inch": "in"}


def make_ome_xml(layout: Layout, letters: str, record: str) -> bytes:
    """Return the OME-XML of a file with one image.

    Parameters
    ----------
    layout : Layout
        Its `dtype` is one of :data:`PIXEL_TYPES`.
    letters : str
        ``"T"`` and ``"Z"``, at most one of each, for the axes before the image.
    record : str
        Text of the annotation that keeps what the data model cannot say.

    Returns
    -------
    bytes
        ASCII; other characters are written as references.
    """
    sizes = dict(zip(letters, layout.shape[:-2], strict=True))
    root = ET.Element("OME", {"xmlns": _SCHEMA, "Creator": "napari-lowdose"})
    # XML has no control characters, nor what undecodable file names are made of.
    name = "".join(c for c in layout.name if c.isprintable())
    image = ET.SubElement(root, "Image", {"ID": "Image:0", "Name": name})
    pixels = ET.SubElement(
        image,
        "Pixels",
        {
            "ID": "Pixels:0",
            # The order names the fastest axis first.
            "DimensionOrder": "XYCTZ" if letters == "ZT" else "XYCZT",
            "Type": PIXEL_TYPES[layout.dtype.name],
            "SizeX": str(layout.shape[-1]),
            "SizeY": str(layout.shape[-2]),
            "SizeC": "1",
            "SizeZ": str(sizes.get("Z", 1)),
            "SizeT": str(sizes.get("T", 1)),
            "BigEndian": "false",
            **_physical_sizes(layout, letters),
        },
    )
    channel = {"ID": "Channel:0:0", "SamplesPerPixel": "1"}
    ET.SubElement(pixels, "Channel", channel)
    ET.SubElement(pixels, "TiffData", {"IFD": "0", "PlaneCount": str(layout.frames)})
    ET.SubElement(image, "AnnotationRef", {"ID": "Annotation:0"})
    annotations = ET.SubElement(root, "StructuredAnnotations")
    comment = ET.SubElement(
        annotations,
        "CommentAnnotation",
        {"ID": "Annotation:0", "Namespace": NAMESPACE},
    )
    ET.SubElement(comment, "Value").text = record
    xml: bytes = ET.tostring(root, encoding="us-ascii", xml_declaration=True)
    return xml


def read_ome_xml(
    text: str, number: int, *, source: str
) -> tuple[dict[str, Claim], str | None]:
    """Return what OME-XML says about the axes of an image.

    Parameters
    ----------
    text : str
        The XML.
    number : int
        Which of its images, counted from 0.
    source : str
        Name of the file, for messages.

    Returns
    -------
    claims : dict of str to Claim
        By axis letter, ``"X"``, ``"Y"``, ``"Z"`` and ``"T"``, where given.
    record : str or None
        Text of our annotation, where there is one.

    Raises
    ------
    FormatError
        If the XML is damaged.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        # No program writes entities into OME-XML; they serve to exhaust memory.
        msg = f"The OME metadata in {source} defines XML entities; it is not read."
        raise FormatError(msg)
    try:
        root = ET.fromstring(text)  # noqa: S314  (no entities, see above)
    except ET.ParseError as error:
        msg = f"The OME metadata in {source} is damaged: {error}."
        raise FormatError(msg) from error
    pixels = [e.attrib for e in root.iter() if _local(e) == "Pixels"]
    claims = _claims(pixels[number]) if number < len(pixels) else {}
    if number > 0:  # we write one image to a file
        return claims, None
    for annotation in root.iter():
        if annotation.attrib.get("Namespace") == NAMESPACE:
            values = [e.text for e in annotation.iter() if _local(e) == "Value"]
            return claims, values[0] if values else None
    return claims, None


def _claims(attributes: Mapping[str, str]) -> dict[str, Claim]:
    claims: dict[str, Claim] = {}
    for letter in "XYZ":
        spacing = _number(attributes.get(f"PhysicalSize{letter}"))
        # The schema's default unit is the micrometre.
        unit = attributes.get(f"PhysicalSize{letter}Unit", "um")
        claims[letter] = Claim(label=letter.lower(), spacing=spacing, unit=unit)
    interval = _number(attributes.get("TimeIncrement"))
    unit = attributes.get("TimeIncrementUnit", "s")
    claims["T"] = Claim(label="t", spacing=interval, unit=unit)
    return claims


def _physical_sizes(layout: Layout, letters: str) -> dict[str, str]:
    """Return the attributes for those axes that the data model can describe."""
    attributes: dict[str, str] = {}
    for letter, axis in zip(f"{letters}YX", layout.calibration.axes, strict=True):
        if axis.spacing is None or axis.unit is None:
            continue
        dimension = UNITS[axis.unit][0]
        if letter == "T" and dimension == "time":
            name = "TimeIncrement"
        elif letter != "T" and dimension == "length":
            name = f"PhysicalSize{letter}"
        else:
            continue
        attributes[name] = repr(float(axis.spacing))
        attributes[f"{name}Unit"] = _SPELLINGS.get(axis.unit, axis.unit)
    return attributes


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return float("nan")  # refused as a spacing, with a warning


def _local(element: ET.Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]
