"""Local deviance: standard normal where the image is right, large where it is not."""

import numpy as np
import pytest
from scipy.stats import kstest

from lowdose import catalogue
from lowdose.errors import Cancelled, ParameterError
from lowdose.inference.engine import denoise
from lowdose.micrograph import Calibration, Micrograph
from lowdose.noise import NoiseModel
from lowdose.trust.deviance import (
    DevianceOptions,
    iter_local_deviance,
    local_deviance,
)
from lowdose.trust.disk_counts import standard_score


def rate(shape=(160, 180)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 0.6 + 0.25 * np.sin(y / 5) * np.cos(x / 6)


def test_scores_are_standard_normal_where_the_image_is_right(rng):
    expected, options = rate(), DevianceOptions(diameter_px=18, draws=20)
    scores = []
    for _ in range(30):
        found = local_deviance(rng.poisson(expected), expected, options=options)
        scores.append(found.score[10:-10:20, 10:-10:20].ravel())  # disks that are apart
    assert kstest(np.concatenate(scores)[:2000], "norm").pvalue > 0.01


def test_the_largest_score_of_a_right_image_is_seldom_significant(rng):
    expected, options = rate((80, 80)), DevianceOptions(diameter_px=14, draws=39)
    p = [
        local_deviance(rng.poisson(expected), expected, options=options).p_largest
        for _ in range(60)
    ]
    assert kstest(p, "uniform").pvalue > 0.01


def test_a_missing_column_is_found_where_it_is_missing(rng):
    y, x = np.mgrid[:160, :180]
    column = 0.8 * np.exp(-((y - 70) ** 2 + (x - 95) ** 2) / (2 * 5.0**2))
    options = DevianceOptions(diameter_px=14, draws=40)
    found = local_deviance(rng.poisson(rate() + column), rate(), options=options)
    at = np.unravel_index(np.nanargmax(found.score), found.score.shape)
    assert np.hypot(at[0] - 70, at[1] - 95) < 5
    assert found.largest > found.threshold
    assert found.p_largest < 0.05


def test_disks_at_the_border_and_beside_missing_pixels_stay_right(rng):
    expected = rate()
    scores = []
    for _ in range(40):
        noisy = rng.poisson(expected).astype(float)
        noisy[50, 60:64] = np.nan
        options = DevianceOptions(diameter_px=16, draws=20)
        found = local_deviance(noisy, expected, options=options)
        assert np.isnan(found.score[50, 61])
        scores += [found.score[0, 0], found.score[-1, 90], found.score[53, 62]]
    assert kstest(scores, "norm").pvalue > 0.01


def test_gain_and_read_noise_keep_the_scores(rng):
    expected, scores = rate(), []
    model = NoiseModel(gain=20.0, offset=50.0, read_noise=8.0)
    options = DevianceOptions(diameter_px=18, draws=20)
    for _ in range(20):
        noisy = 20.0 * rng.poisson(expected) + 50 + 8 * rng.standard_normal((160, 180))
        found = local_deviance(noisy, 20 * expected + 50, noise=model, options=options)
        scores.append(found.score[10:-10:20, 10:-10:20].ravel())
    assert kstest(np.concatenate(scores), "norm").pvalue > 0.01


def test_the_diameter_is_told_in_nanometres(rng):
    calibration = Calibration.from_spacing((0.02, 0.02), ("nm", "nm"))
    noisy = Micrograph(rng.poisson(rate()), calibration)
    options = DevianceOptions(diameter_nm=0.3, draws=20)
    found = local_deviance(noisy, rate(), options=options)
    assert found.diameter_px == pytest.approx(15)
    assert found.maps[0].numbers["diameter [nm]"] == pytest.approx(0.3)
    with pytest.raises(ParameterError, match="pixel size"):
        local_deviance(np.asarray(noisy), rate(), options=options)


def test_with_the_denoiser_other_electrons_judge_it(rng):
    noisy = rng.poisson(rate((96, 96))).astype(np.float32)
    # A filter that hardly smooths follows the noise: only held-out electrons tell.
    weak = catalogue.load("gaussian", sigma=1.0)
    options = DevianceOptions(diameter_px=10, draws=20)
    same = local_deviance(noisy, denoise(noisy, weak), options=options)
    other = local_deviance(noisy, denoise(noisy, weak), denoiser=weak, options=options)
    assert np.nanstd(same.score) < 0.5
    assert np.nanstd(other.score) > 1.1


@pytest.mark.parametrize("mean", [5.0, 300.0, 1e5])
def test_the_score_of_a_count_is_normal(rng, mean):
    scores = standard_score(rng.poisson(mean, 4000).astype(float), np.full(4000, mean))
    assert scores.mean() == pytest.approx(0, abs=0.06)
    assert scores.std() == pytest.approx(1, abs=0.05)


def test_it_stops_when_told(rng):
    with pytest.raises(Cancelled):
        list(iter_local_deviance(rng.poisson(rate()), rate(), should_stop=lambda: True))
