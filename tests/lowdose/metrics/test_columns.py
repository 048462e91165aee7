"""Scores of found columns against known ones."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm

from lowdose.errors import ParameterError
from lowdose.metrics.columns import detectability, match_points, score_columns

GRID = np.stack(np.meshgrid(np.arange(6) * 10.0, np.arange(5) * 10.0), -1).reshape(
    -1, 2
)


def test_the_same_columns_score_one():
    scores = score_columns(GRID, GRID, tolerance=4, pixel_size=0.01)
    assert (scores.precision, scores.recall, scores.f1, scores.jaccard) == (1, 1, 1, 1)
    assert scores.position_error_pm == 0


def test_missed_and_invented_columns_are_counted():
    found = np.concatenate([GRID[2:], [[200.0, 200.0]]])
    scores = score_columns(found, GRID, tolerance=4)
    assert (scores.matched, scores.missed, scores.invented) == (28, 2, 1)
    assert scores.precision == pytest.approx(28 / 29)
    assert scores.recall == pytest.approx(28 / 30)
    assert scores.jaccard == pytest.approx(28 / 31)
    assert scores.f1 == pytest.approx(56 / 59)


def test_the_position_error_is_the_shift_in_picometres():
    scores = score_columns(
        GRID + np.array([0.3, 0.4]), GRID, tolerance=4, pixel_size=0.02
    )
    assert scores.position_error_px == pytest.approx(0.5)
    assert scores.position_error_pm == pytest.approx(10)


def test_a_column_has_one_partner_only():
    scores = score_columns([[0, 0], [0, 1]], [[0, 0.4]], tolerance=4)
    assert (scores.matched, scores.invented) == (1, 1)
    assert scores.pairs.tolist() == [[0, 0]]


def test_pairs_are_as_many_as_possible_and_then_as_near_as_possible():
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = rng.uniform(0, 4, (4, 2)), rng.uniform(0, 4, (4, 2))
        distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
        best = (0, 0.0)
        for order in itertools.permutations(range(4)):
            chosen = [distance[i, j] for i, j in enumerate(order)]
            inside = [d**2 for d in chosen if d <= 1.5]
            best = max(best, (len(inside), -sum(inside)))
        pairs = match_points(a, b, 1.5)
        total = float((distance[tuple(pairs.T)] ** 2).sum())
        assert len(pairs) == best[0]
        assert total == pytest.approx(-best[1])


def test_nothing_found_scores_nothing_and_nothing_to_find_scores_one():
    nothing = score_columns([], GRID, tolerance=4)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)
    both = score_columns([], [], tolerance=4)
    assert (both.precision, both.jaccard) == (1, 1)


def test_bad_positions_and_tolerances_are_refused():
    with pytest.raises(ParameterError, match="above 0"):
        score_columns(GRID, GRID, tolerance=0)
    with pytest.raises(ParameterError, match="shape"):
        score_columns(np.zeros(3), GRID, tolerance=1)


@pytest.mark.parametrize(("height", "background"), [(0.2, 0.45), (-0.3, 0.45), (5, 2)])
def test_detectability_is_the_integral_over_the_column(height, background):
    sigma = 6.0
    y, x = np.mgrid[-60:61, -60:61]
    column = height * np.exp(-(y**2 + x**2) / (2 * sigma**2))
    by_pixels = np.sqrt((column**2 / (background + column / 2)).sum())
    assert detectability(height, background, sigma) == pytest.approx(by_pixels, 1e-3)


def test_an_observer_of_single_columns_is_wrong_as_often_as_detectability_says(rng):
    sigma, background, height = 3.0, 1.0, 0.35
    y, x = np.mgrid[-12:13, -12:13]
    column = height * np.exp(-(y**2 + x**2) / (2 * sigma**2))
    weights, rest = np.log1p(column / background), column.sum()
    there = rng.poisson(background + column, (20_000, *column.shape))
    empty = rng.poisson(background, (20_000, *column.shape))
    missed = ((there * weights).sum((1, 2)) < rest).mean()
    invented = ((empty * weights).sum((1, 2)) >= rest).mean()
    expected = norm.cdf(-detectability(height, background, sigma) / 2)
    assert (missed + invented) / 2 == pytest.approx(expected, abs=0.01)


def test_what_has_no_background_or_no_height_is_not_detectable():
    assert detectability([0.0, 1.0], [0.5, 0.0], 2.0).tolist() == [0, 0]
