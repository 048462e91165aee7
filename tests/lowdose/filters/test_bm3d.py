"""Block matching and 3D filtering."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from lowdose.errors import ParameterError
from lowdose.filters import bm3d, make, nl_means, wavelet_shrink
from lowdose.filters.block_matching import find_matches, reference_runs


def psnr(estimate: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((estimate - truth) ** 2)))


@pytest.fixture(scope="module")
def camera():
    return data.camera()[100:260, 180:340].astype(float)


def test_it_is_clearly_better_than_the_other_filters_on_a_photograph(camera):
    noisy = camera + 25 * np.random.default_rng(0).standard_normal(camera.shape)
    found = psnr(bm3d(noisy, sigma=25.0), camera)
    means = max(
        psnr(nl_means(noisy, h=25 * h, expected=25 * e, distance=9), camera)
        for h in (0.4, 0.6, 0.8)
        for e in (0.5, 1.0)
    )
    assert found > means + 0.5
    assert found > psnr(wavelet_shrink(noisy, sigma=25.0), camera) + 1.0


def test_the_second_stage_gains_on_the_first(camera):
    noisy = camera + 25 * np.random.default_rng(0).standard_normal(camera.shape)
    one, two = (psnr(bm3d(noisy, sigma=25.0, stages=n), camera) for n in (1, 2))
    assert two > one + 0.1


def test_a_lattice_gains_from_its_repetition():
    y, x = np.mgrid[:96, :96]
    lattice = 50 * np.cos(2 * np.pi * x / 9.3) * np.cos(2 * np.pi * y / 7.7)
    noisy = lattice + 25 * np.random.default_rng(1).standard_normal(lattice.shape)
    alone = bm3d(noisy, sigma=25.0, search=1, group=4)
    together = bm3d(noisy, sigma=25.0, group=32)
    assert psnr(together, lattice) > psnr(alone, lattice) + 3.0


def test_noise_alone_becomes_nearly_flat():
    noise = np.random.default_rng(2).standard_normal((128, 128))
    assert np.std(bm3d(noise, sigma=1.0)) < 0.15


def test_a_lone_bright_pixel_far_above_the_noise_stays():
    frame = np.random.default_rng(3).standard_normal((64, 64))
    frame[30, 33] += 100.0
    assert bm3d(frame, sigma=1.0)[30, 33] > 80.0


def test_a_clean_image_is_hardly_changed_when_little_noise_is_assumed():
    clean = gaussian_filter(np.random.default_rng(4).standard_normal((64, 64)), 2)
    clean *= 100 / clean.std()
    assert np.abs(bm3d(clean, sigma=0.01) - clean).max() < 0.05
    np.testing.assert_array_equal(bm3d(clean, sigma=0.0), clean)


def test_the_result_follows_shift_and_scale_of_the_values(camera):
    noisy = camera[:48, :48] + 10 * np.random.default_rng(5).standard_normal((48, 48))
    plain = bm3d(noisy, sigma=10.0)
    np.testing.assert_allclose(
        bm3d(7 * noisy - 3000, sigma=70.0), 7 * plain - 3000, atol=0.01
    )


def test_values_out_of_range_are_refused():
    for values in ({"patch": 7}, {"group": 12}, {"search": 0}, {"stages": 3}):
        with pytest.raises(ParameterError):
            bm3d(np.zeros((9, 9)), sigma=1.0, **values)


@pytest.mark.parametrize("size", [8, 9, 31, 32, 200])
@pytest.mark.parametrize("step", [1, 3, 8])
def test_the_reference_patches_cover_every_pixel(size, step):
    covered = np.zeros(size, dtype=bool)
    for start, number in reference_runs(size, 8, step):
        for index in range(number):
            covered[start + step * index :][:8] = True
            assert start + step * index + 8 <= size
    assert covered.all()


@pytest.mark.parametrize("shape", [(8, 8), (9, 30), (25, 21)])
def test_the_matches_are_the_nearest_patches_there_are(shape):
    rng = np.random.default_rng(6)
    frame = rng.normal(0, 5, shape)
    search, most, patch = 4, 16, 8
    seen = 0
    for found in find_matches(frame, patch=patch, step=3, search=search, most=most):
        for rows, columns, count in zip(
            found.rows, found.columns, found.counts, strict=True
        ):
            y0, x0 = rows[0], columns[0]
            reference = frame[y0 : y0 + patch, x0 : x0 + patch]
            distances = {}
            for y in range(max(0, y0 - search), y0 + search + 1):
                for x in range(max(0, x0 - search), x0 + search + 1):
                    if y + patch <= shape[0] and x + patch <= shape[1]:
                        near = frame[y : y + patch, x : x + patch]
                        distances[y, x] = np.sum((near - reference) ** 2)
            nearest = sorted(distances.values())[:most]
            chosen = [
                distances[y, x]
                for y, x in zip(rows[:count], columns[:count], strict=True)
            ]
            np.testing.assert_allclose(chosen, nearest, atol=1e-3)
            seen += 1
    assert seen >= 1


def test_equal_patches_are_taken_from_nearby():
    flat = np.zeros((60, 60))
    for found in find_matches(flat, patch=8, step=4, search=10, most=4):
        away = np.hypot(
            found.rows - found.rows[:, :1], found.columns - found.columns[:, :1]
        )
        assert away.max() <= np.sqrt(2)


def test_binned_and_stabilised_it_beats_itself_at_full_size_on_oversampled_counts():
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:240, :240]
    truth = 0.45 * (1 + 0.5 * np.cos(2 * np.pi * x / 37) * np.cos(2 * np.pi * y / 41))
    counts = rng.poisson(truth).astype(np.float32)
    errors = {}
    for name, values in {"full": {"vst": "counts"}, "atoms": {}}.items():
        denoiser = make("bm3d", "atoms" if name == "atoms" else None, **values)
        result = denoiser.denoise_patches(
            counts[None, None], [denoiser.measure(counts)]
        )[0]
        errors[name] = np.mean((result - truth) ** 2)
    assert errors["atoms"] < 0.1 * errors["full"]
