from __future__ import annotations

import itertools
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from lowdose import io
from lowdose.batch import DenoiserSpec, FileOptions, Job, denoise_files
from lowdose.errors import ParameterError
from lowdose.inference import denoise


def children():
    return [p for p in multiprocessing.active_children() if "lowdose" in p.name]


def states(statuses, number):
    """Return the states that a file went through."""
    seen = [status.state for status in statuses if status.number == number]
    return [state for state, _ in itertools.groupby(seen)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_file_is_denoised_and_a_bad_one_stops_no_other(
    many, spec, gaussian, finish, tmp_path, workers
):
    jobs = many(3)
    cut = jobs[1].source.read_bytes()[:5000]
    jobs[1].source.write_bytes(cut)
    statuses, outcomes = finish(denoise_files(jobs, spec, workers=workers))
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]
    assert "movie1.tif" in outcomes[1].error
    assert states(statuses, 0) == ["running", "done"]
    assert states(statuses, 1) == ["running", "failed"]
    for number in (0, 2):
        wanted = denoise(io.read(jobs[number].source), gaussian).data
        found = np.asarray(io.read(jobs[number].target))
        np.testing.assert_array_equal(found, wanted)
    assert not jobs[1].target.exists()
    assert children() == []


def test_progress_and_warnings_come_out_of_the_processes(
    many, spec, finish, rng, tmp_path
):
    jobs = many(2)
    stack = rng.poisson(6.0, (4, 30, 30)).astype(np.float32)
    stack[1] = np.nan
    np.save(tmp_path / "holes.npy", stack)
    jobs.append(Job(source=tmp_path / "holes.npy", target=tmp_path / "out/holes.tif"))
    statuses, outcomes = finish(denoise_files(jobs, spec, workers=2))
    assert [outcome.state for outcome in outcomes] == ["done"] * 3
    assert {s.number for s in statuses if s.progress is not None} == {0, 1, 2}
    warnings = [status for status in statuses if status.warning]
    assert [(w.number, "Frame 1" in w.warning) for w in warnings] == [(2, True)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_ends_the_files_at_work_and_begins_no_other(
    many, spec, finish, names, tmp_path, workers
):
    jobs = many(4)
    asked = itertools.count()
    _, outcomes = finish(
        denoise_files(jobs, spec, workers=workers, should_stop=lambda: next(asked) > 0)
    )
    assert len(outcomes) < 4
    finished = sorted(outcome.job.target.name for outcome in outcomes)
    assert names(tmp_path / "out") == finished
    assert children() == []


def test_a_process_that_is_killed_costs_its_file_only(
    many, spec, finish, names, tmp_path
):
    jobs = many(3)
    steps = denoise_files(jobs, spec, workers=2, files=FileOptions(resume=True))
    killed = None
    statuses = []
    while True:
        try:
            status = next(steps)
        except StopIteration as end:
            outcomes = end.value
            break
        statuses.append(status)
        if killed is None and len(children()) == 2:
            # Before it has told anything but that it is there.
            (victim,) = (p for p in children() if p.name.endswith("-0"))
            victim.kill()
            victim.join()
            killed = 0
    assert [outcome.state for outcome in outcomes] == ["failed", "done", "done"]
    assert "ended with code" in outcomes[0].error
    assert "--resume" in outcomes[0].error
    _, again = finish(
        denoise_files(jobs, spec, workers=2, files=FileOptions(resume=True))
    )
    assert [outcome.state for outcome in again] == ["done", "present", "present"]
    assert names(tmp_path / "out") == [f"movie{n}.tif" for n in range(3)]


def test_processes_end_when_the_batch_is_given_up(many, spec):
    steps = denoise_files(many(3), spec, workers=2)
    while len(children()) < 2:
        next(steps)
    steps.close()
    assert children() == []


def test_a_denoiser_that_cannot_be_made_is_an_error_before_any_process(many, finish):
    spec = DenoiserSpec(name="gaussian", values={"sigma": "-1"})
    with pytest.raises(ParameterError):
        finish(denoise_files(many(2), spec, workers=2))
    assert children() == []


def test_processes_share_the_cores(many, spec, finish, monkeypatch):
    monkeypatch.setattr("lowdose.batch.workers.usable_threads", lambda: 6)
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    seen = []
    steps = denoise_files(many(2), spec, workers=2)
    for _ in steps:
        for process in children():
            try:
                text = Path(f"/proc/{process.pid}/environ").read_bytes()
            except OSError:
                pytest.skip("The environment of a process cannot be read here.")
            seen.append(b"OMP_NUM_THREADS=3\x00" in text)
    assert any(seen)
    assert os.environ["MKL_NUM_THREADS"] == "5"
