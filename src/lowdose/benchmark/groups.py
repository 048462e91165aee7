"""Groups of images that the report of the protocol ``sbd`` parts its scores by.

Each takes a row of the results, and returns the name of its group, or None for none.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Limits between hard and easy surface columns, in d'.
_DETECTABLE: Final = (2.0, 4.0, 6.0)
_DEFOCUS: Final = ((0, 3), (4, 8), (9, 14), (15, 20))
_TILT: Final = (0.5, 1.0, 2.0)


def named(key: str) -> Any:
    """Return what groups by a parameter of the images."""

    def group(row: Mapping[str, Any]) -> str | None:
        value = row.get(key)
        return None if value is None else str(value)

    return group


def thickness(row: Mapping[str, Any]) -> str | None:
    """Return the thickness of the support, to whole nanometres."""
    value = row.get("thickness")
    return None if value is None or math.isnan(value) else f"{np.rint(value):.0f} nm"


def tilt(row: Mapping[str, Any]) -> str | None:
    """Return the class of the tilt."""
    if "tilt_x" not in row:
        return None
    degrees = math.hypot(row["tilt_x"], row["tilt_y"])
    return f"{_class_of(degrees, (0.0, *_TILT))}°"


def detectable(row: Mapping[str, Any]) -> str | None:
    """Return the class of d' of the surface columns."""
    value = row.get("surface_detectability")
    return None if value is None else f"d' {_class_of(value, _DETECTABLE)}"


def _class_of(value: float, limits: Sequence[float]) -> str:
    return _limits(limits)[sum(value >= limit for limit in limits)]


def _limits(limits: Sequence[float]) -> list[str]:
    """Return the names of what is below, between and above limits."""
    return [
        f"< {limits[0]:g}",
        *(f"{low:g}–{high:g}" for low, high in itertools.pairwise(limits)),
        f"> {limits[-1]:g}",
    ]


def defocus(row: Mapping[str, Any]) -> str | None:
    """Return the class of the defocus."""
    value = row.get("defocus")
    for limits in _DEFOCUS:
        if value is not None and limits[0] <= value <= limits[1]:
            return _between(limits)
    return None


def _between(limits: tuple[int, int]) -> str:
    return f"{limits[0]}–{limits[1]} nm"


#: Groups of defocus and of detectability, in order.
DEFOCUS: Final = tuple(_between(limits) for limits in _DEFOCUS)
DETECTABILITY: Final = tuple(f"d' {text}" for text in _limits(_DETECTABLE))
