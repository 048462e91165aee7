"""Metals whose nanoparticles are simulated: all face-centred cubic, as platinum is."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Symbol to lattice constant at room temperature [nm]: platinum by JCPDS 04-0802, the
#: others by R. W. G. Wyckoff, Crystal Structures (1963), volume 1.
LATTICE_CONSTANTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "Pt": 0.39231,
        "Au": 0.40786,
        "Ag": 0.40862,
        "Pd": 0.38907,
        "Ir": 0.38394,
        "Rh": 0.38044,
        "Cu": 0.36147,
        "Ni": 0.35239,
    }
)


def neighbour_distance(metal: str) -> float:
    """Return the distance of nearest neighbours in a metal [nm].

    Parameters
    ----------
    metal : str
        Symbol, of :data:`LATTICE_CONSTANTS`.
    """
    return LATTICE_CONSTANTS[metal] / math.sqrt(2)
