from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from lowdose import io
from lowdose.batch import (
    DenoiserSpec,
    FileOptions,
    Job,
    chunks,
    denoise_files,
    denoise_on_cluster,
)
from lowdose.batch.chunks import Chunk, denoise_chunk
from lowdose.batch.identity import identify
from lowdose.errors import (
    DeviceError,
    InputError,
    MissingExtraError,
    WeightsError,
)
from lowdose.inference import DenoiseOptions, denoise
from lowdose.micrograph import Micrograph

distributed = pytest.importorskip("distributed")

pytestmark = [
    # What a cluster of processes that comes and goes leaves behind is dask's own.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*Sending large graph.*"),
]

ONE_AT_A_TIME = DenoiseOptions(batch=1)


@pytest.fixture(scope="module")
def cluster():
    """Return the address of a scheduler with two workers in this process."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        protocol="tcp",
    ) as local:
        yield local.scheduler_address


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("lowdose.batch.cluster.CHUNK_PIXELS", 40 * 52)
    monkeypatch.setattr("lowdose.batch.cluster._LEAST_PIXELS", 1)


def test_a_cluster_gives_the_pixels_of_one_process(
    cluster, many, spec, gaussian, finish, names, tmp_path
):
    jobs = many(2)
    statuses, outcomes = finish(denoise_on_cluster(jobs, spec, cluster))
    assert [outcome.state for outcome in outcomes] == ["done", "done"]
    for job in jobs:
        wanted = denoise(io.read(job.source), gaussian).data
        np.testing.assert_array_equal(np.asarray(io.read(job.target)), wanted)
    done = [s.progress.done for s in statuses if s.progress and s.number == 0]
    assert done == list(range(1, 9))
    assert names(tmp_path / "out") == ["movie0.tif", "movie1.tif"]


def test_each_worker_loads_the_denoiser_once(
    cluster, many, finish, monkeypatch, tmp_path
):
    # The workers of this cluster are threads of this process, and share its module.
    held = chunks._Held()
    monkeypatch.setattr(chunks, "_held", held)
    finish(denoise_on_cluster(many(2), DenoiserSpec(name="median"), cluster))
    assert held.loads == 1


def test_a_bad_file_stops_no_other_on_a_cluster(cluster, many, spec, finish):
    jobs = many(3)
    jobs[1].source.write_bytes(b"no picture")
    _, outcomes = finish(denoise_on_cluster(jobs, spec, cluster))
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]


def test_a_cluster_stops_when_told_to_and_goes_on_when_resumed(
    cluster, job, spec, gaussian, finish
):
    asked = itertools.count()
    keep = FileOptions(resume=True)
    _, outcomes = finish(
        denoise_on_cluster(
            [job], spec, cluster, files=keep, should_stop=lambda: next(asked) > 4
        )
    )
    assert outcomes == []
    assert not job.target.exists()
    _, (outcome,) = finish(denoise_on_cluster([job], spec, cluster, files=keep))
    assert 0 < outcome.frames_resumed < 8
    wanted = denoise(io.read(job.source), gaussian).data
    np.testing.assert_array_equal(np.asarray(io.read(job.target)), wanted)


def test_a_stack_of_nothing_but_nan_is_an_error_on_a_cluster_too(
    cluster, tmp_path, spec, finish
):
    np.save(tmp_path / "nan.npy", np.full((3, 9, 9), np.nan))
    job = Job(source=tmp_path / "nan.npy", target=tmp_path / "out.tif")
    statuses, (outcome,) = finish(denoise_on_cluster([job], spec, cluster))
    assert "no finite pixel" in outcome.error
    assert any("Frame 0" in status.warning for status in statuses)
    assert not job.target.exists()


def test_an_address_without_a_scheduler_is_an_error(many, spec, finish):
    with pytest.raises(DeviceError, match="No scheduler of a dask cluster answers"):
        finish(denoise_on_cluster(many(1), spec, "tcp://127.0.0.1:9", patience=0.5))


def test_a_cluster_without_dask_names_the_extra(many, spec, finish, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"napari-lowdose\[distributed\]"):
        finish(denoise_on_cluster(many(1), spec, "tcp://127.0.0.1:9"))


def chunk_of(job, spec, gaussian, **changes):
    return Chunk(
        **{
            "source": str(job.source),
            "identity": identify(job.source),
            "dataset": None,
            "spec": spec,
            "description": gaussian.describe(),
            "options": DenoiseOptions(),
            "numbers": (2, 3),
            **changes,
        }
    )


def test_a_worker_refuses_another_model_another_file_and_none(
    job, spec, gaussian, tmp_path, stack
):
    other = {**gaussian.describe(), "sha256": "a" * 64}
    with pytest.raises(WeightsError, match="another one than where the work was begun"):
        denoise_chunk(chunk_of(job, spec, gaussian, description=other))
    with pytest.raises(InputError, match="is not on the worker"):
        denoise_chunk(
            chunk_of(job, spec, gaussian, source=str(tmp_path / "elsewhere.tif"))
        )
    chunk = chunk_of(job, spec, gaussian)
    io.write(job.source, Micrograph(stack[:4]), overwrite=True)
    with pytest.raises(InputError, match="changed while it was read"):
        denoise_chunk(chunk)


def test_a_chunk_of_one_image_is_the_image(tmp_path, spec, gaussian, rng):
    image = rng.poisson(5, (30, 40)).astype(np.float32)
    np.save(tmp_path / "one.npy", image)
    job = Job(source=tmp_path / "one.npy", target=tmp_path / "out.tif")
    result = denoise_chunk(chunk_of(job, spec, gaussian, numbers=(0,)))
    np.testing.assert_array_equal(result.frames[0], denoise(image, gaussian).data)


@contextmanager
def processes(*commands):
    """Start processes, and end those that are left."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        for command in commands
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def cluster_of_processes(folder, workers):
    """Start a scheduler and workers, and return its address and them."""
    address_file = folder / "scheduler.json"
    common = ("--no-dashboard", "--scheduler-file", str(address_file))
    worker = ("dask_worker", *common, "--nthreads", "1", "--no-nanny")
    worker += ("--local-directory", str(folder / "scratch"))
    scheduler = ("dask_scheduler", *common, "--host", "127.0.0.1", "--port", "0")
    with processes(scheduler, *[worker] * workers) as (_, *started):
        yield address_of(address_file), started


@pytest.fixture
def long_job(tmp_path, rng):
    stack = rng.poisson(6.0, (40, 200, 200)).astype(np.uint16)
    io.write(tmp_path / "long.tif", Micrograph(stack))
    return Job(source=tmp_path / "long.tif", target=tmp_path / "clean.tif")


def killing(steps, victims):
    """Go through the steps, and kill workers when a few frames are done."""
    victims = list(victims)
    while True:
        try:
            status = next(steps)
        except StopIteration as end:
            assert not victims
            return end.value
        if status.progress and status.progress.done >= 5:
            for victim in victims:
                victim.kill()
                victim.wait()
            victims.clear()


def test_a_worker_that_is_killed_loses_nothing(tmp_path, spec, gaussian, long_job):
    with cluster_of_processes(tmp_path, 2) as (address, (victim, _survivor)):
        steps = denoise_on_cluster(
            [long_job], spec, address, options=ONE_AT_A_TIME, patience=60
        )
        (outcome,) = killing(steps, [victim])
    assert outcome.error == ""
    wanted = denoise(io.read(long_job.source), gaussian).data
    np.testing.assert_array_equal(np.asarray(io.read(long_job.target)), wanted)


def test_a_cluster_that_loses_its_last_worker_is_an_error_and_can_be_resumed(
    tmp_path, cluster, spec, gaussian, finish, long_job
):
    keep = FileOptions(resume=True)
    with cluster_of_processes(tmp_path, 2) as (address, workers):
        # Long enough for both to come, on a machine that does other things too.
        wait_for_workers(address, 2)
        steps = denoise_on_cluster(
            [long_job], spec, address, options=ONE_AT_A_TIME, files=keep, patience=1
        )
        (outcome,) = killing(steps, workers)
    assert "lost its last worker, and in 1 s no other came" in outcome.error
    assert isinstance(outcome.exception, DeviceError)
    assert not long_job.target.exists()
    steps = denoise_on_cluster(
        [long_job], spec, cluster, options=ONE_AT_A_TIME, files=keep
    )
    _, (outcome,) = finish(steps)
    assert outcome.frames_resumed >= 5
    wanted = denoise(io.read(long_job.source), gaussian).data
    np.testing.assert_array_equal(np.asarray(io.read(long_job.target)), wanted)


def wait_for_workers(address, count):
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def address_of(file):
    """Wait for the file that a scheduler writes when it listens."""
    import json
    import time

    for _ in range(600):
        if file.exists() and file.read_text().strip():
            return json.loads(file.read_text())["address"]
        time.sleep(0.05)
    pytest.fail("The scheduler did not start within 30 s.")


def test_a_cluster_and_a_process_name_the_same_provenance(
    cluster, job, spec, finish, tmp_path
):
    finish(denoise_on_cluster([job], spec, cluster))
    alone = Job(source=job.source, target=tmp_path / "alone.tif")
    finish(denoise_files([alone], spec))
    one, other = (
        io.read(path).calibration.provenance[-1].details
        for path in (job.target, alone.target)
    )
    assert one.pop("device") == "dask cluster"
    assert other.pop("device") == "cpu"
    assert one == other
