"""Faults of networks that error maps show: worse borders, and grids.

Ede and Beanland [1]_ found both in the mean errors of their network: errors grow within
a few pixels of the edge, where the network sees padding, and upsampling leaves a
grid of the period of its stride. Here both are numbers.

References
----------
.. [1] J. M. Ede, R. Beanland, "Improving electron micrograph signal-to-noise with an
   atrous convolutional encoder-decoder", Ultramicroscopy 202 (2019) 18-25,
   doi:10.1016/j.ultramic.2019.03.017.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.signal import windows

from lowdose.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Periods at which networks upsample [px].
STRIDES: Final = (2, 4, 8, 16)
#: Frequencies round a grid frequency that make its background: farther than the lobe
#: of the window, nearer than the next structure [steps of frequency].
_NEAR: Final = 3
_FAR: Final = 6


def border_ratio(squared_error: ArrayLike, *, width: int = 4) -> float:
    """Return the error at the border over that inside.

    Parameters
    ----------
    squared_error : array_like, shape (H, W)
        Squared error of every pixel [counts²]; NaN is left out.
    width : int, optional
        How many pixels from the edge the border reaches [px].

    Returns
    -------
    float
        Root mean square at the border over that in the rest; 1 is no difference.
        NaN where the inside has no error at all.

    Raises
    ------
    InvalidImageError
        If no inside is left, or nothing is finite.
    """
    errors = np.asarray(squared_error, dtype=np.float64)
    if errors.ndim != 2 or min(errors.shape) <= 2 * width:
        msg = (
            f"An image of shape {errors.shape} has no inside {width} px from its "
            "border."
        )
        raise InvalidImageError(msg)
    inside = np.zeros(errors.shape, dtype=bool)
    inside[width:-width, width:-width] = True
    finite = np.isfinite(errors)
    if not (finite & inside).any() or not (finite & ~inside).any():
        msg = "The border or the inside of the error map has no finite pixel."
        raise InvalidImageError(msg)
    within = float(errors[finite & inside].mean())
    around = float(errors[finite & ~inside].mean())
    return math.sqrt(around / within) if within > 0 else math.nan


def grid_power(
    error: ArrayLike, *, strides: tuple[int, ...] = STRIDES
) -> dict[int, float]:
    """Return how far the power at the frequencies of a grid exceeds its surroundings.

    Parameters
    ----------
    error : array_like, shape (H, W)
        An error map, such as the mean absolute error over many instances; NaN is
        taken as the mean.
    strides : tuple of int, optional
        Periods to look at [px]. Each is credited with the frequencies that no
        smaller one of them has.

    Returns
    -------
    dict of int to float
        Mean power at the frequencies k/stride over that of their neighbourhood; about
        1 without a grid. Strides of which the image does not hold eight periods are
        left out.
    """
    values = np.asarray(error, dtype=np.float64)
    result: dict[int, float] = {}
    seen: set[tuple[float, float]] = {(0.0, 0.0)}
    for stride in sorted(strides):
        height, width = (n // stride * stride for n in values.shape)
        if min(height, width) < 8 * stride:
            continue
        power = _power(values[:height, :width])
        ratios = []
        for i in range(stride):
            for j in range(stride):
                frequency = (i / stride, j / stride)
                if frequency in seen:
                    continue
                seen.add(frequency)
                row, column = i * height // stride, j * width // stride
                ratios.append(power[row, column] / _background(power, row, column))
        result[stride] = float(np.mean(ratios))
    return result


def _power(values: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.isfinite(values)
    centred = np.where(finite, values - values[finite].mean(), 0.0)
    window = np.outer(*(windows.hann(n, sym=False) for n in values.shape))
    return np.asarray(np.abs(np.fft.fft2(centred * window)) ** 2)


def _background(power: NDArray[np.float64], row: int, column: int) -> float:
    """Return the mean power round one frequency, without the lobe of its peak."""
    steps = np.arange(-_FAR, _FAR + 1)
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    ring = np.maximum(np.abs(rows), np.abs(columns)) >= _NEAR
    height, width = power.shape
    around = power[(row + rows[ring]) % height, (column + columns[ring]) % width]
    return max(float(around.mean()), np.finfo(np.float64).tiny)
