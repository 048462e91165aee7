"""Sinks: any order, bounded memory, all or nothing."""

import errno
import gc
import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from lowdose import io
from lowdose.errors import (
    CalibrationWarning,
    InvalidImageError,
    OutputError,
    ParameterError,
)
from lowdose.io import paths
from lowdose.micrograph import Axis, Calibration, Micrograph

SUFFIXES = [".tif", ".ome.tif", ".mrc", ".npy", ".npz", ".zarr", ".h5"]
BARE = Calibration.unknown(3)


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"out{request.param}"


def make(path, shape=(4, 6, 5), **options):
    return io.create(path, shape, BARE, **options)


def fill(sink, value=1.0):
    for number in range(sink.shape[0]):
        sink.write_frame(number, np.full(sink.shape[1:], value + number))


def test_frames_in_any_order_end_up_in_their_places(path, rng):
    data = rng.random((6, 7, 5)).astype(np.float32)
    with make(path, data.shape) as sink:
        assert (sink.path, sink.shape, sink.dtype) == (path, data.shape, np.float32)
        for number in rng.permutation(6):
            sink.write_frame(int(number), data[number])
    np.testing.assert_array_equal(np.asarray(io.read(path).data), data)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_frames_are_counted_through_all_leading_axes(path, rng):
    data = rng.random((2, 3, 4, 5)).astype(np.float32)
    with io.create(path, data.shape, Calibration.unknown(4)) as sink:
        for number in range(6):
            sink.write_frame(number, data.reshape(6, 4, 5)[number])
    stored = np.asarray(io.read(path).data)
    np.testing.assert_array_equal(stored.reshape(data.shape), data)


def test_a_frame_written_twice_has_its_last_values(path):
    with make(path) as sink:
        fill(sink, 50.0)
        fill(sink, 1.0)
    assert io.read(path).frame(3)[0, 0] == 4.0


def test_a_single_image_is_one_frame(path):
    with io.create(path, (3, 4), Calibration.unknown(2), dtype="u2") as sink:
        sink.write_frame(0, np.arange(12).reshape(3, 4))
    assert io.read(path).shape == (3, 4)


def test_the_name_shows_nothing_before_the_commit(path):
    sink = make(path)
    fill(sink)
    assert not path.exists()
    parts = list(path.parent.iterdir())
    assert parts
    assert all(p.name.startswith(".") and p.name.endswith(".part") for p in parts)
    assert sink.commit() == path
    assert path.exists()


def test_an_abort_leaves_nothing_and_may_be_repeated(path):
    sink = make(path)
    sink.write_frame(0, np.ones((6, 5)))
    sink.abort()
    sink.abort()
    assert list(path.parent.iterdir()) == []


def test_an_exception_in_the_block_aborts(path):
    def fail_midway():
        with make(path) as sink:
            fill(sink)
            raise KeyError

    with pytest.raises(KeyError):
        fail_midway()
    assert list(path.parent.iterdir()) == []


def test_a_forgotten_sink_leaves_nothing(path):
    sink = make(path)
    del sink
    gc.collect()
    assert list(path.parent.iterdir()) == []


def test_frames_that_were_never_written_are_named_and_nothing_is_left(path):
    sink = make(path)
    sink.write_frame(0, np.ones((6, 5)))
    sink.write_frame(2, np.ones((6, 5)))
    with pytest.raises(OutputError, match=r"2 of 4 frames.*frame 1"):
        sink.commit()
    assert list(path.parent.iterdir()) == []


def test_a_closed_sink_takes_no_more(path):
    sink = make(path)
    fill(sink)
    sink.commit()
    for call in (sink.commit, lambda: sink.write_frame(0, np.ones((6, 5)))):
        with pytest.raises(OutputError, match="committed already"):
            call()
    sink.abort()
    assert path.exists()


def test_wrong_numbers_shapes_and_types_are_refused_and_do_not_end_it(path):
    with make(path) as sink:
        with pytest.raises(ParameterError, match="0 to 3"):
            sink.write_frame(4, np.ones((6, 5)))
        with pytest.raises(ParameterError, match="0 to 3"):
            sink.write_frame(-1, np.ones((6, 5)))
        with pytest.raises(InvalidImageError, match=r"\(5, 6\)"):
            sink.write_frame(0, np.ones((5, 6)))
        with pytest.raises(InvalidImageError, match="complex"):
            sink.write_frame(0, np.ones((6, 5), complex))
        fill(sink)
    assert path.exists()


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("uint8", [0, 300]),
        ("uint8", [0, -1]),
        ("uint16", [0.5, 1]),
        ("int16", [np.nan, 1]),
        ("float32", [1e300, 1]),
    ],
)
def test_values_that_the_type_cannot_hold_are_refused(tmp_path, dtype, values):
    sink = io.create(tmp_path / "a.tif", (1, 2), Calibration.unknown(2), dtype=dtype)
    with pytest.raises(InvalidImageError, match=dtype):
        sink.write_frame(0, np.array([values]))
    sink.abort()


def test_whole_numbers_and_lists_are_converted_without_loss(tmp_path):
    path = tmp_path / "a.tif"
    with io.create(path, (1, 2), Calibration.unknown(2), dtype="u1") as sink:
        sink.write_frame(0, [[3.0, 255]])
    np.testing.assert_array_equal(io.read(path).data, [[3, 255]])


# --- overwriting -----------------------------------------------------------------


def test_an_existing_file_is_not_replaced_unless_allowed(path):
    with make(path) as sink:
        fill(sink, 1.0)
    with pytest.raises(OutputError, match=r"exists already.*overwrite=True.*--overw"):
        make(path)
    with make(path, overwrite=True) as sink:
        fill(sink, 100.0)
        assert io.read(path).frame(0)[0, 0] == 1.0
    assert io.read(path).frame(0)[0, 0] == 100.0
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_aborted_replacement_leaves_the_old_file(path):
    with make(path) as sink:
        fill(sink, 1.0)
    sink = make(path, overwrite=True)
    fill(sink, 100.0)
    sink.abort()
    assert io.read(path).frame(0)[0, 0] == 1.0


def test_a_file_that_appears_in_the_meantime_is_left_alone(path):
    sink = make(path)
    fill(sink)
    if path.suffix == ".zarr":
        path.mkdir()
        path = path / "note"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        sink.commit()
    assert path.read_text() == "mine"
    assert not list(sink.path.parent.glob(".*.part"))


@pytest.mark.skipif(os.name != "posix", reason="Windows does not replace open files")
@pytest.mark.parametrize("suffix", [".tif", ".mrc", ".npy", ".npz"])
def test_the_memory_mapped_input_can_be_overwritten(tmp_path, rng, suffix):
    path = tmp_path / f"a{suffix}"
    data = rng.random((5, 64, 64)).astype(np.float32)
    io.write(path, Micrograph(data))
    source = io.read(path)
    assert isinstance(source.data, np.memmap)
    with io.create(path, source.shape, source.calibration, overwrite=True) as sink:
        for number, frame in enumerate(source.frames()):
            sink.write_frame(number, frame * 2)
    np.testing.assert_array_equal(source.data, data)  # the old file, still mapped
    np.testing.assert_array_equal(io.read(path).data, data * 2)


# --- places that cannot be written -----------------------------------------------


def test_a_missing_folder_is_named(path):
    target = path.parent / "nowhere" / path.name
    with pytest.raises(OutputError, match=r"nowhere does not exist\. Make it first"):
        make(target)


def test_a_folder_that_is_a_file_is_named(path):
    (path.parent / "file").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        make(path.parent / "file" / path.name)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_never_replaced(path, overwrite):
    path.mkdir()
    (path / "precious").write_text("")
    with pytest.raises(OutputError, match="is a folder"):
        make(path, overwrite=overwrite)
    assert (path / "precious").exists()


def test_a_file_is_not_replaced_by_a_zarr_folder(tmp_path):
    (tmp_path / "a.zarr").write_text("")
    with pytest.raises(OutputError, match="there is a file of that name"):
        make(tmp_path / "a.zarr", overwrite=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "suffix '.txt'.*'?.tif"),
        ("a", "no suffix"),
        ("a.dm4", "can only be read"),
        ("a.png", "can only be read"),
    ],
)
def test_suffixes_that_cannot_be_written_are_refused(tmp_path, name, text):
    with pytest.raises(OutputError, match=text):
        make(tmp_path / name)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EPERM, "no permission"),
        (errno.EIO, "Input/output"),
    ],
)
def test_what_the_disk_says_is_put_in_words(tmp_path, monkeypatch, code, text):
    def refuse(part):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(paths, "reserve", refuse)
    with pytest.raises(OutputError, match=text) as caught:
        make(tmp_path / "a.tif")
    assert caught.value.errno == code
    assert "a.tif" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OutputError, match="too long"):
        make(tmp_path / f"{'n' * 260}.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_the_greatest_length_is_written(tmp_path):
    path = tmp_path / f"{'n' * 250}.tif"
    with make(path) as sink:
        fill(sink)
    assert io.read(path).shape == (4, 6, 5)


def test_what_does_not_fit_the_disk_is_refused_with_both_sizes(tmp_path):
    with pytest.raises(OutputError, match=r"needs .* GB, but the disk has only"):
        make(tmp_path / "a.tif", shape=(2**20, 2**15, 2**15))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="the superuser may write anywhere",
)
def test_a_folder_without_permission_is_refused(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="no permission"):
            make(folder / "a.tif")
    finally:
        folder.chmod(0o700)


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="uses the limits of Linux")
def test_a_disk_that_fills_up_on_the_way_leaves_nothing(path):
    # The kernel itself refuses to let any file grow beyond the limit.
    result = run(
        """
        import resource, signal, sys
        import numpy as np
        from lowdose import io
        from lowdose.errors import OutputError
        from lowdose.micrograph import Calibration
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        noise = np.random.default_rng(0).random((400, 400)).astype("f4")
        try:
            with io.create(sys.argv[1], (8, 400, 400), Calibration.unknown(3)) as sink:
                for number in range(8):
                    sink.write_frame(number, noise)
        except OutputError as error:
            print(error)
        """,
        path,
    )
    assert f"Cannot write {path}" in result.stdout, result.stderr
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_write_leaves_nothing_under_the_name(path):
    result = run(
        """
        import os, signal, sys
        import numpy as np
        from lowdose import io
        from lowdose.micrograph import Calibration
        sink = io.create(sys.argv[1], (8, 64, 64), Calibration.unknown(3))
        for number in range(8):
            sink.write_frame(number, np.ones((64, 64)))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        path,
    )
    assert result.returncode == -signal.SIGKILL
    assert not path.exists()
    assert all(p.name.startswith(".") for p in path.parent.iterdir())


# --- memory ----------------------------------------------------------------------


def peak_of_writing(path, frames):
    shape = (frames, 512, 512)
    frame = np.random.default_rng(0).random(shape[1:]).astype(np.float32)
    tracemalloc.start()
    try:
        with make(path, shape) as sink:
            for number in range(frames):
                sink.write_frame(number, frame)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_frames(path):
    one_frame = 512 * 512 * 4
    peak_of_writing(path.with_name(f"warm{path.name}"), 2)  # imports count as well
    few = peak_of_writing(path.with_name(f"few{path.name}"), 4)
    many = peak_of_writing(path, 64)
    # The threads of zarr let go of a frame a little later.
    late = 12 if path.suffix == ".zarr" else 1
    assert few < 8 * one_frame
    assert many < few + late * one_frame


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suffix", [".tif", ".mrc", ".npy", ".npz", ".h5"])
def test_no_page_of_the_file_counts_as_memory_of_the_program(tmp_path, suffix):
    # tracemalloc does not see memory maps; the resident size does.
    result = run(
        """
        import sys
        import numpy as np
        from lowdose import io
        from lowdose.micrograph import Calibration

        def resident():
            for line in open("/proc/self/status"):
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) / 1024

        frame = np.random.default_rng(0).random((1024, 1024)).astype("f4")
        for name, frames in (("a", 2), ("b", 24)):
            path = f"{sys.argv[1]}/{name}{sys.argv[2]}"
            with io.create(path, (frames, 1024, 1024), Calibration.unknown(3)) as sink:
                for number in range(frames):
                    sink.write_frame(number, frame)
            print(resident())
        """,
        tmp_path,
        suffix,
    )
    few, many = map(float, result.stdout.split())
    assert many - few < 32, "24 frames are 96 MB"


def test_npy_warns_that_the_calibration_is_lost(tmp_path, movie):
    with pytest.warns(CalibrationWarning, match=r"nothing but the pixels.*\.npz"):
        path = io.write(tmp_path / "a.npy", movie)
    again = io.read(path)
    assert again.calibration == Calibration.unknown(3)
    np.testing.assert_array_equal(again.data, movie.data)


@pytest.mark.parametrize(
    ("shape", "calibration", "error"),
    [
        ((4,), Calibration.unknown(1), InvalidImageError),
        ((0, 4), Calibration.unknown(2), InvalidImageError),
        ((4, 4), Calibration.unknown(3), InvalidImageError),
    ],
)
def test_what_is_no_image_is_refused(path, shape, calibration, error):
    with pytest.raises(error):
        io.create(path, shape, calibration)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("dtype", ["complex64", "O", "U4", "f4,f4"])
def test_types_that_are_no_counts_are_refused(path, dtype):
    with pytest.raises(InvalidImageError):
        make(path, dtype=dtype)


def test_the_written_path_is_returned_as_a_path(tmp_path, movie):
    assert io.write(str(tmp_path / "a.tif"), movie) == Path(tmp_path / "a.tif")


def test_a_plain_umask_file_mode_is_kept(path, movie):
    if os.name != "posix" or path.suffix == ".zarr":
        pytest.skip("about POSIX files")
    umask = os.umask(0)
    os.umask(umask)
    with make(path) as sink:
        fill(sink)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_axes_of_a_calibration_may_have_any_label(path, movie):
    if path.suffix == ".npy":
        pytest.skip("NPY holds no calibration")
    axes = (Axis(label="tilt angle"), Axis(label="row"), Axis(label="column"))
    written = movie.replace(calibration=Calibration(axes=axes))
    assert io.read(io.write(path, written)).calibration.axes == axes
