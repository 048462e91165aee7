"""What befalls files: kills, full disks, folders without permission, damage."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lowdose import io
from lowdose.batch import FileOptions, Job, denoise_file
from lowdose.batch.manifest import manifest_path
from lowdose.cli import main
from lowdose.errors import (
    FormatError,
    InputError,
    LowDoseError,
    OutputError,
    WeightsError,
)
from lowdose.inference import denoise
from lowdose.micrograph import Micrograph

resource = pytest.importorskip("resource")  # not on Windows

RESUME = FileOptions(resume=True)


def finished_frames(target):
    """Return how many frames the manifest of a result names."""
    try:
        # Behind the plan, and the line that says how to go on with the file.
        return max(0, manifest_path(target).read_bytes().count(b"\n") - 2)
    except OSError:
        return 0


def start(job, *arguments):
    """Start the command line in a process of its own, with a slow denoiser."""
    command = [sys.executable, "-m", "lowdose", "denoise", str(job.source)]
    command += ["-o", str(job.target), "--denoiser", "nl-means", "--batch", "1"]
    return subprocess.Popen(
        [*command, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
    )


def wait_until(process, condition):
    end = time.monotonic() + 120
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"It ended: {process.communicate()[1].decode()}")
        time.sleep(0.002)


@pytest.fixture
def long_job(tmp_path, rng):
    stack = rng.poisson(6.0, (30, 64, 64)).astype(np.uint16)
    io.write(tmp_path / "long.tif", Micrograph(stack))
    return Job(source=tmp_path / "long.tif", target=tmp_path / "clean.mrc")


def test_a_run_that_is_killed_twice_gives_the_same_pixels_in_the_end(
    long_job, names, tmp_path
):
    frames = 0
    for number in range(2):
        process = start(long_job, *(["--resume"] if number else []))
        wanted = frames + 4
        wait_until(process, lambda n=wanted: finished_frames(long_job.target) >= n)
        process.kill()
        process.communicate()
        frames = finished_frames(long_job.target)
        assert not long_job.target.exists()
    process = start(long_job, "--resume", "--json")
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors.decode()) == (0, "")
    stack = io.read(long_job.source)
    found = np.asarray(io.read(long_job.target))
    np.testing.assert_array_equal(found, denoise(stack, "nl-means").data)
    assert names(tmp_path) == ["clean.mrc", "long.tif"]


#: Ends without a word, as a killed program does, at a given moment of `denoise`.
KILLED = """\
import os, sys
from lowdose import cli
from lowdose.batch.manifest import Manifest
from lowdose.io import paths

where = {"Manifest.begin": Manifest, "Manifest.laid_out": Manifest, "reserve": paths}
name = sys.argv.pop(1)
before = name.startswith("before ")
name = name.removeprefix("before ").removeprefix("after ")
owner, attribute = where[name], name.rpartition(".")[2]
original = getattr(owner, attribute)

def killed(*arguments, **others):
    if not before:
        original(*arguments, **others)
    os._exit(9)

setattr(owner, attribute, killed)
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "moment",
    [
        "before Manifest.begin",
        "after Manifest.begin",
        "after reserve",
        "before Manifest.laid_out",
        "after Manifest.laid_out",
    ],
)
@pytest.mark.parametrize("resume", [True, False])
def test_a_run_that_is_killed_while_it_begins_leaves_nothing_behind_the_next(
    job, gaussian, names, tmp_path, moment, resume
):
    command = ["denoise", str(job.source), "-o", str(job.target), "--quiet"]
    command += ["--denoiser", "gaussian", "--set", "sigma=1.5"]
    done = subprocess.run([sys.executable, "-c", KILLED, moment, *command], check=False)
    assert done.returncode == 9
    assert not job.target.exists()
    assert main([*command, *(["--resume"] if resume else [])]) == 0
    wanted = denoise(io.read(job.source), gaussian).data
    np.testing.assert_array_equal(np.asarray(io.read(job.target)), wanted)
    assert names(tmp_path) == ["clean.tif", "movie.tif"]


def test_sigterm_leaves_what_resume_needs_and_the_input_as_it_was(
    long_job, names, tmp_path
):
    before = long_job.source.read_bytes()
    process = start(long_job, "--resume")
    wait_until(process, lambda: finished_frames(long_job.target) >= 2)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert b"Cancelled: 0 of 1 files are done" in errors
    assert not long_job.target.exists()
    assert long_job.source.read_bytes() == before
    assert len(names(tmp_path)) == 3  # input, unfinished file, manifest


@pytest.fixture
def small_files():
    """Let the system refuse files of more than 100 kB, as a full disk does."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", [".tif", ".mrc", ".npy", ".zarr", ".h5"])
@pytest.mark.filterwarnings("ignore:.*NPY file holds nothing")
def test_a_disk_that_fills_leaves_nothing(
    rng, gaussian, small_files, names, tmp_path, suffix
):
    # Noise that no codec can make small.
    stack = rng.normal(30, 5, (1, 200, 200)).astype(np.float16)
    np.save(tmp_path / "in.npy", stack)
    job = Job(source=tmp_path / "in.npy", target=tmp_path / f"out{suffix}")
    with pytest.raises(OutputError, match="larger than this disk"):
        list(denoise_file(job, gaussian))
    assert names(tmp_path) == ["in.npy"]


def test_after_a_full_disk_was_freed_the_run_goes_on(
    job, gaussian, finish, monkeypatch
):
    from lowdose.io.sinks import RawFrames

    usual = RawFrames.put

    def full(self, number, frame):
        if number == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        usual(self, number, frame)

    with monkeypatch.context() as patch:
        patch.setattr(RawFrames, "put", full)
        with pytest.raises(OutputError, match=r"disk is full\. Free some space"):
            list(denoise_file(job, gaussian, files=RESUME))
    _, outcome = finish(denoise_file(job, gaussian, files=RESUME))
    assert outcome.frames_resumed == 5
    wanted = denoise(io.read(job.source), gaussian).data
    np.testing.assert_array_equal(np.asarray(io.read(job.target)), wanted)


def test_an_output_that_vanishes_is_an_error_of_ours(job, gaussian, tmp_path):
    import shutil

    (tmp_path / "out").mkdir()
    job = Job(source=job.source, target=tmp_path / "out" / "clean.tif")
    steps = denoise_file(job, gaussian)
    next(steps)
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(OutputError, match=r"clean.tif: the folder is gone"):
        list(steps)
    assert job.source.exists()


def test_a_folder_without_permission_is_said_before_the_work(job, gaussian, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("the superuser may write anywhere")
    with pytest.raises(OutputError, match="no permission to write there"):
        next(denoise_file(Job(source=job.source, target=folder / "a.tif"), gaussian))


def test_a_read_only_disk_is_said_before_the_work(job, gaussian, monkeypatch):
    def refuse(self, *_arguments, **_more):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr("lowdose.batch.manifest.Path.open", refuse)
        with pytest.raises(InputError):  # not even the input can be opened so
            next(denoise_file(job, gaussian))
    usual = Path.open

    def read_only(self, mode="r", *arguments, **more):
        if "r" not in mode or "+" in mode:
            raise OSError(errno.EROFS, "Read-only file system")
        return usual(self, mode, *arguments, **more)

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(OutputError, match="the disk is read-only"):
        next(denoise_file(job, gaussian))


@pytest.mark.parametrize("suffix", [".tif", ".mrc", ".npy", ".npz", ".h5"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_an_error_of_ours(
    tmp_path, stack, gaussian, names, suffix, share
):
    source = tmp_path / f"movie{suffix}"
    io.write(source, Micrograph(stack))
    whole = source.read_bytes()
    source.write_bytes(whole[: int(share * len(whole))])
    job = Job(source=source, target=tmp_path / "clean.tif")
    with pytest.raises(LowDoseError) as caught:
        list(denoise_file(job, gaussian))
    assert isinstance(caught.value, (FormatError, InputError))
    assert names(tmp_path) == [source.name]


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error_of_ours(
    tmp_path, rng, gaussian, names
):
    import tifffile

    stack = rng.poisson(6.0, (6, 80, 80)).astype(np.uint16)
    source = tmp_path / "movie.tif"
    tifffile.imwrite(source, stack, compression="zlib", metadata={"axes": "TYX"})
    steps = denoise_file(Job(source=source, target=tmp_path / "out.tif"), gaussian)
    next(steps)
    os.truncate(source, source.stat().st_size // 2)
    with pytest.raises((FormatError, InputError)):
        list(steps)
    assert names(tmp_path) == ["movie.tif"]


def test_a_hostile_model_folder_is_refused_by_the_command_line(
    tmp_path, job, capsys, monkeypatch
):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    (folder / "card.toml").write_text('name = "bomb"\nweights = "../../etc/passwd"\n')
    arguments = ["denoise", str(job.source), "-o", str(job.target)]
    assert main([*arguments, "--denoiser", str(folder)]) != 0
    assert "lowdose: error:" in capsys.readouterr().err
    assert not (tmp_path / "exploded").exists()
    assert not job.target.exists()


def test_a_model_whose_weights_are_a_pickle_is_never_opened(tmp_path, monkeypatch):
    import pickle
    import shutil

    from lowdose import catalogue, zoo

    card = next(card for card in zoo.list_models() if card.group == "pretrained")
    copy = tmp_path / "copy"
    shutil.copytree(card.folder, copy)

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    (copy / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError):
        catalogue.load(copy)
    assert not (tmp_path / "exploded").exists()


def test_the_command_line_resumes_a_folder_and_tells_of_each_file(
    many, tmp_path, capsys, monkeypatch
):
    jobs = many(3)
    jobs[1].source.write_bytes(b"II*\x00 cut short")
    pattern, out = str(tmp_path / "movie*.tif"), str(tmp_path / "out") + "/"
    arguments = ["denoise", pattern, "-o", out, "-d", "gaussian", "--resume"]
    assert main([*arguments, "--workers", "2"]) == 1
    captured = capsys.readouterr()
    assert "1 of 3 files failed" in captured.err
    assert len(captured.out.splitlines()) == 2
    assert main([*arguments, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    states = [entry.get("state", "failed") for entry in report["files"]]
    assert states == ["present", "failed", "present"]


def test_workers_and_a_cluster_are_not_asked_for_together(job, capsys):
    arguments = ["denoise", str(job.source), "-o", str(job.target), "-d", "gaussian"]
    assert main([*arguments, "--workers", "2", "--cluster", "tcp://x:1"]) == 2
    assert "--workers or --cluster" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_number_of_workers_that_is_none_is_a_usage_error(job, capsys, text):
    with pytest.raises(SystemExit) as stop:
        main(["denoise", str(job.source), "-o", str(job.target), "--workers", text])
    assert stop.value.code == 2
    assert "whole number from 1" in capsys.readouterr().err
