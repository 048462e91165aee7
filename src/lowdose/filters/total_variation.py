"""Total-variation denoising: Chambolle's algorithm and split Bregman."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.filters.arguments import as_amplitude, as_frame
from lowdose.filters.spec import SCALE, FilterSpec, Frame, Values
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from lowdose.denoiser import Measures

CHAMBOLLE_WEIGHT = Parameter(
    name="weight",
    kind="float",
    default=1.0,
    minimum=0.001,
    maximum=1000.0,
    unit="sigma",
    help="Weight of the total variation; larger is smoother.",
)
CHAMBOLLE_EPS = Parameter(
    name="eps",
    kind="float",
    default=2e-4,
    minimum=1e-8,
    maximum=0.1,
    help="Stop when the cost changes by less than this share of its first value.",
    advanced=True,
)
BREGMAN_WEIGHT = Parameter(
    name="weight",
    kind="float",
    default=0.7,
    minimum=1e-4,
    maximum=1000.0,
    unit="1/sigma",
    help="Weight of the likeness to the frame; smaller is smoother.",
)
BREGMAN_EPS = Parameter(
    name="eps",
    kind="float",
    default=1e-3,
    minimum=1e-8,
    maximum=0.1,
    unit="sigma",
    help="Stop when an iteration changes pixels by less than this (rms).",
    advanced=True,
)
ITERATIONS = Parameter(
    name="iterations",
    kind="int",
    default=200,
    minimum=1,
    maximum=5000,
    help="Stop after this many iterations at the latest.",
    advanced=True,
)
ISOTROPIC = Parameter(
    name="isotropic",
    kind="bool",
    default=True,
    help="Measure gradients alike in all directions, not along the axes.",
    advanced=True,
)


def tv_chambolle(
    frame: ArrayLike, *, weight: float, eps: float = 2e-4, iterations: int = 200
) -> Frame:
    r"""Minimise :math:`\sum |\nabla u| + \frac{1}{2w} \sum (u - x)^2`.

    The model of Rudin, Osher and Fatemi [1]_ by the dual projections of
    Chambolle [2]_, as implemented in scikit-image.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Values x, finite.
    weight : float
        Weight w of the total variation, in the unit of the values; larger is smoother.
    eps : float, optional
        Relative change of the cost at which to stop.
    iterations : int, optional
        Largest number of iterations.

    Returns
    -------
    ndarray, shape (H, W), float64
        The minimiser u.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] L. I. Rudin, S. Osher, E. Fatemi, Physica D 60 (1992) 259-268,
       doi:10.1016/0167-2789(92)90242-F.
    .. [2] A. Chambolle, "An algorithm for total variation minimization and
       applications", J. Math. Imaging Vis. 20 (2004) 89-97,
       doi:10.1023/B:JMIV.0000011325.36760.1e.
    """
    from skimage.restoration import denoise_tv_chambolle

    denoise: Callable[..., Any] = denoise_tv_chambolle
    return np.asarray(
        denoise(
            as_frame(frame),
            weight=as_amplitude("weight", weight, lowest=1e-18),
            eps=float(CHAMBOLLE_EPS.validate(eps)),
            max_num_iter=int(ITERATIONS.validate(iterations)),
        )
    )


def tv_bregman(
    frame: ArrayLike,
    *,
    weight: float,
    eps: float = 1e-3,
    iterations: int = 200,
    isotropic: bool = True,
) -> Frame:
    r"""Minimise :math:`\sum |\nabla u| + w \sum (u - x)^2`.

    The model of Rudin, Osher and Fatemi by the split Bregman iteration of Goldstein
    and Osher [1]_, as described by Getreuer [2]_ and implemented in scikit-image.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Values x, finite.
    weight : float
        Weight w of the likeness to the frame, in one over the unit of the values;
        *smaller* is smoother.
    eps : float, optional
        Root mean square change in an iteration at which to stop, in the unit of the
        values.
    iterations : int, optional
        Largest number of iterations.
    isotropic : bool, optional
        Whether the gradient's length is measured alike in all directions.

    Returns
    -------
    ndarray, shape (H, W), float64
        The minimiser u.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] T. Goldstein, S. Osher, "The split Bregman method for L1-regularized
       problems", SIAM J. Imaging Sci. 2 (2009) 323-343, doi:10.1137/080725891.
    .. [2] P. Getreuer, "Rudin-Osher-Fatemi total variation denoising using split
       Bregman", Image Process. On Line 2 (2012) 74-95, doi:10.5201/ipol.2012.g-tvd.
    """
    from skimage.restoration import denoise_tv_bregman

    values = as_frame(frame)
    height, width = values.shape
    # scikit-image reads beyond an axis of one pixel. Repeated along it, the frame has
    # the same minimiser.
    repeats = (3 if height == 1 else 1, 3 if width == 1 else 1)
    result = denoise_tv_bregman(
        np.tile(values, repeats),
        weight=as_amplitude("weight", weight, lowest=1e-18),
        eps=as_amplitude("eps", eps),
        max_num_iter=int(ITERATIONS.validate(iterations)),
        isotropic=bool(ISOTROPIC.validate(isotropic)),
    )
    return np.asarray(result)[:height, :width]


def _apply_chambolle(frame: Frame, values: Values, _measures: Measures) -> Frame:
    return tv_chambolle(
        frame,
        weight=float(values["weight"]),
        eps=float(values["eps"]),
        iterations=int(values["iterations"]),
    )


def _apply_bregman(frame: Frame, values: Values, _measures: Measures) -> Frame:
    return tv_bregman(
        frame,
        weight=float(values["weight"]),
        eps=float(values["eps"]),
        iterations=int(values["iterations"]),
        isotropic=bool(values["isotropic"]),
    )


TV_CHAMBOLLE = FilterSpec(
    name="tv-chambolle",
    title="Total variation (Chambolle)",
    summary=(
        "Finds the image of least total variation near the frame: flat regions "
        "between sharp edges."
    ),
    reference=(
        "A. Chambolle, J. Math. Imaging Vis. 20 (2004) 89, "
        "doi:10.1023/B:JMIV.0000011325.36760.1e"
    ),
    own=(CHAMBOLLE_WEIGHT, CHAMBOLLE_EPS, ITERATIONS, SCALE),
    apply=_apply_chambolle,
    reach=lambda _values: None,
    presets={"ede2018": {"weight": 0.1, "eps": 2e-4, "scale": "range"}},
    bytes_per_pixel=110.0,
)

TV_BREGMAN = FilterSpec(
    name="tv-bregman",
    title="Total variation (split Bregman)",
    summary=(
        "The same model as tv-chambolle by a method that converges faster for strong "
        "smoothing."
    ),
    reference="T. Goldstein, S. Osher, SIAM J. Imaging Sci. 2 (2009) 323, "
    "doi:10.1137/080725891",
    own=(BREGMAN_WEIGHT, BREGMAN_EPS, ITERATIONS, ISOTROPIC, SCALE),
    apply=_apply_bregman,
    reach=lambda _values: None,
    presets={
        "ede2018": {
            "weight": 0.1,
            "eps": 2e-4,
            "isotropic": False,
            "scale": "range",
        }
    },
    bytes_per_pixel=60.0,
)
