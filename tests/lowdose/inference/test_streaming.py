from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowdose import io
from lowdose.errors import (
    Cancelled,
    InvalidImageError,
    OutOfMemoryError,
    OutputError,
    ParameterError,
    UnknownDenoiserError,
)
from lowdose.inference import (
    DenoiseOptions,
    denoise,
    iter_denoise,
    plan_step,
    streaming,
)
from lowdose.inference.streaming import FrameSink
from lowdose.micrograph import Axis, Calibration, Micrograph


class NoteSink:
    """A sink that notes what happens to it."""

    def __init__(self, shape, path=Path("result.npy")):
        self.shape, self.path = shape, path
        self.frames: dict[int, np.ndarray] = {}
        self.ends: list[str] = []

    def write_frame(self, number, frame):
        self.frames[number] = frame.copy()

    def commit(self):
        self.ends.append("commit")
        data = np.stack([self.frames[n] for n in range(len(self.frames))])
        np.save(self.path, data.reshape(self.shape))
        return self.path

    def abort(self):
        self.ends.append("abort")


def test_the_sink_of_the_tests_is_one():
    assert isinstance(NoteSink((1, 2, 2)), FrameSink)


def test_a_sink_gets_every_frame_and_is_aborted_when_the_work_fails(fake, counts):
    sink = NoteSink((3, 20, 20))
    denoiser = fake(fails=lambda _fake, _patches: RuntimeError("broken"))
    with pytest.raises(Exception, match="broken"):
        denoise(counts(3, 20, 20), denoiser, out=sink)
    assert sink.ends == ["abort"]


def test_a_sink_is_aborted_when_the_work_is_cancelled(fake, counts):
    sink = NoteSink((3, 20, 20))
    denoiser = fake()
    with pytest.raises(Cancelled):
        denoise(counts(3, 20, 20), denoiser, out=sink, should_stop=lambda: True)
    assert sink.ends == ["abort"]
    assert denoiser.patch_shapes == []


def test_a_sink_is_aborted_when_the_generator_is_closed(fake, counts):
    sink = NoteSink((3, 20, 20))
    steps = iter_denoise(counts(3, 20, 20), fake(), out=sink)
    next(steps)
    next(steps)
    steps.close()
    assert sink.ends == ["abort"]


@pytest.mark.parametrize(
    ("image", "denoiser", "error"),
    [
        (np.ones((2, 5, 5), complex), None, InvalidImageError),
        (np.ones((2, 5, 6)), None, ParameterError),
        (np.full((2, 5, 5), np.nan), None, InvalidImageError),
    ],
)
@pytest.mark.filterwarnings("ignore::lowdose.errors.LowDoseWarning")
def test_a_sink_is_aborted_when_the_input_is_refused(fake, image, denoiser, error):
    sink = NoteSink((2, 5, 5))
    with pytest.raises(error):
        denoise(image, fake(), out=sink)
    assert sink.ends == ["abort"]


def test_an_error_of_the_sink_ends_the_work(fake, counts):
    class Full(NoteSink):
        def write_frame(self, number, frame):
            text = "No space left on the disk."
            raise OutputError(text)

    sink = Full((2, 9, 9))
    with pytest.raises(OutputError, match="No space left"):
        denoise(counts(2, 9, 9), fake(), out=sink)
    assert sink.ends == ["abort"]


def test_an_array_keeps_the_frames_that_were_finished(fake, counts):
    stack, out = counts(4, 300, 300), np.zeros((4, 300, 300), np.float32)
    steps = iter_denoise(stack, fake(bytes_per_pixel=1), out=out)
    for progress in steps:
        if progress.frame >= 0:
            break
    steps.close()
    shown = progress.frame + 1
    np.testing.assert_array_equal(out[:shown], stack[:shown])


@pytest.mark.parametrize(
    ("out", "match"),
    [
        (np.zeros((4, 4), np.float32), "has shape"),
        (np.zeros((4, 5), np.uint16), "uint16"),
        (np.zeros((4, 5), np.float16), "float16"),
        (np.zeros((4, 5), complex), "complex128"),
        ([[0] * 5] * 4, "is a list"),
        ("out.tif", "is a str"),
    ],
)
def test_an_output_that_does_not_fit_is_refused_before_the_work(fake, out, match):
    denoiser = fake()
    with pytest.raises(ParameterError, match=match):
        denoise(np.ones((4, 5)), denoiser, out=out)
    assert denoiser.patch_shapes == []


def test_a_read_only_output_is_refused(fake):
    out = np.zeros((4, 5), np.float32)
    out.flags.writeable = False
    with pytest.raises(OutputError, match="read-only"):
        denoise(np.ones((4, 5)), fake(), out=out)


def test_the_image_itself_may_be_the_output(fake, counts):
    stack = counts(5, 20, 20)
    before = stack.copy()

    def mean(frames):
        return frames.mean(axis=0)

    apart = denoise(before, fake(mean, frames_before=1, frames_after=1)).data
    denoise(stack, fake(mean, frames_before=1, frames_after=1), out=stack)
    np.testing.assert_array_equal(stack, apart)


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("h5 write")])
def test_an_array_that_cannot_be_written_is_an_output_error(fake, error):
    class Full:
        shape, dtype = (4, 5), np.dtype(np.float32)

        def __setitem__(self, index, frame):
            raise error

    with pytest.raises(OutputError, match="Cannot write frame 0"):
        denoise(np.ones((4, 5)), fake(), out=Full())


def test_a_result_larger_than_the_memory_is_refused_with_advice(fake, monkeypatch):
    monkeypatch.setattr(streaming, "free_memory", lambda _device: 1000)
    with pytest.raises(OutOfMemoryError, match=r"out=.*-o on the command line"):
        denoise(np.ones((40, 50)), fake())
    out = np.zeros((40, 50), np.float32)
    denoise(np.ones((40, 50)), fake(), out=out)
    assert (out == 1).all()


def test_a_sink_is_aborted_when_the_name_is_not_known(counts):
    sink = NoteSink((20, 20))
    with pytest.raises(UnknownDenoiserError):
        for _ in iter_denoise(counts(20, 20), "no such denoiser", out=sink):
            pass
    assert sink.ends == ["abort"]


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".zarr", ".mrc"])
def test_a_stack_goes_through_files_frame_by_frame(fake, counts, tmp_path, suffix):
    axes = (
        Axis(label="z", spacing=50, unit="nm"),
        Axis(label="y", spacing=4, unit="nm"),
        Axis(label="x", spacing=4, unit="nm"),
    )
    stack = counts(4, 60, 70)
    io.write(tmp_path / "noisy.tif", Micrograph(stack, Calibration(axes=axes)))
    image = io.read(tmp_path / "noisy.tif")
    denoiser = fake(lambda s: s[0] / 2)
    step = plan_step(image, denoiser)
    path = tmp_path / f"clean{suffix}"
    with io.create(path, image.shape, image.calibration.with_step(step)) as sink:
        result = denoise(image, denoiser, out=sink)
    assert result.shape == stack.shape
    assert result.calibration.axes == image.calibration.axes
    assert len(result.calibration.provenance) == 1
    wanted = denoise(stack, fake(lambda s: s[0] / 2)).data
    np.testing.assert_array_equal(np.asarray(result), wanted)
    again = io.read(path)
    np.testing.assert_array_equal(np.asarray(again), wanted)


@pytest.mark.parametrize("suffix", [".tif", ".zarr", ".mrc"])
@pytest.mark.parametrize("shape", [(5, 6), (1, 5, 6), (1, 1), (2, 3, 4, 5)])
def test_the_result_in_a_file_has_the_shape_of_the_input(fake, tmp_path, suffix, shape):
    image = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    sink = io.create(tmp_path / f"o{suffix}", shape, Calibration.unknown(len(shape)))
    result = denoise(image, fake(), out=sink)
    assert result.shape == shape
    np.testing.assert_array_equal(np.asarray(result), image)


def test_a_cancelled_run_leaves_no_file(fake, counts, tmp_path):
    stack = counts(4, 60, 70)
    path = tmp_path / "clean.tif"
    sink = io.create(path, stack.shape, Calibration.unknown(3))
    steps = iter_denoise(stack, fake(), options=DenoiseOptions(batch=1), out=sink)
    assert next(step for step in steps if step.frame == 1)
    steps.close()
    assert list(tmp_path.iterdir()) == []
