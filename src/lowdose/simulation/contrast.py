"""Whether the atom columns of an image are white, black, or in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CLASSES: Final = ("black", "intermediate", "white", "none")
#: Share of the swing about the vacuum that is above it, below which columns count as
#: black and above which as white.
_BLACK, _WHITE = 0.22, 0.61
#: A swing below this share of the vacuum shows no specimen.
_FLAT: Final = 0.02


def contrast_class(image: ArrayLike, vacuum: float) -> str:
    """Return the contrast class of a clean image.

    SBD sort their images by whether atom columns look white, black or in between, by
    eye. Here: with a the 99.5th percentile of the image minus the vacuum, and b the
    vacuum minus the 0.5th percentile, the image is white where a/(a+b) is above 0.61,
    black where it is below 0.22, and intermediate between. It is of class "none" where
    a + b is below 2 % of the vacuum, as in an image of vacuum alone.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Clean intensity.
    vacuum : float
        Intensity of the vacuum.

    Returns
    -------
    {"black", "intermediate", "white", "none"}
    """
    low, high = np.percentile(np.asarray(image, np.float64), [0.5, 99.5])
    above, below = max(high - vacuum, 0.0), max(vacuum - low, 0.0)
    if above + below < _FLAT * vacuum:
        return "none"
    share = above / (above + below)
    return "black" if share < _BLACK else "white" if share > _WHITE else "intermediate"
