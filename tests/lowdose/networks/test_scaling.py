import numpy as np
import pytest

from lowdose.networks.scaling import SCALINGS
from lowdose.networks.variants import VARIANTS


@pytest.fixture
def frame(rng):
    return rng.poisson(30, (40, 60)).astype(np.float32) + 1000


@pytest.mark.parametrize("name", SCALINGS)
def test_the_inverse_gives_the_counts_back(name, frame):
    scaled, offset, unit = SCALINGS[name].apply(frame)
    assert scaled.dtype == np.float32
    back = SCALINGS[name].invert(scaled, offset, unit)
    np.testing.assert_allclose(back, frame, rtol=1e-6)


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_frame_is_scaled_to_finite_values_and_back(name, value):
    frame = np.full((16, 16), value, np.float32)
    scaled, offset, unit = SCALINGS[name].apply(frame)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(SCALINGS[name].invert(scaled, offset, unit), frame)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("min-max", 0, 1), ("centred", None, 0.5), ("full-scale", None, 1)],
)
def test_the_range_is_the_published_one(name, low, high, frame):
    scaled, *_ = SCALINGS[name].apply(frame)
    assert scaled.max() == pytest.approx(high)
    if low is not None:
        assert scaled.min() == pytest.approx(low)


def test_standardised_images_have_mean_0_and_deviation_1(frame):
    scaled, *_ = SCALINGS["standardised"].apply(frame)
    assert scaled.mean() == pytest.approx(0, abs=1e-3)
    assert scaled.std() == pytest.approx(1, abs=1e-3)


def test_the_noise_has_about_unit_deviation_after_mean_and_noise(rng):
    ramp = np.linspace(100, 400, 96, dtype=np.float32)[None].repeat(96, 0)
    noisy = (ramp + rng.normal(0, 5, ramp.shape)).astype(np.float32)
    _, _, unit = SCALINGS["mean-and-noise"].apply(noisy)
    assert unit == pytest.approx(5, rel=0.1)


def test_every_network_has_a_scaling_that_is_there():
    assert {variant.scaling for variant in VARIANTS} <= set(SCALINGS)
