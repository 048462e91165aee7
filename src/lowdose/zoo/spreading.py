"""Summing pixels to the sampling of a network, and interpolating its answer back.

The network is trained to answer with the *samples* of the image at the centres of the
blocks, not with means over them: it undoes the blur of the summing itself. The image on
the full grid is then the one band-limited function through those samples, by a discrete
cosine transform, which has no seam at the border as a Fourier transform would.
What lies beyond the band is left out on purpose: there it is nearly all noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import dctn, idctn

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


def spread(samples: NDArray[np.float32], binning: int) -> NDArray[np.float32]:
    """Interpolate samples at the centres of blocks to every pixel.

    Parameters
    ----------
    samples : ndarray, shape (..., rows, columns), float32
        Counts per block.
    binning : int
        Edge of a block [px].

    Returns
    -------
    ndarray, shape (..., rows * binning, columns * binning), float32
        Counts expected in each pixel: the band-limited image through the samples,
        averaged over the pixel. It keeps the mean of the samples exactly.
    """
    *lead, rows, columns = samples.shape
    spectrum = dctn(samples.astype(np.float64), axes=(-2, -1), norm="ortho")
    spectrum *= _averaging(rows, binning)[:, None] * _averaging(columns, binning)
    wide = np.zeros((*lead, rows * binning, columns * binning))
    # Orthonormal coefficients grow with the square root of the number of pixels,
    # and a block holds binning**2 times the counts of a pixel.
    wide[..., :rows, :columns] = spectrum / binning
    image = idctn(wide, axes=(-2, -1), norm="ortho", overwrite_x=True)
    return np.asarray(image, np.float32)


def spreading(length: int, binning: int, pixel: int) -> NDArray[np.float64]:
    """Return what each sample along one axis adds to a pixel in :func:`spread`.

    Parameters
    ----------
    length : int
        Number of samples.
    binning : int
        Edge of a block [px].
    pixel : int
        Of the full grid.

    Returns
    -------
    ndarray, shape (length,)
        Weights of the samples; those of the two axes multiply.
    """
    order = np.arange(length)
    basis = np.cos(np.pi * (order[:, None] + 0.5) * order / length)
    at = np.cos(np.pi * (pixel + 0.5) * order / (length * binning))
    at *= np.where(order == 0, 1.0, 2.0) * _averaging(length, binning)
    return np.asarray(basis @ at / (length * binning))


def _averaging(length: int, binning: int) -> NDArray[np.float64]:
    """Return what averaging over a pixel leaves of each cosine of `length` samples."""
    return np.asarray(np.sinc(np.arange(length) / (2 * length * binning)))
