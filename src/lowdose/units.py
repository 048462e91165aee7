r"""Units of length and time: one canonical spelling each, and conversion.

Microscope files write the same unit in many ways (``µm``, ``um``, ``\\u00B5m``,
``micron``). Everything inside the package uses the spellings of :data:`UNITS`.
"""

from __future__ import annotations

from typing import Final

from lowdose.errors import ParameterError, did_you_mean

#: Canonical unit -> (dimension, size in the SI unit of that dimension).
UNITS: Final[dict[str, tuple[str, float]]] = {
    "pm": ("length", 1e-12),
    "angstrom": ("length", 1e-10),
    "nm": ("length", 1e-9),
    "um": ("length", 1e-6),
    "mm": ("length", 1e-3),
    "cm": ("length", 1e-2),
    "m": ("length", 1.0),
    "inch": ("length", 2.54e-2),
    "ns": ("time", 1e-9),
    "us": ("time", 1e-6),
    "ms": ("time", 1e-3),
    "s": ("time", 1.0),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "1/nm": ("reciprocal length", 1e9),
    "1/angstrom": ("reciprocal length", 1e10),
    "1/m": ("reciprocal length", 1.0),
    "mrad": ("angle", 1e-3),
    "rad": ("angle", 1.0),
}

_SPELLINGS: Final[dict[str, str]] = {
    "å": "angstrom",
    "a": "angstrom",
    "ang": "angstrom",
    "angstroms": "angstrom",
    "ångström": "angstrom",
    "ångstrom": "angstrom",
    "picometer": "pm",
    "picometre": "pm",
    "nanometer": "nm",
    "nanometre": "nm",
    "nanometers": "nm",
    "micron": "um",
    "microns": "um",
    "micrometer": "um",
    "micrometre": "um",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
    "meter": "m",
    "metre": "m",
    "in": "inch",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "millisecond": "ms",
    "milliseconds": "ms",
    "microsecond": "us",
    "nanosecond": "ns",
    "minute": "min",
    "hour": "h",
    "nm^-1": "1/nm",
    "nm-1": "1/nm",
    "1/a": "1/angstrom",
    "1/å": "1/angstrom",
    "radian": "rad",
    "milliradian": "mrad",
}


def canonical_unit(text: str | None) -> str | None:
    r"""Return the canonical spelling of a unit, or None where it is not one.

    Parameters
    ----------
    text : str or None
        A unit as a file spells it, such as ``"µm"``, ``"\u00B5m"`` or ``"Å"``.

    Returns
    -------
    str or None
        A key of :data:`UNITS`. None for an empty text, ``"pixel"``, and anything
        that is no unit of length, time or angle.
    """
    if not text:
        return None
    plain = text.strip().strip("\x00").replace("\\u00B5", "u").replace("\\u00C5", "Å")
    # Two code points are in use for the micro sign and two for the Angstrom sign.
    plain = plain.replace("µ", "u").replace("μ", "u").replace("\u212b", "Å")
    if plain in UNITS:
        return plain
    lowered = plain.lower()
    return lowered if lowered in UNITS else _SPELLINGS.get(lowered)


def convert(value: float, unit: str, to: str) -> float:
    """Convert a value between two units of the same dimension.

    Parameters
    ----------
    value : float
        The number, in `unit`.
    unit, to : str
        Units in any spelling that :func:`canonical_unit` knows.

    Returns
    -------
    float
        The number in unit `to`.

    Raises
    ------
    ParameterError
        If a unit is not known, or the two are of different dimensions.
    """
    source, target = _known(unit), _known(to)
    dimension, size = UNITS[source]
    target_dimension, target_size = UNITS[target]
    if dimension != target_dimension:
        msg = f"Cannot convert {source} ({dimension}) to {target} ({target_dimension})."
        raise ParameterError(msg)
    return value if source == target else value * (size / target_size)


def _known(unit: str) -> str:
    canonical = canonical_unit(unit)
    if canonical is None:
        msg = f"{unit!r} is not a unit. {did_you_mean(unit, UNITS)}"
        raise ParameterError(msg)
    return canonical
