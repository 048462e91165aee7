import numpy as np
import pytest

from lowdose.errors import ParameterError
from lowdose.simulation.procedural import KINDS, draw


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [16, 61])
def test_an_image_fills_its_range_and_is_finite(kind, size):
    for seed in range(6):
        image = draw(kind, np.random.default_rng(seed), size)
        assert image.shape == (size, size)
        assert image.dtype == np.float32
        assert image.min() == 0
        assert image.max() in (0, 1)
        assert np.isfinite(image).all()


@pytest.mark.parametrize("kind", [*KINDS, "any"])
def test_the_same_seed_draws_the_same_image(kind):
    first, again, other = (
        draw(kind, np.random.default_rng(seed), 48) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_lattice_has_peaks_in_its_spectrum():
    peaks = []
    for seed in range(12):
        image = draw("lattice", np.random.default_rng(seed), 128)
        power = np.abs(np.fft.rfft2(image - image.mean())) ** 2
        power[:4, :4] = power[-4:, :4] = 0  # slow changes of brightness
        peaks.append(power.max() / power.mean())
    assert np.median(peaks) > 100


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ParameterError, match="Did you mean 'membranes'"):
        draw("membrane", np.random.default_rng(0), 32)


def test_a_size_too_small_to_draw_in_is_refused():
    with pytest.raises(ParameterError, match="size=8 is too small"):
        draw("lattice", np.random.default_rng(0), 8)
