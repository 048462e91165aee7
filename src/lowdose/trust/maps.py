"""A trust map: an image that says how far to believe another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.micrograph import Micrograph

#: How a map is best shown: values from 0 up, or values round 0.
Scale = Literal["sequential", "diverging"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMap:
    """One map, with its units, its calibration and its caveats.

    Parameters
    ----------
    name : str
        Short name, such as ``"expected error"``.
    image : Micrograph
        Float32 values per pixel, shape (H, W), calibrated as the micrograph that they
        are about. Pixels about which nothing can be said are NaN.
    unit : str
        Unit of the values, as it is written on a colour bar: ``"counts"``,
        ``"nats"``, ``"1"`` for a plain number.
    meaning : str
        One sentence: what a large value says.
    scale : {"sequential", "diverging"}
        How it is best shown.
    numbers : mapping, optional
        Summary numbers of JSON types, such as the mean expected error.
    caveats : tuple of str, optional
        What the reader must know before believing it; written on the map.
    """

    name: str
    image: Micrograph
    unit: str
    meaning: str
    scale: Scale = "sequential"
    numbers: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
