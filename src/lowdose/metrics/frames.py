"""The check that every score begins with: finite images of one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def matching(**images: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Return images as float64, after checking that they can be compared.

    Parameters
    ----------
    **images : array_like
        Images by the name that messages call them.

    Returns
    -------
    tuple of ndarray, float64
        In the order given.

    Raises
    ------
    InvalidImageError
        If the shapes differ, or an image is empty or has NaN or Inf.
    """
    arrays = {
        name: np.asarray(image, dtype=np.float64) for name, image in images.items()
    }
    first_name, first = next(iter(arrays.items()))
    for name, array in arrays.items():
        if array.shape != first.shape:
            msg = (
                f"The {name} has shape {array.shape} and the {first_name} "
                f"{first.shape}; images of one shape can be compared."
            )
            raise InvalidImageError(msg)
        if not array.size:
            msg = f"The {name} is empty (shape {array.shape})."
            raise InvalidImageError(msg)
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            msg = (
                f"The {name} has {bad} pixels that are NaN or infinite; leave them "
                "out, for example by cropping."
            )
            raise InvalidImageError(msg)
    return tuple(arrays.values())
