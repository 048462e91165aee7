"""A patch with its halo gives the pixels that the whole frame gives."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.filters import FILTERS, make
from lowdose.noise import sample_poisson

FINITE = [name for name in FILTERS if make(name).needs.halo is not None]

#: Smaller reaches, for frames and haloes to fit.
SMALL = {
    "nl-means": {"distance": 3},
    "gaussian": {"sigma": 1.0},
    "bm3d": {"search": 2, "patch": "4", "step": 2},
    "pca": {"window": 16, "patch": 4},
}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:240, :252]
    dose = 4 + 3 * np.sin(x / 7) * np.cos(y / 11) + 0.02 * x
    return sample_poisson(dose, rng, gain=3.0, offset=20.0)


def assert_patch_equals_frame(name, frame, **values):
    denoiser = make(name, **values)
    needs, measures = denoiser.needs, denoiser.measure(frame)
    whole = denoiser.denoise_patches(frame[None, None], [measures])[0]
    multiple, halo = needs.multiple, needs.halo
    # The smallest patch about a core of two by three multiples, off the centre.
    top = multiple * ((halo + multiple - 1) // multiple + 1)
    left = top + multiple
    height, width = 2 * multiple, 3 * multiple
    end = halo + (-halo) % multiple
    rows = slice(top - halo - (-halo) % multiple, top + height + end)
    columns = slice(left - halo - (-halo) % multiple, left + width + end)
    assert rows.start >= 0
    assert rows.stop <= frame.shape[0]
    assert columns.stop <= frame.shape[1]
    patch = frame[rows, columns]
    result = denoiser.denoise_patches(patch[None, None], [measures])[0]
    core = result[top - rows.start :, left - columns.start :][:height, :width]
    expected = whole[top : top + height, left : left + width]
    np.testing.assert_allclose(core, expected, rtol=1e-5)


def test_the_local_filters_declare_a_halo_and_the_global_ones_none():
    local = {"gaussian", "median", "bilateral", "wiener", "nl-means", "bm3d", "pca"}
    assert set(FINITE) == local


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("vst", ["none", "counts", "auto"])
def test_patches_equal_the_whole_frame(name, frame, vst):
    assert_patch_equals_frame(name, frame, vst=vst)


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("binning", [2, 3, 4])
def test_binned_patches_equal_the_whole_frame(name, frame, binning):
    frame = np.tile(frame, (2, 2))
    small = SMALL.get(name, {})
    assert_patch_equals_frame(name, frame, binning=binning, vst="counts", **small)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gaussian", {"sigma": 12.0}),
        ("gaussian", {"sigma": 3.0, "radius": 2}),
        ("median", {"radius": 5}),
        ("bilateral", {"sigma_space": 6.0}),
        ("bilateral", {"radius": 9}),
        ("wiener", {"radius": 12, "noise_from": "windows"}),
        ("nl-means", {"distance": 13, "patch_radius": 5, "expected": 0.0}),
        ("bm3d", {"search": 10, "step": 5, "transform": "haar"}),
        ("bm3d", {"search": 5, "patch": "16", "step": 8, "group": "4"}),
        ("bm3d", {"search": 12, "step": 1, "stages": 1}),
        ("pca", {"window": 25, "patch": 6, "rule": "gavish-donoho"}),
    ],
)
def test_patches_equal_the_whole_frame_with_other_sizes(name, values, frame):
    assert_patch_equals_frame(name, frame, **values)


@pytest.mark.parametrize("name", FINITE)
def test_presets_tile_too(name, frame):
    for preset in FILTERS[name].presets.values():
        if "binning" not in preset:  # whose halo leaves no core in so small a frame
            assert_patch_equals_frame(name, frame, **preset)


# A pixel at the very end of the halo of BM3D counts only if a group of the first stage
# has a patch there and one of the second stage is changed by it: a bound, not a size.
# Where windows of components lie, depends on the pixel.
@pytest.mark.parametrize("name", [n for n in FINITE if n not in ("bm3d", "pca")])
def test_the_halo_is_no_larger_than_it_need_be(name):
    """One pixel beyond the halo changes nothing; some pixel near its edge does."""
    denoiser = make(name)
    halo = denoiser.needs.halo
    size = 2 * halo + 7
    rng = np.random.default_rng(1)
    frame = rng.normal(100, 1, (size, size)).astype(np.float32)
    measures = denoiser.measure(frame)
    middle = size // 2

    def centre(image):
        patches = image[None, None]
        return denoiser.denoise_patches(patches, [measures])[0, middle, middle]

    beyond = frame.copy()
    beyond[middle, middle + halo + 1] += 1
    assert centre(beyond) == pytest.approx(centre(frame), rel=1e-7)
    changed = frame.copy()
    changed[:, middle + halo - 2 :] += 2.0
    assert centre(changed) != centre(frame)
