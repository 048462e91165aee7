from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lowdose.errors import (
    Cancelled,
    InvalidImageError,
    MemoryWarning,
    ParameterError,
)
from lowdose.inference import DenoiseOptions, denoise, denoise_region, preview

RAW = DenoiseOptions(keep_mean=False)

REGIONS = [
    (slice(0, 40), slice(0, 30)),
    (slice(100, 161), slice(77, 131)),
    (slice(205, 211), slice(149, 150)),
    (slice(None), slice(20, 90)),
    (slice(None), slice(None)),
    (slice(-50, 1000), slice(3, -3)),
]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("tile", [None, 80])
def test_a_region_has_the_pixels_of_the_run(fake, pooled, counts, region, tile):
    image = counts(211, 150)
    options = DenoiseOptions(tile=tile, keep_mean=False)
    denoiser = fake(pooled(8), halo=15, multiple=8, border=20)
    whole = denoise(image, denoiser, options=options).data
    part = denoise_region(image, denoiser, *region, options=options)
    np.testing.assert_array_equal(part, whole[region])


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("needs", [{}, {"tile": 64, "overlap": 20}, {"border": 30}])
def test_a_region_of_a_global_operator_too(fake, counts, region, needs):
    image = counts(211, 150)

    def total(stack):
        return stack[0] - stack[0].mean() + stack[0].max()

    denoiser = fake(total, halo=None, **needs)
    whole = denoise(image, denoiser, options=RAW).data
    part = denoise_region(image, denoiser, *region, options=RAW)
    np.testing.assert_allclose(part, whole[region], rtol=1e-5)


def test_only_the_region_and_its_halo_are_computed(fake, counts):
    denoiser = fake(halo=10)
    denoise_region(counts(500, 600), denoiser, slice(200, 260), slice(300, 350))
    assert denoiser.patch_shapes == [(1, 1, 80, 70)]


def test_the_whole_frame_is_measured(fake, counts):
    image = counts(100, 120)
    denoiser = fake(halo=1)
    denoise_region(image, denoiser, slice(3, 9), slice(4, 30))
    np.testing.assert_array_equal(denoiser.measured, [image])


def test_of_large_frames_a_global_operator_sees_the_region_and_its_surroundings(
    fake, counts, monkeypatch
):
    monkeypatch.setattr(preview, "WHOLE_FRAME_PIXELS", 100 * 100)
    image = counts(700, 800)
    denoiser = fake(
        lambda s: ndimage.gaussian_filter(s[0], 3), halo=None, bytes_per_pixel=1
    )
    part = denoise_region(image, denoiser, slice(0, 60), slice(300, 350), options=RAW)
    assert denoiser.patch_shapes == [(1, 1, 60 + 128, 50 + 256)]
    whole = denoise(image, denoiser, options=RAW).data
    np.testing.assert_allclose(part, whole[:60, 300:350], rtol=1e-5)


def test_pixels_that_are_not_finite_stay_so_in_a_region(fake, counts):
    image = counts(50, 60)
    image[10:14, 20] = np.nan
    image[40, 40] = np.inf
    part = denoise_region(image, fake(), slice(5, 12), slice(15, 30))
    np.testing.assert_array_equal(part, image[5:12, 15:30])


def test_a_region_that_is_the_frame_keeps_its_mean(fake, counts):
    image = counts(50, 60)
    denoiser = fake(lambda s: s[0] / 2)
    whole = denoise(image, denoiser).data
    part = denoise_region(image, denoiser, slice(None), slice(None))
    np.testing.assert_array_equal(part, whole)


def test_neighbouring_frames_may_be_given(fake, counts):
    stack = counts(5, 40, 40)
    denoiser = fake(lambda s: s.mean(axis=0), frames_before=1, frames_after=1)
    whole = denoise(stack, denoiser, options=RAW).data
    rows, columns = slice(5, 20), slice(10, 40)
    part = denoise_region(stack[1:4], denoiser, rows, columns, options=RAW)
    np.testing.assert_array_equal(part, whole[2, rows, columns])
    alone = denoise_region(stack[2], denoiser, rows, columns, options=RAW)
    np.testing.assert_allclose(alone, stack[2, rows, columns], rtol=1e-6)


def test_a_preview_can_be_stopped_and_recovers_from_lack_of_memory(fake, counts):
    image = counts(300, 300)
    with pytest.raises(Cancelled):
        denoise_region(
            image, fake(), slice(0, 9), slice(0, 9), should_stop=lambda: True
        )
    denoiser = fake(
        fails=lambda _f, p: MemoryError() if p.size > 80 * 80 else None, halo=2
    )
    with pytest.warns(MemoryWarning):
        part = denoise_region(image, denoiser, slice(0, 200), slice(9, 300))
    np.testing.assert_array_equal(part, image[:200, 9:])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (slice(5, 5), "5:5 hold no pixel"),
        (slice(50, 60), "50:60 hold no pixel of a frame with 20"),
        (slice(0, 20, 2), "0:20:2"),
    ],
)
def test_a_region_without_pixels_is_refused(fake, rows, message):
    with pytest.raises(ParameterError, match=message):
        denoise_region(np.ones((20, 20)), fake(), rows, slice(None))


def test_what_is_no_frame_is_refused(fake):
    with pytest.raises(InvalidImageError, match=r"give \(H, W\)"):
        denoise_region(np.ones((5, 9, 9)), fake(), slice(None), slice(None))
    with pytest.raises(InvalidImageError, match="no finite pixel"):
        denoise_region(np.full((9, 9), np.nan), fake(), slice(None), slice(None))
