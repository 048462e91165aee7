"""Non-local means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.filters.arguments import as_amplitude, as_frame
from lowdose.filters.spec import SCALE, FilterSpec, Frame, Values
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lowdose.denoiser import Measures

H = Parameter(
    name="h",
    kind="float",
    default=0.8,
    minimum=0.01,
    maximum=100.0,
    unit="sigma",
    help="Difference of patches that still counts as alike; larger is smoother.",
)
PATCH_RADIUS = Parameter(
    name="patch_radius",
    kind="int",
    default=2,
    minimum=1,
    maximum=15,
    unit="px",
    help="Patches are twice this plus one wide; larger ones compare more surely.",
)
DISTANCE = Parameter(
    name="distance",
    kind="int",
    default=5,
    minimum=1,
    maximum=40,
    unit="px",
    help="How far along either axis like patches are sought; time grows as its square.",
)
EXPECTED = Parameter(
    name="expected",
    kind="float",
    default=0.5,
    minimum=0.0,
    maximum=100.0,
    unit="sigma",
    help="Noise whose share is taken off the differences of patches; 0 takes off none.",
    advanced=True,
)


def nl_means(
    frame: ArrayLike,
    *,
    h: float,
    patch_radius: int = 2,
    distance: int = 5,
    expected: float = 0.0,
) -> Frame:
    r"""Average pixels whose surroundings look alike.

    The weight of a pixel is :math:`\exp(-\max(d^2 - 2 s^2, 0) / h^2)` with the mean
    square difference d² of the patches [1]_ and expected noise s [2]_. Differences
    come from summed-area tables [3]_, as implemented in scikit-image.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Values, finite.
    h : float
        Difference that still counts as alike, in the unit of the values.
    patch_radius : int, optional
        Patches are ``2 * patch_radius + 1`` wide [px].
    distance : int, optional
        Largest shift along either axis [px].
    expected : float, optional
        Standard deviation of the noise that is taken off, in the unit of the values.

    Returns
    -------
    ndarray, shape (H, W), float64
        The denoised frame; the border is mirrored about its pixels. Weights below
        exp(-5) are left out.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image
       denoising", CVPR 2005, vol. 2, 60-65, doi:10.1109/CVPR.2005.38.
    .. [2] A. Buades, B. Coll, J.-M. Morel, "Non-local means denoising", Image
       Process. On Line 1 (2011) 208-212, doi:10.5201/ipol.2011.bcm_nlm.
    .. [3] J. Darbon et al., "Fast nonlocal filtering applied to electron
       cryomicroscopy", ISBI 2008, 1331-1334, doi:10.1109/ISBI.2008.4541250.
    """
    from skimage.restoration import denoise_nl_means

    # float64, for the summed-area tables grow with the frame and would lose in
    # float32 the digits that tell patches apart.
    values = as_frame(frame)
    result = denoise_nl_means(
        values,
        patch_size=2 * int(PATCH_RADIUS.validate(patch_radius)) + 1,
        patch_distance=int(DISTANCE.validate(distance)),
        h=as_amplitude("h", h, lowest=1e-18),
        fast_mode=True,
        sigma=as_amplitude("expected", expected),
        preserve_range=True,
    )
    return np.asarray(result).reshape(values.shape)  # it drops axes of one pixel


def _apply(frame: Frame, values: Values, _measures: Measures) -> Frame:
    return nl_means(
        frame,
        h=float(values["h"]),
        patch_radius=int(values["patch_radius"]),
        distance=int(values["distance"]),
        expected=float(values["expected"]),
    )


NL_MEANS = FilterSpec(
    name="nl-means",
    title="Non-local means",
    summary=(
        "Averages pixels whose surroundings look alike: for specimens that repeat "
        "themselves, such as lattices and membranes."
    ),
    reference="A. Buades et al., CVPR 2005, doi:10.1109/CVPR.2005.38",
    own=(H, PATCH_RADIUS, DISTANCE, EXPECTED, SCALE),
    apply=_apply,
    reach=lambda values: int(values["distance"]) + int(values["patch_radius"]) + 1,
    presets={
        "ede2018": {
            "h": 0.1,
            "patch_radius": 3,
            "distance": 11,
            "expected": 0.0,
            "scale": "range",
        }
    },
    bytes_per_pixel=70.0,
)
