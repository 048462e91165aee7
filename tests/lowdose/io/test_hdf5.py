import gc
import subprocess
import sys
import textwrap
import tracemalloc

import h5py
import numpy as np
import pytest

from lowdose import io
from lowdose.errors import FormatError, InvalidImageError
from lowdose.io import hdf5_sinks
from lowdose.io.sinks import Layout
from lowdose.micrograph import Calibration


@pytest.fixture
def data(rng):
    return rng.random((4, 6, 8)).astype(np.float32)


def save(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_what_is_written_comes_back_whole(tmp_path, movie, suffix):
    path = io.write(tmp_path / f"a.{suffix}", movie)
    again = io.read(path)
    assert again.calibration == movie.calibration
    np.testing.assert_array_equal(again.data, movie.data)
    with h5py.File(path, "r") as file:
        np.testing.assert_array_equal(file["images"], movie.data)


def test_the_layout_of_em_graphene_sim_loses_its_channel_axis(tmp_path, data):
    path = save(tmp_path / "graphene_img_noise.h5", images=data[..., None])
    micrograph = io.read(path)
    assert micrograph.shape == (4, 6, 8)
    assert micrograph.calibration == Calibration.unknown(3)
    assert not isinstance(micrograph.data, np.ndarray)
    np.testing.assert_array_equal(micrograph.frame(2), data[2])


def test_the_only_image_anywhere_in_the_file_is_read_lazily(tmp_path, data):
    path = save(tmp_path / "a.h5", entry__detector__counts=data, entry__time=range(4))
    micrograph = io.read(path)
    assert isinstance(micrograph.data, h5py.Dataset)
    np.testing.assert_array_equal(micrograph.data[1], data[1])


def test_the_file_stays_open_as_long_as_the_data_lives(tmp_path, data):
    lazy = io.read(save(tmp_path / "a.h5", images=data)).data
    gc.collect()
    np.testing.assert_array_equal(lazy[3], data[3])
    del lazy
    gc.collect()
    save(tmp_path / "a.h5", images=data)  # only possible once nobody reads it


def test_of_several_one_has_to_be_chosen(tmp_path, data):
    path = save(tmp_path / "a.h5", noisy=data, clean=data + 1)
    with pytest.raises(FormatError, match=r"2 data sets.*'clean', 'noisy'"):
        io.read(path)
    for name in ("clean", "/clean"):
        np.testing.assert_array_equal(io.read(path, dataset=name).data, data + 1)
    with pytest.raises(FormatError, match="Did you mean 'clean'"):
        io.read(path, dataset="cleen")


def test_a_file_without_an_image_is_refused(tmp_path):
    with pytest.raises(FormatError, match="holds no image"):
        io.read(save(tmp_path / "a.h5", times=np.arange(5.0), n=3))


@pytest.mark.parametrize("dtype", ["complex64", "f4,f4"])
def test_types_that_are_no_counts_are_refused(tmp_path, dtype):
    with pytest.raises(InvalidImageError):
        io.read(save(tmp_path / "a.h5", images=np.zeros((4, 4), dtype)))


def test_complex_data_beside_an_image_is_not_in_the_way(tmp_path, data):
    path = save(tmp_path / "a.h5", waves=data.astype(complex), counts=data)
    np.testing.assert_array_equal(io.read(path).data, data)


def test_colour_is_refused(tmp_path):
    with pytest.raises(InvalidImageError, match="colour"):
        io.read(save(tmp_path / "a.h5", images=np.zeros((40, 50, 3), np.uint8)))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_and_closed(tmp_path, data, kept):
    path = save(tmp_path / "a.h5", images=data)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(FormatError, match="damaged or truncated"):
        io.read(path)
    path.unlink()


def test_an_absurd_size_without_data_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (10**6, 10**6), "f4", chunks=(512, 512))
    with pytest.raises(FormatError, match="1000000x1000000"):
        io.read(path)


def test_compressed_data_is_read_and_described(tmp_path, data):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=data, compression="gzip")
    assert io.describe(path)["compression"] == "gzip"
    np.testing.assert_array_equal(io.read(path).data, data)


def test_a_history_longer_than_an_attribute_can_hold_survives(tmp_path, movie):
    calibration = movie.calibration
    for _ in range(400):
        calibration = calibration.with_step(movie.calibration.provenance[0])
    written = movie.replace(calibration=calibration)
    again = io.read(io.write(tmp_path / "a.h5", written))
    assert again.calibration == calibration


@pytest.mark.parametrize("dtype", ["?", "u1", ">u2", "f2", "f4", "f8"])
def test_the_file_is_a_whole_hdf5_file_before_a_frame_is_written(tmp_path, dtype):
    sink = io.create(
        tmp_path / "a.h5", (3, 7, 600), Calibration.unknown(3), dtype=np.dtype(dtype)
    )
    with h5py.File(sink.part, "r") as file:
        images = file["images"]
        assert images.shape == (3, 7, 600)
        assert images.chunks is None
        assert images.id.get_storage_size() == images.size * images.dtype.itemsize
    frame = np.arange(7 * 600).reshape(7, 600).astype(dtype)
    for number in range(3):
        sink.write_frame(number, frame)
    sink.commit()
    np.testing.assert_array_equal(io.read(tmp_path / "a.h5").frame(2), frame)


def test_laying_out_a_large_file_takes_neither_memory_nor_disk(tmp_path):
    tracemalloc.start()
    part = tmp_path / "large.part"
    layout = Layout(
        shape=(2_000, 4096, 4096),
        dtype=np.dtype(np.float32),
        calibration=Calibration.unknown(3),
        name="",
    )
    backend = hdf5_sinks.create_backend(part, tmp_path / "large.h5", layout)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    backend.close()
    assert peak < 2**22
    assert part.stat().st_size > layout.frames * layout.frame_bytes
    with h5py.File(part, "r") as file:
        assert file["images"].shape == layout.shape


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a file")
def test_a_disk_that_fills_is_an_error_and_never_the_end_of_the_program(tmp_path):
    code = """
    import gc, resource, signal, sys
    import numpy as np
    from lowdose import io
    from lowdose.errors import OutputError
    from lowdose.micrograph import Calibration

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # EFBIG instead, like ENOSPC
    sink = io.create(sys.argv[1], (8, 256, 256), Calibration.unknown(3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    failed = 0
    for number in range(8):
        try:
            sink.write_frame(number, np.ones((256, 256), np.float32))
            sink.flush()
        except OutputError as error:
            failed += 1
            assert "larger than this disk" in str(error), error
    assert failed >= 4, failed
    sink.abort()
    del sink
    gc.collect()
    print("alive")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "a.h5")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
    assert list(tmp_path.iterdir()) == []
