from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from lowdose import catalogue, io
from lowdose.batch import FileOptions, denoise_file
from lowdose.batch.manifest import Manifest, manifest_path
from lowdose.batch.recorded import RecordedSink
from lowdose.errors import (
    Cancelled,
    InputError,
    LowDoseWarning,
    OutputError,
)
from lowdose.inference import DenoiseOptions, denoise
from lowdose.micrograph import Micrograph

RESUME = FileOptions(resume=True)


class Killed(BaseException):
    """Stands for the end of the program: nothing is done about it."""


def die_after(monkeypatch, frames):
    """Let the program end after some frames, as SIGKILL would end it."""
    usual, count = RecordedSink.write_frame, [0]

    def write(self, number, frame):
        if count[0] == frames:
            raise Killed
        count[0] += 1
        usual(self, number, frame)

    def end(self, *, keep):
        # Neither removed nor closed in order; but the system lets go of the lock.
        self._sink.detach()
        self._manifest.close()

    monkeypatch.setattr(RecordedSink, "write_frame", write)
    monkeypatch.setattr(RecordedSink, "end", end)


@pytest.fixture
def killed(monkeypatch, job, gaussian):
    """Denoise some frames of the movie and be killed."""

    def run(frames, where=job):
        with monkeypatch.context() as patch:
            die_after(patch, frames)
            with pytest.raises(Killed):
                list(denoise_file(where, gaussian))
        assert not where.target.exists()

    return run


@pytest.fixture
def wanted(job, gaussian):
    return denoise(io.read(job.source), gaussian).data


def pixels(path):
    return np.asarray(io.read(path))


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".mrc", ".zarr", ".npy"])
@pytest.mark.parametrize("frames", [0, 3, 8])
@pytest.mark.filterwarnings("ignore:.*NPY file holds nothing")
def test_a_run_that_was_killed_is_gone_on_with(
    job, gaussian, killed, finish, wanted, names, tmp_path, suffix, frames
):
    job = type(job)(source=job.source, target=tmp_path / f"clean{suffix}")
    if frames < 8:
        killed(frames, job)
    else:  # every frame written, but not yet named
        with pytest.MonkeyPatch.context() as patch:
            die_after(patch, 9)
            patch.setattr(
                RecordedSink, "commit", lambda self: (_ for _ in ()).throw(Killed)
            )
            with pytest.raises(Killed):
                list(denoise_file(job, gaussian))
    assert manifest_path(job.target).exists()
    steps, outcome = finish(denoise_file(job, gaussian, files=RESUME))
    assert outcome.frames_resumed == frames
    assert steps[0].total == 8 - frames
    np.testing.assert_array_equal(pixels(job.target), wanted)
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_a_resumed_tiff_is_the_same_file_to_the_byte(
    job, gaussian, killed, finish, tmp_path, monkeypatch
):
    from lowdose.inference import engine

    class Noon(engine.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2024, 1, 1, 12, tzinfo=tz)

    monkeypatch.setattr(engine, "datetime", Noon)
    whole = type(job)(source=job.source, target=tmp_path / "whole.tif")
    finish(denoise_file(whole, gaussian))
    killed(5)
    finish(denoise_file(job, gaussian, files=RESUME))
    assert job.target.read_bytes() == whole.target.read_bytes()


def test_the_result_says_what_it_was_made_of(job, gaussian, finish):
    finish(denoise_file(job, gaussian))
    (step,) = io.read(job.target).calibration.provenance
    assert step.details["input"]["name"] == "movie.tif"
    assert step.details["input"]["size"] == job.source.stat().st_size
    assert len(step.details["input"]["sha256"]) == 64


def test_a_changed_input_is_refused(job, gaussian, killed, stack):
    killed(3)
    io.write(job.source, Micrograph(stack + 1), overwrite=True)
    with pytest.raises(OutputError, match=r"input movie.tif is another one"):
        list(denoise_file(job, gaussian, files=RESUME))
    assert not job.target.exists()
    assert manifest_path(job.target).exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"denoiser": catalogue.load("gaussian", sigma=2.5)}, "parameters sigma"),
        ({"denoiser": catalogue.load("median")}, "name was 'gaussian'"),
        ({"options": DenoiseOptions(keep_mean=False)}, "keep_mean was True"),
    ],
)
def test_another_denoiser_or_other_parameters_are_refused(
    job, gaussian, killed, change, match
):
    killed(3)
    arguments = {"denoiser": gaussian, **change}
    with pytest.raises(OutputError, match=match):
        list(denoise_file(job, files=RESUME, **arguments))


def test_another_model_of_the_same_name_is_refused(job, gaussian, killed):
    class Retrained(type(gaussian)):
        def describe(self):
            return {**super().describe(), "sha256": "b" * 64}

    killed(2)
    other = Retrained(spec=gaussian.spec, values=gaussian.values)
    with pytest.raises(OutputError, match="sha256 was None and is 'bbb"):
        list(denoise_file(job, other, files=RESUME))


def test_frames_that_were_damaged_are_done_again(
    job, gaussian, killed, finish, wanted, tmp_path
):
    killed(5)
    (part,) = tmp_path.glob(".*.part")
    with part.open("r+b") as file:
        file.seek(-7 * wanted[0].nbytes + 100, os.SEEK_END)  # in frame 1
        file.write(b"\xff\xff\xff\xff")
    _, outcome = finish(denoise_file(job, gaussian, files=RESUME))
    assert outcome.frames_resumed == 4
    np.testing.assert_array_equal(pixels(job.target), wanted)


@pytest.mark.parametrize("cut", [1, 5, 9, 60])
def test_a_manifest_that_was_cut_short_costs_frames_and_nothing_else(
    job, gaussian, killed, finish, wanted, cut
):
    killed(5)
    path = manifest_path(job.target)
    path.write_bytes(path.read_bytes()[:-cut])
    _, outcome = finish(denoise_file(job, gaussian, files=RESUME))
    assert outcome.frames_resumed < 5
    np.testing.assert_array_equal(pixels(job.target), wanted)


@pytest.mark.parametrize(
    "text", [b"", b"nonsense\n", b'{"version": 99}\n', b"[1]\n", b'{"version": 1}\n']
)
def test_a_manifest_of_nonsense_is_begun_anew(job, gaussian, finish, wanted, text):
    manifest_path(job.target).write_bytes(text)
    finish(denoise_file(job, gaussian, files=RESUME))
    np.testing.assert_array_equal(pixels(job.target), wanted)


def test_a_manifest_cannot_name_a_file_elsewhere(
    job, gaussian, killed, finish, tmp_path
):
    precious = tmp_path / "elsewhere" / "precious.dat"
    precious.parent.mkdir()
    precious.write_text("precious")
    killed(2)
    path = manifest_path(job.target)
    (part,) = tmp_path.glob(".*.part")
    for name in ("elsewhere/precious.dat", "movie.tif", "../x", str(precious)):
        path.write_bytes(path.read_bytes().replace(part.name.encode(), name.encode()))
        finish(
            denoise_file(job, gaussian, files=FileOptions(resume=True, overwrite=True))
        )
        job.target.unlink()
        killed(1)
        (part,) = (p for p in tmp_path.glob(".*.part") if p.name in path.read_text())
    assert precious.read_text() == "precious"
    assert job.source.exists()


def test_what_was_left_is_given_up_without_resume_and_that_is_said(
    job, gaussian, killed, finish, names, tmp_path
):
    killed(5)
    with pytest.warns(LowDoseWarning, match=r"5 frames.*--resume"):
        _, outcome = finish(denoise_file(job, gaussian))
    assert outcome.frames_resumed == 0
    assert names(tmp_path) == ["clean.tif", "movie.tif"]


def test_a_finished_result_is_kept_if_it_is_the_same(job, gaussian, finish):
    finish(denoise_file(job, gaussian))
    before = job.target.stat().st_mtime_ns
    steps, outcome = finish(denoise_file(job, gaussian, files=RESUME))
    assert steps == []
    assert outcome.state == "present"
    assert job.target.stat().st_mtime_ns == before


def test_a_finished_result_of_something_else_is_refused_or_replaced(
    job, gaussian, finish
):
    finish(denoise_file(job, catalogue.load("gaussian", sigma=3.0)))
    with pytest.raises(OutputError, match=r"no result of this run.*sigma"):
        finish(denoise_file(job, gaussian, files=RESUME))
    both = FileOptions(resume=True, overwrite=True)
    _, outcome = finish(denoise_file(job, gaussian, files=both))
    assert outcome.state == "done"


def test_a_finished_file_that_is_no_result_is_refused(job, gaussian, stack):
    io.write(job.target, Micrograph(stack))
    with pytest.raises(OutputError, match="does not say what it was made of"):
        list(denoise_file(job, gaussian, files=RESUME))


@pytest.mark.parametrize("resume", [True, False])
def test_a_stopped_run_keeps_its_frames_only_where_it_is_told_to(
    job, gaussian, finish, names, tmp_path, wanted, resume
):
    written = threading.Event()
    steps = denoise_file(
        job,
        gaussian,
        options=DenoiseOptions(batch=1),
        files=FileOptions(resume=resume),
        should_stop=written.is_set,
    )
    while next(steps).frame < 2:
        pass
    written.set()
    with pytest.raises(Cancelled):
        list(steps)
    if not resume:
        assert names(tmp_path) == ["movie.tif"]
        return
    _, outcome = finish(denoise_file(job, gaussian, files=RESUME))
    assert outcome.frames_resumed >= 3
    np.testing.assert_array_equal(pixels(job.target), wanted)


def test_two_runs_on_one_result_do_not_meet(job, gaussian, finish, wanted):
    first = denoise_file(job, gaussian)
    next(first)
    with pytest.raises(OutputError, match=r"Another run is writing .*clean.tif"):
        next(denoise_file(job, gaussian))
    finish(first)
    np.testing.assert_array_equal(pixels(job.target), wanted)


def test_a_file_that_grows_meanwhile_is_no_result(job, gaussian, names, tmp_path):
    steps = denoise_file(job, gaussian)
    next(steps)
    with job.source.open("ab") as file:
        file.write(b"one more frame")
    with pytest.raises(InputError, match=r"changed while it was read.*still being"):
        list(steps)
    assert names(tmp_path) == ["movie.tif"]


def test_the_lock_goes_with_the_program(tmp_path):
    target = tmp_path / "out.tif"
    code = (
        "import sys, pathlib; from lowdose.batch.manifest import Manifest; "
        "m = Manifest.open(pathlib.Path(sys.argv[1])); print('locked', flush=True); "
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(OutputError, match="Another run"):
            Manifest.open(target)
    finally:
        process.kill()
        process.communicate()
    Manifest.open(target).remove()
    assert list(tmp_path.iterdir()) == []


def test_a_zarr_folder_is_an_input_that_can_be_gone_on_with(
    tmp_path, stack, gaussian, killed, finish, job
):
    io.write(tmp_path / "in.zarr", Micrograph(stack))
    where = type(job)(source=tmp_path / "in.zarr", target=tmp_path / "clean.zarr")
    killed(4, where)
    _, outcome = finish(denoise_file(where, gaussian, files=RESUME))
    assert outcome.frames_resumed == 4
