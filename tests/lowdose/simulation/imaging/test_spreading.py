import numpy as np
import pytest
from scipy import fft

from lowdose.simulation.imaging.spreading import point_spectrum


@pytest.mark.parametrize("shape", [(40, 51), (64, 64), (7, 9)])
def test_the_spectrum_is_that_of_the_sum_over_points(shape):
    rng = np.random.default_rng(0)
    places, weights = rng.uniform(-0.5, 1.5, (2, 50)), rng.random(50)
    down, across = fft.fftfreq(shape[0], 1 / shape[0]), np.arange(shape[1] // 2 + 1)
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(frequency, place))
        for frequency, place in zip((down, across), places, strict=True)
    )
    exact = (rows * weights) @ columns.T
    found = point_spectrum(places, weights, shape)
    assert np.abs(found - exact).max() < 1e-4 * weights.sum()


def test_no_points_have_no_spectrum():
    found = point_spectrum(np.zeros((2, 0)), np.zeros(0), (8, 8))
    assert found.shape == (8, 5)
    assert not found.any()
