from __future__ import annotations

import itertools
import warnings

import dask.array
import h5py
import numpy as np
import pytest
import zarr

from lowdose.errors import (
    Cancelled,
    DeviceError,
    InputError,
    InvalidImageError,
    LowDoseError,
    LowDoseWarning,
    ParameterError,
)
from lowdose.inference import DenoiseOptions, denoise, iter_denoise, plan_step
from lowdose.micrograph import Axis, Calibration, Micrograph, Step

RAW = DenoiseOptions(keep_mean=False)


def blur(stack):
    from scipy import ndimage

    return ndimage.uniform_filter(stack[len(stack) // 2], 5)


# --- tiles -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(301, 517), (64, 64), (65, 63), (200, 1), (1, 77)])
@pytest.mark.parametrize("tile", [1, 67, 90, 128, 1000])
@pytest.mark.parametrize("border", [0, 5, 33])
@pytest.mark.filterwarnings("ignore::lowdose.errors.LowDoseWarning")
def test_a_tiled_pass_gives_the_pixels_of_an_untiled_one(
    fake, crooked, counts, whole_pass, shape, tile, border
):
    image = counts(*shape)
    denoiser = fake(crooked(9), halo=9, border=border)
    options = DenoiseOptions(tile=tile, keep_mean=False)
    result = denoise(image, denoiser, options=options)
    np.testing.assert_array_equal(result.data, whole_pass(image, denoiser))


@pytest.mark.parametrize("multiple", [2, 4, 8, 16])
@pytest.mark.parametrize("batch", [1, 3, None])
def test_pooling_falls_on_the_same_pixels_in_every_tile(
    fake, pooled, counts, whole_pass, multiple, batch
):
    image = counts(211, 150)
    denoiser = fake(
        pooled(multiple), halo=2 * multiple - 1, multiple=multiple, border=multiple
    )
    options = DenoiseOptions(tile=96, batch=batch, keep_mean=False)
    result = denoise(image, denoiser, options=options)
    np.testing.assert_array_equal(result.data, whole_pass(image, denoiser))
    assert len(denoiser.patch_shapes) > 1 or batch is None


def test_a_halo_smaller_than_the_reach_would_show(fake, crooked, counts, whole_pass):
    image = counts(300, 300)
    denoiser = fake(crooked(9), halo=3)
    options = DenoiseOptions(tile=70, keep_mean=False)
    result = denoise(image, denoiser, options=options)
    assert (result.data != whole_pass(image, denoiser)).any()


def test_a_global_operator_is_given_whole_frames_where_they_fit(fake, counts):
    denoiser = fake(halo=None, bytes_per_pixel=1)
    denoise(counts(2, 300, 700), denoiser)
    assert {shape[2:] for shape in denoiser.patch_shapes} == {(300, 700)}


def test_a_global_operator_is_given_the_tile_it_wants_and_blended(fake, counts):
    denoiser = fake(halo=None, tile=100, overlap=32, bytes_per_pixel=1)
    image = counts(300, 250)
    result = denoise(image, denoiser, options=RAW)
    assert {shape[2:] for shape in denoiser.patch_shapes} == {(100, 100)}
    np.testing.assert_allclose(result.data, image, rtol=1e-5)


def test_blending_leaves_no_seam(fake):
    # Each tile answers with its own level: the steps between are spread out.
    levels = iter(range(100))
    denoiser = fake(
        lambda stack: np.full_like(stack[0], next(levels)),
        halo=None,
        tile=100,
        overlap=40,
    )
    result = denoise(np.ones((100, 400)), denoiser, options=RAW).data
    assert result.max() > 3
    assert np.abs(np.diff(result, axis=1)).max() < 0.06


def test_a_tile_too_small_for_the_halo_is_raised_and_said(fake, counts):
    denoiser = fake(halo=40)
    with pytest.warns(LowDoseWarning, match="tile of 30 px is too small"):
        denoise(counts(300, 300), denoiser, options=DenoiseOptions(tile=30))
    assert max(denoiser.patch_shapes[0][2:]) <= 120


def test_wrongly_shaped_answers_are_not_broadcast(fake, counts):
    denoiser = fake(lambda stack: stack)  # keeps its frame axis
    with pytest.raises(ValueError, match="returned patches of shape"):
        denoise(counts(20, 20), denoiser)


# --- images ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype",
    ["bool", "u1", "i1", ">u2", "<i2", ">i4", "u4", "i8", "f2", ">f4", ">f8", "f4"],
)
def test_every_real_type_and_byte_order_is_denoised(fake, counts, dtype):
    image = (counts(3, 40, 30) % 2).astype(dtype)
    before = image.copy()
    result = denoise(image, fake())
    assert result.dtype == np.dtype(np.float32)
    np.testing.assert_array_equal(result.data, before.astype(np.float32))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (1, 1, 1), (2, 3)])
@pytest.mark.parametrize(
    "needs",
    [
        {"halo": 20, "multiple": 16, "border": 24},
        {"halo": None, "multiple": 8, "tile": 64, "border": 3},
        {"halo": 3},
    ],
)
def test_tiny_images_are_denoised(fake, shape, needs):
    image = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    result = denoise(image, fake(**needs))
    np.testing.assert_allclose(result.data, image, rtol=1e-6)


def test_constant_and_negative_images_keep_their_values(fake):
    for value in (0.0, -7.5, 1e6):
        image = np.full((50, 40), value)
        np.testing.assert_allclose(denoise(image, fake(blur, halo=2)).data, value)


def test_lists_and_views_are_denoised(fake, counts):
    stack = counts(60, 5, 50)
    view = stack.transpose(1, 2, 0)[::-1, ::2]
    np.testing.assert_array_equal(denoise(view, fake()).data, view)
    assert denoise([[1, 2], [3, 4]], fake()).data.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("kind", ["dask", "zarr", "h5py", "memmap"])
def test_lazy_stacks_come_in_and_go_out(fake, counts, tmp_path, kind):
    stack = counts(2, 3, 33, 41)
    out = np.zeros_like(stack)
    if kind == "dask":
        image = dask.array.from_array(stack, chunks=(1, 2, 20, 41))
    elif kind == "zarr":
        image = zarr.create_array(tmp_path / "in.zarr", data=stack, chunks=(1, 1, 8, 8))
        out = zarr.create_array(
            tmp_path / "out.zarr", shape=stack.shape, dtype="f4", chunks=(1, 1, 33, 41)
        )
    elif kind == "memmap":
        image = np.memmap(tmp_path / "in.raw", "f4", "w+", shape=stack.shape)
        image[...] = stack
        out = np.memmap(tmp_path / "out.raw", "f4", "w+", shape=stack.shape)
    else:
        file = h5py.File(tmp_path / "in.h5", "w")
        image = file.create_dataset("frames", data=stack)
        out = file.create_dataset("clean", shape=stack.shape, dtype="f4")
    result = denoise(image, fake(blur, halo=2), out=out)
    assert result.data is out
    np.testing.assert_array_equal(out[...], denoise(stack, fake(blur, halo=2)).data)
    if kind == "h5py":
        file.close()


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.ones((4, 4), complex), "complex"),
        (np.zeros((4, 4), [("r", "u1"), ("g", "u1")]), "colour"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.array([[None, 1]]), "real numbers"),
        (np.ones(5), "at least two"),
        (3.0, "at least two"),
        (np.ones((0, 5)), "empty"),
        (np.ones((0, 5, 5)), "empty"),
    ],
)
def test_what_is_no_image_is_refused(fake, image, error):
    with pytest.raises(InvalidImageError, match=error):
        denoise(image, fake())


def test_frames_that_cannot_be_read_are_named(fake):
    class Broken:
        shape, dtype = (3, 8, 8), np.dtype("u1")

        def __getitem__(self, index):
            if index == (1,):
                raise self.error
            return np.ones((8, 8), "u1")

    for error in (OSError("gone"), RuntimeError("unspecified error in B-tree")):
        broken = Broken()
        broken.error = error
        with pytest.raises(InputError, match=r"frame 1 of 'movie\.h5'"):
            denoise(Micrograph(broken, name="movie.h5"), fake())


# --- what is kept ------------------------------------------------------------------


def test_the_mean_of_every_frame_is_kept_unless_told_otherwise(fake, counts):
    stack = counts(4, 60, 60) + np.arange(4)[:, None, None] * 1000
    halved = fake(lambda s: s[0] / 2)
    kept = denoise(stack, halved).data
    np.testing.assert_allclose(kept.mean((1, 2)), stack.mean((1, 2)), rtol=1e-6)
    plain = denoise(stack, fake(lambda s: s[0] / 2), options=RAW).data
    np.testing.assert_array_equal(plain, stack / 2)


def test_nothing_is_clipped(fake):
    image = np.array([[-5.0, 1e9], [3e5, -2e7]])
    np.testing.assert_array_equal(denoise(image, fake(), options=RAW).data, image)


def test_calibration_and_name_are_kept_and_the_step_is_added(fake, counts):
    axes = (
        Axis(label="z", spacing=50, unit="nm"),
        Axis(label="y", spacing=4, unit="nm", origin=7),
        Axis(label="x", spacing=4, unit="nm"),
    )
    earlier = Step(action="align", software="other 1.0", when="2026-01-01T00:00:00")
    calibration = Calibration(axes=axes, counts_per_electron=3.5, provenance=(earlier,))
    image = Micrograph(counts(2, 20, 20), calibration, "stack.tif")
    denoiser = fake(halo=5)
    options = DenoiseOptions(tile=64)
    result = denoise(image, denoiser, options=options)
    assert result.name == "stack.tif"
    assert result.calibration.axes == axes
    assert result.calibration.counts_per_electron == 3.5
    first, step = result.calibration.provenance
    assert first == earlier
    assert step.action == "denoise"
    assert step.software.startswith("napari-lowdose ")
    assert step.source == "stack.tif"
    assert step.details["denoiser"] == denoiser.describe()
    assert step.details["device"] == "cpu"
    assert step.details["precision"] == "float32"
    assert step.details["tile"] == [20, 20]
    assert step.details["options"] == options.to_dict()
    assert image.calibration.provenance == (earlier,)
    planned = plan_step(image, denoiser, options=options)
    assert planned.details == step.details


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_come_back_and_never_spread(fake, counts, value):
    image = counts(80, 90)
    image[10, 20] = image[40:60, 30:70] = value
    image[79] = value
    filled = []
    denoiser = fake(lambda s: (filled.append(s[0]), blur(s))[1], halo=2)
    result = denoise(image, denoiser).data
    bad = ~np.isfinite(image)
    np.testing.assert_array_equal(result[bad], image[bad])
    assert np.isfinite(result[~bad]).all()
    assert result[~bad].max() <= image[~bad].max() + 1
    np.testing.assert_allclose(result[~bad].mean(), image[~bad].mean(), rtol=1e-5)
    # The value of a bad pixel makes no difference to any other.
    other = image.copy()
    other[bad] = np.nan
    np.testing.assert_array_equal(denoise(other, denoiser).data[~bad], result[~bad])


def test_a_frame_without_a_finite_pixel_passes_through_with_a_warning(fake, counts):
    stack = counts(3, 20, 20)
    stack[1] = np.nan
    denoiser = fake(blur, halo=2)
    with pytest.warns(LowDoseWarning, match="Frame 1 has no finite pixel"):
        result = denoise(stack, denoiser).data
    assert np.isnan(result[1]).all()
    assert np.isfinite(result[[0, 2]]).all()
    assert len(denoiser.measured) == 2


@pytest.mark.filterwarnings("ignore::lowdose.errors.LowDoseWarning")
@pytest.mark.parametrize("batch", [1, 2, None])
def test_progress_is_complete_where_the_last_frames_have_no_finite_pixel(
    fake, counts, batch
):
    stack = counts(5, 20, 20)
    stack[[1, 3, 4]] = np.nan
    seen = []
    options = DenoiseOptions(batch=batch)
    denoise(stack, fake(), options=options, on_progress=seen.append)
    assert seen[-1].done == seen[-1].total == 5
    assert [p.done for p in seen] == sorted(p.done for p in seen)


@pytest.mark.filterwarnings("ignore::lowdose.errors.LowDoseWarning")
@pytest.mark.parametrize("shape", [(20, 20), (1, 20, 20), (3, 20, 20)])
def test_an_image_without_a_finite_pixel_is_refused(fake, shape):
    image = np.full(shape, np.nan)
    with pytest.raises(InvalidImageError, match="no finite pixel"):
        denoise(Micrograph(image, name="dead.tif"), fake())


def test_values_beyond_float32_count_as_not_finite(fake):
    image = np.ones((20, 20))
    image[3, 3] = 1e300
    result = denoise(image, fake(blur, halo=2)).data
    assert np.isinf(result[3, 3])
    assert np.isfinite(np.delete(result.ravel(), 63)).all()


def test_a_denoiser_that_makes_nan_is_an_error_not_a_result(fake, counts):
    denoiser = fake(lambda s: s[0] * np.float32(np.inf))
    with pytest.raises(DeviceError, match="not finite"):
        denoise(counts(20, 20), denoiser)


# --- stacks ------------------------------------------------------------------------


class CountingStack:
    """A lazy stack that notes every frame it is asked for."""

    def __init__(self, frames):
        self.frames = frames
        self.shape, self.dtype = frames.shape, frames.dtype
        self.reads: list[tuple[int, ...]] = []

    def __getitem__(self, index):
        self.reads.append(index)
        return self.frames[index]


@pytest.mark.parametrize("batch", [1, 4, None])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 1), (2, 2), (3, 0), (0, 2)])
def test_every_frame_is_read_once_and_none_ahead_of_need(
    fake, counts, before, after, batch
):
    stack = CountingStack(counts(9, 8, 8))
    denoiser = fake(frames_before=before, frames_after=after)
    result = denoise(stack, denoiser, options=DenoiseOptions(batch=batch))
    assert sorted(stack.reads) == [(n,) for n in range(9)]
    np.testing.assert_array_equal(result.data, stack.frames)


def test_frames_are_read_as_they_are_needed(fake, counts):
    stack = CountingStack(counts(100, 8, 8))
    denoiser = fake(frames_before=1, frames_after=1)
    steps = iter_denoise(stack, denoiser, options=DenoiseOptions(batch=1))
    next(steps)
    assert stack.reads == []
    # One group of neighbours more than is computed with, read while it is.
    next(steps)
    assert 2 <= len(stack.reads) <= 3
    next(steps)
    assert 3 <= len(stack.reads) <= 4
    steps.close()
    assert len(stack.reads) <= 4


def test_neighbouring_frames_are_reflected_at_the_ends(fake):
    seen = []
    denoiser = fake(
        lambda s: (seen.append(s[:, 0, 0].tolist()), s[2])[1],
        frames_before=2,
        frames_after=1,
    )
    stack = np.arange(5)[:, None, None] * np.ones((5, 6, 6))
    result = denoise(stack, denoiser)
    assert seen == [
        [2, 1, 0, 1],
        [1, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 3],
    ]
    np.testing.assert_array_equal(result.data, stack)


def test_a_single_image_is_its_own_neighbour(fake, counts):
    seen = []
    denoiser = fake(
        lambda s: (seen.append(s.copy()), s[1])[1], frames_before=1, frames_after=1
    )
    image = counts(6, 6)
    denoise(image, denoiser)
    assert (seen[0] == image).all()


def test_neighbours_are_taken_along_time_and_never_across_series(fake):
    seen = []
    denoiser = fake(
        lambda s: (seen.append(s[:, 0, 0].tolist()), s[1])[1],
        frames_before=1,
        frames_after=1,
    )
    axes = tuple(Axis(label=label) for label in "tzyx")
    frames = np.arange(6.0).reshape(3, 2, 1, 1) * np.ones((3, 2, 4, 4))
    image = Micrograph(frames, Calibration(axes=axes))
    result = denoise(image, denoiser)
    assert seen == [[2, 0, 2], [0, 2, 4], [2, 4, 2], [3, 1, 3], [1, 3, 5], [3, 5, 3]]
    np.testing.assert_array_equal(result.data, frames)


def test_a_neighbour_without_a_finite_pixel_is_replaced_by_the_frame_itself(fake):
    seen = []
    denoiser = fake(
        lambda s: (seen.append(s[:, 0, 0].tolist()), s[1])[1],
        frames_before=1,
        frames_after=1,
    )
    stack = np.arange(4.0)[:, None, None] * np.ones((4, 5, 5))
    stack[1] = np.nan
    with pytest.warns(LowDoseWarning):
        denoise(stack, denoiser)
    assert seen == [[0, 0, 0], [2, 2, 3], [2, 3, 2]]


def test_each_frame_is_measured_once_and_whole(fake, counts):
    stack = counts(3, 100, 130)
    denoiser = fake(halo=4)
    denoise(stack, denoiser, options=DenoiseOptions(tile=64, batch=2))
    np.testing.assert_array_equal(denoiser.measured, stack)


def test_small_frames_are_denoised_together(fake, counts):
    denoiser = fake()
    denoise(counts(10, 16, 16), denoiser, options=DenoiseOptions(batch=4))
    assert [shape[0] for shape in denoiser.patch_shapes] == [4, 4, 2]


def test_each_patch_comes_with_the_measures_of_its_frame(fake, counts):
    stack = counts(5, 40, 40) + 100 * np.arange(5)[:, None, None]

    class Centred(fake):
        def denoise_patches(self, patches, measures):
            for patch, measure in zip(patches, measures, strict=True):
                assert abs(patch.mean() - measure["mean"]) < 5
            return super().denoise_patches(patches, measures)

    denoise(stack, Centred(), options=DenoiseOptions(batch=3))


# --- progress and cancelling -------------------------------------------------------


def test_progress_begins_at_zero_rises_and_ends_complete(fake, counts):
    seen = []
    denoise(
        counts(3, 100, 100),
        fake(halo=4),
        options=DenoiseOptions(tile=64, batch=1),
        on_progress=seen.append,
    )
    assert [p.done for p in seen] == list(range(13))
    assert {p.total for p in seen} == {12}
    assert [p.frame for p in seen] == [-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert {p.frames for p in seen} == {3}
    assert seen[-1].fraction == 1
    assert seen[-1].pixels == 3 * 100 * 100
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(seen))


def test_a_frame_is_in_the_output_when_progress_says_so(fake, counts):
    stack, out = counts(4, 70, 70), np.full((4, 70, 70), -1.0, np.float32)
    options = DenoiseOptions(tile=64, batch=1, keep_mean=False)
    for progress in iter_denoise(stack, fake(halo=4), options=options, out=out):
        shown = progress.frame + 1
        np.testing.assert_array_equal(out[:shown], stack[:shown])
        assert (out[shown:] == -1).all()


def test_cancelling_stops_after_the_tile_at_hand(fake, counts):
    denoiser = fake(halo=4)
    with pytest.raises(Cancelled):
        denoise(
            counts(5, 100, 100),
            denoiser,
            options=DenoiseOptions(tile=64, batch=1),
            should_stop=lambda: len(denoiser.patch_shapes) >= 3,
        )
    assert len(denoiser.patch_shapes) == 3


def test_nothing_is_read_or_placed_before_the_first_step(fake, counts):
    stack, denoiser = CountingStack(counts(3, 8, 8)), fake()
    steps = iter_denoise(stack, denoiser)
    assert next(steps).done == 0
    assert (stack.reads, denoiser.places, denoiser.measured) == ([], [], [])
    steps.close()
    assert denoiser.patch_shapes == []


def test_an_error_in_on_progress_ends_the_run(fake, counts):
    denoiser = fake()

    def fails(progress):
        raise KeyError(progress.done)

    with pytest.raises(KeyError):
        denoise(counts(8, 8), denoiser, on_progress=fails)
    assert denoiser.patch_shapes == []


# --- denoisers ---------------------------------------------------------------------


def test_errors_of_a_denoiser_are_never_runtime_errors(fake, counts):
    denoiser = fake(fails=lambda _self, _patches: RuntimeError("cuDNN error: 8"))
    with pytest.raises(DeviceError, match="cuDNN error: 8") as caught:
        denoise(counts(8, 8), denoiser)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert issubclass(DeviceError, LowDoseError)
    assert not issubclass(DeviceError, RuntimeError)


def test_values_for_a_finished_denoiser_are_refused(fake, counts):
    with pytest.raises(ParameterError, match="sigma cannot be changed"):
        denoise(counts(8, 8), fake(), sigma=3)


def test_no_warning_is_given_for_an_ordinary_run(fake, counts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoise(counts(2, 40, 40), fake(blur, halo=2))
