"""Plots and panels of images, as PNG."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]

#: Okabe and Ito's colours, which colour-blind readers tell apart
#: (https://jfly.uni-koeln.de/color/), and styles for when they run out.
_COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8a8a8a",
)
_STYLES: Final = ("-", "--", ":", "-.")
#: Colour, marker and size of points: found, invented, missed, surface.
_MARKS: Final = (
    ("#00a06a", "o", 9),
    ("#ff3b1f", "x", 12),
    ("#4aa8ff", "o", 22),
    ("#ffae00", "o", 9),
)
#: Share of the pixels beyond either limit of the greys.
_BEYOND: Final = 0.002


def curves(
    lines: Curves,
    *,
    x: str,
    y: str,
    log_x: bool = False,
    log_y: bool = False,
    markers: bool = True,
) -> bytes:
    """Draw curves, one per method.

    Parameters
    ----------
    lines : mapping
        Label to abscissae and ordinates.
    x, y : str
        Titles of the axes, with units.
    log_x, log_y : bool, optional
        Whether an axis is logarithmic.
    markers : bool, optional
        Whether the points are marked.

    Returns
    -------
    bytes
        A PNG.
    """
    figure = _figure(9.0, 5.0)
    axes = figure.subplots()
    for number, (label, (across, up)) in enumerate(lines.items()):
        if len(across):
            axes.plot(
                across,
                up,
                label=label,
                marker="o" if markers else "",
                markersize=3.5,
                linewidth=1.4,
                **_look(number),
            )
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    axes.grid(visible=True, alpha=0.25)
    if any(len(across) for across, _ in lines.values()):
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return _png(figure)


def boxes(values: Mapping[str, NDArray[np.float64]], *, x: str) -> bytes:
    """Draw how a score scatters over images, a box per method.

    Parameters
    ----------
    values : mapping
        Label to one number per image.
    x : str
        What the numbers are, with their unit.

    Returns
    -------
    bytes
        A PNG: median, thick from quartile to quartile, thin from the 5th to the 95th
        percentile.
    """
    shown = {label: some for label, some in values.items() if len(some)}
    figure = _figure(8.0, 1.2 + 0.32 * max(1, len(shown)))
    axes = figure.subplots()
    for place, some in enumerate(shown.values()):
        q05, q25, q50, q75, q95 = np.quantile(some, [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.hlines(place, q05, q95, color="#8a8a8a", linewidth=1.5)
        axes.hlines(place, q25, q75, color=_COLOURS[0], linewidth=7)
        axes.plot([q50], [place], marker="o", color="white", markersize=4)
    axes.set_yticks(range(len(shown)), list(shown))
    axes.invert_yaxis()
    axes.set_xlabel(x)
    axes.grid(visible=True, axis="x", alpha=0.25)
    return _png(figure)


def images(
    rows: Sequence[Mapping[str, NDArray[Any]]],
    *,
    limits: Sequence[tuple[float, float] | None] | None = None,
    marks: Mapping[str, NDArray[np.float64]] | None = None,
    columns: int = 5,
    width: float = 2.6,
) -> bytes:
    """Show images side by side, in groups.

    Parameters
    ----------
    rows : sequence of mapping
        Groups, each of title to image.
    limits : sequence of (float, float) or None, optional
        Values of black and white of each group. None: those of its first image.
    marks : mapping, optional
        Title to points on its image, of shape (N, 3): row, column, and kind, an index
        of four looks.
    columns : int, optional
        Images on a line.
    width : float, optional
        Of an image [inch].

    Returns
    -------
    bytes
        A PNG, every image on at most 360 pixels.
    """
    lines: list[tuple[list[tuple[str, NDArray[Any]]], tuple[float, float]]] = []
    for number, group in enumerate(rows):
        pairs = list(group.items())
        given = limits[number] if limits else None
        greys = given or grey_limits(pairs[0][1])
        lines += [
            (pairs[start : start + columns], greys)
            for start in range(0, len(pairs), columns)
        ]
    across = max(len(pairs) for pairs, _ in lines)
    rows_px, columns_px = lines[0][0][0][1].shape
    height = width * rows_px / columns_px + 0.3
    figure = _figure(width * across, height * len(lines))
    grid = figure.subplots(len(lines), across, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes_row, (pairs, (low, high)) in zip(grid, lines, strict=True):
        for axes, (title, pixels) in zip(axes_row, pairs, strict=False):
            step = max(1, math.ceil(max(pixels.shape) / 360))
            _mark(axes, None if marks is None else marks.get(title), step)
            axes.imshow(
                pixels[::step, ::step],
                cmap="gray",
                vmin=low,
                vmax=high,
                interpolation="nearest",
            )
            axes.set_title(title, fontsize=8)
    return _png(figure)


def _mark(axes: Any, points: NDArray[np.float64] | None, step: int) -> None:
    """Draw points on an image of which every `step`-th pixel is shown."""
    if points is None:
        return
    for kind, (colour, marker, size) in enumerate(_MARKS):
        some = points[points[:, 2] == kind] / step
        axes.scatter(
            some[:, 1],
            some[:, 0],
            s=size,
            marker=marker,
            linewidths=0.8,
            zorder=2,
            **({"color": colour} if marker != "o" else _ring(colour)),
        )


def _ring(colour: str) -> dict[str, str]:
    return {"facecolors": "none", "edgecolors": colour}


def grey_limits(image: NDArray[Any]) -> tuple[float, float]:
    """Return the values of black and white for an image."""
    low, high = (float(q) for q in np.quantile(image, [_BEYOND, 1 - _BEYOND]))
    return (low, high) if high > low else (low, low + 1.0)


def _look(number: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _STYLES[(number // len(_COLOURS)) % len(_STYLES)],
    }


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
