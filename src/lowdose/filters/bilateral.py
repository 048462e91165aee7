"""Bilateral filter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lowdose.filters.arguments import as_amplitude, as_frame
from lowdose.filters.spec import SCALE, FilterSpec, Frame, Values
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Measures

SIGMA_COLOR = Parameter(
    name="sigma_color",
    kind="float",
    default=3.5,
    minimum=0.01,
    maximum=10_000.0,
    unit="sigma",
    help="Difference in brightness that still counts as alike; larger is smoother.",
)
SIGMA_SPACE = Parameter(
    name="sigma_space",
    kind="float",
    default=1.5,
    minimum=0.2,
    maximum=100.0,
    unit="px",
    help="Standard deviation of the weight by distance; larger is smoother.",
)
RADIUS = Parameter(
    name="radius",
    kind="int",
    default=0,
    minimum=0,
    maximum=40,
    unit="px",
    help="Radius of the round window; 0 is 2.5 times sigma_space, at most 40.",
    advanced=True,
)

#: Pixels to work on at a time: few enough for the working arrays to stay in cache.
_CHUNK = 1 << 16


def bilateral_filter(
    frame: ArrayLike,
    *,
    sigma_color: float,
    sigma_space: float = 1.5,
    radius: int = 0,
) -> Frame:
    """Average neighbours that are near and of like brightness.

    Each pixel becomes the mean of a round window, weighted by a Gaussian of distance
    and a Gaussian of difference in brightness [1]_.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Values, finite. Differences are computed in float32.
    sigma_color : float
        Standard deviation of the weight by brightness, in the unit of the values.
    sigma_space : float, optional
        Standard deviation of the weight by distance [px].
    radius : int, optional
        Radius of the window [px]; 0 for 2.5 `sigma_space`, at most 40.

    Returns
    -------
    ndarray, shape (H, W), float64
        The filtered frame; the border is mirrored about its pixels.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] C. Tomasi, R. Manduchi, "Bilateral filtering for gray and color images",
       ICCV 1998, 839-846, doi:10.1109/ICCV.1998.710815.
    """
    values = as_frame(frame)
    sigma_color = as_amplitude("sigma_color", sigma_color, lowest=1e-18)
    sigma_space = float(SIGMA_SPACE.validate(sigma_space))
    radius = int(RADIUS.validate(radius)) or _automatic(sigma_space)
    # Only differences matter; about the mean they keep the most digits in float32.
    middle = float(values.mean())
    padded = np.pad((values - middle).astype(np.float32), radius, mode="reflect")
    height, width = values.shape
    result = np.empty((height, width))
    rows = max(1, _CHUNK // width)
    for top in range(0, height, rows):
        part = padded[top : min(top + rows, height) + 2 * radius]
        result[top : top + rows] = _filter_rows(part, radius, sigma_color, sigma_space)
    result += middle
    return result


def _filter_rows(
    padded: NDArray[np.float32], radius: int, sigma_color: float, sigma_space: float
) -> NDArray[np.float32]:
    height, width = (n - 2 * radius for n in padded.shape)
    centre = padded[radius : radius + height, radius : radius + width]
    total = np.ones((height, width), dtype=np.float32)  # the pixel itself
    change = np.zeros_like(total)
    difference, weight = np.empty_like(total), np.empty_like(total)
    exponent = np.float32(-1 / (2 * sigma_color**2))
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            squared = y * y + x * x
            if not 0 < squared <= radius * radius:
                continue
            neighbour = padded[
                radius + y : radius + y + height, radius + x : radius + x + width
            ]
            np.subtract(neighbour, centre, out=difference)
            np.multiply(difference, difference, out=weight)
            weight *= exponent
            weight -= np.float32(squared / (2 * sigma_space**2))
            np.exp(weight, out=weight)
            total += weight
            weight *= difference
            change += weight
    change /= total
    change += centre
    return change


def _automatic(sigma_space: float) -> int:
    return min(40, math.ceil(2.5 * sigma_space))


def _apply(frame: Frame, values: Values, _measures: Measures) -> Frame:
    return bilateral_filter(
        frame,
        sigma_color=float(values["sigma_color"]),
        sigma_space=float(values["sigma_space"]),
        radius=int(values["radius"]),
    )


def _reach(values: Values) -> int:
    return int(values["radius"]) or _automatic(float(values["sigma_space"]))


BILATERAL = FilterSpec(
    name="bilateral",
    title="Bilateral filter",
    summary=(
        "Averages neighbours of like brightness, so that edges stronger than the "
        "noise stay sharp."
    ),
    reference="C. Tomasi, R. Manduchi, ICCV 1998, doi:10.1109/ICCV.1998.710815",
    own=(SIGMA_COLOR, SIGMA_SPACE, RADIUS, SCALE),
    apply=_apply,
    reach=_reach,
    # On [0, 1] a sigma_color of 75 has no effect: a flat mean over a disc of 9 px.
    presets={
        "ede2018": {
            "sigma_color": 75.0,
            "sigma_space": 75.0,
            "radius": 4,
            "scale": "range",
        }
    },
    bytes_per_pixel=60.0,
)
