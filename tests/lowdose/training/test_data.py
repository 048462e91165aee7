import numpy as np
import pytest

from lowdose.training import data
from lowdose.training.config import DataConfig, NoiseConfig

CONFIG = DataConfig(kinds={"lattice": 1.0, "amorphous": 1.0}, images=3, size=48)


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npy"
    assert list(data.draw_images(CONFIG, 5, path))[-1] == (3, 3)
    return path


def test_images_are_drawn_once_and_the_same_for_the_same_seed(images, tmp_path):
    assert list(data.draw_images(CONFIG, 5, images)) == []
    again = tmp_path / "again.npy"
    list(data.draw_images(CONFIG, 5, again))
    np.testing.assert_array_equal(np.load(images), np.load(again))


def test_a_drawing_that_was_cut_short_is_not_taken_for_finished(tmp_path):
    path = tmp_path / "images.npy"
    drawing = data.draw_images(CONFIG, 5, path)
    next(drawing)
    drawing.close()
    assert not path.exists()


def test_a_batch_depends_on_seed_and_step_alone(images):
    make = data.batches(images, NoiseConfig(), seed=1, batch=3, patch=32, conditions=2)
    seen, target = make(7)
    assert seen.shape == (3, 3, 32, 32)
    assert target.shape == (3, 1, 32, 32)
    make(8)
    np.testing.assert_array_equal(make(7)[0], seen)
    assert not np.array_equal(make(8)[0], seen)


@pytest.mark.parametrize("gaussian", [0.0, 1.0])
def test_told_noise_has_unit_variance_about_the_target(images, gaussian):
    noise = NoiseConfig(known=1.0, gaussian=gaussian, read_noise=0.5, dose_min=5.0)
    make = data.batches(images, noise, seed=1, batch=64, patch=32, conditions=2)
    seen, target = make(0)
    np.testing.assert_array_equal(seen[:, 1], 1)
    assert (seen[:, :1] - target).var() == pytest.approx(1, abs=0.03)


def test_the_dose_is_spread_evenly_over_its_logarithm(images):
    noise = NoiseConfig(dose_min=1.0, dose_max=100.0)
    rng = np.random.default_rng(0)
    stack = np.load(images)
    doses = [data._example(stack, noise, 16, rng)[1].mean() for _ in range(600)]
    assert min(doses) >= 0.999
    assert max(doses) <= 100.1
    assert np.mean(np.log10(doses)) == pytest.approx(1, abs=0.1)


def test_validation_images_are_fresh_and_reproducible():
    first = data.validation_set(CONFIG, NoiseConfig(), 3, (2.0,))
    again = data.validation_set(CONFIG, NoiseConfig(), 3, (2.0,))
    noisy, clean = first[2.0]
    np.testing.assert_array_equal(noisy, again[2.0][0])
    assert clean.mean() == pytest.approx(2, rel=1e-3)
    assert noisy.shape == (12, 128, 128)
