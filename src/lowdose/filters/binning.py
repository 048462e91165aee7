"""Summing pixels in blocks, and the way back to the full grid.

Summed Poisson counts are Poisson again, with a dose per pixel as many times higher
as a block has pixels: a filter that fails on single counts works on their sums.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import spline_filter1d

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Blocks beyond which a block no longer changes the interpolated pixels: the spline's
#: inverse filter decays by 2 - sqrt(3) = 0.268 a block, to 1e-7 over these.
INTERPOLATION_REACH = 13


def bin_sum(frame: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Sum blocks of pixels.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float64
        Counts.
    factor : int
        Edge of a block [px].

    Returns
    -------
    ndarray, shape (ceil(H / factor), ceil(W / factor)), float64
        Summed counts. Where the size is no multiple of `factor` the frame goes on
        as its reflection, without repeating the border.
    """
    if factor == 1:
        return frame
    height, width = frame.shape
    extra = (-height % factor, -width % factor)
    if any(extra):
        frame = np.pad(frame, [(0, extra[0]), (0, extra[1])], mode="reflect")
    rows, columns = frame.shape[0] // factor, frame.shape[1] // factor
    return np.asarray(frame.reshape(rows, factor, columns, factor).sum(axis=(1, 3)))


def interpolate(
    blocks: NDArray[np.float64], factor: int, shape: tuple[int, int]
) -> NDArray[np.float64]:
    r"""Spread block means over their pixels, smoothly and without changing any of them.

    Quadratic-spline histopolation: the image is the one quadratic spline whose
    average over every block is the value of that block, integrated over
    pixels [1]_. It so keeps the mean of every block exactly, has no half-pixel
    shift, reproduces ramps, and undoes the blur that averaging over a block is,
    where a cubic spline through block centres leaves it in.

    Parameters
    ----------
    blocks : ndarray, shape (rows, columns), float64
        Mean per pixel of every block [counts].
    factor : int
        Edge of a block [px].
    shape : tuple of int
        Height and width of the result [px]; what lies beyond is cut off.

    Returns
    -------
    ndarray, shape `shape`, float64
        Counts per pixel. Slopes go on beyond the border.

    References
    ----------
    .. [1] I. J. Schoenberg, "Splines and histograms", in Spline Functions and
       Approximation Theory, ISNM 21, Birkhaeuser 1973, 277-327,
       doi:10.1007/978-3-0348-5979-0_13.
    """
    if factor == 1:
        return blocks[: shape[0], : shape[1]]
    result = blocks
    for axis in (0, 1):
        result = _expand(result, factor, axis)
    return result[: shape[0], : shape[1]]


def _expand(blocks: NDArray[np.float64], factor: int, axis: int) -> NDArray[np.float64]:
    lines = np.moveaxis(blocks, axis, 0)
    # A point reflection goes on straight beyond the border, so that a slope stays one.
    # It is laid out in full: the border modes of the prefilter have a mirror instead,
    # and are not exact on frames of a few blocks.
    reach = INTERPOLATION_REACH
    lines = np.pad(lines, [(reach, reach), (0, 0)], mode="reflect", reflect_type="odd")
    # The average of a quadratic B-spline over unit blocks samples the cubic
    # B-spline, so its coefficients come from the cubic prefilter.
    coefficients = spline_filter1d(lines, order=3, axis=0)[reach - 1 : 1 - reach]
    left, centre, right = coefficients[:-2], coefficients[1:-1], coefficients[2:]
    pixels = np.empty((centre.shape[0], factor, centre.shape[1]))
    for phase, weights in enumerate(_pixel_weights(factor)):
        pixels[:, phase] = weights[0] * left + weights[1] * centre + weights[2] * right
    flat = pixels.reshape(centre.shape[0] * factor, centre.shape[1])
    return np.moveaxis(flat, 0, axis)


@lru_cache(maxsize=32)
def _pixel_weights(factor: int) -> NDArray[np.float64]:
    """Return what the splines of the left, same and right block add to each pixel.

    The quadratic B-spline with knots at block edges, averaged over each of the
    `factor` pixels of the middle block: shape (factor, 3), rows sum to 1.
    """
    edges = np.arange(factor + 1) / factor
    # Integrals from the left edge of the middle block to t, of the three splines.
    left = (1 - (1 - edges) ** 3) / 6
    right = edges**3 / 6
    centre = edges - left - right
    weights: NDArray[np.float64] = np.diff(
        np.stack([left, centre, right], axis=1), axis=0
    )
    weights *= factor
    weights.setflags(write=False)
    return weights
