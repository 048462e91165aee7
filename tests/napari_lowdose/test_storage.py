from __future__ import annotations

import gc
import tempfile

import numpy as np
import pytest
import zarr

from lowdose.errors import OutputError
from napari_lowdose import _storage
from napari_lowdose._storage import FrameStore, allocate


def test_small_results_are_kept_in_memory():
    array = allocate((3, 4, 5))
    assert type(array) is np.ndarray
    assert array.dtype == np.float32
    assert not array.any()


def test_large_results_go_to_a_zarr_folder_that_vanishes_with_them(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = allocate((3, 40, 50), free_memory=1000)
    assert isinstance(array, zarr.Array)
    assert array.dtype == np.float32
    array[1] = 2
    assert np.isnan(array[0]).all()
    assert array[1].sum() == 2 * 40 * 50
    del array
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_large_frames_are_stored_in_chunks_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = allocate((2, 10_000, 2000), free_memory=1000)
    assert array.chunks == (1, 2097, 2000)


def test_a_result_that_fits_nowhere_is_refused_with_both_sizes(monkeypatch):
    monkeypatch.setattr(
        _storage.shutil,
        "disk_usage",
        lambda _: _storage.shutil._ntuple_diskusage(9, 9, 0),
    )
    with pytest.raises(OutputError, match=r"takes 4\.0 GB; 1\.0 GB of memory and 0\.0"):
        allocate((1000, 1000, 1000), free_memory=10**9)


def test_a_disk_that_refuses_is_reported(monkeypatch):
    def refuse(**_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_storage.tempfile, "mkdtemp", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        allocate((10, 10), free_memory=0)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_a_store_knows_which_frames_are_done(leading):
    store = FrameStore(np.zeros((*leading, 4, 5), np.float32))
    assert store.first_done is None
    last = tuple(n - 1 for n in leading)
    store[last or ...] = np.ones((4, 5))
    assert store.first_done == last
    assert store.done.sum() == 1
    assert store.array[last].sum() == 20
    assert store[last].shape == (4, 5)


def test_a_frame_that_comes_in_rows_is_done_with_its_last_row():
    store = FrameStore(np.zeros((2, 6, 5), np.float32))
    store[1, slice(0, 4)] = np.ones((4, 5))
    assert not store.done.any()
    store[1, slice(4, 6)] = np.ones((2, 5))
    assert store.done.tolist() == [False, True]


@pytest.mark.parametrize("shape", [(4, 30, 40), (30, 40)])
def test_the_engine_fills_a_zarr_result(shape, rng):
    from lowdose.inference import denoise

    noisy = rng.poisson(5, shape).astype(np.uint16)
    store = FrameStore(allocate(shape, free_memory=0))
    denoise(noisy, "gaussian", out=store)
    assert store.done.all()
    np.testing.assert_array_equal(store[...], denoise(noisy, "gaussian").data)
