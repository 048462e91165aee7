"""Butterworth low-pass filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import dctn, idctn

from lowdose.filters.arguments import as_frame
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lowdose.denoiser import Measures

CUTOFF = Parameter(
    name="cutoff",
    kind="float",
    default=0.15,
    minimum=0.001,
    maximum=1.0,
    unit="1/px",
    help="Spatial frequency that is halved; smaller is smoother.",
)
ORDER = Parameter(
    name="order",
    kind="float",
    default=1.0,
    minimum=0.5,
    maximum=20.0,
    help="Steepness of the fall beyond the cutoff; large ones ring at edges.",
)


def butterworth_lowpass(
    frame: ArrayLike, *, cutoff: float = 0.15, order: float = 1.0
) -> Frame:
    r"""Multiply the spectrum by :math:`1 / (1 + (f / f_c)^{2n})`.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    cutoff : float, optional
        Spatial frequency f_c that is halved [1/px]; 0.5 is Nyquist's.
    order : float, optional
        The order n: the steepness.

    Returns
    -------
    ndarray, shape (H, W), float64
        The filtered frame, of the same mean. The cosine transform is used, so that
        the border is a mirror and opposite borders do not mix.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] S. Butterworth, "On the theory of filter amplifiers", Wireless Engineer 7
       (1930) 536-541 (the square of its amplitude, without phase).
    .. [2] R. C. Gonzalez, R. E. Woods, Digital Image Processing, Pearson 2018,
       section 4.8.
    """
    values = as_frame(frame)
    cutoff = float(CUTOFF.validate(cutoff))
    order = float(ORDER.validate(order))
    # The cosine of index k along N pixels has the frequency k / 2N.
    y, x = (np.arange(size) / (2 * size) for size in values.shape)
    squared = (np.square(y)[:, None] + np.square(x)) / cutoff**2
    spectrum = dctn(values, norm="ortho")
    spectrum /= 1 + squared**order
    filtered: Frame = idctn(spectrum, norm="ortho", overwrite_x=True)
    return filtered


def _apply(frame: Frame, values: Values, _measures: Measures) -> Frame:
    return butterworth_lowpass(
        frame, cutoff=float(values["cutoff"]), order=float(values["order"])
    )


BUTTERWORTH = FilterSpec(
    name="butterworth",
    title="Butterworth low-pass",
    summary=(
        "Removes high spatial frequencies: linear, for specimens whose detail ends "
        "at a known resolution."
    ),
    reference=(
        "R. C. Gonzalez, R. E. Woods, Digital Image Processing, Pearson 2018, section "
        "4.8"
    ),
    own=(CUTOFF, ORDER),
    apply=_apply,
    reach=lambda _values: None,
    bytes_per_pixel=60.0,
)
