"""Median filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy import ndimage

from lowdose.filters.arguments import as_frame
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lowdose.denoiser import Measures

RADIUS = Parameter(
    name="radius",
    kind="int",
    default=1,
    minimum=1,
    maximum=15,
    unit="px",
    help="The window is a square of twice this plus one; larger is smoother.",
)


def median_filter(frame: ArrayLike, *, radius: int = 1) -> Frame:
    """Replace every pixel by the median of a square window [1]_.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    radius : int, optional
        The window is ``2 * radius + 1`` pixels wide [px].

    Returns
    -------
    ndarray, shape (H, W), float64
        The filtered frame; border pixels are repeated outward. The median of skewed
        noise lies below its mean: on a few counts per pixel the result is too dark,
        and 0 below a median of one count. Bin such frames first.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] J. W. Tukey, "Exploratory Data Analysis", Addison-Wesley 1977, chapter 7.
    """
    radius = int(RADIUS.validate(radius))
    filtered: Frame = ndimage.median_filter(
        as_frame(frame), size=2 * radius + 1, mode="nearest"
    )
    return filtered


def _apply(frame: Frame, values: Values, _measures: Measures) -> Frame:
    return median_filter(frame, radius=int(values["radius"]))


MEDIAN = FilterSpec(
    name="median",
    title="Median filter",
    summary=(
        "Takes the middle value of a window: removes single hot and dead pixels and "
        "keeps straight edges; too dark on sparse counts."
    ),
    reference="J. W. Tukey, Exploratory Data Analysis, Addison-Wesley 1977",
    own=(RADIUS,),
    apply=_apply,
    reach=lambda values: int(values["radius"]),
    presets={"ede2018": {"radius": 1}},
    bytes_per_pixel=60.0,
)
