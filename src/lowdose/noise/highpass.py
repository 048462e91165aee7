"""The finest detail of an image, where noise is strong and the specimen weak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def residual(frame: NDArray[np.float64], *, step: int = 1) -> NDArray[np.float64]:
    """Return the high-frequency residual of a frame, of the variance of its noise.

    The second difference along both axes, that is the convolution with
    ``[[1, -2, 1], [-2, 4, -2], [1, -2, 1]] / 6`` [1]_. It is zero on any sum of a
    function of the row and a function of the column, and on any bilinear surface;
    on white noise of standard deviation s it has standard deviation s.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float64
        Any size from 1 x 1.
    step : int, optional
        Distance of the samples that are differenced [px]: 2 looks one octave lower,
        4 two.

    Returns
    -------
    ndarray, shape (max(H - 2 * step, 1), max(W - 2 * step, 1)), float64
        Only where the kernel fits. Along an axis too short for it, from two pixels,
        the first difference of its ends takes the place of the second, and an axis
        of one pixel is left alone; a single pixel gives zero.

    References
    ----------
    .. [1] J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image
       Understanding 64 (1996) 300-302, doi:10.1006/cviu.1996.0060, equation 3.
    """
    if frame.size == 1:
        return np.zeros((1, 1))
    for axis in (0, 1):
        line = np.swapaxes(frame, 0, axis)
        size = line.shape[0]
        if size > 2 * step:
            line = line[: -2 * step] - 2 * line[step:-step] + line[2 * step :]
            line = line / np.sqrt(6.0)
        elif size > 1:
            line = (line[-1:] - line[:1]) / np.sqrt(2.0)
        frame = np.swapaxes(line, 0, axis)
    return frame


def noise_sigma(frame: ArrayLike) -> float:
    """Estimate the standard deviation of white noise in a frame [counts].

    The root mean square of the high-frequency residual (see :func:`residual`). The
    mean square is taken instead of the mean absolute value of the paper [1]_: it is
    exact for any distribution of the noise, and works on counts so sparse that most
    pixels, and the median of anything, are zero.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Finite values; any size from 1 x 1.

    Returns
    -------
    float
        Noise [counts rms], the root of the mean variance over the frame where it
        depends on the signal. It is an upper bound where the specimen has detail as
        fine as a pixel, and too small where the detector has blurred the noise.
        Frames of one or two rows or columns are measured along the other axis (with
        a gradient there as if it was noise, on two pixels); one pixel gives 0.

    Raises
    ------
    InvalidImageError
        If the frame has not two axes or no pixels.

    References
    ----------
    .. [1] J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image
       Understanding 64 (1996) 300-302, doi:10.1006/cviu.1996.0060.
    """
    values = np.asarray(frame, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        msg = f"A frame has two axes and at least one pixel; got {values.shape}."
        raise InvalidImageError(msg)
    return float(np.sqrt(np.mean(np.square(residual(values)))))
