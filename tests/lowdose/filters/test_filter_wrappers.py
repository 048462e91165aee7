"""Scaling, variance stabilisation and binning, of every filter."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.filters import FILTERS, bin_sum, interpolate, make
from lowdose.noise import sample_poisson

VST = ("none", "counts", "auto")
SHAPES = [(1, 1), (1, 5), (7, 1), (2, 2), (3, 5), (19, 23)]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def denoise(name: str, frame: np.ndarray, preset=None, **values) -> np.ndarray:
    denoiser = make(name, preset, **values)
    frame = np.asarray(frame, dtype=np.float32)
    return denoiser.denoise_patches(frame[None, None], [denoiser.measure(frame)])[0]


def specimen(size: int, rng) -> np.ndarray:
    field = gaussian_filter(rng.standard_normal((size, size)), 4)
    return np.where(field > 0, 1.0, 0.3)


# PURE-LET recognises electron counts, whose noise it then knows.
@pytest.mark.parametrize("name", [name for name in FILTERS if name != "pure-let"])
def test_gain_and_offset_of_the_detector_change_nothing_but_the_units(name, rng):
    frame = sample_poisson(specimen(64, rng) * 20, rng)
    plain = denoise(name, frame)
    scaled = denoise(name, frame * 37.0 - 4000.0)
    np.testing.assert_allclose((scaled + 4000) / 37, plain, atol=2e-4 * plain.max())


@pytest.mark.parametrize("name", FILTERS)
def test_stabilisation_by_estimate_does_not_care_for_gain_and_offset(name, rng):
    dose = specimen(192, rng) * 8
    frame = sample_poisson(dose, rng)
    told = denoise(name, frame, vst="counts")
    found = (denoise(name, frame * 37.0 + 1000.0, vst="auto") - 1000) / 37
    assert np.sqrt(np.mean((told - found) ** 2)) < 0.1 * np.std(told)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("vst", VST)
@pytest.mark.parametrize("binning", [1, 3])
def test_every_filter_brings_a_low_dose_image_nearer_to_the_truth(
    name, vst, binning, rng
):
    truth = np.repeat(np.repeat(specimen(48, rng), 3, axis=0), 3, axis=1) * 3
    frame = sample_poisson(truth, rng)
    result = denoise(name, frame, vst=vst, binning=binning)
    assert np.mean((result - truth) ** 2) < 0.7 * np.mean((frame - truth) ** 2)


@pytest.mark.parametrize("rate", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("binning", [1, 4])
def test_stabilised_smoothing_of_sparse_counts_keeps_the_mean(rate, binning, rng):
    frame = sample_poisson(np.full((192, 192), rate), rng)
    result = denoise("gaussian", frame, sigma=4.0, vst="counts", binning=binning)
    assert result.mean() == pytest.approx(frame.mean(), rel=0.02)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("binning", [1, 2, 3, 16])
def test_frames_of_any_size_and_content_come_through(name, binning, rng):
    for vst, shape in itertools.product(VST, SHAPES):
        y, x = np.mgrid[: shape[0], : shape[1]]
        for frame in (
            np.zeros(shape),
            rng.poisson(0.5, shape),
            rng.poisson(100.0, shape),
            1e4 * x * y,  # not a trace of noise
            -rng.random(shape),
        ):
            result = denoise(name, frame, vst=vst, binning=binning)
            assert result.shape == shape
            assert result.dtype == np.float32
            assert np.isfinite(result).all()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("binning", [1, 2, 3, 16])
def test_a_constant_frame_stays_what_it_is(name, binning):
    for vst, shape in itertools.product(VST, SHAPES):
        for value in (0.0, 7.0, -3.0, 30000.0):
            result = denoise(name, np.full(shape, value), vst=vst, binning=binning)
            np.testing.assert_allclose(result, value, rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in FILTERS if FILTERS[n].presets])
def test_presets_too_take_frames_of_any_size(name, rng):
    for shape in SHAPES:
        for frame in (np.full(shape, 7.0), rng.poisson(3.0, shape)):
            for preset in FILTERS[name].presets:
                assert np.isfinite(denoise(name, frame, preset)).all()


@pytest.mark.parametrize(
    "name", ["bilateral", "tv-chambolle", "tv-bregman", "nl-means"]
)
def test_a_frame_without_noise_is_not_smoothed(name):
    y, x = np.mgrid[:40, :40]
    steps = 100.0 * (x // 10) + 50.0 * (y // 20)
    np.testing.assert_array_equal(denoise(name, steps + 3.0 * x), steps + 3.0 * x)


@pytest.mark.parametrize("factor", [2, 3, 5, 16])
def test_binning_sums_counts_and_reflects_the_rest(factor, rng):
    frame = rng.poisson(2.0, (4 * factor, 3 * factor)).astype(float)
    binned = bin_sum(frame, factor)
    assert binned.shape == (4, 3)
    assert binned.sum() == frame.sum()
    ragged = frame[:-1, : -(factor - 1)]
    assert bin_sum(ragged, factor).shape == (4, 3)
    np.testing.assert_array_equal(bin_sum(ragged, factor)[:-1, :-1], binned[:-1, :-1])
    missing = bin_sum(ragged, factor)[-1, 0] - ragged[-(factor - 1) :, :factor].sum()
    assert missing == ragged[-2, :factor].sum()  # mirrored about the last row


@pytest.mark.parametrize("factor", [2, 3, 4, 7, 16])
def test_interpolation_keeps_the_mean_of_every_block(factor, rng):
    blocks = rng.normal(10, 3, (9, 14))
    full = interpolate(blocks, factor, (9 * factor, 14 * factor))
    np.testing.assert_allclose(bin_sum(full, factor) / factor**2, blocks, rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_interpolation_puts_a_ramp_back_where_it_was(factor):
    size = 48 * factor
    y, x = np.mgrid[:size, :size]
    ramp = 3.0 * x - 2.0 * y
    back = interpolate(bin_sum(ramp, factor) / factor**2, factor, ramp.shape)
    np.testing.assert_allclose(back, ramp, atol=1e-6 * size)


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_interpolation_neither_shifts_nor_weakens_a_slow_wave(factor):
    size, period = 60 * factor, 12 * factor
    x = np.arange(size)
    wave = np.cos(2 * np.pi * (x + 0.5) / period)
    image = np.tile(wave, (size, 1))
    back = interpolate(bin_sum(image, factor) / factor**2, factor, image.shape)[0]
    found = np.sum(back * np.exp(-2j * np.pi * (x + 0.5) / period)) * 2 / size
    assert abs(found) == pytest.approx(1.0, abs=2e-3)
    assert np.angle(found) * period / (2 * np.pi) == pytest.approx(0.0, abs=1e-3)
    errors = np.abs(back - wave)
    assert errors[2 * factor : -2 * factor].max() < 0.01
    assert errors.max() < 0.06  # a crest on the border is taken for a slope


@pytest.mark.parametrize("shape", [(50, 61), (1, 40), (33, 2)])
def test_sizes_that_are_no_multiple_of_the_binning_lose_nothing(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = 50 + 20 * np.cos(x / 15) + 10 * np.cos(y / 15)
    result = denoise("gaussian", smooth, sigma=0.1, binning=4)
    errors = np.abs(result - smooth)
    assert errors[: shape[0] // 4 * 4 - 8, : shape[1] // 4 * 4 - 8].max(initial=0) < 0.5
    assert errors.max() < 2.0  # the last, mirrored block knows half of its pixels
