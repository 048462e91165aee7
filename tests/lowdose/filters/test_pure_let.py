"""PURE-LET."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from lowdose.filters import make, pure_let, wavelet_shrink
from lowdose.noise import NoiseModel, noise_sigma


@pytest.fixture(scope="module")
def camera():
    return data.camera()[100:260, 180:340].astype(float) / 255


def mse(estimate, truth):
    return float(np.mean((estimate - truth) ** 2))


@pytest.mark.parametrize("peak", [1.0, 5.0, 30.0])
def test_counts_are_denoised_better_than_by_uniform_wavelet_shrinkage(camera, peak):
    truth = peak * camera
    counts = np.random.default_rng(0).poisson(truth).astype(float)
    wavelet = wavelet_shrink(counts, sigma=noise_sigma(counts))
    assert mse(pure_let(counts), truth) < 0.8 * mse(wavelet, truth)


def test_it_needs_to_be_told_the_read_noise(camera):
    rng = np.random.default_rng(1)
    truth = 30 * camera
    recorded = rng.poisson(truth) + rng.normal(0, 5.0, truth.shape)
    told = pure_let(recorded, noise=NoiseModel(read_noise=5.0))
    assert mse(told, truth) < 0.15 * mse(recorded, truth)
    assert mse(told, truth) < 0.5 * mse(pure_let(recorded), truth)


def test_gain_and_offset_only_change_the_units(camera):
    counts = np.random.default_rng(2).poisson(10 * camera).astype(float)
    model = NoiseModel(gain=25.0, offset=400.0)
    np.testing.assert_allclose(
        pure_let(25 * counts + 400, noise=model), 25 * pure_let(counts) + 400
    )


def test_gaussian_noise_alone_is_sure_let(camera):
    truth = 255 * camera
    noisy = truth + np.random.default_rng(3).normal(0, 25, truth.shape)
    result = pure_let(noisy, noise=NoiseModel(gain=0.0, read_noise=25.0))
    assert mse(result, truth) < 0.2 * mse(noisy, truth)


def test_more_shifts_are_better(camera):
    counts = np.random.default_rng(4).poisson(10 * camera).astype(float)
    errors = [mse(pure_let(counts, shifts=n), 10 * camera) for n in (1, 2, 4)]
    assert errors[0] > errors[1] > errors[2]


def test_the_mean_is_kept_and_vacuum_stays_flat():
    counts = np.random.default_rng(5).poisson(0.4, (256, 256)).astype(float)
    result = pure_let(counts)
    assert result.mean() == pytest.approx(counts.mean(), rel=0.01)
    assert result.std() < 0.08 * counts.std()  # of 16 x 16 coefficients left


def test_no_electrons_at_all_stay_none():
    np.testing.assert_array_equal(pure_let(np.zeros((40, 50))), 0.0)
    half = np.zeros((64, 64))
    half[:, 32:] = np.random.default_rng(6).poisson(4.0, (64, 32))
    result = pure_let(half)
    assert np.abs(result[:, :24]).max() < 0.3


def test_noise_that_is_none_changes_nothing():
    frame = np.random.default_rng(7).random((30, 20))
    model = NoiseModel(gain=0.0)
    np.testing.assert_array_equal(pure_let(frame, noise=model), frame)


def test_small_bands_are_shrunk_by_the_estimated_error():
    """In small bands one number is found: better than to keep or remove them all."""
    y, x = np.mgrid[:16, :16]
    truth = 6 * (1 + 0.8 * np.sin(x / 1.3) * np.sin(y / 1.5))
    rng = np.random.default_rng(8)
    errors = {"found": [], "none": [], "all": []}
    for _ in range(60):
        counts = rng.poisson(truth).astype(float)
        errors["found"].append(mse(pure_let(counts, levels=1, shifts=1), truth))
        errors["all"].append(mse(counts, truth))
        means = counts.reshape(8, 2, 8, 2).mean((1, 3))
        blocks = np.repeat(np.repeat(means, 2, 0), 2, 1)
        errors["none"].append(mse(blocks, truth))
    found, none, everything = (np.mean(errors[key]) for key in errors)
    assert found < min(none, everything)


@pytest.mark.parametrize("vst", ["none", "counts", "auto"])
def test_as_a_denoiser_it_finds_the_noise_itself(camera, vst):
    smooth = gaussian_filter(camera, 1.0)
    counts = np.random.default_rng(9).poisson(20 * smooth).astype(np.float32)
    frame = counts if vst == "counts" else 7 * counts + 100
    denoiser = make("pure-let", vst=vst)
    result = denoiser.denoise_patches(frame[None, None], [denoiser.measure(frame)])[0]
    electrons = result if vst == "counts" else (result - 100) / 7
    assert mse(electrons, 20 * smooth) < 0.15 * mse(counts, 20 * smooth)
