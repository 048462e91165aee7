"""The equivalent filter equals finite differences, and its numbers are right."""

import numpy as np
import pytest

from lowdose import catalogue
from lowdose.errors import Cancelled, InvalidImageError, ParameterError
from lowdose.inference.engine import DenoiseOptions, denoise
from lowdose.micrograph import Calibration, Micrograph
from lowdose.trust.equivalent import (
    FilterOptions,
    equivalent_filter,
    iter_equivalent_filter,
)

#: What differences of a hundredth of a count can be told in, on any processor.
PLAIN = DenoiseOptions(keep_mean=False, precision="float32")


@pytest.fixture
def frame(rng):
    return rng.poisson(6.0, (96, 112)).astype(np.float32)


def by_differences(frame, denoiser, pixel, places, step):
    """Differentiate the engine itself, with the measures of the untouched frame."""
    measures = denoiser.measure(frame)

    class Fixed:
        name, values, needs = denoiser.name, denoiser.values, denoiser.needs
        describe, place = denoiser.describe, denoiser.place
        denoise_patches = denoiser.denoise_patches

        def measure(self, _frame):
            return measures

    slopes = []
    for place in places:
        results = []
        for sign in (1, -1):
            changed = frame.copy()
            changed[place] += sign * step
            clean = np.asarray(denoise(changed, Fixed(), options=PLAIN))
            results.append(float(clean[pixel]))
        slopes.append((results[0] - results[1]) / (2 * step))
    return np.array(slopes)


@pytest.mark.parametrize("pixel", [(50, 60), (0, 1), (95, 111)])
def test_a_network_has_the_weights_of_finite_differences_of_the_engine(frame, pixel):
    network = catalogue.load("general")
    found = equivalent_filter(frame, network, *pixel)
    strongest = np.argsort(np.abs(found.weights[0]), axis=None)[::-1][:4]
    places = [np.unravel_index(n, frame.shape) for n in strongest]
    places.append(((pixel[0] + 5) % 96, (pixel[1] + 3) % 112))
    slopes = by_differences(frame, network, pixel, places, step=0.01)
    weights = [found.weights[0][place] for place in places]
    np.testing.assert_allclose(weights, slopes, atol=2e-3)
    clean = np.asarray(denoise(frame, network, options=PLAIN))
    assert found.value == pytest.approx(float(clean[pixel]), abs=1e-3)


@pytest.mark.parametrize("pixel", [(40, 50), (1, 0)])
def test_a_gaussian_has_its_kernel_for_weights(frame, pixel):
    blur = catalogue.load("gaussian", sigma=1.5)
    found = equivalent_filter(frame, blur, *pixel)
    impulse = np.zeros_like(frame)
    impulse[pixel] = 1000
    if pixel == (40, 50):  # far from borders the filter is symmetric
        kernel = np.asarray(denoise(impulse, blur, options=PLAIN)) / 1000
        np.testing.assert_allclose(np.nan_to_num(found.weights[0]), kernel, atol=1e-5)
    assert found.weight_sum == pytest.approx(1, abs=1e-4)
    assert found.net_bias == pytest.approx(0, abs=1e-3)


def test_the_effective_radius_of_a_gaussian_is_its_width(frame):
    calibrated = Micrograph(frame, Calibration.from_spacing((0.02, 0.02), ("nm", "nm")))
    blur = catalogue.load("gaussian", sigma=2.0)
    found = equivalent_filter(calibrated, blur, 48, 56, spacing_px=4.0)
    assert found.radius_px == pytest.approx(2 * np.sqrt(2), rel=0.03)
    assert found.radius_nm == pytest.approx(0.02 * found.radius_px)
    # Beyond r a round Gaussian holds exp(-r² / 2 sigma²).
    assert found.beyond[1] == pytest.approx(np.exp(-2), abs=0.03)
    assert found.beyond[5] < 1e-6
    assert found.maps[0].image.calibration.pixel_size("nm") == (0.02, 0.02)


def test_a_median_has_weights_that_sum_to_one_and_no_bias(frame):
    found = equivalent_filter(
        frame + np.linspace(0, 0.3, frame.size, dtype=np.float32).reshape(frame.shape),
        catalogue.load("median", radius=1),
        30,
        30,
        options=FilterOptions(step=1e-4),
    )
    assert found.weight_sum == pytest.approx(1, abs=0.02)
    assert found.net_bias == pytest.approx(0, abs=0.2)


def test_value_is_weighted_sum_plus_net_bias_of_a_network(frame):
    found = equivalent_filter(frame, "general", 50, 60)
    assert found.weighted_sum + found.net_bias == pytest.approx(found.value)
    direct = float((found.weights[0].astype(float) * frame).sum())
    assert found.weighted_sum == pytest.approx(direct)
    assert 0 < found.radius_px < 60


def test_guided_backpropagation_leaves_the_denoised_value(frame):
    plain = equivalent_filter(frame, "general", 50, 60)
    guided = equivalent_filter(
        frame, "general", 50, 60, options=FilterOptions(guided=True)
    )
    assert guided.guided
    assert guided.value == pytest.approx(plain.value, rel=1e-4)
    assert np.abs(guided.weights - plain.weights).max() > 1e-4


def test_a_filter_cannot_be_asked_for_guided_backpropagation(frame):
    with pytest.raises(ParameterError, match="no network"):
        equivalent_filter(frame, "gaussian", 5, 5, options=FilterOptions(guided=True))


def test_a_filter_that_sees_everything_says_how_far_it_was_tried(frame):
    found = equivalent_filter(
        frame, "tv-chambolle", 40, 40, options=FilterOptions(reach=2)
    )
    assert int(np.isfinite(found.weights).sum()) == 25
    assert "within 2 px" in found.maps[0].caveats[0]


def test_pixels_outside_and_images_that_are_not_finite_are_refused(frame):
    with pytest.raises(ParameterError, match="outside"):
        equivalent_filter(frame, "gaussian", 96, 0)
    frame[0, 0] = np.nan
    with pytest.raises(InvalidImageError, match="NaN"):
        equivalent_filter(frame, "gaussian", 5, 5)


def test_it_stops_when_told(frame):
    with pytest.raises(Cancelled):
        list(
            iter_equivalent_filter(frame, "gaussian", 40, 40, should_stop=lambda: True)
        )
