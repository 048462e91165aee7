"""Noise models, dose, sampling and thinning."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import InvalidImageError, LowDoseError, ParameterError
from lowdose.micrograph import Micrograph
from lowdose.noise import (
    NoiseModel,
    dose,
    electrons,
    noise_sigma,
    sample_poisson,
    sample_poisson_gauss,
    thin,
)


@pytest.fixture
def rng():
    return np.random.default_rng(20260706)


@pytest.mark.parametrize(
    "values",
    [{"gain": -1.0}, {"gain": np.nan}, {"read_noise": -0.1}, {"offset": np.inf}],
)
def test_a_model_refuses_numbers_that_no_detector_has(values):
    with pytest.raises(ParameterError, match=next(iter(values))):
        NoiseModel(**values)


def test_the_variance_of_a_model_is_that_of_its_samples(rng):
    model = NoiseModel(gain=7.0, offset=100.0, read_noise=4.0)
    for rate in (0.2, 3.0, 40.0):
        sample = sample_poisson_gauss(
            np.full(200_000, rate), rng, gain=7.0, offset=100.0, read_noise=4.0
        )
        assert sample.mean() == pytest.approx(100 + 7 * rate, abs=0.2)
        assert sample.var() == pytest.approx(model.variance(100 + 7 * rate), rel=0.03)


def test_summing_pixels_keeps_the_gain_and_sums_offset_and_read_variance(rng):
    model = NoiseModel(gain=2.0, offset=10.0, read_noise=3.0)
    frame = sample_poisson_gauss(
        np.full((600, 600), 1.5), rng, gain=2.0, offset=10.0, read_noise=3.0
    )
    binned = frame.reshape(200, 3, 200, 3).sum(axis=(1, 3))
    assert binned.var() == pytest.approx(
        model.binned(3).variance(binned.mean()), rel=0.03
    )


def test_the_dose_is_the_mean_number_of_electrons_whatever_gain_and_offset(rng):
    model = NoiseModel(gain=37.0, offset=1000.0)
    stack = sample_poisson(np.full((3, 64, 64), 4.0), rng, gain=37.0, offset=1000.0)
    assert dose(stack, model) == pytest.approx(4.0, abs=0.05)
    assert dose(Micrograph(stack), model) == pytest.approx(
        float(electrons(stack, model).mean()), rel=1e-5
    )


def test_the_dose_leaves_out_pixels_that_are_not_finite():
    frame = np.array([[2.0, np.nan], [4.0, np.inf]])
    assert dose(frame, NoiseModel()) == 3.0
    with pytest.raises(ParameterError, match="no finite pixel"):
        dose(np.full((2, 2), np.nan), NoiseModel())


def test_counts_cannot_become_electrons_without_a_gain():
    for function in (dose, electrons):
        with pytest.raises(ParameterError, match="gain is 0"):
            function(np.ones((2, 2)), NoiseModel(gain=0.0))


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_sampling_refuses_rates_that_are_no_dose(rate, rng):
    for sample in (sample_poisson, sample_poisson_gauss):
        with pytest.raises(ParameterError, match="1 of 2 rates"):
            sample(np.array([1.0, rate]), rng)


def test_the_halves_of_a_thinned_image_are_independent_poisson_images(rng):
    rate, p = 3.0, 0.3
    counts = sample_poisson(np.full(400_000, rate), rng)
    first, second = thin(counts, p, rng)
    np.testing.assert_array_equal(first + second, counts)
    for half, share in ((first, p), (second, 1 - p)):
        assert half.mean() == pytest.approx(share * rate, rel=0.01)
        assert half.var() == pytest.approx(share * rate, rel=0.01)
    # 400 000 pixels: the correlation of independent images has s.d. 0.0016.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.006
    assert first.dtype == second.dtype == np.float32


def test_thinning_works_in_electrons_behind_gain_and_offset(rng):
    counts = sample_poisson(np.full(10_000, 5.0), rng, gain=37.5, offset=1000.0)
    first, second = thin(counts, 0.5, rng, gain=37.5, offset=1000.0)
    both = (first - 1000) / 37.5 + (second - 1000) / 37.5
    np.testing.assert_allclose(both, (counts - 1000) / 37.5, atol=1e-3)


def test_thinning_keeps_very_large_counts_that_float32_rounds(rng):
    counts = sample_poisson(np.full(1000, 2e6), rng, gain=0.7, offset=3.0)
    first, second = thin(counts, 0.5, rng, gain=0.7, offset=3.0)
    np.testing.assert_allclose(first + second - 3.0, counts, rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1.0, 2.5], "50.0% of the pixels are not a whole number"),
        ([1.0, -2.0], "fewer than no electrons"),
        ([1.0, np.nan], "NaN"),
    ],
)
def test_thinning_refuses_what_are_no_counts(counts, message, rng):
    with pytest.raises(InvalidImageError, match=message):
        thin(np.array(counts), 0.5, rng)


def test_thinning_refuses_impossible_probabilities_and_gains(rng):
    with pytest.raises(ParameterError, match=r"p=1\.5"):
        thin(np.ones(3), 1.5, rng)
    with pytest.raises(ParameterError, match="gain"):
        thin(np.ones(3), 0.5, rng, gain=0.0)


@pytest.mark.parametrize("rate", [0.01, 0.2, 5.0, 2000.0])
def test_noise_sigma_is_the_noise_of_counts_however_sparse(rate, rng):
    frame = sample_poisson(np.full((256, 256), rate), rng)
    assert noise_sigma(frame) == pytest.approx(np.sqrt(rate), rel=0.08)


def test_noise_sigma_does_not_see_gradients_nor_straight_bands(rng):
    y, x = np.mgrid[:200, :200]
    specimen = 3.0 * x + 0.2 * x * y + 50 * (y % 7)
    noise = rng.standard_normal((200, 200))
    assert noise_sigma(specimen) == pytest.approx(0.0, abs=1e-6)
    assert noise_sigma(specimen + noise) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("shape", [(2, 2), (1, 2), (2, 9), (1, 9), (3, 3), (5, 1)])
def test_the_mean_square_of_noise_sigma_is_exact_on_small_frames(shape, rng):
    squares = [noise_sigma(rng.standard_normal(shape)) ** 2 for _ in range(4000)]
    assert np.mean(squares) == pytest.approx(1.0, rel=0.12)


def test_a_single_pixel_has_no_measurable_noise_and_an_empty_frame_is_refused():
    assert noise_sigma(np.array([[7.0]])) == 0.0
    with pytest.raises(InvalidImageError):
        noise_sigma(np.zeros((0, 4)))
    with pytest.raises(LowDoseError):
        noise_sigma(np.zeros(4))
