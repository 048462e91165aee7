"""What is finished is kept, and what differs is refused."""

import numpy as np
import pytest

from lowdose.benchmark import Options, Run, build, iter_benchmark
from lowdose.benchmark.methods import parse_method, parse_methods
from lowdose.benchmark.results import Results, file_name, opened
from lowdose.errors import (
    Cancelled,
    OutputError,
    ParameterError,
    UnknownDenoiserError,
)

DOSES = {"doses": (2.0, 50.0), "size": 64, "count": 2}


def values(rows):
    """Return rows without what depends on the clock."""
    return {
        label: [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in some
        ]
        for label, some in rows.items()
    }


def test_resuming_makes_only_what_is_missing(benchmark, tmp_path):
    _, first = benchmark("dose", "gaussian", **DOSES)
    lines = (tmp_path / "out" / "rows.jsonl").read_text().splitlines(keepends=True)
    # Killed while the last line was written.
    (tmp_path / "out" / "rows.jsonl").write_text("".join(lines[:3]) + lines[3][:40])
    _, again = benchmark("dose", "gaussian", resume=True, **DOSES)
    assert values(again) == values(first)
    kept = (tmp_path / "out" / "rows.jsonl").read_text().splitlines(keepends=True)
    assert kept[:3] == lines[:3]


def test_a_resumed_run_may_have_more_denoisers_and_more_images(benchmark):
    benchmark("dose", "gaussian", **DOSES)
    report, rows = benchmark(
        "dose", "gaussian", "median", resume=True, **{**DOSES, "count": 3}
    )
    assert len(rows["gaussian"]) == len(rows["median"]) == 6
    assert [row["denoiser"] for row in report.tables[0].rows] == [
        "noisy",
        "gaussian",
        "median",
    ]


def test_results_that_are_there_are_not_written_over(benchmark):
    benchmark("dose", "gaussian", **DOSES)
    with pytest.raises(OutputError, match="has results already"):
        benchmark("dose", "gaussian", **DOSES)


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"size": 32}], ids=["another seed", "another size"]
)
def test_a_changed_setup_is_refused(benchmark, changed):
    benchmark("dose", "gaussian", **DOSES)
    with pytest.raises(OutputError, match="made otherwise"):
        benchmark("dose", "gaussian", resume=True, **{**DOSES, **changed})


def test_a_folder_of_other_files_is_refused(benchmark, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="no benchmark's"):
        benchmark("dose", "gaussian", **DOSES)


def test_processes_find_what_this_process_finds(benchmark):
    _, here = benchmark("dose", "gaussian", **DOSES)
    _, there = benchmark("dose", "gaussian", workers=2, folder="two", **DOSES)
    key = lambda row: (row["mse"], row["ssim"])  # noqa: E731
    for label, rows in values(here).items():
        assert sorted(rows, key=key) == sorted(values(there)[label], key=key)


def test_a_stop_keeps_what_is_finished_and_can_be_resumed(benchmark, tmp_path):
    options = Options(datasets=("sample",), **DOSES)
    study = _result(build("dose", options, tmp_path))
    run = Run(methods=parse_methods(["gaussian"]))
    asked = iter([False, False, True])
    job = iter_benchmark(
        study, tmp_path / "out", run, should_stop=lambda: next(asked, True)
    )
    with pytest.raises(Cancelled, match="3 of 8 results"):
        _result(job)
    job = iter_benchmark(study, tmp_path / "out", Run(methods=run.methods, resume=True))
    steps = list(job)
    assert steps[0].message == "3 of 8 results are there already."
    assert steps[-1].done == steps[-1].total == 5


def test_a_method_that_fails_has_a_row_that_says_so(benchmark):
    report, rows = benchmark("dose", "wavelet:levels=10", **{**DOSES, "size": 16})
    assert len(rows["wavelet:levels=10"]) == 4
    if all("error" in row for row in rows["wavelet:levels=10"]):
        assert "Failures" in report.to_markdown()


def test_tuning_on_other_images_beats_the_defaults(benchmark):
    report, rows = benchmark(
        "dose",
        "gaussian",
        "tuned:gaussian:binning=1,vst=none",
        "thinned:gaussian:binning=1,vst=none",
        count=2,
        doses=(1.0,),
        size=96,
    )
    error = {label: np.mean([r["mse"] for r in some]) for label, some in rows.items()}
    default = error.pop("gaussian")
    noisy = error.pop("noisy")
    assert max(error.values()) < 0.8 * default < 0.8 * noisy
    tuned = next(table for table in report.tables if table.name == "tuned")
    assert tuned.rows[0]["level"] == "1"
    assert "sigma" in tuned.rows[0]["values"]


def test_sums_are_added_once_however_often_a_row_is_made_again(tmp_path):
    with opened(tmp_path, {"denoisers": {}}, resume=False) as results:
        results.add("one", "a", [{}], {"map": np.ones(3)})
        results.add("two", "a", [{}], {"map": np.ones(3)})
    # The sums were written, the rows were not.
    (tmp_path / "rows.jsonl").unlink()
    with opened(tmp_path, {"denoisers": {}}, resume=True) as results:
        assert not results.done
        results.add("one", "a", [{}], {"map": np.ones(3)})
        results.add("three", "a", [{}], {"map": np.ones(3)})
        values, number = results.sums("a", "map")
    assert (values.tolist(), number) == ([3, 3, 3], 3)
    assert Results(folder=tmp_path).sums("a", "map")[1] == 3


def test_names_of_files_differ_where_labels_do():
    labels = ["a:b=1", "a:b=2", "a_b=1", "x" * 80, "x" * 81, "tuned:bm3d"]
    assert len({file_name(label) for label in labels}) == len(labels)
    assert all(":" not in file_name(label) for label in labels)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("gaussian:sigma", ParameterError, "no key=value"),
        ("gaussian:sigma=much", ParameterError, "not a number"),
        ("gausian", UnknownDenoiserError, "Did you mean 'gaussian'"),
        ("tuned:general", ParameterError, "is a network"),
        ("tuned:gaussian:sigma=2", ParameterError, "can be fixed"),
        ("gaussian:preset=none", ParameterError, "no preset"),
    ],
)
def test_a_denoiser_that_cannot_be_is_refused_at_once(text, error, words):
    with pytest.raises(error, match=words):
        parse_method(text)


def test_the_counts_are_always_compared_and_nothing_twice():
    methods = parse_methods(["gaussian:sigma=2", "noisy", "gaussian:sigma=2"])
    assert [method.label for method in methods] == ["noisy", "gaussian:sigma=2"]
    assert methods[1].spec.values == {"sigma": "2"}
    assert parse_method("gaussian:preset=ede2018").as_published


@pytest.mark.parametrize(
    ("protocol", "options", "words"),
    [
        ("sdb", {}, "Did you mean 'sbd'"),
        ("sbd", {"size": 64}, "no option 'size'"),
        ("sbd", {"contrasts": ("grey",)}, "no contrast 'grey'"),
        ("dose", {"contrasts": ("white",)}, "no option 'contrasts'"),
        ("dose", {"count": 0}, "count=0"),
        ("dose", {"doses": (-1.0,)}, "dose of -1"),
        ("dose", {"size": 0}, "size=0"),
        ("movie", {"datasets": ("a.h5", "b.h5")}, "takes one data set"),
    ],
)
def test_options_that_a_protocol_cannot_have_are_refused(
    tmp_path, protocol, options, words
):
    options = {"datasets": ("sample",), **options}
    with pytest.raises(ParameterError, match=words):
        _result(build(protocol, Options(**options), tmp_path))


def _result(job):
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value
