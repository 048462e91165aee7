from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lowdose.inference.frames import as_frame, fill_bad_pixels


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1), st.integers(0, 1000))
@settings(max_examples=200, deadline=None)
def test_bad_pixels_get_the_value_of_a_nearest_good_one(height, width, share, seed):
    rng = np.random.default_rng(seed)
    bad = rng.random((height, width)) < share
    if bad.all():
        bad[0, 0] = False
    values = np.arange(height * width, dtype=np.float32).reshape(height, width)
    filled = values.copy()
    fill_bad_pixels(filled, bad)
    np.testing.assert_array_equal(filled[~bad], values[~bad])
    # Each value tells the pixel that it came from: none may be nearer.
    rows, columns = np.divmod(filled[bad].astype(int), width)
    assert not bad[rows, columns].any()
    own_rows, own_columns = np.nonzero(bad)
    distance = np.hypot(rows - own_rows, columns - own_columns)
    nearest = ndimage.distance_transform_edt(bad)[bad]
    np.testing.assert_allclose(distance, nearest)


def test_a_frame_without_good_pixels_becomes_zero():
    frame = as_frame(3, np.full((4, 5), np.inf))
    assert not frame.valid
    assert (frame.data == 0).all()
    restored = frame.restored(np.ones((4, 5), np.float32), keep_mean=True)
    assert np.isinf(restored).all()


def test_a_finite_frame_has_no_mask():
    frame = as_frame(0, np.ones((4, 5), np.uint16))
    assert frame.valid
    assert frame.bad is None


@pytest.mark.parametrize(
    "region", [(slice(0, 6), slice(0, 7)), (slice(2, 5), slice(1, 3))]
)
def test_a_cropped_frame_restores_what_was_in_the_region(region):
    image = np.arange(42.0).reshape(6, 7)
    image[2, 1], image[4, 2], image[0, 6] = np.nan, np.inf, -np.inf
    clean = np.full((6, 7), -1, np.float32)[region].copy()
    as_frame(0, image).cropped(region).restored(clean, keep_mean=False)
    wanted = np.where(np.isfinite(image), -1, image)[region]
    np.testing.assert_array_equal(clean, wanted)
