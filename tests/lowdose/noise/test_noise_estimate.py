"""Gain and offset from micrographs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.micrograph import Micrograph
from lowdose.noise import estimate_noise, sample_poisson, sample_poisson_gauss


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def discs(size: int, rng) -> np.ndarray:
    """Return overlapping discs with edges one pixel wide, 0.1 to 1."""
    image = np.full((size, size), 0.5)
    y, x = np.mgrid[:size, :size]
    for _ in range(150):
        radius = rng.uniform(5, 50)
        row, column = rng.uniform(0, size, 2)
        inside = (y - row) ** 2 + (x - column) ** 2 < radius**2
        image[inside] = rng.uniform(0.1, 1.0)
    return gaussian_filter(image, 1.0)


def columns(size: int, rng) -> np.ndarray:
    """Return a lattice of blurred atomic columns, 0.2 to 1."""
    y, x = np.mgrid[:size, :size]
    squared = (y % 12 - 6.0) ** 2 + (x % 12 - 6.0) ** 2
    return 0.2 + 0.8 * np.exp(-squared / (2 * 2.2**2))


def membranes(size: int, rng) -> np.ndarray:
    """Return dark winding lines on uneven ground."""
    lines = gaussian_filter(rng.standard_normal((size, size)), 6)
    ground = gaussian_filter(rng.standard_normal((size, size)), 20)
    dark = 0.4 * np.exp(-((lines / lines.std() / 0.25) ** 2))
    return np.clip(0.7 + 0.1 * ground / ground.std() - dark, 0.05, None)


@pytest.mark.parametrize("specimen", [discs, columns, membranes])
@pytest.mark.parametrize("peak", [0.5, 5.0, 200.0])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.3, 20.0), (37.0, 1000.0)])
def test_gain_and_offset_are_found_on_structured_specimens(
    specimen, peak, gain, offset, rng
):
    counts = sample_poisson(specimen(320, rng) * peak, rng, gain=gain, offset=offset)
    found = estimate_noise(counts)
    assert found.method == "line"
    assert found.model.gain == pytest.approx(gain, rel=0.1)
    # What matters is the variance it predicts where the data are.
    mean = counts.mean()
    assert found.model.variance(mean) == pytest.approx(gain * (mean - offset), rel=0.1)


@pytest.mark.parametrize("specimen", [discs, membranes])
def test_read_noise_does_not_draw_the_gain_down(specimen, rng):
    counts = sample_poisson_gauss(
        specimen(384, rng) * 20, rng, gain=5.0, offset=50.0, read_noise=8.0
    )
    found = estimate_noise(counts)
    assert found.model.gain == pytest.approx(5.0, rel=0.1)


def test_with_the_offset_given_the_read_noise_is_found(rng):
    counts = sample_poisson_gauss(
        discs(384, rng) * 20, rng, gain=5.0, offset=50.0, read_noise=12.0
    )
    found = estimate_noise(counts, offset=50.0)
    assert found.model.offset == 50.0
    assert found.model.read_noise == pytest.approx(12.0, rel=0.25)
    known = estimate_noise(counts, offset=50.0, read_noise=12.0)
    assert known.model.gain == pytest.approx(5.0, rel=0.05)
    by_read_noise = estimate_noise(counts, read_noise=12.0)
    assert by_read_noise.model.offset == pytest.approx(
        50.0, abs=5 * by_read_noise.offset_error
    )


def test_standard_errors_cover_the_truth(rng):
    specimen = discs(256, rng)
    pulls = []
    for _ in range(16):
        counts = sample_poisson(specimen * 30, rng, gain=4.0, offset=80.0)
        found = estimate_noise(counts)
        pulls.append((found.model.gain - 4.0) / found.gain_error)
    assert np.sqrt(np.mean(np.square(pulls))) < 2.0
    assert found.gain_error < 0.4


def test_several_frames_are_surer_than_one(rng):
    specimen = discs(128, rng)
    stack = sample_poisson(np.stack([specimen * 10] * 8), rng, gain=3.0, offset=10.0)
    one, all_frames = estimate_noise(stack[0]), estimate_noise(Micrograph(stack))
    assert all_frames.gain_error < 0.6 * one.gain_error
    assert all_frames.model.gain == pytest.approx(3.0, rel=0.1)
    assert estimate_noise(list(stack)) == all_frames


def test_differences_of_frames_are_blind_to_the_finest_specimen(rng):
    # A checkerboard is all specimen at the highest frequency, where noise is sought.
    y, x = np.mgrid[:128, :128]
    specimen = (5.0 + 4.0 * ((y + x) % 2)) * (1 + x / 64)
    brightness = np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95])[:, None, None]
    stack = sample_poisson(specimen * brightness, rng, gain=2.0, offset=30.0)
    assert estimate_noise(stack).model.variance(stack.mean()) > 50
    found = estimate_noise(stack, temporal=True)
    assert found.model.gain == pytest.approx(2.0, rel=0.1)
    assert found.model.variance(stack.mean()) == pytest.approx(
        2 * (stack.mean() - 30), rel=0.1
    )


@pytest.mark.parametrize("rate", [0.2, 1.0, 5.0])
def test_on_an_empty_field_the_skewness_of_the_counts_tells_the_gain(rate, rng):
    counts = sample_poisson(np.full((256, 256), rate), rng, gain=37.0, offset=1000.0)
    found = estimate_noise(counts)
    assert found.method == "cumulant"
    assert "skewness" in found.reason
    assert found.model.gain == pytest.approx(37.0, rel=0.15)


def test_too_small_a_range_of_means_falls_back_to_a_stated_offset(rng):
    counts = sample_poisson(np.full((96, 96), 500.0), rng, gain=4.0)
    found = estimate_noise(counts)
    assert found.method == "proportional"
    assert "span too little" in found.reason
    assert found.model.offset == 0.0
    assert found.model.gain == pytest.approx(4.0, rel=0.1)
    told = estimate_noise(counts + 300.0, offset=300.0)
    assert told.method == "proportional"
    assert told.model.gain == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("level", [-2.0, 0.0, 3.0])
def test_noise_that_does_not_follow_the_signal_is_called_constant(level, rng):
    image = 6 * discs(256, rng) + level + rng.standard_normal((256, 256))
    found = estimate_noise(image)
    assert found.method == "constant"
    assert found.model.gain == 0.0
    assert found.model.read_noise == pytest.approx(1.0, rel=0.1)


def test_a_noiseless_image_has_a_model_without_noise():
    found = estimate_noise(np.full((40, 40), 7.0))
    assert found.method == "constant"
    assert found.model.gain == found.model.read_noise == 0.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 2), (3, 5), (30, 4), (40, 40)])
def test_small_images_give_an_estimate_without_warnings(shape, rng):
    found = estimate_noise(sample_poisson(np.full(shape, 5.0), rng))
    assert np.isfinite(found.model.gain)
    assert found.blocks >= 1


def test_nan_and_saturated_pixels_are_left_out(rng):
    counts = sample_poisson(discs(256, rng) * 60, rng, gain=3.0, offset=5.0)
    spoiled = counts.copy()
    spoiled[::40, ::40] = np.nan
    assert estimate_noise(spoiled).model.gain == pytest.approx(3.0, rel=0.1)
    eight_bit = np.clip(counts * 1.6, 0, 255).astype(np.uint8)
    assert (eight_bit == 255).mean() > 0.05
    assert estimate_noise(eight_bit).model.gain == pytest.approx(4.8, rel=0.1)


def test_what_cannot_be_estimated_is_refused(rng):
    with pytest.raises(InvalidImageError, match="NaN, Inf or saturated"):
        estimate_noise(np.full((64, 64), np.nan))
    with pytest.raises(InvalidImageError, match="different shapes"):
        estimate_noise([np.ones((3, 3)), np.ones((4, 4))])
    with pytest.raises(ParameterError, match="at least two frames"):
        estimate_noise(np.ones((8, 8)), temporal=True)
    with pytest.raises(ParameterError, match="max_frames"):
        estimate_noise(np.ones((8, 8)), max_frames=0)
    with pytest.raises(ParameterError, match="read_noise"):
        estimate_noise(np.ones((8, 8)), read_noise=-1.0)
    with pytest.raises(ParameterError, match="offset"):
        estimate_noise(np.ones((8, 8)), offset=np.nan)
