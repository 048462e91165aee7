from pathlib import Path

import pytest

from lowdose.batch import FileStatus, Job, Outcome, Overall
from lowdose.progress import Progress


@pytest.fixture
def jobs(tmp_path):
    found = []
    for number, size in enumerate((100, 300, 600)):
        path = tmp_path / f"{number}.tif"
        path.write_bytes(b"x" * size)
        found.append(Job(source=path, target=tmp_path / f"{number}-denoised.tif"))
    return found


def running(number, done):
    progress = Progress(stage="denoise", done=done, total=10, pixels=1000 * done)
    return FileStatus(number=number, state="running", progress=progress)


def ended(number, job, **more):
    outcome = Outcome(job=job, **more)
    return FileStatus(number=number, state=outcome.state, outcome=outcome)


def test_files_are_weighed_by_their_size(jobs):
    overall = Overall(jobs)
    assert overall.with_file(running(0, 10)).fraction == pytest.approx(0.1)
    assert overall.with_file(running(1, 5)).fraction == pytest.approx(0.25)
    assert overall.with_file(running(1, 5)).pixels == 15_000


def test_a_finished_file_counts_whole_and_the_last_one_ends_at_all(jobs):
    overall = Overall(jobs)
    for number, job in enumerate(jobs):
        progress = overall.with_file(ended(number, job))
    assert progress.fraction == 1.0
    assert (overall.finished, progress.frames) == (3, 3)


@pytest.mark.parametrize("kind", [{"error": "broken"}, {"present": True}])
def test_files_that_cost_no_time_do_not_shorten_the_time_left(jobs, kind):
    overall = Overall(jobs)
    overall.with_file(ended(2, jobs[2], **kind))
    assert overall.with_file(running(1, 10)).fraction == pytest.approx(0.75)


def test_a_batch_of_results_that_are_there_is_done(jobs):
    overall = Overall(jobs)
    for number, job in enumerate(jobs):
        progress = overall.with_file(ended(number, job, present=True))
    assert progress.fraction == 1.0


def test_files_of_unknown_size_weigh_as_much_as_the_others_on_average(jobs, tmp_path):
    folder = tmp_path / "movie.zarr"
    folder.mkdir()
    gone = Job(source=Path("gone.tif"), target=tmp_path / "gone-denoised.tif")
    zarr = Job(source=folder, target=tmp_path / "movie-denoised.tif")
    overall = Overall([jobs[0], jobs[1], zarr, gone])
    assert overall.with_file(running(2, 10)).fraction == pytest.approx(0.25)
