"""The job without Qt: a generator that is driven, closed and killed."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image

from lowdose.errors import Cancelled, InvalidImageError, OutputError
from lowdose.micrograph import Micrograph
from lowdose.progress import never
from lowdose.training.reports import TrainingProgress
from lowdose.zoo.shelf import find_model
from napari_lowdose._layers import take_snapshot
from napari_lowdose.training import cores
from napari_lowdose.training.checking import CheckRequest
from napari_lowdose.training.controls import Controls, Picture, Wish
from napari_lowdose.training.cores import one_core_left
from napari_lowdose.training.job import Begun, Paused, TrainRequest
from napari_lowdose.training.recipes import FRESH, Plan, make_recipe
from napari_lowdose.training.records import (
    Record,
    find_record,
    read_records,
    trainings_folder,
)
from napari_lowdose.training.sources import Source, glance

SIZE = 32


@pytest.fixture(autouse=True)
def _folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWDOSE_TRAININGS", str(tmp_path / "training"))
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))


@pytest.fixture
def movie(rng):
    return rng.poisson(4 + 3 * np.sin(np.arange(SIZE) / 3), (3, SIZE, SIZE))


@pytest.fixture
def sources(movie):
    layer = Image(movie.astype(np.uint8), name="movie")
    return (Source(key="stack", layers=(take_snapshot(layer),)),)


def _plan(**more):
    given = {"way": "thinning", "minutes": 60.0, "source": "movie", **more}
    given.setdefault("fresh", "small")
    training = {"batch": 1, "patch": 16, "validate_every": 2, "steps": 6}
    return Plan(name="mine", training=training, **given)


def _request(sources, *, controls=None, folder=None, **more):
    folder = folder or trainings_folder() / "mine"
    record = Record(
        name="mine", folder=str(folder), recipe={}, minutes=60.0, device="cpu"
    )
    return TrainRequest(
        record=record,
        controls=controls or Controls(),
        plan=_plan(**more),
        sources=sources,
    )


def _run(job):
    """Return what a generator returned, and all that it yielded."""
    reports = []
    while True:
        try:
            reports.append(next(job))
        except StopIteration as end:
            return end.value, reports


def _until(job, kind):
    return next(report for report in job if isinstance(report, kind))


def _bytes_of(name):
    return (find_model(name).folder / "weights.safetensors").read_bytes()


def test_a_whole_training_leaves_a_model_and_nothing_else(sources):
    kept, reports = _run(_request(sources).run(never))
    assert kept.card.name == "mine"
    assert kept.trained.steps == 6
    assert find_model("mine").group == "yours"
    assert list(trainings_folder().iterdir()) == []
    kinds = [type(report) for report in reports]
    assert kinds.index(Begun) < kinds.index(TrainingProgress)


@pytest.mark.parametrize("after", [1, 2])
def test_a_closed_job_leaves_a_checkpoint_that_goes_on_to_the_same_weights(
    sources, after
):
    _run(_request(sources).run(never))
    straight = _bytes_of("mine")
    shutil.rmtree(find_model("mine").folder)
    job = _request(sources).run(never)
    for _ in range(after):
        _until(job, TrainingProgress)
    job.close()  # what napari does to a worker that it ends
    (record,), _ = read_records()
    assert not record.running
    assert (Path(record.folder) / "last.pt").exists()
    kept, reports = _run(TrainRequest(record=record, controls=Controls()).run(never))
    assert kept.trained.steps == 6
    first = next(r for r in reports if isinstance(r, TrainingProgress)).first
    assert first > 0
    assert _bytes_of("mine") == straight


def test_a_job_that_is_told_to_stop_leaves_a_checkpoint(sources):
    told = []
    job = _request(sources).run(lambda: bool(told))
    _until(job, TrainingProgress)
    told.append(1)
    with pytest.raises(Cancelled):
        _run(job)
    assert find_record("mine").steps > 0


def test_a_job_that_is_stopped_before_its_first_step_leaves_nothing(sources):
    job = _request(sources).run(never)
    _until(job, Begun)
    job.close()
    assert read_records() == ([], [])
    assert list(trainings_folder().iterdir()) == []


def test_a_job_that_is_stopped_while_it_copies_leaves_nothing(sources):
    job = _request(sources).run(never)
    list(itertools.islice(job, 2))
    job.close()
    assert not (trainings_folder() / "mine").exists()


def test_a_folder_that_is_there_is_not_touched(sources, tmp_path):
    folder = tmp_path / "place"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="there already"):
        _run(_request(sources, folder=folder).run(never))
    assert (folder / "data" / "mine.txt").read_text() == "mine"


def test_data_that_cannot_be_learnt_from_make_no_folder(movie):
    movie[...] = 3
    layer = Image(movie.astype(np.uint8), name="movie")
    sources = (Source(key="stack", layers=(take_snapshot(layer),)),)
    with pytest.raises(InvalidImageError, match="constant"):
        _run(_request(sources).run(never))
    assert not trainings_folder().exists()


def test_the_layer_may_change_once_it_is_copied(sources, movie):
    job = _request(sources).run(never)
    begun = _until(job, Begun)
    (path,) = begun.recipe.data.stack
    np.testing.assert_array_equal(np.load(path), movie)
    assert np.load(path).dtype == np.uint8
    sources[0].layers[0].data[...] = 0
    kept, _ = _run(job)
    assert kept.trained.steps == 6


def test_a_full_disk_while_the_model_is_kept_loses_nothing(sources, monkeypatch):
    from lowdose.zoo import user_models

    def full(*_args, **_kwargs):
        msg = "The model cannot be copied: no space left on device."
        raise OutputError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(user_models, "add_model", full)
        with pytest.raises(OutputError, match="no space"):
            _run(_request(sources).run(never))
    (record,), _ = read_records()
    kept, _ = _run(TrainRequest(record=record, controls=Controls()).run(never))
    assert kept.card.name == "mine"


def test_a_name_that_was_taken_meanwhile_loses_no_model(sources):
    first, _ = _run(_request(sources).run(never))
    second, _ = _run(_request(sources).run(never))
    assert (first.card.name, second.card.name) == ("mine", "mine-2")


def test_pause_holds_the_steps_and_finish_ends_them(sources):
    controls = Controls()
    job = _request(sources, controls=controls).run(never)
    _until(job, TrainingProgress)
    controls.pause()
    controls.wait = lambda _seconds: controls.finish()
    told = _until(job, Paused)
    assert told.paused
    kept, reports = _run(job)
    assert Paused(paused=False) in reports
    assert kept.trained.ended == "asked"


def test_a_preview_is_what_the_network_makes_of_that_part(sources, monkeypatch):
    controls = Controls()
    image = sources[0].open()[0]
    wish = Wish(image=image, uid="", frame=1, rows=slice(4, 20), columns=slice(0, SIZE))
    controls.preview(wish, 0.0)
    job = _request(sources, controls=controls).run(never)
    picture = _until(job, Picture)
    job.close()
    assert picture.wish is wish
    assert picture.pixels.shape == (16, SIZE)
    assert np.isfinite(picture.pixels).all()


def test_a_preview_that_cannot_be_made_says_why_and_ends_nothing(sources):
    controls = Controls()
    image = Micrograph(np.full((SIZE, SIZE), np.nan, np.float32))
    whole = slice(0, SIZE)
    controls.preview(Wish(image=image, uid="", frame=0, rows=whole, columns=whole), 0)
    kept, reports = _run(_request(sources, controls=controls).run(never))
    pictures = [report for report in reports if isinstance(report, Picture)]
    assert pictures
    assert all(p.pixels is None and "finite" in p.problem for p in pictures)
    assert kept.trained.steps == 6


def test_torch_leaves_one_core_to_the_window(monkeypatch):
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(
        cores.os, "sched_getaffinity", lambda _: set(range(4)), raising=False
    )
    torch.set_num_threads(4)
    try:
        with one_core_left():
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_the_check_says_what_is_assumed_and_doubted(sources, rng):
    checked, _ = _run(CheckRequest(plan=_plan(), sources=sources).run(never))
    assert "Poisson" in checked.assumes
    assert checked.doubts == ()
    uneven = rng.binomial(50, 0.9, (3, SIZE, SIZE))  # of less variance than mean
    layer = Image(uneven.astype(np.uint8), name="uneven")
    doubtful = (Source(key="stack", layers=(take_snapshot(layer),)),)
    checked, _ = _run(CheckRequest(plan=_plan(), sources=doubtful).run(never))
    assert any("Poisson" in doubt for doubt in checked.doubts)


@pytest.mark.parametrize("fresh", list(FRESH))
@pytest.mark.parametrize("way", ["blind-spot", "pairs", "simulation", "drawings"])
def test_every_fresh_network_makes_a_recipe_for_every_kind_of_way(
    fresh, way, sources, movie
):
    from lowdose import networks
    from lowdose.training.learner import network_of

    seen = [glance(Micrograph(movie.astype(np.uint8), name="movie"))]
    keys = {
        "blind-spot": ["stack"],
        "pairs": ["noisy", "clean"],
        "simulation": ["dataset"],
        "drawings": [],
    }[way]
    plan = _plan(way=way, fresh=fresh)
    images = seen if way in ("blind-spot", "pairs") else []
    recipe, reason = make_recipe(plan, {key: ["a.npy"] for key in keys}, images)
    assert reason.endswith(".")
    assert recipe.way == way
    network = network_of(recipe)
    assert networks.build(network.architecture, **network.options)


@pytest.mark.parametrize("lattice", [False, True])
def test_the_network_is_the_one_asked_for_or_else_the_one_that_suits(
    lattice, movie, monkeypatch
):
    from lowdose.training import stack_recipe

    monkeypatch.setattr(stack_recipe, "shows_lattice", lambda _frames: lattice)
    seen = [Micrograph(movie.astype(np.uint8), name="movie")]

    def made(**more):
        plan = Plan(name="mine", way="suited", minutes=1.0, **more)
        return make_recipe(plan, {"stack": ["a.npy"]}, seen)[0]

    small = made(fresh="small")
    assert not small.start
    assert not small.network.options.get("mixing")
    assert made(fresh="small").training == small.training
    assert made(fresh="crystals").network.options["mixing"]
    assert made(start="general").start == "general"
    suited = made()
    assert suited.start == ("" if lattice else "general")
    assert bool(suited.network and suited.network.options.get("mixing")) is lattice
