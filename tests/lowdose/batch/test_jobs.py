import os
from pathlib import Path

import pytest

from lowdose.batch.jobs import (
    expand,
    files_in,
    make_folder,
    names_folder,
    plan_jobs,
)
from lowdose.errors import OutputError, ParameterError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("frame10.tif", "frame2.tif", "frame1.tif", "other.mrc", "a[1].tif"):
        Path(name).touch()
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "deeper" / "frame3.tif").touch()
    return tmp_path


def names(paths):
    return [path.as_posix() for path in paths]


def test_a_pattern_gives_its_files_in_counting_order(folder):
    found = expand(["frame*.tif"])
    assert names(found) == ["frame1.tif", "frame2.tif", "frame10.tif"]


def test_two_stars_reach_into_folders(folder):
    assert names(expand(["**/frame3.tif"])) == ["deep/deeper/frame3.tif"]


def test_a_file_named_like_a_pattern_is_that_file(folder):
    assert names(expand(["a[1].tif"])) == ["a[1].tif"]


def test_a_file_given_twice_is_taken_once(folder):
    assert names(expand(["frame2.tif", "frame*.tif", "deep/../frame2.tif"])) == [
        "frame2.tif",
        "frame1.tif",
        "frame10.tif",
    ]


def test_what_matches_nothing_stays_so_that_reading_it_can_say_so(folder):
    assert names(expand(["no*.tif", "gone.mrc"])) == ["no*.tif", "gone.mrc"]


@pytest.mark.parametrize(
    ("output", "is_folder"),
    [
        ("deep", True),
        ("deep/", True),
        ("new/", True),
        ("new", True),
        ("new.tif", False),
        ("new.zarr", False),
        ("new.zarr/", False),
    ],
)
def test_output_means_a_folder_or_a_file(folder, output, is_folder):
    assert names_folder(output) is is_folder


def test_an_existing_zarr_folder_is_a_file(folder):
    Path("there.zarr").mkdir()
    assert names_folder("there.zarr") is False


def test_results_in_a_folder_are_named_after_their_sources(folder):
    jobs = plan_jobs([Path("deep/x.dm4"), Path("y.tif")], "out", ".mrc")
    assert names(job.target for job in jobs) == [
        "out/x-denoised.mrc",
        "out/y-denoised.mrc",
    ]


def test_one_source_goes_into_the_file_that_was_named(folder):
    (job,) = plan_jobs([Path("x.dm4")], "clean.tif", ".mrc")
    assert job.target == Path("clean.tif")


def test_several_sources_do_not_go_into_one_file(folder):
    with pytest.raises(
        ParameterError, match=r"2 inputs .* one file clean\.tif.*folder"
    ):
        plan_jobs([Path("x.tif"), Path("y.tif")], "clean.tif", ".tif")


def test_two_sources_of_one_name_do_not_replace_each_others_result(folder):
    with pytest.raises(ParameterError, match=r"a/x\.tif and b/x\.mrc.*different"):
        plan_jobs([Path("a/x.tif"), Path("b/x.mrc")], "out/", ".tif")


@pytest.mark.parametrize("name", ["frame1.tif", "./frame1.tif", "deep/../frame1.tif"])
def test_the_input_is_never_the_output(folder, name):
    with pytest.raises(ParameterError, match=r"replace the input frame1\.tif"):
        plan_jobs([Path("frame1.tif")], name, ".tif")


def test_a_link_to_the_input_is_the_input(folder):
    os.link("frame1.tif", "hard.tif")
    with pytest.raises(ParameterError, match="replace the input"):
        plan_jobs([Path("frame1.tif")], "hard.tif", ".tif")


def test_the_result_of_one_file_does_not_replace_another_input(folder):
    Path("frame1-denoised.tif").touch()
    with pytest.raises(ParameterError, match=r"replace the input frame1-denoised\.tif"):
        plan_jobs([Path("frame1.tif"), Path("frame1-denoised.tif")], ".", ".tif")


def test_a_folder_is_made_with_its_parents(folder):
    make_folder(Path("one/two"))
    make_folder(Path("one/two"))
    assert Path("one/two").is_dir()


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(folder):
    with pytest.raises(OutputError, match=r"frame1\.tif.* cannot be made: "):
        make_folder(Path("frame1.tif/sub"))


def test_a_folder_stands_for_the_images_in_it(folder):
    for name in ("notes.txt", ".hidden.tif", "a.emi", "a_1.ser"):
        (folder / name).touch()
    (folder / "cells.zarr").mkdir()
    (folder / "cells.zarr" / "zarr.json").touch()
    (folder / "empty.zarr").mkdir()
    wanted = ["a[1].tif", "a_1.ser", "cells.zarr"]
    wanted += ["frame1.tif", "frame2.tif", "frame10.tif", "other.mrc"]
    assert sorted(path.name for path in files_in(folder)) == sorted(wanted)
    assert expand([str(folder)]) == files_in(folder)
    assert expand(["cells.zarr"]) == [Path("cells.zarr")]


def test_a_folder_without_images_stays_so_that_reading_it_can_say_so(folder):
    assert names(expand(["deep"])) == ["deep"]
