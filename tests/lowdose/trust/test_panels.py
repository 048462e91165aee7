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


@pytest.mark.parametrize("scale", ["sequential", "diverging"])
@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_limits_are_never_equal(scale, value):
    low, high = colour_limits(np.full((4, 4), value), scale)
    assert low < high
