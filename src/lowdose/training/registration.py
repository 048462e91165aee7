"""Drift between frames, by phase correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: Blur before two frames are compared [px]: specimen is at low frequencies, and at a
#: fraction of an electron per pixel the high ones are noise alone.
_BLUR = 2.0


def shift_between(first: Image, second: Image) -> tuple[int, int]:
    """Measure how far the second frame must be moved to lie on the first.

    Parameters
    ----------
    first, second : ndarray, shape (H, W)
        Counts.

    Returns
    -------
    rows, columns : int
        In whole pixels: interpolation would blur the frame, and its noise with it.

    Notes
    -----
    Cross-correlation of the blurred, tapered frames less their mean, by
    :func:`skimage.registration.phase_cross_correlation` without normalisation, which
    does not amplify frequencies that hold noise alone. The implementation follows
    [1]_.

    References
    ----------
    .. [1] M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup, "Efficient subpixel image
       registration algorithms", Opt. Lett. 33, 156 (2008). doi:10.1364/OL.33.000156
    """
    from skimage.registration import phase_cross_correlation

    taper = np.outer(*(np.hanning(n + 2)[1:-1] for n in first.shape))
    a, b = (
        taper * (blurred - blurred.mean())
        for blurred in (
            gaussian_filter(f.astype(np.float64), _BLUR) for f in (first, second)
        )
    )
    shift, _, _ = phase_cross_correlation(a, b, normalization=None)  # type: ignore[no-untyped-call]
    return round(float(shift[0])), round(float(shift[1]))


def overlap(first: Image, second: Image, shift: tuple[int, int]) -> tuple[Image, Image]:
    """Cut two frames to what both show.

    Parameters
    ----------
    first, second : ndarray, shape (H, W)
        Counts.
    shift : tuple of int
        Of :func:`shift_between`.

    Returns
    -------
    first, second : ndarray
        Of one shape, pixel on pixel.
    """
    parts: list[list[slice]] = [[], []]
    for moved, length in zip(shift, first.shape, strict=True):
        parts[0].append(slice(max(0, moved), length + min(0, moved)))
        parts[1].append(slice(max(0, -moved), length + min(0, -moved)))
    return first[tuple(parts[0])], second[tuple(parts[1])]
