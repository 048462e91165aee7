"""Counts to what a network sees, and its answer back to counts, as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def standardised(
    counts: Tensor, mean: NDArray[np.float64], sigma: NDArray[np.float64]
) -> Tensor:
    """Return ``(counts - mean) / sigma``.

    Parameters
    ----------
    counts : Tensor, shape (N, F, H, W), float32
        On any device.
    mean, sigma : ndarray, shape (N, 1, 1)
        Of each image [counts].

    Returns
    -------
    Tensor, shape (N, F, H, W), float32
        A new one.
    """
    # The mean in two parts, of which the first leaves a difference that is exact:
    # counts with a large offset would else lose their last digits in single precision.
    coarse = mean.astype(np.float32)
    difference = counts.sub(_as_floats(coarse, counts))
    difference.sub_(_as_floats(mean - coarse, counts))
    return difference.div_(_as_floats(sigma, counts))


def restore(
    answer: Tensor, mean: NDArray[np.float64], sigma: NDArray[np.float64]
) -> Tensor:
    """Turn an answer into ``answer * sigma + mean``, in place.

    Parameters
    ----------
    answer : Tensor, shape (N, C, H, W), float32
        What a network made of :func:`standardised` counts.
    mean, sigma : ndarray, shape (N, 1, 1)
        Of each image [counts].

    Returns
    -------
    Tensor
        The same one.
    """
    return answer.mul_(_as_floats(sigma, answer)).add_(_as_floats(mean, answer))


def _as_floats(column: NDArray[np.floating], like: Tensor) -> Tensor:
    """Return a value for each image, (N, 1, 1), to act on images (N, F, H, W)."""
    return torch.from_numpy(column.astype(np.float32)).to(like.device)[:, None]
