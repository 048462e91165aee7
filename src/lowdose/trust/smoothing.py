"""Averages over a neighbourhood, of maps that have holes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray


def local_mean(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return Gaussian averages over the pixels that are finite.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        NaN in holes.
    sigma : float
        Standard deviation of the weights [px]; 0 leaves the values as they are.

    Returns
    -------
    ndarray, shape (H, W), float64
        NaN in the same holes.
    """
    if sigma == 0:
        return np.array(values, dtype=np.float64)
    finite = np.isfinite(values)
    if finite.all():
        return np.asarray(gaussian_filter(values, sigma, mode="reflect"))
    total = gaussian_filter(np.where(finite, values, 0.0), sigma, mode="reflect")
    weight = gaussian_filter(finite.astype(np.float64), sigma, mode="reflect")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(finite, total / weight, np.nan)


def averaged_pixels(sigma: float) -> float:
    r"""Return how many independent pixels a Gaussian average is worth.

    The variance of the average of white noise is smaller by this factor,
    :math:`4 \pi \sigma^2` for a sigma of a pixel and more.
    """
    return max(1.0, 4 * np.pi * sigma**2)
