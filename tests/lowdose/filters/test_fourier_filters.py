"""The Wiener and ABSF filters of HRTEM, and the Bragg filter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.filters import absf, bragg_filter, hrtem_wiener
from lowdose.filters.bragg import find_peaks
from lowdose.filters.spectrum import rotational_background, soft_step, spectrum_of

FUNCTIONS = [hrtem_wiener, absf, bragg_filter]


@pytest.fixture(scope="module")
def lattice():
    y, x = np.mgrid[:192, :230]
    first = np.cos(2 * np.pi * (x / 9.1 + y / 30))
    return 2 + first + np.cos(2 * np.pi * (y / 8.3 - x / 40))


@pytest.fixture(scope="module")
def counts(lattice):
    return np.random.default_rng(0).poisson(lattice).astype(float)


def background_of(image, **values):
    spectrum = spectrum_of(image)
    step = 2 / max(spectrum.padded)
    found = rotational_background(
        spectrum.power, spectrum.frequency, step=step, **values
    )
    return found, spectrum


@pytest.mark.parametrize("shape", [(64, 64), (50, 81), (7, 5), (1, 9), (2, 2), (1, 1)])
def test_a_spectrum_goes_back_to_its_frame(shape):
    image = np.random.default_rng(1).normal(5, 2, shape)
    spectrum = spectrum_of(image)
    np.testing.assert_allclose(
        spectrum.filtered(np.ones_like(spectrum.frequency)), image, atol=1e-10
    )


def test_the_background_of_white_noise_is_its_power():
    noise = np.random.default_rng(2).standard_normal((256, 320))
    background, spectrum = background_of(3 * noise)
    assert background.mean() / (9 * spectrum.energy) == pytest.approx(1, abs=0.02)
    outside = background[spectrum.frequency > 0.05] / (9 * spectrum.energy)
    assert outside.std() < 0.15


def test_the_background_follows_a_blurred_noise():
    noise = np.random.default_rng(3).standard_normal((256, 256))
    background, spectrum = background_of(gaussian_filter(noise, 1.0, mode="wrap"))
    transfer = np.exp(-4 * (np.pi * spectrum.frequency) ** 2)
    near = (spectrum.frequency > 0.05) & (spectrum.frequency < 0.2)
    ratio = background[near] / (transfer[near] * spectrum.energy)
    assert ratio.mean() == pytest.approx(1, abs=0.05)


def test_bragg_peaks_hardly_raise_the_background(counts):
    flat = np.random.default_rng(4).poisson(2.0, counts.shape).astype(float)
    with_peaks, spectrum = background_of(counts)
    without, _ = background_of(flat)
    away = spectrum.frequency > 0.05
    assert with_peaks[away].mean() == pytest.approx(without[away].mean(), rel=0.1)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_lattice_in_noise_gains(function, counts, lattice):
    before = np.mean((counts - lattice) ** 2)
    assert np.mean((function(counts) - lattice) ** 2) < 0.08 * before


@pytest.mark.parametrize("function", FUNCTIONS)
def test_noise_alone_is_nearly_removed_and_gets_no_lattice(function):
    noise = np.random.default_rng(5).standard_normal((192, 192))
    result = function(noise)
    assert result.std() < 0.3
    power = np.abs(np.fft.fft2(result)) ** 2 / noise.size
    assert power.max() < 20  # not above what the strongest noise had


def test_average_subtraction_leaves_less_noise_than_wiener():
    noise = np.random.default_rng(6).standard_normal((192, 192))
    assert absf(noise).std() < 0.8 * hrtem_wiener(noise).std()


def test_amorphous_contrast_goes_with_the_rotational_background_only():
    rng = np.random.default_rng(7)
    amorphous = gaussian_filter(rng.standard_normal((192, 192)), 1.5)
    amorphous /= amorphous.std()
    noisy = amorphous + rng.standard_normal(amorphous.shape)
    white = hrtem_wiener(noisy, noise=1.0, cutoff=1.0)
    rotational = hrtem_wiener(noisy, cutoff=1.0)
    assert np.mean((white - amorphous) ** 2) < 0.5 * np.mean(
        (rotational - amorphous) ** 2
    )


def test_without_background_or_low_pass_nothing_changes(counts):
    for function in (hrtem_wiener, absf):
        result = function(counts, strength=0.0, cutoff=1.0, order=20.0)
        np.testing.assert_allclose(result, counts, atol=0.01)


def test_the_peaks_of_a_lattice_are_found_and_none_in_noise(counts):
    spectrum = spectrum_of(counts)
    values = {"radius": 0.01, "threshold": 20.0, "low": 0.02}
    found = np.argwhere(find_peaks(spectrum, **values))
    y = np.fft.fftfreq(spectrum.padded[0])[found[:, 0]]
    x = found[:, 1] / spectrum.padded[1]
    for wanted in ((1 / 30, 1 / 9.1), (-1 / 8.3, 1 / 40)):
        away = np.hypot(y - wanted[0], x - wanted[1])
        assert away.min() < 1.5 / min(spectrum.padded)
    noise = np.random.default_rng(8).standard_normal((256, 256))
    assert not find_peaks(spectrum_of(noise), **values).any()


def test_the_bragg_filter_keeps_only_the_lowest_frequencies_where_no_peak_is():
    noise = np.random.default_rng(9).standard_normal((128, 128))
    slow = 5 * np.cos(2 * np.pi * np.arange(128) / 128)[:, None]
    result = bragg_filter(noise + slow, low=0.03)
    # At the border the slope of the wave ends.
    assert np.std((result - slow)[8:-8]) < 0.15


def test_a_higher_threshold_lets_less_through(counts):
    through = [
        np.std(bragg_filter(counts, threshold=value)) for value in (2.0, 50.0, 1e6)
    ]
    assert through[0] > through[1] > through[2]


def test_a_wider_mask_keeps_more_of_a_defect(lattice):
    broken = lattice.copy()
    broken[90:102, 110:122] = 2.0
    kept = [
        np.abs(bragg_filter(broken, radius=r) - broken)[92:100, 112:120].mean()
        for r in (0.005, 0.05)
    ]
    assert kept[1] < 0.8 * kept[0]  # with a narrow one the lattice is painted over it


def test_soft_steps_fall_from_one_to_zero():
    x = np.linspace(0, 2, 201)
    for width in (0.0, 0.3, 1.0):
        step = soft_step(x, 1.0, width)
        assert np.all(np.diff(step) <= 1e-12)
        assert (step[x <= 1 - width / 2] == 1).all()
        assert (step[x > 1 + width / 2 + 1e-9] < 1e-12).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_saturated_frames_come_through(function):
    frame = np.minimum(np.random.default_rng(10).poisson(60.0, (64, 48)), 63.0)
    result = function(frame)
    assert result.mean() == pytest.approx(frame.mean(), rel=0.01)
    np.testing.assert_allclose(function(np.full((64, 48), 65535.0)), 65535.0)
