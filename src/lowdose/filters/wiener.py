"""Locally adaptive Wiener filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter

from lowdose.filters.arguments import as_amplitude, as_frame
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.noise import noise_sigma
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lowdose.denoiser import Measures

RADIUS = Parameter(
    name="radius",
    kind="int",
    default=2,
    minimum=1,
    maximum=50,
    unit="px",
    help="The window is a square of twice this plus one; larger is smoother.",
)
STRENGTH = Parameter(
    name="strength",
    kind="float",
    default=1.0,
    minimum=0.0,
    maximum=100.0,
    help="Noise variance to assume, in units of the measured one; larger is smoother.",
)
NOISE_FROM = Parameter(
    name="noise_from",
    kind="choice",
    default="highpass",
    choices=("highpass", "windows"),
    help="Measure the noise at the highest frequencies, or as the mean local variance.",
    advanced=True,
)
BORDER = Parameter(
    name="border",
    kind="choice",
    default="mirror",
    choices=("mirror", "zero"),
    help="What lies beyond the border of the frame.",
    advanced=True,
)

_NDIMAGE_MODE = {"mirror": "mirror", "zero": "constant"}


def wiener_filter(
    frame: ArrayLike, *, radius: int = 2, noise: float, border: str = "mirror"
) -> Frame:
    r"""Draw every pixel towards its local mean, the more the less varies around it.

    .. math::

        y = m + \frac{\max(v - n, 0)}{\max(v, n)} (x - m)

    with mean m and variance v of a square window and noise variance n [1]_ [2]_.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    radius : int, optional
        The window is ``2 * radius + 1`` pixels wide [px].
    noise : float
        Noise variance [counts²].
    border : {"mirror", "zero"}, optional
        What lies beyond the border: the mirror image, or zeros as for
        ``scipy.signal.wiener``, which darkens it.

    Returns
    -------
    ndarray, shape (H, W), float64
        The filtered frame.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] J.-S. Lee, "Digital image enhancement and noise filtering by use of local
       statistics", IEEE Trans. Pattern Anal. 2 (1980) 165-168,
       doi:10.1109/TPAMI.1980.4766994.
    .. [2] J. S. Lim, "Two-Dimensional Signal and Image Processing", Prentice Hall
       1990, equation 9.27.
    """
    values = as_frame(frame)
    radius = int(RADIUS.validate(radius))
    noise = as_amplitude("noise", noise)
    mode = _NDIMAGE_MODE[str(BORDER.validate(border))]
    mean, variance = _local_moments(values, radius, mode)
    largest = np.maximum(variance, noise)
    # Where neither noise nor variance is left, the pixel is its mean.
    kept = np.divide(
        np.maximum(variance - noise, 0.0),
        largest,
        out=np.zeros_like(largest),
        where=largest > 0,
    )
    kept *= values - mean
    kept += mean
    return kept


def mean_local_variance(
    frame: ArrayLike, *, radius: int = 2, border: str = "mirror"
) -> float:
    """Return the mean of the local variance, the noise ``scipy.signal.wiener`` assumes.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    radius, border
        As for :func:`wiener_filter`.

    Returns
    -------
    float
        Variance [counts²]: noise and specimen together.
    """
    radius = int(RADIUS.validate(radius))
    mode = _NDIMAGE_MODE[str(BORDER.validate(border))]
    return float(_local_moments(as_frame(frame), radius, mode)[1].mean())


def _local_moments(values: Frame, radius: int, mode: str) -> tuple[Frame, Frame]:
    """Return mean and variance in square windows."""
    size = 2 * radius + 1
    # About a constant near the mean, squares keep their digits. Zeros beyond the
    # border are zeros of the frame itself, so then there is nothing to take off.
    middle = float(values.flat[0]) if mode == "mirror" else 0.0
    centred = values - middle
    mean = uniform_filter(centred, size, mode=mode)
    variance = uniform_filter(np.square(centred), size, mode=mode) - np.square(mean)
    return mean + middle, np.maximum(variance, 0.0)


def _measure(frame: Frame, values: Values) -> dict[str, float]:
    if values["noise_from"] == "highpass":
        return {"noise_variance": noise_sigma(frame) ** 2}
    border = str(values["border"])
    variance = mean_local_variance(frame, radius=int(values["radius"]), border=border)
    return {"noise_variance": variance}


def _apply(frame: Frame, values: Values, measures: Measures) -> Frame:
    return wiener_filter(
        frame,
        radius=int(values["radius"]),
        noise=float(values["strength"]) * measures["noise_variance"],
        border=str(values["border"]),
    )


WIENER = FilterSpec(
    name="wiener",
    title="Adaptive Wiener filter",
    summary=(
        "Smooths where the local variance is that of the noise and keeps pixels where "
        "it is larger."
    ),
    reference="J.-S. Lee, IEEE PAMI 2 (1980) 165, doi:10.1109/TPAMI.1980.4766994",
    own=(RADIUS, STRENGTH, NOISE_FROM, BORDER),
    apply=_apply,
    reach=lambda values: int(values["radius"]),
    measure=_measure,
    presets={"ede2018": {"radius": 1, "noise_from": "windows", "border": "zero"}},
    bytes_per_pixel=62.0,
)
