import numpy as np
import pytest
import tifffile

from lowdose.errors import InputError, InvalidImageError, ParameterError
from lowdose.micrograph import Micrograph
from lowdose.training.held_out import held_out_crops, hold_out, random_place
from lowdose.training.stacks import Stack, open_stack


def given(data):
    return {"stack": Micrograph(data, name="mine")}


def frames(rng, count=3, size=64):
    return rng.poisson(4.0, (count, size, size)).astype(np.float32)


def test_files_become_one_stack_of_series(rng, tmp_path):
    paths = [str(tmp_path / name) for name in ("a.tif", "b.tif")]
    for path, count in zip(paths, (2, 3), strict=True):
        tifffile.imwrite(path, frames(rng, count), photometric="minisblack")
    stack = open_stack(paths, patch=32)
    assert list(stack.series) == [0, 0, 1, 1, 1]
    assert stack.names[3] == "b.tif, frame 1"
    assert stack.window(3, 3) == [2, 3, 4]
    assert stack.window(2, 5) == [4, 3, 2, 3, 4]  # reflected, as in use


@pytest.mark.parametrize("count", [2, 3, 4, 9])
@pytest.mark.parametrize("seen", [3, 5, 7])
def test_no_window_shows_the_frame_that_is_to_be_predicted_twice(rng, count, seen):
    stack = open_stack("", patch=32, given=given(frames(rng, count)))
    for number in range(count):
        window = stack.window(number, seen)
        assert len(window) == seen
        assert window[seen // 2] == number
        assert window.count(number) == 1
        assert set(window) <= set(range(count))


def test_a_network_that_sees_several_frames_is_given_no_single_one(rng):
    with pytest.raises(ParameterError, match="sees 5 frames, but of mine there is one"):
        open_stack("", patch=32, frames=5, given=given(frames(rng, 1)))


def test_data_in_memory_takes_the_place_of_files(rng):
    stack = open_stack("none.tif", patch=32, given=given(frames(rng)))
    assert stack.names[0] == "mine, frame 0"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.tif"):
        open_stack(str(tmp_path / "none.tif"), patch=32)


def spoilt(rng, value):
    data = frames(rng)
    data[1, :, 5] = value
    return data


def saturated(rng, level):
    return np.minimum(rng.normal(1000, 100, (1, 64, 64)), level).astype(np.float32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda r: frames(r, size=24), r"24 x 24 px, less than a crop.*patch to 24"),
        (lambda r: frames(r, size=8), r"8 x 8 px; a network needs at least 16 x 16"),
        (lambda r: spoilt(r, np.nan), r"frame 1 has 64 pixels that are NaN or Inf"),
        (lambda r: spoilt(r, np.inf), r"frame 1 has 64 pixels that are NaN or Inf"),
        (lambda r: np.ones((2, 64, 64)), r"frame 0 is constant \(1\)"),
        (lambda r: saturated(r, 1050), r"it is saturated, and its noise is cut off"),
    ],
    ids=["smaller than a crop", "tiny", "NaN", "Inf", "constant", "saturated"],
)
def test_data_that_nothing_can_be_learnt_from_is_refused(rng, data, message):
    with pytest.raises(InvalidImageError, match=message):
        open_stack("", patch=32, given=given(data(rng)))


def test_complex_data_are_refused(tmp_path):
    np.save(tmp_path / "wave.npy", np.ones((64, 64), np.complex64))
    with pytest.raises(InvalidImageError, match=r"complex.*intensity"):
        open_stack(str(tmp_path / "wave.npy"), patch=32)


def test_a_few_clipped_pixels_are_worth_a_warning(rng):
    stack = open_stack("", patch=32, given=given(saturated(rng, 1190)))
    assert "saturates" in stack.warnings[0]


def test_sparse_counts_are_not_taken_for_saturated(rng):
    data = rng.poisson(0.4, (2, 64, 64)).astype(np.uint8)
    assert open_stack("", patch=32, given=given(data)).warnings == ()


def test_a_warning_of_a_thousand_frames_is_said_a_few_times(rng):
    data = np.repeat(saturated(rng, 1190), 20, 0)
    assert len(open_stack("", patch=32, given=given(data)).warnings) == 3


def stack_of(images):
    return Stack(frames=images, names=["f"] * len(images), series=[0] * len(images))


@pytest.mark.parametrize(("count", "height"), [(20, 64), (3, 200), (1, 128)])
def test_nothing_that_is_held_out_is_learnt_from(rng, count, height):
    images = [np.full((height, 64), n, np.float32) for n in range(count)]
    stack = stack_of(images)
    parts = hold_out(stack, 32)
    touched = np.zeros((count, height, 64), bool)
    for number, rows, columns in held_out_crops(stack, parts, size=64, most=8):
        touched[number, rows, columns] = True
    assert touched.any()
    learnt = np.zeros_like(touched)
    for _ in range(500):
        number, rows, columns = random_place(rng, stack, parts, 32)
        assert images[number][rows, columns].shape == (32, 32)
        learnt[number, rows, columns] = True
    assert not (learnt & touched).any()
    assert learnt.mean() > 0.6


def test_a_frame_with_no_room_to_spare_serves_for_both():
    parts = hold_out(stack_of([np.zeros((40, 40), np.float32)]), 32)
    assert parts.rows(0, 40, held=True) == parts.rows(0, 40, held=False) == (0, 40)
