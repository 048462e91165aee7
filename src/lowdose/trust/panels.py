"""Pictures of trust maps: fixed colours, colour bars with units, axes in nanometres.

Sequential maps are shown in cividis, made to look the same with deficient colour vision
(Nuñez, Anderton and Renslow [1]_), diverging ones in blue, white and red with white at
zero and equal limits on both sides.

References
----------
.. [1] J. R. Nuñez, C. R. Anderton, R. S. Renslow, "Optimizing colormaps with
   consideration for color vision deficiency to enable accurate interpretation of
   scientific data", PLoS ONE 13 (2018) e0199239, doi:10.1371/journal.pone.0199239.
"""

from __future__ import annotations

import io
import math
import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph
    from lowdose.trust.maps import Scale, TrustMap

#: Colour maps by scale; "grey" is for images themselves.
COLOURS: Final = {"sequential": "cividis", "diverging": "RdBu_r", "grey": "gray"}
#: Share of pixels beyond either limit of the colours, at least. More of them lie beyond
#: where a few are so far out that they would leave the others without contrast: a limit
#: is no farther from the median than this many times the decile on its side.
_BEYOND: Final = 0.005
_DECILES: Final = 4.0
#: Panels in a row, and the width of one [inch].
_COLUMNS: Final = 3
_WIDTH: Final = 4.2
_LONGEST: Final = 1024
#: Characters on a line under a panel.
_CHARACTERS: Final = 70


def colour_limits(
    values: NDArray[np.floating[Any]], scale: Scale
) -> tuple[float, float]:
    """Return the values at the ends of the colours.

    Parameters
    ----------
    values : ndarray
        NaN is left out.
    scale : {"sequential", "diverging"}
        Diverging limits are equal on both sides of zero.

    Returns
    -------
    (float, float)
        Low and high; never equal.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return (-1.0, 1.0) if scale == "diverging" else (0.0, 1.0)
    if scale == "diverging":
        # Both sides have the same limit, so the sizes are what counts.
        reach = _end(np.abs(finite)) or 1.0
        return -reach, reach
    low, high = -_end(-finite), _end(finite)
    return (low, high) if high > low else (low, low + 1.0)


def _end(values: NDArray[np.float64]) -> float:
    """Return where the colours end above."""
    wanted = [0.5, 0.9, 1 - _BEYOND]
    middle, decile, last = (float(q) for q in np.quantile(values, wanted))
    if decile > middle:
        return min(last, middle + _DECILES * (decile - middle))
    return last


def panel(
    noisy: Micrograph, denoised: Micrograph, maps: Sequence[TrustMap], *, title: str
) -> bytes:
    """Draw two images and their maps side by side.

    Parameters
    ----------
    noisy, denoised : Micrograph, shape (H, W)
        Counts.
    maps : sequence of TrustMap
        What to show beside them.
    title : str
        Written above.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    number = len(maps) + 2
    columns = min(_COLUMNS, number)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(columns * _WIDTH, rows * _WIDTH), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    _draw(figure, axes[0], noisy, "noisy", "counts", "grey", "sequential")
    _draw(figure, axes[1], denoised, "denoised", "counts", "grey", "sequential")
    for place, one in zip(axes[2:], maps, strict=False):
        _draw(figure, place, one.image, one.name, one.unit, one.scale, one.scale)
        _write_caveats(place, one)
    for place in axes[number:]:
        place.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def single(one: TrustMap) -> bytes:
    """Draw one map with its colour bar.

    Parameters
    ----------
    one : TrustMap
        The map.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH * 1.2, _WIDTH), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw(figure, axes, one.image, one.name, one.unit, one.scale, one.scale)
    _write_caveats(axes, one)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def write_picture(path: Path, picture: bytes) -> None:
    """Write a picture, or anything else, to a file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        path.write_bytes(picture)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}."
        raise OutputError(msg) from error


def _draw(
    figure: Any,
    axes: Any,
    image: Micrograph,
    name: str,
    unit: str,
    colours: str,
    scale: Scale,
) -> None:
    values = np.asarray(image, dtype=np.float64)
    low, high = colour_limits(values, scale)
    y, x = image.calibration.axes[-2:]
    height, width = values.shape
    known = y.calibrated and x.calibrated and y.unit == x.unit
    steps = (y.spacing or 1.0, x.spacing or 1.0) if known else (1.0, 1.0)
    origins = (y.origin, x.origin)
    extent = (
        origins[1] - steps[1] / 2,
        origins[1] + (width - 0.5) * steps[1],
        origins[0] + (height - 0.5) * steps[0],
        origins[0] - steps[0] / 2,
    )
    # Shown smaller by whole steps where it is larger than any screen.
    skip = max(1, math.ceil(max(values.shape) / _LONGEST))
    shown = axes.imshow(
        values[::skip, ::skip],
        cmap=COLOURS[colours],
        vmin=low,
        vmax=high,
        extent=extent,
        interpolation="nearest",
    )
    axes.set_title(name)
    axes.set_xlabel(x.unit if known else "px")
    figure.colorbar(
        shown,
        ax=axes,
        label=unit if unit != "1" else "",
        extend="both",
        fraction=0.046,
        pad=0.02,
    )


def _write_caveats(axes: Any, one: TrustMap) -> None:
    """Write what the reader must know under a map."""
    lines = [
        line for caveat in one.caveats for line in textwrap.wrap(caveat, _CHARACTERS)
    ]
    if lines:
        label = "\n".join([axes.get_xlabel(), *lines])
        axes.set_xlabel(label, fontsize=7, loc="left")
