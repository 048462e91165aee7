import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics.harm import (
    change_of_clean,
    change_of_constant,
    noise_response,
)

SMALL = {"rate": 3.0, "shape": (64, 64), "images": 4}


def test_the_noise_itself_has_all_its_power():
    found = noise_response(lambda counts: counts, **SMALL)
    assert found.left == pytest.approx(1)
    assert found.peak == pytest.approx(1)
    assert 1 < found.strongest < 2


def test_smoothing_leaves_less_at_every_frequency():
    found = noise_response(lambda counts: gaussian_filter(counts, 2), **SMALL)
    assert found.left < 0.2
    assert found.peak < 1
    assert found.strongest < 1.5


def test_an_invented_lattice_stands_out_though_it_turns_and_moves():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]

    def inventing(counts):
        ky, kx = (int(k) for k in rng.integers(5, 12, 2))
        phase = rng.uniform(0, 2 * np.pi)
        wave = np.cos(2 * np.pi * (ky * y + kx * x) / 64 + phase)
        return gaussian_filter(counts, 2) + 0.5 * wave

    found = noise_response(inventing, **SMALL)
    assert found.left < 0.4  # which alone would tell nothing
    assert found.peak > 5


def test_the_change_of_a_clean_image_counts_against_its_contrast():
    image = np.random.default_rng(0).uniform(0, 100, (32, 32))
    assert change_of_clean(lambda counts: counts, [image]) == 0
    offset = change_of_clean(lambda counts: counts + counts.std(), [image, 3 * image])
    assert offset == pytest.approx(1, rel=1e-5)


def test_a_constant_image_that_gets_structure_is_noticed():
    rng = np.random.default_rng(0)
    found = change_of_constant(
        lambda counts: counts + rng.choice([-5, 5], counts.shape),
        [0.0, 100.0],
        shape=(8, 8),
    )
    assert found == pytest.approx(5)
    assert change_of_constant(lambda counts: counts, [7.0], shape=(8, 8)) == 0


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ParameterError, match="0 e-/px cannot be judged"):
        noise_response(lambda counts: counts, rate=0, shape=(64, 64), images=1)
    with pytest.raises(InvalidImageError, match="constant image has no contrast"):
        change_of_clean(lambda counts: counts, [np.ones((8, 8))])
    with pytest.raises(InvalidImageError, match="no clean image"):
        change_of_clean(lambda counts: counts, [])
