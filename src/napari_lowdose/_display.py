"""Contrast limits in which counts can be seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def display_limits(
    frame: NDArray[Any], reference: tuple[float, float]
) -> tuple[float, float]:
    """Return contrast limits in which a denoised frame can be seen.

    Parameters
    ----------
    frame : ndarray
        Denoised counts; not finite pixels are left out.
    reference : tuple of float
        The limits of the noisy layer. They are kept where the result uses a good
        part of them, for then both can be compared by eye. At low dose it does not:
        counts of 0.45 e-/px are shown from 0 to 4, and what is left of them without
        the noise, from 0.3 to 0.6, would be one flat grey.

    Returns
    -------
    tuple of float
        Low and high limit, in counts, low < high.
    """
    limits = extremes(frame)
    if limits is None:
        return reference
    low, high = limits
    if high - low >= 0.5 * (reference[1] - reference[0]):
        return reference
    margin = 0.05 * (high - low)
    if not margin > 1e-6 * max(abs(low), abs(high)):  # one value: show it mid-grey
        margin = 0.5 * (abs(low) or 1.0)
    return low - margin, high + margin


def extremes(frame: NDArray[Any]) -> tuple[float, float] | None:
    """Return the values between which nearly all pixels of a frame lie."""
    step = max(1, math.isqrt(frame.size // 1_000_000))
    sample = np.asarray(frame[..., ::step, ::step], dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return None
    low, high = np.percentile(sample, (0.2, 99.8))
    return float(low), float(high)
