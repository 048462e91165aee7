"""Hiding pixels from a network, so that it cannot learn to copy their noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

Shape = Literal["pixel", "neighbours", "row", "column"]
#: Half the window that a hidden pixel is filled from [px], N2V's.
_WINDOW: Final = 5


def blinded_offsets(shape: Shape, reach: int) -> list[tuple[int, int]]:
    """Return what is hidden with a pixel, as (row, column) from it.

    Parameters
    ----------
    shape : {"pixel", "neighbours", "row", "column"}
        The pixel alone; all within `reach` of it along both axes; or within `reach`
        along its row or its column.
    reach : int
        Distance up to which the noise is correlated [px].

    Returns
    -------
    list of tuple of int
        The pixel itself among them.
    """
    line = range(-reach, reach + 1)
    if shape == "pixel":
        return [(0, 0)]
    if shape == "row":
        return [(0, x) for x in line]
    if shape == "column":
        return [(y, 0) for y in line]
    return [(y, x) for y in line for x in line]


def choose_pixels(
    rng: Generator, shape: tuple[int, int], share: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw one pixel at random from each square of a grid (stratified, as in N2V).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the choices.
    shape : tuple of int
        Of the image [px].
    share : float
        Share of the pixels to draw; the squares have the area 1 / share.

    Returns
    -------
    rows, columns : ndarray, shape (K,)
    """
    side = max(1, round(share**-0.5))
    tops, lefts = (np.arange(0, length, side) for length in shape)
    rows, columns = (n.ravel() for n in np.meshgrid(tops, lefts, indexing="ij"))
    rows = rows + rng.integers(0, side, rows.size)
    columns = columns + rng.integers(0, side, columns.size)
    inside = (rows < shape[0]) & (columns < shape[1])
    return rows[inside], columns[inside]


def blind(
    image: Image,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    rng: Generator,
    *,
    hidden: list[tuple[int, int]],
) -> Image:
    """Fill pixels, and what is hidden with each, with values from around them.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Counts.
    rows, columns : ndarray, shape (K,)
        The pixels.
    rng : numpy.random.Generator
        Source of the choices.
    hidden : list of tuple of int
        Of :func:`blinded_offsets`.

    Returns
    -------
    ndarray, shape (H, W)
        Each hidden pixel has the value of a random one within 5 px, or as far as
        what is hidden reaches and one more, that is not hidden with it.
    """
    height, width = image.shape
    reach = max(_WINDOW, 1 + max(max(abs(y), abs(x)) for y, x in hidden))
    line = range(-reach, reach + 1)
    taken = set(hidden)
    free = np.array([(y, x) for y in line for x in line if (y, x) not in taken])
    filled = image.copy()
    for y, x in hidden:
        to_y, to_x = rows + y, columns + x
        inside = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
        pick = free[rng.integers(len(free), size=rows.size)]
        # Over the border, from the other side of the pixel: what is hidden is
        # symmetric about it.
        from_y, from_x = rows + pick[:, 0], columns + pick[:, 1]
        from_y = np.where((from_y < 0) | (from_y >= height), rows - pick[:, 0], from_y)
        from_x = np.where(
            (from_x < 0) | (from_x >= width), columns - pick[:, 1], from_x
        )
        filled[to_y[inside], to_x[inside]] = image[from_y[inside], from_x[inside]]
    return filled
