"""p-values of many tests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import false_discovery_control

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values so that a bound on them bounds the false discovery rate.

    Of the columns with an adjusted value up to 0.05, at most 5 % are expected to be
    none, where tests are independent or positively dependent [1]_.

    Parameters
    ----------
    p : array_like, shape (N,)
        p-values.

    Returns
    -------
    ndarray, shape (N,)
        Adjusted values, at least `p`, at most 1.

    Raises
    ------
    ParameterError
        If a value is not within 0 to 1.

    References
    ----------
    .. [1] Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", J. R.
       Stat. Soc. B 57, 289 (1995). doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    values = _checked(p)
    if not values.size:
        return values
    return np.asarray(false_discovery_control(values), np.float64)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values so that a bound on them bounds the chance of any false one.

    Valid under any dependence between the tests [1]_.

    Parameters
    ----------
    p : array_like, shape (N,)
        p-values.

    Returns
    -------
    ndarray, shape (N,)
        Adjusted values, at least `p`, at most 1.

    Raises
    ------
    ParameterError
        If a value is not within 0 to 1.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scand.
       J. Stat. 6, 65 (1979).
    """
    values = _checked(p)
    order = np.argsort(values)
    steps = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def combine_splits(p: ArrayLike) -> NDArray[np.float64]:
    """Combine the p-values of the same test on several random splits of the data.

    Twice the median is a valid p-value however the splits depend on each other [1]_.
    One split is left as it is.

    Parameters
    ----------
    p : array_like, shape (splits, N)
        p-values; 1 where a split made no such claim.

    Returns
    -------
    ndarray, shape (N,)
        Combined p-values. With several splits they are conservative, not uniform.

    Raises
    ------
    ParameterError
        If a value is not within 0 to 1.

    References
    ----------
    .. [1] N. Meinshausen, L. Meier, P. Bühlmann, "p-Values for High-Dimensional
       Regression", J. Am. Stat. Assoc. 104, 1671 (2009), equation 2.2 at γ = 1/2.
       doi:10.1198/jasa.2009.tm08647
    """
    values = _checked(p)
    if len(values) == 1:
        return np.asarray(values[0], np.float64)
    ranked = np.sort(values, axis=0)
    middle: NDArray[np.float64] = ranked[(len(values) - 1) // 2]
    return np.minimum(1.0, 2 * middle)


def _checked(p: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(p, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        bad = values[~((values >= 0) & (values <= 1))]
        msg = f"{bad.flat[0]} is no p-value; give numbers from 0 to 1."
        raise ParameterError(msg)
    return values
