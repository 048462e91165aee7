import dataclasses
import math
import sys

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.micrograph import Axis, Calibration, Micrograph, Step, release_pages

STEP = Step(action="denoise", software="lowdose 1", when="2024-01-01T00:00:00+00:00")


# --- Axis ------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [0, -1.0, math.nan, math.inf])
def test_an_axis_refuses_an_impossible_spacing(spacing):
    with pytest.raises(ParameterError, match="spacing of axis 'x'"):
        Axis(label="x", spacing=spacing, unit="nm")


def test_an_axis_refuses_an_unknown_unit_and_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"'furlong'.*nm"):
        Axis(label="x", spacing=1.0, unit="furlong")


@pytest.mark.parametrize(
    ("unit", "canonical"), [("µm", "um"), ("Å", "angstrom"), ("SEC", "s"), ("nm", "nm")]
)
def test_an_axis_keeps_the_canonical_spelling_of_its_unit(unit, canonical):
    assert Axis(label="x", spacing=1.0, unit=unit).unit == canonical


def test_an_axis_is_calibrated_with_both_spacing_and_unit():
    assert Axis(label="x", spacing=1.0, unit="nm").calibrated
    assert not Axis(label="x", spacing=1.0).calibrated
    assert not Axis(label="x", unit="nm").calibrated


# --- Step ------------------------------------------------------------------------


def test_a_step_survives_its_dictionary():
    step = dataclasses.replace(STEP, source="a.tif", details={"sigma": 1.5})
    assert Step.from_dict(step.to_dict()) == step


@pytest.mark.parametrize("record", [{}, {"details": None}, {"details": [1]}])
def test_a_step_of_an_incomplete_dictionary_has_empty_texts(record):
    step = Step.from_dict(record)
    assert (step.action, step.software, step.when, step.source) == ("", "", "", "")
    assert step.details == {}


# --- Calibration -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ndim", "labels"),
    [
        (2, ("y", "x")),
        (3, ("t", "y", "x")),
        (4, ("t", "z", "y", "x")),
        (5, ("axis0", "t", "z", "y", "x")),
        (6, ("axis0", "axis1", "t", "z", "y", "x")),
    ],
)
def test_an_unknown_calibration_has_the_order_of_micrographs(ndim, labels):
    calibration = Calibration.unknown(ndim)
    assert calibration.labels == labels
    assert calibration.ndim == ndim
    assert calibration.pixel_size() is None
    assert not any(axis.calibrated for axis in calibration.axes)


@pytest.mark.parametrize("gain", [0, -1.0, math.nan, math.inf])
def test_an_impossible_gain_is_refused(gain):
    with pytest.raises(ParameterError, match="counts_per_electron"):
        Calibration(axes=Calibration.unknown(2).axes, counts_per_electron=gain)


def test_the_axis_before_an_image_is_a_depth_where_its_unit_is_a_length():
    sections = Calibration.from_spacing((50, 4, 4), ("nm", "nm", "nm"))
    movie = Calibration.from_spacing((0.1, 4, 4), ("s", "nm", "nm"))
    bare = Calibration.from_spacing((None, None, None), (None, None, None))
    assert sections.labels == ("z", "y", "x")
    assert movie.labels == ("t", "y", "x")
    assert bare == Calibration.unknown(3)


def test_a_calibration_wants_a_unit_per_spacing():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        Calibration.from_spacing((1, 2), ("nm",))


def test_the_pixel_size_is_converted():
    calibration = Calibration.from_spacing((0.1, 2.0), ("nm", "angstrom"))
    assert calibration.pixel_size() == pytest.approx((0.1, 0.2))
    assert calibration.pixel_size("angstrom") == pytest.approx((1.0, 2.0))


@pytest.mark.parametrize(
    ("spacing", "units"),
    [
        ((None, 0.1), ("nm", "nm")),
        ((0.1, 0.1), ("nm", None)),
        ((0.1, 0.1), ("1/nm", "1/nm")),
        ((0.1, 0.1), ("nm", "mrad")),
    ],
)
def test_there_is_no_pixel_size_where_it_is_unknown_or_no_length(spacing, units):
    assert Calibration.from_spacing(spacing, units).pixel_size() is None


def test_a_step_is_added_at_the_end_and_the_rest_stays():
    first = Calibration.from_spacing((1, 1), ("nm", "nm")).with_step(STEP)
    other = dataclasses.replace(STEP, action="bin")
    second = first.with_step(other)
    assert second.provenance == (STEP, other)
    assert first.provenance == (STEP,)
    assert second.axes == first.axes


def test_the_last_axes_can_be_taken():
    calibration = Calibration.unknown(4).with_step(STEP)
    image = calibration.last(2)
    assert image.labels == ("y", "x")
    assert image.provenance == (STEP,)


def test_calibrations_compare_by_value_and_cannot_be_changed():
    one, other = (Calibration.from_spacing((1, 2), ("nm", "nm")) for _ in range(2))
    assert one == other
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.counts_per_electron = 3


# --- Micrograph ------------------------------------------------------------------


class Recording:
    """A lazy array that records what is read of it."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return self.data[index]


@pytest.fixture
def stack(rng):
    return rng.poisson(5, (2, 3, 4, 5)).astype(np.uint16)


def test_a_micrograph_says_what_it_is(stack):
    micrograph = Micrograph(stack, name="a.tif")
    assert micrograph.shape == (2, 3, 4, 5)
    assert micrograph.frame_shape == (4, 5)
    assert micrograph.ndim == 4
    assert micrograph.n_frames == 6
    assert micrograph.dtype == np.uint16
    assert micrograph.calibration == Calibration.unknown(4)
    assert repr(micrograph).startswith("Micrograph('a.tif', shape=(2, 3, 4, 5), dtype=")


def test_the_calibration_is_seen_in_the_representation():
    calibration = Calibration.from_spacing((0.1, 0.25), ("nm", "nm"))
    micrograph = Micrograph(np.zeros((2, 2)), calibration)
    assert "y 0.1 nm, x 0.25 nm" in repr(micrograph)


def test_frames_are_counted_with_the_last_axis_fastest(stack):
    micrograph = Micrograph(stack)
    for number, (t, z) in enumerate(np.ndindex(2, 3)):
        assert micrograph.frame_index(number) == (t, z)
        np.testing.assert_array_equal(micrograph.frame(number), stack[t, z])
    assert len(list(micrograph.frames())) == 6


@pytest.mark.parametrize("number", [-1, 6])
def test_a_frame_that_is_not_there_is_refused(stack, number):
    with pytest.raises(ParameterError, match="0 to 5"):
        Micrograph(stack).frame(number)


def test_only_the_frame_asked_for_is_read(stack):
    lazy = Recording(stack)
    micrograph = Micrograph(lazy)
    assert lazy.asked == []
    micrograph.frame(4)
    assert lazy.asked == [(1, 1)]
    frames = micrograph.frames()
    next(frames)
    assert lazy.asked == [(1, 1), (0, 0)]


def test_a_frame_is_a_copy_in_native_byte_order(stack):
    big = stack.astype(">u2")
    frame = Micrograph(big).frame(0)
    assert frame.dtype.isnative
    frame[:] = 0
    assert big.any()
    np.testing.assert_array_equal(Micrograph(big).frame(0), stack[0, 0])


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_memory_map_is_kept_and_read_right_again_and_again(tmp_path, stack, mode):
    np.save(tmp_path / "a.npy", stack)
    data = np.load(tmp_path / "a.npy", mmap_mode=mode)
    micrograph = Micrograph(data)
    assert micrograph.data is data
    for _ in range(2):  # pages are handed back after each frame
        for number in range(6):
            expected = stack.reshape(6, 4, 5)[number]
            np.testing.assert_array_equal(micrograph.frame(number), expected)


def test_changes_to_a_copy_on_write_map_are_not_thrown_away(tmp_path, stack):
    np.save(tmp_path / "a.npy", stack)
    data = np.load(tmp_path / "a.npy", mmap_mode="c")
    data[0, 0] = 77
    micrograph = Micrograph(data)
    micrograph.frame(1)
    assert (micrograph.frame(0) == 77).all()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_a_long_map_does_not_keep_its_pages(tmp_path):
    shape = (64, 512, 512)
    data = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, shape)
    for frame in data:
        frame[:] = 1
    data.flush()
    release_pages(data)

    def resident():
        with open("/proc/self/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if "Rss" in line) / 1024

    micrograph = Micrograph(np.load(tmp_path / "a.npy", mmap_mode="r"))
    before = resident()
    assert sum(float(frame[0, 0]) for frame in micrograph.frames()) == 64
    assert resident() - before < 16, "the file has 64 MB"


def test_lazy_arrays_of_every_library_are_kept_as_they_are(tmp_path, stack):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = stack
        arrays = [file["a"], zarr.create_array(tmp_path / "a.zarr", data=stack)]
        for array in arrays:
            micrograph = Micrograph(array)
            assert micrograph.data is array
            np.testing.assert_array_equal(micrograph.frame(5), stack[1, 2])


def test_dask_arrays_are_computed_frame_by_frame(stack):
    dask = pytest.importorskip("dask.array")
    computed = []

    def note(block):
        computed.append(block.shape)
        return block

    lazy = dask.from_array(stack, chunks=(1, 1, 4, 5)).map_blocks(
        note, dtype=stack.dtype, meta=np.zeros((0,) * 4, stack.dtype)
    )
    micrograph = Micrograph(lazy)
    assert micrograph.data is lazy
    assert computed == []
    np.testing.assert_array_equal(micrograph.frame(3), stack[1, 0])
    assert computed == [(1, 1, 4, 5)]


def test_lists_become_arrays():
    micrograph = Micrograph([[1, 2], [3, 4]])
    assert isinstance(micrograph.data, np.ndarray)
    assert micrograph.shape == (2, 2)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (np.zeros((4, 4), np.complex64), r"complex.*abs\(x\)\*\*2"),
        (np.zeros((4, 4), "u1,u1,u1"), "colour"),
        (np.zeros((4, 4), [("r", "u1"), ("g", "u1")]), "r, g"),
        (np.zeros((4, 4), object), "object"),
        (np.zeros((4, 4), "U3"), "<U3"),
        (np.zeros((4, 4), "M8[s]"), "datetime64"),
        (np.float32(3), "0 axes"),
        (np.zeros(5), "1 axes"),
        (np.zeros((0, 5)), "empty"),
        (np.zeros((3, 5, 0)), "empty"),
        (7, "0 axes"),
        ("text", "type"),
        ([[1, 2], [3]], "not an image"),
        (None, "object"),
    ],
)
def test_what_is_no_image_of_counts_is_refused(data, text):
    with pytest.raises(InvalidImageError, match=text):
        Micrograph(data)


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", ">i2", "f2", ">f8"])
def test_every_real_type_is_welcome(dtype):
    assert Micrograph(np.ones((2, 2), dtype)).frame(0).sum() == 4


def test_the_name_is_in_the_message():
    with pytest.raises(InvalidImageError, match=r"'wave\.npy' is complex"):
        Micrograph(np.zeros((2, 2), complex), name="wave.npy")


def test_a_calibration_of_other_axes_is_refused():
    with pytest.raises(InvalidImageError, match=r"describes 3 axes.*\(4, 5\)"):
        Micrograph(np.zeros((4, 5)), Calibration.unknown(3))


def test_parts_can_be_exchanged(stack):
    micrograph = Micrograph(stack, name="a")
    other = micrograph.replace(name="b", data=stack * 2)
    assert (micrograph.name, other.name) == ("a", "b")
    assert other.calibration is micrograph.calibration
    with pytest.raises(InvalidImageError):
        micrograph.replace(data=stack[0])


def test_it_becomes_one_numpy_array(stack):
    np.testing.assert_array_equal(np.asarray(Micrograph(stack)), stack)
    assert np.asarray(Micrograph(stack), dtype=np.float64).dtype == np.float64


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5))
def test_every_frame_is_found_once(shape):
    data = np.arange(math.prod(shape)).reshape(shape)
    micrograph = Micrograph(data)
    found = np.stack(list(micrograph.frames()))
    np.testing.assert_array_equal(found.reshape(shape), data)
