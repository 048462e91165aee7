import numpy as np
import pytest

from lowdose.trust.panels import colour_limits


def test_diverging_limits_are_equal_on_both_sides(rng):
    low, high = colour_limits(rng.normal(1, 2, (50, 50)), "diverging")
    assert low == -high
    assert high > 4


def test_sequential_limits_leave_out_single_pixels_and_holes():
    values = np.linspace(2, 3, 10_000)
    values[:3] = 1e9, -1e9, np.nan
    low, high = colour_limits(values, "sequential")
    assert (low, high) == pytest.approx((2.0, 3.0), abs=0.02)


@pytest.mark.parametrize("share", [0.002, 0.02])
def test_outliers_do_not_take_the_contrast_of_the_others(rng, share):
    values = rng.normal(0, 1, 10_000)
    without = colour_limits(values, "diverging")
    values[: round(share * values.size)] = 500.0
    assert colour_limits(values, "diverging")[1] < 3 * without[1]
    assert colour_limits(np.abs(values), "sequential")[1] < 3 * without[1]


def test_a_few_peaks_on_nothing_are_still_shown():
    values = np.zeros((100, 100))
    values[::10, ::10] = 7.0
    assert colour_limits(values, "sequential") == (0.0, 7.0)


@pytest.mark.parametrize("scale", ["sequential", "diverging"])
@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_limits_are_never_equal(scale, value):
    low, high = colour_limits(np.full((4, 4), value), scale)
    assert low < high
