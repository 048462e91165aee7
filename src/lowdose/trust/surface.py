"""Which columns lie at the surface of a particle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import Delaunay, QhullError

from lowdose.errors import InvalidImageError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.trust.columns import Columns

#: Largest circumradius of a triangle of the particle, in column spacings.
_ALPHA: Final = 0.85


def surface_columns(
    columns: Columns,
    *,
    alpha_nm: float | None = None,
    alpha_px: float | None = None,
    border: float | None = None,
) -> NDArray[np.bool_]:
    """Find the columns on the outline of the particle, by its alpha shape.

    The Delaunay triangles with a circumradius below `alpha` make up the particle; an
    edge of only one of them lies on its outline [1]_, and so do both its ends.

    Parameters
    ----------
    columns : Columns
        At least three.
    alpha_nm, alpha_px : float, optional
        Largest circumradius [nm] or [px]. By default 0.85 times the median distance to
        the nearest column: triangles of square (0.71) and hexagonal (0.58) lattices
        pass, the gap of a missing column (1.0) does not.
    border : float, optional
        Columns this near to the border of the image [px] are no surface, because the
        specimen goes on beyond it. The median distance by default.

    Returns
    -------
    ndarray, shape (N,), bool

    Raises
    ------
    InvalidImageError
        If there are fewer than three columns, or all on one line.
    ParameterError
        If alpha is given twice, is not positive, or is given in nm without a
        calibration.

    References
    ----------
    .. [1] H. Edelsbrunner, D. Kirkpatrick, R. Seidel, "On the shape of a set of points
       in the plane", IEEE Trans. Inf. Theory 29, 551 (1983).
       doi:10.1109/TIT.1983.1056714
    """
    spacing = columns.spacing
    if spacing is None or len(columns) < 3:
        msg = f"{len(columns)} columns have no outline; at least three are needed."
        raise InvalidImageError(msg)
    alpha = _alpha(columns, alpha_nm, alpha_px, spacing)
    try:
        triangles = Delaunay(columns.positions).simplices
    except QhullError as error:
        msg = "The columns lie on one line, so they have no outline."
        raise InvalidImageError(msg) from error
    kept = triangles[_circumradius(columns.positions[triangles]) < alpha]
    on_outline = np.zeros(len(columns), bool)
    edges = np.sort(kept[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    if len(edges):
        single, times = np.unique(edges, axis=0, return_counts=True)
        on_outline[single[times == 1].ravel()] = True
    margin = spacing if border is None else border
    far = np.array(columns.shape) - 1 - columns.positions
    nearest = np.minimum(columns.positions, far).min(1)
    on_outline &= nearest > margin
    return on_outline


def _alpha(
    columns: Columns, nm: float | None, px: float | None, spacing: float
) -> float:
    if nm is not None and px is not None:
        msg = "alpha_nm and alpha_px were both given; give one of them."
        raise ParameterError(msg)
    if nm is not None:
        if columns.pixel_size is None:
            msg = f"alpha_nm={nm} needs a pixel size. Calibrate, or give alpha_px."
            raise ParameterError(msg)
        px = nm / columns.pixel_size
    if px is None:
        return _ALPHA * spacing
    if not px > 0:
        msg = f"alpha={px} px must be above 0."
        raise ParameterError(msg)
    return px


def _circumradius(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the circumradius of triangles, (N, 3, 2) -> (N,)."""
    a, b, c = (
        np.hypot(*(corners[:, i] - corners[:, j]).T)
        for i, j in ((1, 2), (2, 0), (0, 1))
    )
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2
    with np.errstate(divide="ignore"):
        return np.asarray(a * b * c / (4 * area), np.float64)
