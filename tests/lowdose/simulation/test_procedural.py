import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

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


def test_a_drawn_crystal_has_nothing_finer_than_its_lens_lets_through():
    shares = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        image = draw("crystals", rng, 128, grain=(0.0, 0.1, 1.0))
        taper = np.outer(*[np.hanning(128)] * 2)
        power = np.abs(np.fft.rfft2((image - image.mean()) * taper)) ** 2
        fine = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)) > 0.45
        shares.append(power[fine].sum() / power.sum())
    # Those whose columns are a pixel wide have some.
    assert np.median(shares) < 1e-4
    assert max(shares) < 0.2


def test_a_drawn_crystal_repeats_itself():
    best = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        image = draw("crystals", rng, 128, grain=(0.0, 0.1, 1.0))
        image = image - gaussian_filter(image, 24)
        power = np.abs(np.fft.fft2(image)) ** 2
        alike = np.fft.fftshift(np.fft.ifft2(power).real)
        alike /= alike.max()
        y, x = np.ogrid[-64:64, -64:64]
        # The nearest and the farthest lattice vector, apart from the peak at 0 itself.
        best.append(alike[(np.hypot(y, x) > 12) & (np.hypot(y, x) < 60)].max())
    assert np.median(best) > 0.3


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ParameterError, match="Did you mean 'membranes'"):
        draw("membrane", np.random.default_rng(0), 32)


def test_a_size_too_small_to_draw_in_is_refused():
    with pytest.raises(ParameterError, match="size=8 is too small"):
        draw("lattice", np.random.default_rng(0), 8)
