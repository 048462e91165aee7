"""Lengths in the unit in which people would say them."""

from __future__ import annotations

from typing import Final

#: Units, the largest first, and their size [nm].
_UNITS: Final = {"mm": 1e6, "µm": 1e3, "nm": 1.0, "pm": 1e-3}


def readable_length(length: float) -> str:
    """Return a length [nm] in words, such as ``"4 nm"`` or ``"8.17 pm"``."""
    # A little less than 1: what was converted may come out as 0.99999999 um.
    units = (unit for unit, size in _UNITS.items() if length >= 0.999999 * size)
    unit = next(units, "pm")
    return f"{length / _UNITS[unit]:.6g} {unit}"
