"""Summing pixels to the sampling of a network, and interpolating its answer back.

A network of one sampling is trained to answer with the *samples* of the image at the
centres of the blocks, not with means over them: it undoes the blur of the summing
itself. One that takes any pixels answers with means over blocks as it would over
pixels, and their blur is undone here. The image on the full grid is then the one
band-limited function through those samples, by a discrete cosine transform, which has
no seam at the border as a Fourier transform would.
What lies beyond the band is left out on purpose: there it is nearly all noise.

The transform and its inverse are one product with a matrix along each axis. That costs
less than the transforms themselves where blocks are wide, runs on any device, and is
the same inside exported programs.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bin_counts(frames: NDArray[np.float32], binning: int) -> NDArray[np.float32]:
    """Sum blocks of pixels.

    Parameters
    ----------
    frames : ndarray, shape (..., H, W), float32
        Counts; H and W multiples of `binning`.
    binning : int
        Edge of a block [px].

    Returns
    -------
    ndarray, shape (..., H / binning, W / binning), float32
        Counts per block.
    """
    if binning == 1:
        return frames
    *lead, height, width = frames.shape
    blocks = frames.reshape(
        *lead, height // binning, binning, width // binning, binning
    )
    # Single precision would lose single counts of bright blocks.
    sums = blocks.sum(axis=(-3, -1), dtype=np.float64)
    return np.asarray(sums, np.float32)


def summed(frames: Tensor, binning: int) -> Tensor:
    """Do as :func:`bin_counts`, with tensors."""
    if binning == 1:
        return frames
    *lead, height, width = frames.shape
    rows, columns = height // binning, width // binning
    blocks = frames.double().reshape(*lead, rows, binning, columns, binning)
    return blocks.sum((-3, -1)).float()


def displaced(frames: Tensor, down: int, right: int) -> Tensor:
    """Look at frames through a window that is displaced, and mirrored at the border.

    Parameters
    ----------
    frames : Tensor, shape (..., H, W)
        Counts.
    down, right : int
        By how much, of at most the size of the frames [px].

    Returns
    -------
    Tensor, shape (..., H, W)
        Its pixel (0, 0) is pixel (`down`, `right`) of the frames.
    """
    if right:
        frames = _moved(frames, right)
    return _moved(frames.mT, down).mT if down else frames


def _moved(frames: Tensor, by: int) -> Tensor:
    if by > 0:
        return torch.cat([frames[..., by:], frames[..., -by:].flip(-1)], -1)
    return torch.cat([frames[..., :-by].flip(-1), frames[..., :by]], -1)


def spreading(
    length: int, binning: int, displacement: int = 0, *, means: bool = False
) -> Tensor:
    """Return what each sample along an axis adds to each pixel.

    Parameters
    ----------
    length : int
        Number of samples.
    binning : int
        Edge of a block [px].
    displacement : int, optional
        Where the first block begins, as that of :func:`displaced` [px].
    means : bool, optional
        Whether the samples are means over the blocks, not the image at their centres.

    Returns
    -------
    Tensor, shape (length * binning, length), float32
        For the counts expected in each pixel: the band-limited image through the
        samples, averaged over the pixel. It keeps their mean exactly. 0 for pixels that
        no block holds; see :func:`held`.
    """
    order = torch.arange(length)
    # Sizes as tensors: as numbers in a program they are known to few operators.
    size = torch.scalar_tensor(length, dtype=torch.int64)
    there = _cosines(order, order, size)
    pixels = size * binning
    places = torch.arange(length * binning)
    back = _cosines(places - displacement, order, pixels)
    # What averaging over a pixel leaves of each cosine.
    angle = order.double() * math.pi / (2 * pixels).double()
    averaged = torch.where(order == 0, 1.0, 2 * _averaged(angle))
    if means:
        averaged = averaged / _averaged(angle * binning)
    weights = (averaged / pixels.double()).float()
    matrix = (back * weights) @ there.mT
    return matrix * held(length, binning, displacement)[:, None]


def spread(
    samples: NDArray[np.float32], binning: int, *, means: bool = False
) -> NDArray[np.float32]:
    """Interpolate samples at the centres of blocks to every pixel.

    Parameters
    ----------
    samples : ndarray, shape (..., rows, columns), float32
        Counts per block.
    binning : int
        Edge of a block [px].
    means : bool, optional
        As for :func:`spreading`.

    Returns
    -------
    ndarray, shape (..., rows * binning, columns * binning), float32
        As of :func:`spreading` along both axes.
    """
    rows, columns = (
        kept_spreading(n, binning, means=means).numpy() for n in samples.shape[-2:]
    )
    return np.asarray(rows @ samples @ columns.T, np.float32)


def held(length: int, binning: int, displacement: int = 0) -> Tensor:
    """Return 1 for the pixels along an axis that blocks hold, and 0 for the others.

    Parameters
    ----------
    length, binning, displacement : int
        As for :func:`spreading`.

    Returns
    -------
    Tensor, shape (length * binning,), float32
    """
    places = torch.arange(length * binning) - displacement
    inside = (places >= 0) & (places < length * binning)
    return inside.float()


@functools.lru_cache(maxsize=16)
def kept_spreading(
    length: int, binning: int, displacement: int = 0, *, means: bool = False
) -> Tensor:
    """Return :func:`spreading` of a size that is needed again and again."""
    with torch.inference_mode(mode=False):
        return spreading(length, binning, displacement, means=means)


def _averaged(angle: Tensor) -> Tensor:
    """Return what averaging over twice an angle leaves of a cosine."""
    return torch.where(angle == 0, 1.0, angle.sin() / angle.clamp(min=1e-9))


def _cosines(places: Tensor, order: Tensor, size: Tensor) -> Tensor:
    """Return cos(pi (place + 1/2) order / size)."""
    # Whole turns are taken off while the numbers are exact.
    phase = torch.remainder((2 * places[:, None] + 1) * order, 4 * size)
    return torch.cos(phase.double() * math.pi / (2 * size).double()).float()
