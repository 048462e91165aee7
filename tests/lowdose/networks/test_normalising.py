import numpy as np
import pytest

from lowdose.networks import normalising
from lowdose.noise import NoiseModel


def test_known_noise_is_brought_to_unit_variance(rng):
    rate = 30.0
    frame = (5 + 2 * rng.poisson(rate, (256, 256))).astype(np.float32)
    measures = normalising.measure(frame, NoiseModel(gain=2, offset=5))
    z = (frame - measures["mean"]) / measures["sigma"]
    assert z.std() == pytest.approx(1, abs=0.02)
    assert measures["known"] == 1


def test_the_growth_predicts_the_variance_away_from_the_mean(rng):
    rates = np.where(np.arange(512) < 256, 10.0, 40.0)
    frame = rng.poisson(np.broadcast_to(rates, (512, 512))).astype(np.float32)
    measures = normalising.measure(frame, NoiseModel())
    z = (frame - measures["mean"]) / measures["sigma"]
    for half in (z[:, :256], z[:, 256:]):
        predicted = 1 + measures["growth"] * half.mean()
        assert half.var() == pytest.approx(predicted, rel=0.03)


def test_unknown_noise_is_measured_and_said_to_be_unknown(rng):
    frame = rng.normal(1000, 7, (256, 256)).astype(np.float32)
    measures = normalising.measure(frame, None)
    assert measures["sigma"] == pytest.approx(7, rel=0.05)
    assert measures["known"] == measures["growth"] == 0


@pytest.mark.parametrize("noise", [None, NoiseModel()])
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_constant_frame_gets_a_usable_level(noise, level):
    measures = normalising.measure(np.full((8, 8), level, np.float32), noise)
    assert np.isfinite(measures["sigma"])
    assert measures["sigma"] > 0


def test_constants_and_columns_are_shaped_for_batches():
    measures = [{"mean": 1.0, "sigma": 2.0, "known": 1.0, "growth": 0.5}] * 3
    assert normalising.constants(measures, 2).tolist() == [[1.0, 0.5]] * 3
    assert normalising.column(measures, "sigma").shape == (3, 1, 1)


@pytest.mark.parametrize("shape", [(4, 8), (64, 64)])
def test_a_smooth_frame_is_not_blown_up(shape):
    ramp = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    measures = normalising.measure(ramp, None)
    z = (ramp - measures["mean"]) / measures["sigma"]
    assert np.abs(z).max() < 200
    powers = [measures[key] for key in normalising.CONDITIONS[2:]]
    assert min(powers) >= -0.3
    assert max(powers) <= 4


def test_a_dose_below_any_that_was_learnt_is_told_as_the_least(rng):
    frame = rng.poisson(0.01, (128, 128)).astype(np.float32)
    assert normalising.measure(frame, NoiseModel())["growth"] == 2.25
