import numpy as np
import pytest

from lowdose.simulation import procedural
from lowdose.training.registration import overlap, shift_between


@pytest.fixture(scope="module")
def scene():
    return 5 + 60 * procedural.draw("membranes", np.random.default_rng(1), 200)


def view(scene, rng, row, column, *, dose=1.0):
    rate = scene[20 + row : 148 + row, 20 + column : 148 + column]
    return rng.poisson(dose * rate).astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-9, 4), (16, 12)])
def test_drift_is_measured_to_the_pixel(scene, rng, shift):
    assert shift_between(view(scene, rng, 0, 0), view(scene, rng, *shift)) == shift


def test_frames_cut_to_their_overlap_show_the_same(scene, rng):
    first, second = (scene[20:148, 20:148], scene[23:151, 14:142])
    a, b = overlap(first, second, (3, -6))
    assert a.shape == (125, 122)
    np.testing.assert_array_equal(a, b)


def test_noise_alone_has_no_drift(rng):
    pairs = rng.poisson(0.3, (20, 2, 96, 96)).astype(np.float32)
    assert all(shift_between(a, b) == (0, 0) for a, b in pairs)


def test_no_drift_is_made_up_at_a_fraction_of_an_electron(scene, rng):
    found = [
        shift_between(
            view(scene, rng, 0, 0, dose=0.01), view(scene, rng, 0, 0, dose=0.01)
        )
        for _ in range(10)
    ]
    assert found == [(0, 0)] * 10
