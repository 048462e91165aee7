import math

import numpy as np
import pytest

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics import mse, psnr, rmse, ssim


def test_errors_are_those_of_the_definition(rng):
    truth = rng.uniform(0, 3, (20, 30))
    found = truth + rng.normal(0, 0.1, truth.shape)
    assert mse(found, truth) == pytest.approx(((found - truth) ** 2).mean())
    assert rmse(found, truth) == pytest.approx(math.sqrt(mse(found, truth)))


def test_each_convention_has_its_own_peak(rng):
    truth = rng.uniform(2, 6, (32, 32))
    truth[0, 0], truth[0, 1] = 2, 6
    found = truth + 0.5
    error = 0.25
    for convention, peak in (("range", 4), ("peak", 6), ("em_denoise", 255)):
        assert psnr(found, truth, convention=convention) == pytest.approx(
            10 * math.log10(peak**2 / error)
        )


def test_sbd_clips_to_one_electron_and_takes_one_electron_as_peak():
    truth = np.array([[0.5, 0.9], [0.1, 3.0]])
    found = np.array([[0.6, 0.9], [-5.0, 7.0]])
    error = (0.1**2 + 0 + 0.1**2 + 0) / 4
    assert psnr(found, truth, convention="sbd") == pytest.approx(
        -10 * math.log10(error)
    )


def test_equal_images_have_an_infinite_psnr_and_an_ssim_of_one(rng):
    image = rng.uniform(size=(16, 16))
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == pytest.approx(1)


def test_ssim_falls_with_noise(rng):
    y, x = np.mgrid[:64, :64]
    image = np.sin(x / 5) + np.cos(y / 7)
    little, much = (
        ssim(image + s * rng.normal(size=(64, 64)), image) for s in (0.1, 1)
    )
    assert 0 < much < little < 1


@pytest.mark.parametrize(
    ("found", "truth", "words"),
    [
        (np.zeros((4, 4)), np.zeros((4, 5)), "shape"),
        (np.full((4, 4), np.nan), np.zeros((4, 4)), "NaN"),
        (np.zeros((4, 4)), np.ones((4, 4)), "constant"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "empty"),
    ],
)
def test_what_cannot_be_compared_is_refused(found, truth, words):
    with pytest.raises(InvalidImageError, match=words):
        psnr(found, truth)


def test_an_unknown_convention_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match="em_denoise"):
        psnr(np.zeros((4, 4)), np.eye(4), convention="8bit")


def test_ssim_refuses_small_and_constant_images():
    with pytest.raises(InvalidImageError, match="7 x 7"):
        ssim(np.eye(5), np.eye(5))
    with pytest.raises(InvalidImageError, match="constant"):
        ssim(np.eye(9), np.ones((9, 9)))
