"""How well found atomic columns agree with known ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnScores:
    """Agreement of found columns with a reference.

    Parameters
    ----------
    matched : int
        Pairs of a found column and one of the reference.
    invented : int
        Found columns without a partner.
    missed : int
        Columns of the reference without a partner.
    precision, recall, f1, jaccard : float
        ``matched`` over found; over reference; their harmonic mean; ``matched`` over
        all of both. 1 where both are empty; 0 where a ratio has nothing below it.
    position_error_px : float
        Root mean square distance of the pairs [px]; NaN without pairs.
    position_error_pm : float or None
        The same [pm]; None where the pixel size is not known.
    pairs : ndarray, shape (matched, 2), int
        Number of the found column and of its partner.
    """

    matched: int
    invented: int
    missed: int
    precision: float
    recall: float
    f1: float
    jaccard: float
    position_error_px: float
    position_error_pm: float | None
    pairs: NDArray[np.int64]


def score_columns(
    found: ArrayLike,
    reference: ArrayLike,
    *,
    tolerance: float,
    pixel_size: float | None = None,
) -> ColumnScores:
    """Match found columns with a reference and score them.

    Every column has one partner at most, and the pairing has as many pairs as possible
    within the tolerance, and of those the least sum of squared distances.

    Parameters
    ----------
    found, reference : array_like, shape (N, 2) and (M, 2)
        Rows and columns [px].
    tolerance : float
        Largest distance of a pair [px]; half the spacing of columns or less.
    pixel_size : float, optional
        [nm/px].

    Returns
    -------
    ColumnScores

    Raises
    ------
    ParameterError
        If positions have another shape or are not finite, or tolerance or pixel size
        is not positive.
    """
    if not tolerance > 0:
        msg = f"tolerance={tolerance} px must be above 0."
        raise ParameterError(msg)
    if pixel_size is not None and not pixel_size > 0:
        msg = f"pixel_size={pixel_size} nm must be above 0, or None."
        raise ParameterError(msg)
    a, b = _points(found, "found"), _points(reference, "reference")
    pairs = match_points(a, b, tolerance)
    matched, union = len(pairs), len(a) + len(b) - len(pairs)
    distance = np.hypot(*(a[pairs[:, 0]] - b[pairs[:, 1]]).T)
    error = float(np.sqrt((distance**2).mean())) if matched else float("nan")
    return ColumnScores(
        matched=matched,
        invented=len(a) - matched,
        missed=len(b) - matched,
        precision=_ratio(matched, len(a), empty=not len(b)),
        recall=_ratio(matched, len(b), empty=not len(a)),
        f1=_ratio(2 * matched, len(a) + len(b), empty=True),
        jaccard=_ratio(matched, union, empty=True),
        position_error_px=error,
        position_error_pm=None if pixel_size is None else error * pixel_size * 1e3,
        pairs=pairs,
    )


def match_points(
    a: NDArray[np.float64], b: NDArray[np.float64], tolerance: float
) -> NDArray[np.int64]:
    """Pair points of two sets, each with one partner at most.

    Parameters
    ----------
    a, b : ndarray, shape (N, 2) and (M, 2)
        Points.
    tolerance : float
        Largest distance of a pair.

    Returns
    -------
    ndarray, shape (pairs, 2), int64
        Indices into `a` and `b`, sorted by the first.
    """
    if not len(a) or not len(b):
        return np.zeros((0, 2), np.int64)
    near = cKDTree(a).sparse_distance_matrix(
        cKDTree(b), tolerance, output_type="ndarray"
    )
    i, j = near["i"].astype(np.int64), near["j"].astype(np.int64)
    nodes = len(a) + len(b)
    graph = coo_array((np.ones(len(i)), (i, len(a) + j)), shape=(nodes, nodes))
    # Points that cannot reach each other are paired apart: the clusters are small.
    group = connected_components(graph, directed=False)[1][i]
    pairs = []
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if not len(members):
            continue
        rows, row = np.unique(i[members], return_inverse=True)
        columns, column = np.unique(j[members], return_inverse=True)
        # A pair beyond the tolerance costs more than all pairs within it together.
        far = (tolerance**2 + 1) * (len(members) + 1)
        cost = np.full((len(rows), len(columns)), far)
        cost[row, column] = near["v"][members] ** 2
        for r, c in zip(*linear_sum_assignment(cost), strict=True):
            if cost[r, c] < far:
                pairs.append((rows[r], columns[c]))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def detectability(
    height: ArrayLike, background: ArrayLike, sigma: ArrayLike
) -> NDArray[np.float64]:
    r"""Return how well single columns can be told from none, by their counts alone.

    The index :math:`d'` of an observer who knows place, size and height of a column and
    what is round it, and asks its counts whether it is there. With both answers equally
    likely it is wrong in a share :math:`\Phi(-d'/2)` of the cases [1]_: 16 % at 2, 7 %
    at 3, 2 % at 4. Whoever knows more, that the rows of a crystal go on for instance,
    can do better. A round Gaussian column :math:`s(r)` over a background :math:`b` of
    Poisson counts has

    .. math:: d'^2 = \int \frac{s^2}{b + s/2} \, d^2 r
        = 4 \pi \sigma^2 \left[ h - 2 b \ln \left( 1 + \frac{h}{2b} \right) \right].

    Parameters
    ----------
    height, background : array_like, shape (N,)
        Height :math:`h` over the background, negative for dark columns, and background
        :math:`b` [e-/px].
    sigma : array_like, shape (N,)
        Standard deviation of a column [px].

    Returns
    -------
    ndarray, shape (N,), float64
        0 where a background is not positive.

    References
    ----------
    .. [1] S. M. Kay, "Fundamentals of Statistical Signal Processing, Volume II:
       Detection Theory", Prentice Hall 1998, chapter 4: the deflection coefficient,
       here with the mean of the variances under both hypotheses.
    """
    h, b = (np.asarray(x, np.float64) for x in (height, background))
    # A dark column takes no more than there is.
    ratio = np.maximum(h / np.where(b > 0, b, np.inf), -1.0) / 2
    square = 8 * np.pi * np.square(sigma) * b * (ratio - np.log1p(ratio))
    result: NDArray[np.float64] = np.sqrt(np.maximum(square, 0.0))
    return result


def _points(points: ArrayLike, what: str) -> NDArray[np.float64]:
    array = np.asarray(points, np.float64)
    if array.size == 0:
        return np.zeros((0, 2))
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        msg = (
            f"The {what} columns have shape {array.shape} or are not all finite; give "
            "rows and columns [px] as an array of shape (N, 2)."
        )
        raise ParameterError(msg)
    return array


def _ratio(part: int, whole: int, *, empty: bool) -> float:
    if whole:
        return part / whole
    return 1.0 if empty else 0.0
