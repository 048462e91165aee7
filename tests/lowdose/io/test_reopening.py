from __future__ import annotations

import numpy as np
import pytest

from lowdose import io
from lowdose.errors import InvalidImageError, OutputError, ParameterError
from lowdose.micrograph import Calibration

RESUMABLE = (".tif", ".ome.tif", ".mrc", ".zarr", ".npy", ".h5")


def stack_of(rng, *shape):
    return rng.normal(10, 3, shape).astype(np.float32)


@pytest.mark.parametrize("suffix", RESUMABLE)
def test_a_file_that_was_left_is_gone_on_with(tmp_path, rng, suffix):
    stack, calibration = stack_of(rng, 4, 9, 7), Calibration.unknown(3)
    path = tmp_path / f"out{suffix}"
    first = io.create(path, stack.shape, calibration)
    for number in (0, 2):
        first.write_frame(number, stack[number])
    first.flush()
    token = first.token()
    assert token is not None
    first.detach()
    assert not path.exists()
    second = io.reopen(
        path,
        first.part,
        stack.shape,
        calibration,
        token=token,
        written=np.array([True, False, True, False]),
    )
    np.testing.assert_array_equal(second.read_rows(2, 1, 5), stack[2, 1:5])
    with second:
        second.write_frame(1, stack[1])
        second.write_frame(3, stack[3])
    np.testing.assert_array_equal(np.asarray(io.read(path)), stack)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [*RESUMABLE, ".npz"])
@pytest.mark.parametrize("shape", [(11, 6), (2, 11, 6), (1, 2, 11, 6)])
def test_frames_can_be_written_in_rows(tmp_path, rng, suffix, shape):
    stack = stack_of(rng, *shape)
    path = tmp_path / f"out{suffix}"
    frames = stack.reshape(-1, 11, 6)
    with io.create(path, shape, Calibration.unknown(len(shape))) as sink:
        for number, frame in enumerate(frames):
            for start in range(0, 11, 4):
                sink.write_rows(number, start, frame[start : start + 4])
            np.testing.assert_array_equal(sink.read_rows(number, 3, 9), frame[3:9])
    np.testing.assert_array_equal(
        np.asarray(io.read(path)).reshape(frames.shape), frames
    )


def test_the_statistics_of_an_mrc_file_do_not_depend_on_how_it_was_written(
    tmp_path, rng
):
    import mrcfile

    stack = stack_of(rng, 2, 30, 20)
    for name in ("frames", "rows"):
        with io.create(
            tmp_path / f"{name}.mrc", stack.shape, Calibration.unknown(3)
        ) as sink:
            for number, frame in enumerate(stack):
                if name == "frames":
                    sink.write_frame(number, frame)
                    continue
                for start in range(0, 30, 10):
                    sink.write_rows(number, start, frame[start : start + 10])
    for name in ("frames", "rows"):
        with mrcfile.open(tmp_path / f"{name}.mrc") as file:
            found = [float(file.header[k]) for k in ("dmin", "dmax", "dmean", "rms")]
        wanted = [stack.min(), stack.max(), stack.mean(), stack.std()]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_frame_whose_last_row_is_missing_is_not_written(tmp_path, rng):
    sink = io.create(tmp_path / "out.tif", (2, 4, 5), Calibration.unknown(3))
    sink.write_frame(0, np.zeros((4, 5)))
    sink.write_rows(1, 0, np.zeros((3, 5)))
    with pytest.raises(OutputError, match="1 of 2 frames were never given"):
        sink.commit()
    assert list(tmp_path.iterdir()) == []


def test_rows_that_do_not_fit_are_refused(tmp_path):
    with io.create(tmp_path / "out.tif", (4, 5), Calibration.unknown(2)) as sink:
        with pytest.raises(InvalidImageError, match="5 px wide"):
            sink.write_rows(0, 0, np.zeros((2, 6)))
        for number, start in ((1, 0), (0, 3), (0, -1)):
            with pytest.raises(ParameterError, match="There are no rows"):
                sink.write_rows(number, start, np.zeros((2, 5)))
        sink.write_frame(0, np.zeros((4, 5)))


@pytest.mark.parametrize("suffix", RESUMABLE)
def test_a_file_that_is_gone_cannot_be_gone_on_with(tmp_path, suffix):
    path, calibration = tmp_path / f"out{suffix}", Calibration.unknown(3)
    sink = io.create(path, (2, 4, 5), calibration)
    token = sink.token()
    sink.abort()
    with pytest.raises(OutputError, match="gone or damaged"):
        io.reopen(path, sink.part, (2, 4, 5), calibration, token=token)


@pytest.mark.parametrize("suffix", [".npz"])
def test_formats_that_a_kill_leaves_empty_say_that_they_cannot_be_gone_on_with(
    tmp_path, suffix
):
    sink = io.create(tmp_path / f"out{suffix}", (2, 4, 5), Calibration.unknown(3))
    assert sink.token() is None
    sink.abort()


def test_rows_that_were_cut_off_are_an_error(tmp_path, rng):
    stack = stack_of(rng, 2, 40, 50)
    path, calibration = tmp_path / "out.mrc", Calibration.unknown(3)
    sink = io.create(path, stack.shape, calibration)
    sink.write_frame(1, stack[1])
    token = sink.token()
    sink.detach()
    with sink.part.open("r+b") as file:
        file.truncate(sink.part.stat().st_size - 100)
    again = io.reopen(path, sink.part, stack.shape, calibration, token=token)
    with pytest.raises(OutputError, match="cut short"):
        again.read_rows(1, 0, 40)
    again.abort()
    assert list(tmp_path.iterdir()) == []
