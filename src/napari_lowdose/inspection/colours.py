"""The colours of maps, the same on the canvas, in the dock and on the exported page."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.utils.colormaps import Colormap

from lowdose.trust.panels import COLOURS, colour_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.trust.maps import Scale, TrustMap

#: Colours in a map.
_STEPS: Final = 256
#: First digits of a round number. Not 8: its colour bar would have no tick but zero.
_ROUND: Final = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 10.0)
#: Maps of a few large values, whose limits no share of the pixels may decide.
_PEAKED: Final = ("equivalent filter", "guided backpropagation")
#: Maps of one value per column: a heavy atom must not turn all the others white.
_DISKS: Final = ("evidence", "evidence against vacuum")
_MOST: Final = 0.95
#: What is not known: mid grey, which is in none of the maps.
_UNKNOWN: Final = (0.35, 0.35, 0.35, 1.0)


@cache
def colour_map(scale: Scale) -> Colormap:
    """Return napari's colour map for values of this kind.

    Parameters
    ----------
    scale : {"sequential", "diverging"}
        Diverging maps are white at zero, and are to be used with limits that are equal
        on both sides of it.
    """
    name = COLOURS[scale]
    return Colormap(
        _table(name),
        name=f"lowdose {name}",
        display_name=name,
        nan_color=_UNKNOWN,
    )


def limits_of(one: TrustMap) -> tuple[float, float]:
    """Return the values at the ends of the colours of a map.

    Those of diverging maps are round numbers: napari's colour bars have few ticks, and
    none but the zero where the last ones lie just outside.
    """
    values = np.asarray(one.image, dtype=np.float64)
    if one.scale != "diverging":
        return colour_limits(values, one.scale)
    if one.name in _PEAKED:
        reach = _reach(values)
    elif one.name in _DISKS:
        sizes = np.abs(values[np.isfinite(values)])
        reach = float(np.quantile(sizes, _MOST)) if sizes.size else 0.0
    else:
        reach = colour_limits(values, one.scale)[1]
    reach = _rounded_up(reach) or 1.0
    return -reach, reach


def weights_rgba(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the weights of a filter in their colours, for a small picture.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        NaN is shown grey, zero white.

    Returns
    -------
    ndarray, shape (H, W, 4), uint8
        Red, green, blue and opacity.
    """
    reach = _reach(values) or 1.0
    share = np.clip((values + reach) / (2 * reach), 0, 1)
    known = np.isfinite(share)
    index = np.rint(np.where(known, share, 0) * (_STEPS - 1)).astype(int)
    colours = _table(COLOURS["diverging"])[index]
    colours[~known] = _UNKNOWN
    return np.asarray(np.rint(255 * colours), dtype=np.uint8)


def _reach(values: NDArray[Any]) -> float:
    return float(np.abs(np.nan_to_num(values)).max(initial=0.0))


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return power * next(
        digit for digit in _ROUND if value <= digit * power * (1 + 1e-9)
    )


@cache
def _table(name: str) -> NDArray[np.float64]:
    from matplotlib import colormaps

    return np.asarray(colormaps[name](np.linspace(0, 1, _STEPS)))
