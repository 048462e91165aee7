"""Principal components of patches, over one frame and over several."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.filters import make, pca_denoise
from lowdose.filters.pca import optimal_threshold
from lowdose.inference.engine import denoise


@pytest.fixture(scope="module")
def lattice():
    y, x = np.mgrid[:72, :80]
    return 2 * np.cos(2 * np.pi * x / 9.3) * np.cos(2 * np.pi * y / 7.7)


def mse(estimate, truth):
    return float(np.mean((estimate - truth) ** 2))


@pytest.mark.parametrize("rule", ["parallel", "gavish-donoho"])
def test_a_lattice_is_learnt_from_a_single_frame(lattice, rule):
    noisy = lattice + np.random.default_rng(0).standard_normal(lattice.shape)
    result = pca_denoise(noisy, sigma=1.0, rule=rule)
    assert mse(result, lattice) < 0.1


def test_neighbouring_frames_help(lattice):
    rng = np.random.default_rng(1)
    stack = 0.5 * lattice + rng.standard_normal((5, *lattice.shape))
    one = pca_denoise(stack[2], sigma=1.0)
    several = pca_denoise(stack, sigma=1.0)
    assert mse(several, 0.5 * lattice) < 0.7 * mse(one, 0.5 * lattice)


def test_what_happens_in_the_middle_frame_alone_stays_there(lattice):
    rng = np.random.default_rng(2)
    still = np.stack([lattice] * 5)
    moving = still.copy()
    moving[2, 30:38, 30:38] += 8.0
    noise = rng.standard_normal(still.shape)
    middle = pca_denoise(moving + noise, sigma=1.0)
    assert (middle - lattice)[31:37, 31:37].mean() > 6.0
    seen = np.concatenate([moving + noise, (still + noise)[:2]])[2:]
    # From a frame beside it: what it sees of the event is in its neighbours.
    beside = pca_denoise(seen, sigma=1.0)
    assert abs((beside - lattice)[31:37, 31:37].mean()) < 1.0


@pytest.mark.parametrize("rule", ["parallel", "gavish-donoho"])
def test_noise_alone_has_no_components(rule):
    noise = np.random.default_rng(3).standard_normal((96, 96))
    assert pca_denoise(noise, sigma=1.0, rule=rule).std() < 0.1


def test_equal_frames_are_used_once(lattice):
    """At the ends of a stack its frames come twice, with the same noise."""
    rng = np.random.default_rng(4)
    noisy = lattice + rng.standard_normal(lattice.shape)
    np.testing.assert_array_equal(
        pca_denoise(np.stack([noisy] * 5), sigma=1.0), pca_denoise(noisy, sigma=1.0)
    )


def test_more_components_keep_more(lattice):
    noisy = lattice + np.random.default_rng(5).standard_normal(lattice.shape)
    away = [mse(pca_denoise(noisy, sigma=1.0, components=n), noisy) for n in (1, 4, 49)]
    assert away[0] > away[1] > away[2]


def test_the_optimal_threshold_is_that_of_the_paper():
    assert optimal_threshold(1.0) == pytest.approx(4 / np.sqrt(3))
    assert optimal_threshold(1e-9) == pytest.approx(np.sqrt(2), abs=1e-4)
    # Of the noise itself the largest singular value is 1 + sqrt(ratio).
    for ratio in (0.05, 0.3, 0.8):
        assert optimal_threshold(ratio) > 1 + np.sqrt(ratio)


def test_what_is_no_frame_or_out_of_range_is_refused():
    for bad in (np.zeros((0, 4, 4)), np.zeros(5), np.full((3, 4, 4), np.nan)):
        with pytest.raises(InvalidImageError):
            pca_denoise(bad, sigma=1.0)
    for values in ({"patch": 1}, {"window": 3}, {"rule": "none"}, {"components": -1}):
        with pytest.raises(ParameterError):
            pca_denoise(np.zeros((9, 9)), sigma=1.0, **values)


def test_the_engine_gives_it_the_frames_it_asks_for(lattice):
    rng = np.random.default_rng(6)
    movie = rng.poisson(3 + 0.7 * np.stack([lattice] * 6)).astype(np.float32)
    needs = make("pca", neighbours=1).needs
    assert (needs.frames_before, needs.frames_after, needs.frames) == (1, 1, 3)
    alone = np.asarray(denoise(movie, "pca", neighbours=0).data)
    together = np.asarray(denoise(movie, "pca", neighbours=2).data)
    truth = 3 + 0.7 * lattice
    for number in range(6):
        assert mse(together[number], truth) < mse(alone[number], truth)
    binned = np.asarray(denoise(movie, "pca", binning=2, vst="counts").data)
    assert mse(binned, truth) < 0.2 * mse(movie, truth)
