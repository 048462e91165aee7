"""The generalised Anscombe transform and its exact unbiased inverse."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import ParameterError
from lowdose.noise import (
    NoiseModel,
    expected_gat,
    gat,
    inverse_gat,
    sample_poisson_gauss,
)

MODELS = [
    NoiseModel(),
    NoiseModel(gain=37.0, offset=1000.0),
    NoiseModel(gain=0.3, offset=-20.0, read_noise=0.15),
    NoiseModel(gain=5.0, offset=50.0, read_noise=10.0),
    NoiseModel(gain=1.0, read_noise=9.0),
]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def draw(model: NoiseModel, rate: float, size: int, rng) -> np.ndarray:
    return sample_poisson_gauss(
        np.full(size, rate),
        rng,
        gain=model.gain,
        offset=model.offset,
        read_noise=model.read_noise,
    ).astype(np.float64)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rate", [3.0, 10.0, 100.0, 2000.0])
def test_the_transform_makes_the_noise_one_from_three_electrons(model, rate, rng):
    assert gat(draw(model, rate, 200_000, rng), model).std() == pytest.approx(
        1.0, abs=0.05
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rate", [0.1, 0.5, 2.0, 20.0, 58.0, 62.0, 500.0])
def test_the_inverse_of_the_mean_transform_is_the_mean_count(model, rate, rng):
    counts = draw(model, rate, 1_000_000, rng)
    found = (inverse_gat(gat(counts, model).mean(), model) - model.offset) / model.gain
    sure = np.sqrt((rate + (model.read_noise / model.gain) ** 2) / counts.size)
    assert found == pytest.approx(rate, abs=5 * sure + 3e-4)


@pytest.mark.parametrize("model", MODELS)
def test_the_inverse_undoes_the_expectation_to_the_stated_accuracy(model):
    rates = np.concatenate([[0.0], np.geomspace(1e-4, 3000, 800)])
    back = inverse_gat(expected_gat(rates, model), model)
    np.testing.assert_allclose((back - model.offset) / model.gain, rates, atol=2e-4)


def test_the_plain_algebraic_inverse_would_be_biased_where_this_one_is_not():
    mean = float(expected_gat(0.5, NoiseModel()))
    assert (mean / 2) ** 2 - 0.375 < 0.4  # what squaring gives: a fifth too dark
    assert inverse_gat(mean, NoiseModel()) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_the_inverse_grows_without_a_jump_and_is_never_clipped(model):
    values = np.linspace(-3.0, 60.0, 20_001)
    counts = inverse_gat(values, model)
    steps = np.diff(counts) / model.gain
    assert steps.min() > 0
    assert np.abs(np.diff(steps)).max() < 2e-4


def test_without_gain_the_transform_is_linear_and_inverts_exactly(rng):
    model = NoiseModel(gain=0.0, offset=3.0, read_noise=2.0)
    values = rng.normal(3.0, 2.0, 1000)
    assert gat(values, model).std() == pytest.approx(1.0, rel=0.1)
    np.testing.assert_allclose(inverse_gat(gat(values, model), model), values)


def test_without_any_noise_there_is_nothing_to_stabilise():
    model = NoiseModel(gain=0.0)
    for function in (gat, inverse_gat):
        with pytest.raises(ParameterError, match="neither gain nor read noise"):
            function(np.ones(3), model)


def test_shapes_are_kept_and_inputs_untouched():
    values = np.arange(6.0).reshape(1, 2, 3)
    before = values.copy()
    assert inverse_gat(gat(values, NoiseModel()), NoiseModel()).shape == (1, 2, 3)
    assert expected_gat(values, NoiseModel()).shape == (1, 2, 3)
    np.testing.assert_array_equal(values, before)
