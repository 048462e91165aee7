import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from lowdose.training.assumptions import CORRELATED, counting, noise_correlation


@pytest.fixture
def counts(rng, rate):
    return list(rng.poisson(np.repeat(rate[None], 4, 0)).astype(np.float32))


@pytest.mark.parametrize("gain", [1, 3, 20])
def test_counted_electrons_are_recognised_with_their_gain(counts, gain):
    found = counting([gain * frame for frame in counts])
    assert (found.whole, found.gain, found.poisson) == (True, gain, True)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda x: x + 0.25, id="fractions"),
        pytest.param(lambda x: x - 1, id="negative"),
    ],
)
def test_what_is_not_whole_electrons_is_recognised(counts, spoil):
    assert not counting([spoil(frame) for frame in counts]).whole


def test_whole_numbers_with_other_noise_are_not_counted_electrons(rng, rate):
    frames = [np.rint(rng.normal(100 + rate, 2)).astype(np.float32) for _ in range(3)]
    found = counting(frames)
    assert found.whole
    assert not found.poisson


@pytest.mark.parametrize("frames", [1, 4])
def test_white_noise_is_not_correlated(counts, frames):
    rows, columns = noise_correlation(counts[:frames])
    assert max(abs(rows), abs(columns)) < CORRELATED


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize(("axis", "which"), [(2, 0), (1, 1)])
def test_blur_along_one_axis_is_seen_along_that_axis(rng, frames, axis, which):
    noise = gaussian_filter1d(rng.normal(size=(frames, 96, 96)), 0.7, axis=axis)
    found = noise_correlation(list(noise.astype(np.float32)))
    assert found[which] > 0.3
    assert abs(found[1 - which]) < CORRELATED
