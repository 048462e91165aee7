r"""Canonical sampling: the pixel size that a network works at, and the way there.

Micrographs at atomic resolution are oversampled: the aberrations of the lens end the
spectrum far below the highest frequency of the pixels. Nothing is lost if blocks of
pixels are summed, and summed Poisson counts are Poisson counts. So a network may work
at one sampling near the information limit, whatever the magnification: it needs fewer
pixels by the square of the binning, and sees a field of view as much larger.

The network is trained to answer with the *samples* of the image at the centres of the
blocks, not with means over them: it undoes the blur of the summing itself. The image on
the full grid is then the one band-limited function through those samples, by a discrete
cosine transform, which has no seam at the border as a Fourier transform would.
What lies beyond the band is left out on purpose: there it is nearly all noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.fft import dctn, idctn

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Largest edge of a block [px].
MOST_BINNING: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The pixel sizes that a network was trained at.

    Parameters
    ----------
    pixel_size : float
        The one it knows best [nm].
    finest, coarsest : float
        Range that it was trained for [nm]; the coarsest at least twice the finest, or
        some micrographs could not be brought into it.

    Raises
    ------
    ParameterError
        If they are not positive and in order.
    """

    pixel_size: float
    finest: float
    coarsest: float

    def __post_init__(self) -> None:
        values = (self.finest, self.pixel_size, self.coarsest)
        if not (
            all(math.isfinite(v) for v in values)
            and 0 < self.finest <= self.pixel_size <= self.coarsest
        ):
            msg = (
                f"finest={self.finest}, pixel_size={self.pixel_size} and coarsest="
                f"{self.coarsest} [nm] must be positive and in this order."
            )
            raise ParameterError(msg)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Sampling:
        """Read the ``[sampling]`` table of a model card or a recipe.

        Raises
        ------
        ParameterError
            If a value is missing, unknown or not a number.
        """
        names = ("pixel_size_nm", "finest_nm", "coarsest_nm")
        if set(table) != set(names):
            msg = f"sampling has {sorted(table)}; it must have {', '.join(names)}."
            raise ParameterError(msg)
        for name in names:
            if isinstance(table[name], bool) or not isinstance(
                table[name], int | float
            ):
                msg = f"sampling.{name}={table[name]!r} must be a number [nm]."
                raise ParameterError(msg)
        return cls(
            pixel_size=float(table["pixel_size_nm"]),
            finest=float(table["finest_nm"]),
            coarsest=float(table["coarsest_nm"]),
        )

    def to_table(self) -> dict[str, float]:
        """Return the ``[sampling]`` table."""
        return {
            "pixel_size_nm": self.pixel_size,
            "finest_nm": self.finest,
            "coarsest_nm": self.coarsest,
        }

    def binning_for(self, pixel_size: float) -> int:
        """Return how many pixels to sum along each edge of a block.

        Parameters
        ----------
        pixel_size : float
            Of the micrograph [nm].

        Returns
        -------
        int
            At least 1. The sums are as near as can be, by ratio, to the sampling that
            the network knows best; a binning that brings them into its range goes
            before one that does not.
        """
        most = min(MOST_BINNING, math.ceil(self.coarsest / pixel_size))

        def distance(binning: int) -> tuple[bool, float]:
            size = pixel_size * binning
            return not self.covers(size), abs(math.log(size / self.pixel_size))

        return min(range(1, max(1, most) + 1), key=distance)

    def covers(self, pixel_size: float) -> bool:
        """Tell whether the network was trained at a pixel size [nm]."""
        # A pixel size read from a file is rounded.
        return 0.999 * self.finest <= pixel_size <= 1.001 * self.coarsest


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
