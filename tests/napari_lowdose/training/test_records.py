from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lowdose.errors import OutputError
from napari_lowdose.training import records
from napari_lowdose.training.records import (
    Record,
    find_record,
    forget,
    opened,
    read_records,
    trainings_folder,
    write_record,
)


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWDOSE_TRAININGS", str(tmp_path / "training"))


@pytest.fixture
def record(tmp_path):
    folder = tmp_path / "training" / "mine"
    folder.mkdir(parents=True)
    return Record(
        name="mine", folder=str(folder), recipe={"a": [1, 2.5, "x"]}, minutes=3.0
    )


def test_a_record_comes_back_as_it_was_written(record):
    written = write_record(record)
    assert written.written > 0
    assert read_records() == ([written], [])
    assert find_record("mine") == written
    assert find_record("yours") is None


def test_the_latest_comes_first(record):
    first = write_record(record)
    other = Path(record.folder).with_name("other")
    other.mkdir()
    second = write_record(replace(record, name="other", folder=str(other)))
    assert read_records()[0] == [second, first]


def test_a_record_that_cannot_be_written_leaves_the_earlier_one(record, monkeypatch):
    before = write_record(record)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_record(replace(record, steps=7))
    assert find_record("mine") == before
    assert [p.name for p in trainings_folder().iterdir() if p.is_file()] == [
        "mine.json"
    ]


@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', "[]", '"text"', "null"])
def test_a_damaged_record_is_told_and_left_where_it_is(record, text):
    write_record(record)
    path = trainings_folder() / "broken.json"
    path.write_text(text)
    found, notes = read_records()
    assert [r.name for r in found] == ["mine"]
    assert len(notes) == 1
    assert str(path) in notes[0]
    assert path.exists()
    assert find_record("broken") is None


def test_a_record_without_its_folder_is_forgotten(record):
    write_record(record)
    Path(record.folder).rmdir()
    assert read_records() == ([], [])
    assert find_record("mine") is None


def test_to_forget_removes_the_folder_in_the_standard_place_only(record, tmp_path):
    write_record(record)
    forget(record)
    assert not Path(record.folder).exists()
    assert read_records() == ([], [])
    place = tmp_path / "elsewhere"
    place.mkdir()
    other = write_record(replace(record, folder=str(place), own=False))
    forget(other)
    assert place.exists()
    assert read_records() == ([], [])


def test_a_training_of_this_process_runs_while_its_folder_is_open(record):
    assert not record.running
    with opened(Path(record.folder)):
        assert record.running
    assert not record.running


def test_a_training_of_another_process_runs_while_that_lives(record):
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "up\n"
        began = psutil.Process(process.pid).create_time()
        theirs = replace(record, pid=process.pid, started=began)
        assert theirs.running
        # The number of a process that has ended is given to another one some day.
        assert not replace(theirs, started=began - 3600).running
        process.stdin.close()
        process.wait(30)
    assert not theirs.running


def test_the_standard_place_is_that_of_the_users_data(monkeypatch):
    monkeypatch.delenv("LOWDOSE_TRAININGS")
    assert "lowdose" in trainings_folder().parts


def test_a_record_is_plain_json(record):
    write_record(record)
    values = json.loads((trainings_folder() / "mine.json").read_text())
    assert values["recipe"] == {"a": [1, 2.5, "x"]}
    assert values["pid"] == os.getpid()
