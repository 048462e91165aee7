"""The check that every filter makes of what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def as_frame(image: ArrayLike) -> NDArray[np.float64]:
    """Return an image as one frame of float64.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Finite real numbers.

    Returns
    -------
    ndarray, shape (H, W), float64
        The input itself where it already is one: not to be written to.

    Raises
    ------
    InvalidImageError
        If it has not two axes, no pixels, complex or no numbers, NaN or Inf.
    """
    values = np.asarray(image)
    if values.dtype.kind not in "buif":
        msg = f"The frame has the type {values.dtype}; real numbers are needed."
        raise InvalidImageError(msg)
    if values.ndim != 2 or not values.size:
        msg = (
            f"The frame has shape {values.shape}; a filter works on one frame of two "
            "axes with at least one pixel."
        )
        raise InvalidImageError(msg)
    frame = np.asarray(values, dtype=np.float64)
    if not np.isfinite(frame).all():
        msg = (
            "The frame has NaN or Inf pixels, which a filter would spread. Mask them "
            "first, or use lowdose.denoise, which does."
        )
        raise InvalidImageError(msg)
    return frame
