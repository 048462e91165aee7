import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics import mean_interval, mse, umse, umse_terms, upsnr
from lowdose.metrics.intervals import block_means


def scene(size=128, dose=5.0):
    y, x = np.mgrid[:size, :size]
    return dose * (1 + 0.5 * np.sin(x / 4) * np.sin(y / 5))


@pytest.mark.parametrize("formula", ["pairs", "published"])
@pytest.mark.parametrize("dose", [0.3, 20.0])
def test_the_unsupervised_error_is_unbiased(rng, formula, dose):
    truth = scene(64, dose)
    gaps = []
    for _ in range(60):
        found = gaussian_filter(rng.poisson(truth).astype(float), 2)
        copies = rng.poisson(truth, (3, *truth.shape))
        gaps.append(
            umse_terms(found, copies, formula=formula).mean() - mse(found, truth)
        )
    standard_error = np.std(gaps) / math.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 4 * standard_error
    assert standard_error < 0.2 * dose  # so that the line above can fail


def test_pairs_scatter_less_than_the_published_formula_on_sparse_counts(rng):
    truth = scene(64, 0.1)
    found = np.full_like(truth, 0.1)
    spread = {
        formula: np.std(
            [
                umse_terms(
                    found, rng.poisson(truth, (3, 64, 64)), formula=formula
                ).mean()
                for _ in range(60)
            ]
        )
        for formula in ("pairs", "published")
    }
    assert spread["pairs"] < spread["published"] / 2.5


def test_the_interval_covers_the_true_error_about_as_often_as_it_says(rng):
    truth = scene(96, 2.0)
    covered = 0
    for trial in range(60):
        found = gaussian_filter(rng.poisson(truth).astype(float), 1.5)
        estimate = umse(found, rng.poisson(truth, (3, 96, 96)), seed=trial)
        covered += estimate.low <= mse(found, truth) <= estimate.high
    assert covered >= 51  # 95 % of 60 is 57; fewer than 51 has a chance below 1 %


def test_upsnr_is_the_psnr_within_its_interval(rng):
    truth = scene(256, 20.0)
    found = gaussian_filter(rng.poisson(truth).astype(float), 1)
    peak = float(np.ptp(truth))
    estimate = upsnr(found, rng.poisson(truth, (2, 256, 256)), peak=peak)
    true = 10 * math.log10(peak**2 / mse(found, truth))
    assert estimate.low < true < estimate.high
    assert abs(estimate.value - true) < 0.5


def test_too_few_copies_and_unknown_formulas_are_refused():
    image = np.eye(8)
    with pytest.raises(ParameterError, match="at least 2"):
        umse(image, [image])
    with pytest.raises(ParameterError, match="exactly 3"):
        umse(image, [image] * 4, formula="published")
    with pytest.raises(ParameterError, match="pairs"):
        umse(image, [image] * 3, formula="mean")
    with pytest.raises(InvalidImageError, match="copy 2"):
        umse(image, [image, np.eye(9)])


def test_block_means_leave_out_what_is_not_finite():
    terms = np.ones((64, 64))
    terms[:16, :20] = np.nan
    means = block_means(terms, block=16)
    assert means.size == 15
    assert (means == 1).all()


def test_nothing_finite_is_refused():
    with pytest.raises(InvalidImageError, match="finite"):
        block_means(np.full((32, 32), np.nan))


def test_a_level_that_is_none_is_refused(rng):
    with pytest.raises(ParameterError, match="level"):
        mean_interval(np.eye(32), rng, level=95)


def test_an_error_that_may_be_zero_has_an_infinite_psnr_at_one_end(rng):
    estimate = mean_interval(rng.normal(0, 1, (64, 64)), rng)
    assert estimate.low < 0 < estimate.high
    assert estimate.decibels(1.0).high == math.inf
    assert estimate.decibels(1.0).to_dict()["high"] is None
