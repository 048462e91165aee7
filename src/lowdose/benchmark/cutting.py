"""Giving a denoiser pieces of an image, as if each were an image of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.benchmark.study import Denoise, Image
    from lowdose.micrograph import Micrograph


def by_tiles(counts: Micrograph, denoise: Denoise, *, tile: int, step: int) -> Image:
    """Denoise tiles one by one, and average them where they overlap, as SBD do.

    Parameters
    ----------
    counts : Micrograph, shape (H, W)
        Noisy counts.
    denoise : callable
        The denoiser.
    tile, step : int
        Edge of a tile and distance from one to the next [px]; the last one ends at the
        border. An image that is smaller is one tile.

    Returns
    -------
    ndarray, shape (H, W), float32
    """
    pixels = np.asarray(counts)
    total = np.zeros(pixels.shape, np.float64)
    times = np.zeros(pixels.shape, np.int32)
    for top in starts(pixels.shape[0], tile, step):
        for left in starts(pixels.shape[1], tile, step):
            place = slice(top, top + tile), slice(left, left + tile)
            total[place] += denoise(counts.replace(data=pixels[place]))
            times[place] += 1
    return np.asarray(total / times, np.float32)


def by_crops(counts: Micrograph, denoise: Denoise, *, edge: int) -> Image:
    """Denoise disjoint crops one by one, which have to fill the image.

    Parameters
    ----------
    counts : Micrograph, shape (H, W)
        Noisy counts; both sides multiples of `edge`.
    denoise : callable
        The denoiser.
    edge : int
        Side of a crop [px].

    Returns
    -------
    ndarray, shape (H, W), float32
    """
    return by_tiles(counts, denoise, tile=edge, step=edge)


def starts(length: int, tile: int, step: int) -> list[int]:
    """Return where tiles begin along an axis, so that they cover it."""
    if length <= tile:
        return [0]
    return [*range(0, length - tile, step), length - tile]


def middles(shape: tuple[int, ...], edge: int) -> NDArray[np.bool_]:
    """Return the middle half along both axes of every crop, as a mask."""
    inside = [
        (np.arange(side) % edge >= edge // 4) & (np.arange(side) % edge < 3 * edge // 4)
        for side in shape
    ]
    mask: NDArray[np.bool_] = inside[0][:, None] & inside[1][None, :]
    return mask
