r"""Do the counts want a column here? Tests of one column against its absence.

**Against its surroundings.** In a window round the column the rate is
:math:`\lambda = \sum_k b_k \varphi_k + a\,g`: a constant, a slope in two directions,
the neighbouring columns, and the column :math:`g`. Absence is :math:`a = 0` *whatever
the* :math:`b_k`. The statistic is the contrast :math:`T = \sum_i v_i y_i`, where
:math:`v = (g - \sum_k c_k \varphi_k) / \lambda` with :math:`c` such that
:math:`\sum_i v_i \varphi_{k,i} = 0` for every k: the efficient score of Poisson
regression [1]_, also known as the Hotelling observer. Under absence its mean is zero
for any background of that form, its variance :math:`\sum v_i^2 \lambda_i`, and its tail
is computed by saddlepoint, not taken as normal. The same contrast on the denoised image
gives the height that it claims, :math:`a = T(d) / T(g)`; then the mean is zero for the
denoised image without the column too, whatever its shape.

**Against vacuum.** Absence is the rate of the vacuum inside the disk of the column;
that rate is itself measured, and its error is part of the test.

References
----------
.. [1] C. R. Rao, "Large sample tests of statistical hypotheses concerning several
   parameters with applications to problems of estimation", Proc. Camb. Phil. Soc. 44,
   50 (1948). doi:10.1017/S0305004100023987
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.trust.poisson_sums import log_upper_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.trust.columns import Columns
    from lowdose.trust.counting import Counted
    from lowdose.trust.vacuum import Vacuum

#: Radius of the window, in scales of the column: the column ends at about 2.5.
_WINDOW: Final = 3.5
#: Neighbours this far beyond the window still reach into it, in scales.
_REACH: Final = 2.0
#: Rates are kept above this share of the mean rate of the window.
_FLOOR: Final = 0.02
#: Reweighted least squares that fit a rate to the counts.
_FITS: Final = 4
#: Least share of a column that its surroundings must leave.
_LEAST: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTest:
    """One column against its absence, with free surroundings.

    Parameters
    ----------
    llr : float
        Log-likelihood ratio of the column over its absence, summed over the window
        [nats]; the surroundings are fitted under each.
    log_p : float
        Natural logarithm of the p-value of absence.
    log_p_presence : float
        The same of the column: small where the counts show less of it than they
        should.
    claimed : float
        Height of the column in the denoised image over its surroundings [e-/px].
    height : float
        What the counts say of that height [e-/px].
    height_error : float
        Its standard error.
    expected : float
        Standard deviations that `height` is expected to lie from 0 if the column is
        there: below about 3 these counts cannot decide.
    """

    llr: float
    log_p: float
    log_p_presence: float
    claimed: float
    height: float
    height_error: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VacuumTest:
    """One column against vacuum.

    Parameters
    ----------
    llr : float
        Log-likelihood ratio of the denoised rate over that of vacuum, summed over the
        disk of the column [nats].
    log_p : float
        Natural logarithm of the p-value of vacuum.
    """

    llr: float
    log_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Height:
    """Height of one column over its surroundings, in the image and in the counts.

    Parameters
    ----------
    claimed : float
        In the denoised image [e-/px]. The denoised rate without a Gaussian of this
        height is what absence means.
    counted : float
        In the counts [e-/px].
    information : float
        Inverse of the variance of `counted` [px²/e-²]; 0 where nothing can be told.
    """

    claimed: float
    counted: float
    information: float


def measure_height(counted: Counted, columns: Columns, number: int) -> Height:
    """Measure one column by the contrast that tests it.

    Parameters
    ----------
    counted : Counted
        Counts, and the denoised rate.
    columns : Columns
        All columns.
    number : int
        Which of them.

    Returns
    -------
    Height
    """
    window = _Window(counted, columns, number)
    contrast = window.contrast(counted.read_noise**2)
    if contrast is None:
        return Height(claimed=0.0, counted=0.0, information=0.0)
    information = float(contrast @ window.profile)
    return Height(
        claimed=float(contrast @ window.rate) / information,
        counted=float(contrast @ window.electrons) / information,
        information=information,
    )


def faintness(heights: Sequence[Height]) -> NDArray[np.float64]:
    """Return how many times too faint the denoised image shows columns.

    At very low dose denoisers show columns much lower than they are: a column of a
    tenth of its height would be expected to leave no trace in the counts, and could
    neither be supported nor contradicted. The counts know better, over all columns
    together: they are regressed on the claims.

    Parameters
    ----------
    heights : sequence of Height
        Of all columns.

    Returns
    -------
    ndarray, shape (N,)
        For each column the factor that the *other* columns give, so that none is
        judged by a height that its own counts suggest: two standard errors below
        the regression, and 1 at least.
    """
    claimed = np.array([h.claimed for h in heights])
    weight = np.array([h.information for h in heights]) * claimed
    products = weight * np.array([h.counted for h in heights])
    squares = weight * claimed
    others = np.maximum(squares.sum() - squares, 1e-300)
    factor = (products.sum() - products) / others - 2 / np.sqrt(others)
    return np.asarray(np.maximum(factor, 1.0), np.float64)


def local_test(
    counted: Counted, columns: Columns, number: int, *, factor: float = 1.0
) -> LocalTest:
    """Test one column against its absence in its own surroundings.

    Parameters
    ----------
    counted : Counted
        Counts to test with, and the denoised rate that claims the column.
    columns : Columns
        All columns, found on that rate, heights in electrons.
    number : int
        Which of them.
    factor : float, optional
        How many times as high as claimed the column is if it is there (see
        :func:`faintness`). The p-value of absence does not depend on it.

    Returns
    -------
    LocalTest
        With p-values of 1 and evidence 0 where the window has too few pixels or
        electrons to test anything, and presence 1 and evidence 0 where the denoised
        image shows no column between its neighbours.
    """
    window = _Window(counted, columns, number)
    noise = counted.read_noise**2
    contrast = window.contrast(noise)
    if contrast is None:
        return LocalTest(
            llr=0.0,
            log_p=0.0,
            log_p_presence=0.0,
            claimed=0.0,
            height=0.0,
            height_error=math.inf,
            expected=0.0,
        )
    y, g, sign = window.electrons, window.profile, columns.sign
    information = float(contrast @ g)
    claimed = float(contrast @ window.rate) / information
    supposed = factor * claimed if sign * claimed > 0 else 0.0
    basis = np.concatenate([window.basis, (window.rate - claimed * g)[:, None]], 1)
    weight = 1 / (window.reference + noise)
    absent = _fitted(y, basis, np.zeros_like(y), weight, noise, window.floor)
    observed = float(contrast @ y)
    llr, log_p_presence = 0.0, 0.0
    if supposed:
        present = _fitted(y, basis, supposed * g, weight, noise, window.floor)
        llr = _llr(y, present, absent, noise)
        log_p_presence = _tail(
            -sign * contrast,
            -sign * observed,
            present,
            -abs(supposed) * information,
            counted.read_noise,
        )
    return LocalTest(
        llr=llr,
        log_p=_tail(sign * contrast, sign * observed, absent, 0.0, counted.read_noise),
        log_p_presence=log_p_presence,
        claimed=claimed,
        height=observed / information,
        height_error=math.sqrt(float(contrast**2 @ (absent + noise))) / information,
        expected=abs(supposed) * math.sqrt(information),
    )


def vacuum_test(
    counted: Counted, columns: Columns, number: int, vacuum: Vacuum
) -> VacuumTest:
    """Test the disk of one column against vacuum.

    Parameters
    ----------
    counted : Counted
        Counts to test with, and the denoised rate.
    columns : Columns
        All columns.
    number : int
        Which of them.
    vacuum : Vacuum
        Its rate is measured on the same counts.

    Returns
    -------
    VacuumTest
    """
    inside = disk(counted, columns.positions[number], columns.radius)
    rate = vacuum.rate
    y = counted.electrons[inside]
    claimed = np.maximum(counted.rate[inside], _FLOOR * rate)
    noise = counted.read_noise**2
    weights = np.log((claimed + noise) / (rate + noise))
    llr = float((rate - claimed).sum() + weights @ (y + noise))
    # The vacuum enters as one count of the opposite weight: its rate is not known
    # exactly, and the sum must not depend on it.
    pixels = int(vacuum.mask.sum())
    weights_all = np.append(weights, -weights.sum() / pixels)
    rates_all = np.append(np.full(y.size, rate), pixels * rate)
    read = np.append(np.full(y.size, noise), pixels * noise)
    observed = float(weights @ y - weights.sum() * rate)
    # Read noise acts like that many more electrons that are always there.
    log_p = log_upper_tail(observed, weights_all, rates_all + read)
    return VacuumTest(llr=llr, log_p=log_p)


def disk(
    counted: Counted, position: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the valid pixels of a disk inside the image."""
    shape = counted.electrons.shape
    low = np.maximum(np.floor(position - radius).astype(int), 0)
    high = np.minimum(np.ceil(position + radius).astype(int) + 1, shape)
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
    near = np.hypot(rows - position[0], columns - position[1]) <= radius
    rows, columns = rows[near], columns[near]
    valid = counted.valid[rows, columns]
    return rows[valid], columns[valid]


class _Window:
    """What is needed of the surroundings of a column."""

    def __init__(self, counted: Counted, columns: Columns, number: int) -> None:
        here = columns.positions[number]
        scale = columns.scale
        rows, cols = disk(counted, here, _WINDOW * scale)
        self.electrons = counted.electrons[rows, cols]

        def gaussian(index: int) -> NDArray[np.float64]:
            y, x = columns.positions[index]
            square = (rows - y) ** 2 + (cols - x) ** 2
            return np.asarray(np.exp(-square / (2 * columns.sigma[index] ** 2)))

        self.profile = gaussian(number)
        distance = np.hypot(*(columns.positions - here).T)
        near = np.flatnonzero(distance < (_WINDOW + _REACH) * scale)
        neighbours = [gaussian(int(n)) for n in near if n != number]
        self.rate = counted.rate[rows, cols]
        ones = np.ones(rows.size)
        self.basis = np.stack(
            [ones, (rows - here[0]) / scale, (cols - here[1]) / scale, *neighbours], 1
        )
        mean = max(float(self.rate.mean()), 1e-12) if rows.size else 1.0
        self.floor = _FLOOR * mean
        besides = self.rate - columns.height[number] * self.profile
        self.reference = np.maximum(besides, 0.2 * mean)

    def contrast(self, noise: float) -> NDArray[np.float64] | None:
        """Return weights that see the column and nothing of its surroundings.

        None where there are too few pixels, or the surroundings explain the column.
        """
        if self.electrons.size < 3 * (self.basis.shape[1] + 2):
            return None
        g, weight = self.profile, 1 / (self.reference + noise)
        left = g - self.basis @ _solve(self.basis, weight, g)
        if float(left @ (weight * left)) <= _LEAST * float(g @ (weight * g)):
            return None
        return np.asarray(left * weight, np.float64)


def _solve(
    basis: NDArray[np.float64], weight: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted least squares, also where the basis is nearly dependent."""
    weighted = basis * weight[:, None]
    normal = basis.T @ weighted
    norms = np.sqrt(np.diagonal(normal)) + 1e-300
    scaled = normal / norms[:, None] / norms
    solution = np.linalg.lstsq(scaled, weighted.T @ target / norms, rcond=1e-10)[0]
    return np.asarray(solution / norms, np.float64)


def _fitted(
    y: NDArray[np.float64],
    basis: NDArray[np.float64],
    fixed: NDArray[np.float64],
    weight: NDArray[np.float64],
    noise: float,
    floor: float,
) -> NDArray[np.float64]:
    """Fit the surroundings to the counts by maximum likelihood; return the rate."""
    rate = np.maximum(basis @ _solve(basis, weight, y - fixed) + fixed, floor)
    for _ in range(_FITS):
        weight = 1 / (rate + noise)
        rate = np.maximum(basis @ _solve(basis, weight, y - fixed) + fixed, floor)
    return np.asarray(rate, np.float64)


def _llr(
    y: NDArray[np.float64],
    present: NDArray[np.float64],
    absent: NDArray[np.float64],
    noise: float,
) -> float:
    """Return the Poisson log-likelihood ratio; read noise as further electrons."""
    ratio = np.log((present + noise) / (absent + noise))
    return float((absent - present).sum() + (y + noise) @ ratio)


def _tail(
    weights: NDArray[np.float64],
    observed: float,
    rates: NDArray[np.float64],
    mean: float,
    read_noise: float,
) -> float:
    """Return ln P of at least the observed contrast, which has a known mean.

    The rate fitted to the counts gives the shape of the distribution; its mean is
    known better, since the contrast does not see the surroundings.
    """
    shift = float(weights @ rates) - mean
    return log_upper_tail(observed + shift, weights, rates, read_noise=read_noise)
