import numpy as np
import pytest

from lowdose.errors import ParameterError
from lowdose.simulation.dataset import open_sample
from lowdose.training.ways.resampling import Resampler
from lowdose.zoo.sampling import Sampling
from lowdose.zoo.spreading import bin_counts, spread

#: The sample set has 192 x 192 px of 0.0122 nm.
SAMPLING = Sampling(pixel_size=0.0366, finest=0.0275, coarsest=0.055)
TABLE = SAMPLING.to_table()


def config(**changes):
    return {"way": "simulation", "sampling": TABLE, **changes}


def test_samples_interpolated_are_the_image_again():
    dataset = open_sample()
    samples, _ = Resampler(dataset, SAMPLING, patch=32).whole(dataset, 1)
    assert samples.shape == (64, 64)
    image = dataset[1]
    error = spread(samples, 3) - image
    # What is lost lies beyond the band of the coarser pixels.
    assert np.sqrt(np.mean(error**2)) < 0.05 * image.std()


def test_rates_are_what_whole_pixels_count():
    dataset = open_sample()
    _, rates = Resampler(dataset, SAMPLING, patch=32).whole(dataset, 1)
    sums = bin_counts(dataset[1], 3)
    assert np.sqrt(np.mean((rates - sums) ** 2)) < 0.03 * sums.std()
    assert rates.mean() == pytest.approx(sums.mean(), rel=1e-5)


def test_crops_are_of_every_pixel_size_of_the_range_and_of_the_patch():
    dataset = open_sample()
    resampler = Resampler(dataset, SAMPLING, patch=32)
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(60):
        samples, rates = resampler.crop(0, rng, typical=False)
        assert samples.shape == rates.shape == (32, 32)
        areas.append(rates.mean() / dataset.vacuum / 0.0122**-2)
    sizes = np.sqrt(areas)
    assert sizes.min() < 0.03
    assert sizes.max() > 0.05


def test_examples_are_poisson_about_the_rates(open_way):
    way = open_way(config(dose_min=2.0, dose_max=2.0), patch=32)
    errors, levels = [], []
    for seed in range(20):
        example = way.example(np.random.default_rng(seed))
        errors.append(np.mean((example.noisy[0] - example.target) ** 2))
        levels.append(example.target.mean())
    assert np.mean(errors) == pytest.approx(np.mean(levels), rel=0.1)


def test_typical_examples_are_near_the_dose_of_the_set(open_way):
    way = open_way(config(dose_min=0.01, dose_max=1e4, typical=1.0), patch=32)
    area = (0.0366 / 0.0122) ** 2
    for seed in range(10):
        level = way.example(np.random.default_rng(seed)).target.mean() / area
        assert 0.45 * 0.5 / 1.3 < level < 0.45 * 2 * 1.3


def test_sampling_takes_the_place_of_magnification(open_way):
    with pytest.raises(ParameterError, match="sampling"):
        open_way(config(scale_min=0.5), patch=32)


def test_a_patch_larger_than_the_image_is_refused_with_what_fits():
    with pytest.raises(ParameterError, match=r"at most 6[34] px"):
        Resampler(open_sample(), SAMPLING, patch=100)


def test_images_coarser_than_the_range_are_refused():
    fine = Sampling(pixel_size=0.012, finest=0.01, coarsest=0.02)
    with pytest.raises(ParameterError, match="coarser"):
        Resampler(open_sample(), fine, patch=32)


def test_contrast_and_vibration_change_crops_about_the_vacuum():
    dataset = open_sample()
    rng = np.random.default_rng
    plain = Resampler(dataset, SAMPLING, patch=48)
    half = Resampler(dataset, SAMPLING, patch=48, contrast=(0.5, 0.5))
    blurred = Resampler(dataset, SAMPLING, patch=48, vibration=0.2)
    before, _ = plain.crop(1, rng(1), typical=True)
    after, _ = half.crop(1, rng(1), typical=True)
    ratio = (after - after.mean()) / (before - before.mean())
    np.testing.assert_allclose(np.median(ratio), 0.5, rtol=1e-3)
    smooth, _ = blurred.crop(1, rng(1), typical=True)
    assert smooth.std() < before.std()
    assert smooth.mean() == pytest.approx(before.mean(), rel=0.02)


def test_vibration_without_sampling_is_refused(open_way):
    with pytest.raises(ParameterError, match="must come with sampling"):
        open_way({"way": "simulation", "vibration": 0.02}, patch=32)
