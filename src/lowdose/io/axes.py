"""From the numbers that files carry to axes, with suspicion.

Headers lie: pixel sizes of zero, of minus one, in "pixel", of printers. What cannot be
a spacing becomes None and a reason to warn; what only says "not known" becomes None
without one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lowdose.micrograph import Axis, Calibration
from lowdose.units import UNITS, canonical_unit, convert

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Texts that files use for "no unit".
_NO_UNIT: Final = frozenset(
    {"", "pixel", "pixels", "px", "none", "unknown", "undefined", "<undefined>", "n/a"}
)

#: No micrograph has pixels, sections or a field this large [m].
_LARGEST_LENGTH: Final = 1.0

#: Largest pixel [m] believed of tags that printers and scanners use as well: 72, 96,
#: 300 and 2400 dots per inch are 353, 265, 85 and 11 um.
_LARGEST_FROM_PRINT_TAGS: Final = 5e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a file says about one axis, before it is believed.

    Parameters
    ----------
    label : str
        Axis label.
    spacing : float, optional
        Distance between samples as the file has it; None where it says nothing.
    unit : str, optional
        Unit as the file spells it.
    origin : float, optional
        Coordinate of the first sample, in `unit`.
    doubt : str, optional
        Why the spacing is not to be believed although it may be possible, where the
        reader of the format knows a reason.
    """

    label: str
    spacing: float | None = None
    unit: str | None = None
    origin: float = 0.0
    doubt: str = ""


def believe(claims: Iterable[Claim]) -> tuple[tuple[Axis, ...], list[str]]:
    """Return an axis per claim, and what was absurd and is left out of them.

    A spacing is absurd if it is not a positive finite number, if it is a length above
    1 m, or if its unit is no unit of length, time or angle.

    Parameters
    ----------
    claims : iterable of Claim
        What the file says, slowest axis first.

    Returns
    -------
    axes : tuple of Axis
        Spacing and unit are both given or both None.
    problems : list of str
        What is wrong with the claims, in words, each thing once.
    """
    judged = [_judge(claim) for claim in claims]
    problems = dict.fromkeys(problem for _, problem in judged if problem)
    return tuple(axis for axis, _ in judged), list(problems)


def bare_claims(ndim: int) -> list[Claim]:
    """Return the claims of a file that says nothing about its axes."""
    return [Claim(label=label) for label in Calibration.unknown(ndim).labels]


def plausible_print_resolution(spacing: float, unit: str) -> bool:
    """Return whether a TIFF resolution tag can be the pixel size of a micrograph.

    The tags were made for printers, and most programs fill them with the resolution
    of a screen or a printer. Pixels from 1 pm to 5 um are believed.

    Parameters
    ----------
    spacing : float
        Size of a pixel, in `unit`.
    unit : str
        A unit of length.
    """
    metres = convert(spacing, unit, "m")
    return 1e-12 <= metres <= _LARGEST_FROM_PRINT_TAGS


def is_depth(axis: Axis) -> bool:
    """Return whether an axis before the image is a depth and not a time.

    A unit of length or of time says so; without one the label does.
    """
    dimension = UNITS[axis.unit][0] if axis.unit else ""
    is_called_z = axis.label.lower().startswith("z")
    return dimension == "length" or (dimension != "time" and is_called_z)


def _judge(claim: Claim) -> tuple[Axis, str]:
    """Return the axis, and why its spacing was refused (empty where it was not)."""
    bare = Axis(label=claim.label)
    text = (claim.unit or "").strip().strip("\x00").strip()
    if claim.spacing is None or text.lower() in _NO_UNIT:
        return bare, ""
    if claim.doubt:
        return bare, claim.doubt
    unit = canonical_unit(text)
    if unit is None:
        return bare, f"the unit {text!r} is not known"
    spacing = float(claim.spacing)
    value = f"a spacing of {spacing:g} {unit}"
    if not (math.isfinite(spacing) and spacing > 0):
        return bare, f"{value} is impossible"
    dimension, size = UNITS[unit]
    if dimension == "length" and spacing * size > _LARGEST_LENGTH:
        return bare, f"{value} is too large to be true"
    origin = float(claim.origin)
    return (
        Axis(
            label=claim.label,
            spacing=spacing,
            unit=unit,
            origin=origin if math.isfinite(origin) else 0.0,
        ),
        "",
    )
