"""Scores that several protocols share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import InvalidImageError
from lowdose.metrics import psnr, ssim

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frame = NDArray[np.floating[Any]]


def fidelity(estimate: Frame, truth: Frame) -> dict[str, Any]:
    """Score a denoised image against the truth, its range being the peak.

    Parameters
    ----------
    estimate, truth : ndarray, shape (H, W)
        In the same counts.

    Returns
    -------
    dict
        ``mse``, ``psnr_range`` [dB] and ``ssim``; the latter two None where the truth
        is constant.
    """
    error = float(np.mean(np.square(np.asarray(estimate, np.float64) - truth)))
    values: dict[str, Any] = {"mse": error, "psnr_range": None, "ssim": None}
    try:
        values["psnr_range"] = finite(psnr(estimate, truth))
        values["ssim"] = ssim(estimate, truth)
    except InvalidImageError:  # a constant truth has neither
        return values
    return values


def finite(value: float) -> float | None:
    """Return a number, or None where it is infinite or NaN."""
    return value if math.isfinite(value) else None
