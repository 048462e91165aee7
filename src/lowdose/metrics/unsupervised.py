r"""Mean squared error and PSNR without the truth, from copies with independent noise.

Marcos-Morales et al. [1]_ compare a denoised image with one noisy copy and take off the
variance of its noise, measured on two more:
:math:`\mathrm{uMSE} = \frac{1}{n}\sum_i (a_i - f_i)^2 - \frac{(b_i - c_i)^2}{2}`.

With sparse counts the squares of single electrons make that sum scatter by more than
the error itself. The product of *two different* copies' differences,
:math:`(f_i - a_i)(f_i - b_i)`, has the same expectation and no noise variance to take
off; its mean over all pairs of copies (the U-statistic of the same quantity) scatters
less, at 0.1 e-/px by a factor of about three, and the less the more copies there are:
by the root of the number of pairs. It is the default here, and the published formula is
kept beside it.

References
----------
.. [1] A. Marcos Morales, M. Leibovich, S. Mohan, J. L. Vincent, P. Haluai, M. Tan,
   P. Crozier, C. Fernandez-Granda, "Evaluating unsupervised denoising requires
   unsupervised metrics", Proc. ICML 2023, PMLR 202, 23937-23957, arXiv:2210.05553,
   equations 4 and 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from lowdose.errors import ParameterError
from lowdose.metrics.frames import matching
from lowdose.metrics.intervals import Estimate, mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Formula = Literal["pairs", "published"]


def umse_terms(
    estimate: ArrayLike, copies: Sequence[ArrayLike], *, formula: Formula = "pairs"
) -> NDArray[np.float64]:
    """Return an unbiased estimate of the squared error of every pixel [counts²].

    Parameters
    ----------
    estimate : array_like
        Denoised image [counts], made without use of the copies.
    copies : sequence of array_like
        Images of the same specimen at the same dose with noise independent of the
        estimate's input and of each other, such as other frames of a still
        specimen: two or more for ``"pairs"``, three for ``"published"``.
    formula : {"pairs", "published"}, optional
        See the module.

    Returns
    -------
    ndarray, float64
        One number per pixel; each is far noisier than their mean, and may be
        negative.

    Raises
    ------
    ParameterError
        If the formula is not known, or there are too few copies.
    InvalidImageError
        If shapes differ, or a pixel is NaN or infinite.
    """
    if formula not in get_args(Formula):
        msg = f"formula={formula!r} is not one of 'pairs' and 'published'."
        raise ParameterError(msg)
    fewest = 2 if formula == "pairs" else 3
    if len(copies) < fewest or (formula == "published" and len(copies) != fewest):
        few = "at least 2" if formula == "pairs" else "exactly 3"
        msg = f"formula={formula!r} takes {few} noisy copies; got {len(copies)}."
        raise ParameterError(msg)
    found, *noisy = matching(
        estimate=estimate, **{f"copy {n}": copy for n, copy in enumerate(copies, 1)}
    )
    if formula == "published":
        a, b, c = noisy
        return np.asarray(np.square(a - found) - np.square(b - c) / 2)
    # The sum of all products of two different ones, without forming each.
    total, squares = np.zeros((2, *found.shape))
    for copy in noisy:
        difference = found - copy
        total += difference
        squares += difference**2
    return np.asarray((total**2 - squares) / (len(noisy) * (len(noisy) - 1)))


def umse(
    estimate: ArrayLike,
    copies: Sequence[ArrayLike],
    *,
    formula: Formula = "pairs",
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean squared error of a denoised image from noisy copies.

    Parameters
    ----------
    estimate, copies, formula
        As for :func:`umse_terms`.
    level : float, optional
        Confidence of the interval.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    Estimate
        [counts²], unbiased; it can be below zero where the error is small.

    Raises
    ------
    ParameterError, InvalidImageError
        As :func:`umse_terms` does.
    """
    terms = umse_terms(estimate, copies, formula=formula)
    return mean_interval(terms, np.random.default_rng(seed), level=level)


def upsnr(
    estimate: ArrayLike,
    copies: Sequence[ArrayLike],
    *,
    peak: float,
    formula: Formula = "pairs",
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Estimate the PSNR of a denoised image from noisy copies.

    Parameters
    ----------
    estimate, copies, formula, level, seed
        As for :func:`umse`.
    peak : float
        What counts as the peak [counts]. Without the truth it has to be chosen; the
        range of the estimate is a usual choice.

    Returns
    -------
    Estimate
        [dB]; infinite at ends of the interval where the error may be zero.

    Raises
    ------
    ParameterError, InvalidImageError
        As :func:`umse` does, and where the peak is not positive.
    """
    error = umse(estimate, copies, formula=formula, level=level, seed=seed)
    return error.decibels(peak)
