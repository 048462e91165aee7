import dataclasses
import hashlib
import json
import pickle
import subprocess
import sys
from functools import partial

import h5py
import numpy as np
import pytest

from lowdose.errors import (
    Cancelled,
    FormatError,
    InputError,
    LowDoseError,
    OutOfMemoryError,
    OutputError,
    ParameterError,
)
from lowdose.simulation import drawn, store
from lowdose.simulation.dataset import Dataset
from lowdose.simulation.generation import iter_simulate

SMALL = drawn.preset(size=32)


def make(path, *, preset=SMALL, **options):
    job = iter_simulate(preset, path, **{"count": 6, "seed": 3, **options})
    steps = []

    def collect():
        assert (yield from job) == path

    steps.extend(collect())
    return steps


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    path = tmp_path_factory.mktemp("complete") / "set.h5"
    make(path)
    return path


def test_the_file_is_the_same_byte_for_byte_with_any_number_of_workers(
    complete, tmp_path
):
    steps = make(tmp_path / "set.h5", workers=3)
    assert digest(tmp_path / "set.h5") == digest(complete)
    assert [step.done for step in steps] == list(range(7))
    assert steps[-1].total == 6
    assert steps[1].seconds_left is not None
    assert not store.making(tmp_path / "set.h5").exists()


def test_another_seed_gives_other_images(complete, tmp_path):
    make(tmp_path / "set.h5", seed=4, count=1)
    with Dataset(tmp_path / "set.h5") as other, Dataset(complete) as one:
        assert not np.array_equal(other[0], one[0])


def test_a_larger_set_begins_with_the_smaller_one(complete, tmp_path):
    make(tmp_path / "set.h5", count=2)
    with Dataset(tmp_path / "set.h5") as two, Dataset(complete) as six:
        assert len(two) == 2
        np.testing.assert_array_equal(two[1], six[1])


def test_stopping_keeps_what_is_finished_and_resuming_ends_the_same(complete, tmp_path):
    path = tmp_path / "set.h5"
    job = iter_simulate(SMALL, path, count=6, seed=3, should_stop=lambda: stop)
    stop = False
    for progress in job:
        if progress.done == 2:
            break
    stop = True
    with pytest.raises(Cancelled, match=r"of 6 images.*resume"):
        list(job)
    assert not path.exists()
    with pytest.raises(InputError, match=r"not complete.*--resume"):
        Dataset(path)
    with pytest.raises(OutputError, match="Resume it, or remove"):
        make(path)
    first = make(path, resume=True)[0]
    assert first.total < 6
    assert "are there already" in first.message
    assert digest(path) == digest(complete)


def test_a_killed_process_leaves_a_set_that_resumes_to_the_same_bytes(
    complete, tmp_path
):
    path = tmp_path / "set.h5"
    script = tmp_path / "work.py"
    script.write_text(
        "from lowdose.simulation import drawn\n"
        "from lowdose.simulation.generation import iter_simulate\n"
        "if __name__ == '__main__':\n"
        f"    job = iter_simulate(drawn.preset(size=32), {str(path)!r}, count=6,"
        " seed=3, workers=2)\n"
        "    for progress in job:\n"
        "        print(progress.done, flush=True)\n"
        "        if progress.done == 2:\n"
        "            import os, signal\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # Killed by itself at a known point, as surely as by anyone else.
    result = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert result.returncode != 0
    assert "2" in result.stdout.split()
    assert not path.exists()
    assert len(list(store.making(path).glob("specimen-*.h5"))) >= 2
    make(path, resume=True)
    assert digest(path) == digest(complete)


def test_a_damaged_part_is_made_again(complete, tmp_path):
    path = tmp_path / "set.h5"
    job = iter_simulate(SMALL, path, count=6, seed=3)
    assert [next(job).done for _ in range(3)][-1] == 2
    job.close()
    part = store.shard(store.making(path), 1)
    part.write_bytes(part.read_bytes()[:700])
    make(path, resume=True)
    assert digest(path) == digest(complete)


def test_resuming_a_complete_set_leaves_it_alone(complete):
    before = complete.stat().st_mtime_ns
    assert make(complete, resume=True) == []
    assert complete.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="exists already"):
        make(complete)


def test_resuming_otherwise_than_begun_is_refused(complete, tmp_path):
    with pytest.raises(OutputError, match="seed: 3 there, 5 now"):
        make(complete, resume=True, seed=5)
    path = tmp_path / "set.h5"
    job = iter_simulate(SMALL, path, count=6, seed=3)
    next(job)
    job.close()
    plan = store.making(path) / "plan.json"
    content = json.loads(plan.read_text())
    content["software"]["numpy"] = "1.0"
    plan.write_text(json.dumps(content))
    with pytest.raises(OutputError, match="software"):
        make(path, resume=True)
    plan.write_text("{")
    with pytest.raises(FormatError, match=r"damaged\. Remove the folder"):
        make(path, resume=True)


def test_older_sets_of_sbd_are_those_of_sbd_sharp(tmp_path):
    older = dataclasses.replace(SMALL, name="sbd")
    sharp = dataclasses.replace(SMALL, name="sbd-sharp")
    options = {**SMALL.options, "vibration": 0.034}
    now = dataclasses.replace(SMALL, name="sbd", options=options)
    whole, part = tmp_path / "whole.h5", tmp_path / "part.h5"
    make(whole, preset=older)
    job = iter_simulate(older, part, count=6, seed=3)
    for _ in range(3):
        next(job)
    job.close()
    for path in (whole, part):
        with pytest.raises(OutputError, match="preset: 'sbd-sharp' there, 'sbd' now"):
            make(path, preset=now, resume=True)
    assert make(whole, preset=sharp, resume=True) == []
    assert "2 of 6 images" in make(part, preset=sharp, resume=True)[0].message
    for path in (whole, part):
        with Dataset(path) as dataset:
            assert dataset.plan.preset == "sbd-sharp"
    make(tmp_path / "now.h5", preset=now)
    with Dataset(tmp_path / "now.h5") as dataset:
        assert dataset.plan.preset == "sbd"


def test_a_set_that_is_being_made_is_not_made_twice_nor_opened(tmp_path):
    path = tmp_path / "set.h5"
    job = iter_simulate(SMALL, path, count=6)
    next(job)
    with pytest.raises(OutputError, match="being made by process"):
        make(path, resume=True, seed=0)
    with pytest.raises(InputError, match="being made by process"):
        Dataset(path)
    job.close()
    make(path, resume=True, seed=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 0}, "count=0"),
        ({"seed": -1}, "seed=-1"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_impossible_numbers_are_refused(options, said, tmp_path):
    with pytest.raises(ParameterError, match=said):
        make(tmp_path / "set.h5", **options)
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"ending in \.h5"):
        make(tmp_path / "set.tif")
    with pytest.raises(OutputError, match="does not exist"):
        make(tmp_path / "none" / "set.h5")


def test_an_error_in_a_specimen_is_told_and_the_rest_is_kept(tmp_path):
    broken = dataclasses.replace(SMALL, render=partial(drawn.render, 8))
    with pytest.raises(ParameterError, match="size=8 is too small"):
        make(tmp_path / "set.h5", preset=broken)
    unforeseen = dataclasses.replace(SMALL, render=partial(drawn.render, None))
    with pytest.raises(LowDoseError, match="specimen 0 of 'drawn' with seed 3"):
        make(tmp_path / "other.h5", preset=unforeseen)


def test_a_worker_that_the_system_ends_is_reported(tmp_path):
    import psutil

    large = drawn.preset(size=2048)
    job = iter_simulate(large, tmp_path / "set.h5", count=2)
    next(job)
    killed = []

    def kill():
        for child in psutil.Process().children():
            if "spawn_main" in " ".join(child.cmdline()):
                killed.append(child.pid)
                child.kill()
        return False

    job.close()
    job = iter_simulate(
        large, tmp_path / "set.h5", count=2, resume=True, should_stop=kill
    )
    with pytest.raises(OutOfMemoryError, match="fewer workers"):
        list(job)
    assert killed


def test_workers_end_when_the_job_is_given_up(tmp_path):
    import psutil

    job = iter_simulate(drawn.preset(size=1024), tmp_path / "set.h5", count=4)
    next(job)
    next(job)
    job.close()
    left = [c for c in psutil.Process().children() if "spawn_main" in c.cmdline()]
    assert left == []


def test_a_dataset_reads_images_with_their_parameters(complete):
    with Dataset(complete) as dataset:
        assert len(dataset) == 6
        assert dataset[0].dtype == np.float32
        assert dataset[0].shape == dataset.frame_shape == (32, 32)
        np.testing.assert_array_equal(dataset[-1], dataset[5])
        assert len(list(dataset)) == 6
        assert dataset.plan.seed == 3
        assert set(dataset.plan.software) >= {"lowdose", "numpy", "h5py"}
        record = dataset.record(2)
        assert record["specimen"] == 2
        assert isinstance(record["kind"], str)
        assert json.loads(json.dumps(record)) == record
        with pytest.raises(IndexError, match="no image 6"):
            dataset[6]
        assert "6 images of 'drawn'" in repr(dataset)


def test_a_dataset_goes_to_other_processes(complete):
    with Dataset(complete) as dataset:
        copy = pickle.loads(pickle.dumps(dataset.filter(specimen=[1, 4])))
        assert len(copy) == 2
        np.testing.assert_array_equal(copy[1], dataset[4])
        copy.close()


def test_a_split_is_reproducible_and_keeps_specimens_together(complete):
    with Dataset(complete) as dataset:
        parts = dataset.split({"train": 0.5, "test": 0.5}, seed=1)
        again = dataset.split({"train": 0.5, "test": 0.5}, seed=1)
        other = dataset.split({"train": 0.5, "test": 0.5}, seed=2)
        train, test = (set(parts[name].specimens.tolist()) for name in parts)
        assert not train & test
        assert train | test == set(range(6))
        assert set(again["train"].specimens.tolist()) == train
        assert set(other["train"].specimens.tolist()) != train
        some = dataset.filter(specimen=(1, 4))
        filtered = some.split({"train": 0.5, "test": 0.5}, seed=1)
        assert set(filtered["train"].specimens.tolist()) == train & {1, 2, 3, 4}
        with pytest.raises(ParameterError, match="add up to 1"):
            dataset.split({"train": 0.5})
        with pytest.raises(ParameterError, match="too few"):
            dataset.split({"train": 0.99, "test": 0.01})


def damaged(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def test_bad_files_are_named_for_what_they_are(complete, tmp_path):
    path = tmp_path / "set.h5"
    with pytest.raises(InputError, match="does not exist"):
        Dataset(path)
    path.write_bytes(b"II*\0 and so on")
    with pytest.raises(FormatError, match="no HDF5 file"):
        Dataset(path)
    whole = complete.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FormatError, match=r"truncated.*Copy it again"):
        Dataset(path)
    path.write_bytes(whole)
    damaged(path, lambda file: file.attrs.modify("format_version", 2))
    with pytest.raises(FormatError, match=r"version 2 .* reads version 1\. Update"):
        Dataset(path)
    path.write_bytes(whole)
    damaged(path, lambda file: file.attrs.modify("complete", False))
    with pytest.raises(FormatError, match="not written to its end"):
        Dataset(path)
    path.write_bytes(whole)
    damaged(path, lambda file: file.__delitem__("parameters"))
    with pytest.raises(FormatError, match="damaged"):
        Dataset(path)
    path.unlink()
    with h5py.File(path, "w") as file:
        file["other"] = np.zeros(3)
    with pytest.raises(FormatError, match=r"no simulated data set, but holds other"):
        Dataset(path)


def test_a_file_that_another_program_writes_is_refused(complete, tmp_path):
    path = tmp_path / "set.h5"
    path.write_bytes(complete.read_bytes())
    program = (
        "import h5py, sys\n"
        f"file = h5py.File({str(path)!r}, 'r+')\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline().strip() == b"open"
        try:
            with pytest.raises(FormatError, match="being written"):
                Dataset(path)
        finally:
            writer.stdin.close()
