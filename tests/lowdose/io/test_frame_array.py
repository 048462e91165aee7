import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.io.frame_array import FrameArray, hold_axes, reshape_lead
from lowdose.micrograph import Micrograph

SHAPE = (3, 4, 5, 6)
DATA = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)


def make(data=DATA, log=None):
    frames = data.reshape(-1, *data.shape[-2:])

    def read_frame(number):
        if log is not None:
            log.append(number)
        return frames[number].copy()

    return FrameArray(read_frame, data.shape, data.dtype)


def axis_index(length):
    return st.one_of(
        st.integers(-length, length - 1),
        st.slices(length),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(*(axis_index(n) for n in SHAPE)),
    st.integers(0, 4),
    st.booleans(),
)
def test_basic_indices_give_what_numpy_gives(key, cut, ellipsis):
    index = (*key[:cut], ...) if ellipsis else key[:cut]
    expected = DATA[index]
    found = make()[index]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    "index",
    [
        ([0, 2],),
        (np.array([2, 0]), slice(None), slice(1, 3)),
        (..., 0),
        (1, np.array([True, False, True, False])),
        (),
        ...,
        -1,
    ],
)
def test_index_arrays_and_ellipses_give_what_numpy_gives(index):
    np.testing.assert_array_equal(make()[index], DATA[index])


@pytest.mark.parametrize("index", ["a", 1.5, None, (0, 0, [1, 2]), (0, 0, 0, 0, 0)])
def test_other_indices_are_refused_as_index_errors(index):
    with pytest.raises(IndexError):
        make()[index]


def test_out_of_range_is_an_index_error_so_that_iteration_ends():
    with pytest.raises(IndexError):
        make()[3]
    assert len(list(make())) == 3


def test_only_the_frames_asked_for_are_read():
    log = []
    make(log=log)[1, 2:, 0, ::2]
    assert log == [6, 7]


def test_it_is_converted_to_a_numpy_array_as_a_whole():
    array = make()
    np.testing.assert_array_equal(np.asarray(array), DATA)
    assert np.asarray(array, dtype=np.float32).dtype == np.float32
    assert (array.ndim, array.size, array.nbytes, len(array)) == (4, 360, 720, 3)
    with pytest.raises(ValueError, match="without a copy"):
        array.__array__(copy=False)


def test_a_micrograph_keeps_it_and_reads_single_frames():
    log = []
    micrograph = Micrograph(make(log=log))
    np.testing.assert_array_equal(micrograph.frame(5), DATA[1, 1])
    assert log == [5]


def test_dask_can_wrap_it():
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(make(), chunks=(1, 1, 5, 6))
    np.testing.assert_array_equal(lazy[1:, ::2].compute(), DATA[1:, ::2])


@pytest.mark.parametrize("held", [{}, {0: 2}, {1: -1}, {0: 0, 1: 3}])
def test_held_axes_vanish_from_arrays_and_from_files(tmp_path, held):
    index = tuple(held.get(n, slice(None)) for n in range(4))
    np.testing.assert_array_equal(hold_axes(DATA, held), DATA[index])
    assert np.shares_memory(hold_axes(DATA, held), DATA)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = DATA
        lazy = hold_axes(file["a"], held)
        assert not isinstance(lazy, np.ndarray)
        assert tuple(lazy.shape) == DATA[index].shape
        np.testing.assert_array_equal(np.asarray(lazy[...]), DATA[index])


def test_the_channel_of_a_channel_last_array_can_be_held():
    lazy = hold_axes(make(), {3: 4})
    np.testing.assert_array_equal(np.asarray(lazy[...]), DATA[..., 4])


def test_leading_axes_can_be_split_without_reading():
    log = []
    lazy = reshape_lead(make(DATA.reshape(12, 5, 6), log), (3, 4, 5, 6))
    assert log == []
    np.testing.assert_array_equal(lazy[2, 1], DATA[2, 1])
    assert log == [9]


def test_it_can_be_pickled_where_its_reader_can():
    reader = np.zeros((4, 2, 3)).__getitem__
    array = FrameArray(reader, (4, 2, 3), float)
    copy = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(copy[1], np.zeros((2, 3)))
