"""Gaussian blur."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.ndimage import gaussian_filter

from lowdose.filters.arguments import as_frame
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lowdose.denoiser import Measures

SIGMA = Parameter(
    name="sigma",
    kind="float",
    default=1.5,
    minimum=0.1,
    maximum=50.0,
    unit="px",
    help="Standard deviation of the blur; larger is smoother.",
)
RADIUS = Parameter(
    name="radius",
    kind="int",
    default=0,
    minimum=0,
    maximum=250,
    unit="px",
    help="Cut the kernel off at this distance; 0 is four standard deviations.",
    advanced=True,
)


def gaussian_blur(frame: ArrayLike, *, sigma: float = 1.5, radius: int = 0) -> Frame:
    """Convolve with a Gaussian.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    sigma : float, optional
        Standard deviation [px].
    radius : int, optional
        Half width of the sampled, renormalised kernel [px]; 0 for 4 `sigma`.

    Returns
    -------
    ndarray, shape (H, W), float64
        The blurred frame; the border is mirrored about its pixels.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    Notes
    -----
    ``sigma=0.8493`` with ``radius=1`` is the kernel (1, 2, 1) / 4 that OpenCV's
    ``GaussianBlur(image, (3, 3), 0)`` uses [1]_ (its documented formula, sigma 0.8,
    is not applied to kernels of 3 to 7 pixels).

    References
    ----------
    .. [1] OpenCV, modules/imgproc/src/smooth.dispatch.cpp, getGaussianKernel.
    """
    sigma, radius = float(SIGMA.validate(sigma)), int(RADIUS.validate(radius))
    blurred: Frame = gaussian_filter(
        as_frame(frame), sigma, radius=radius or _automatic(sigma), mode="mirror"
    )
    return blurred


def _automatic(sigma: float) -> int:
    return math.ceil(4 * sigma)


def _apply(frame: Frame, values: Values, _measures: Measures) -> Frame:
    return gaussian_blur(
        frame, sigma=float(values["sigma"]), radius=int(values["radius"])
    )


def _reach(values: Values) -> int:
    return int(values["radius"]) or _automatic(float(values["sigma"]))


GAUSSIAN = FilterSpec(
    name="gaussian",
    title="Gaussian blur",
    summary=(
        "Averages neighbours with a Gaussian weight: quick, linear, and blurs the "
        "specimen as much as the noise."
    ),
    reference=(
        "R. C. Gonzalez, R. E. Woods, Digital Image Processing, Pearson 2018, section "
        "3.5"
    ),
    own=(SIGMA, RADIUS),
    apply=_apply,
    reach=_reach,
    # exp(-1 / (2 sigma²)) = 1/2 makes the three taps 1/4, 1/2, 1/4.
    presets={"ede2018": {"sigma": 1 / math.sqrt(2 * math.log(2)), "radius": 1}},
    bytes_per_pixel=60.0,
)
