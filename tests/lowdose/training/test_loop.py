import csv
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lowdose import zoo
from lowdose.errors import (
    Cancelled,
    DeviceError,
    OutOfMemoryError,
    OutputError,
    ParameterError,
    TrainingError,
)
from lowdose.inference.engine import denoise
from lowdose.training.learner import Learner
from lowdose.training.loop import iter_train
from lowdose.training.reports import TrainingProgress
from lowdose.training.ways import drawings

WEIGHTS = "weights.safetensors"


@pytest.fixture(autouse=True)
def few_validation_doses(monkeypatch):
    monkeypatch.setattr(drawings, "VALIDATION_DOSES", (5.0,))


def stopping_after(steps):
    """Return a should_stop that is true once so many training steps are made.

    It is asked once more while the data is made ready.
    """
    asked = iter([False] * steps)
    return lambda: next(asked, True)


def assert_same_weights(one, other):
    a, b = (load_file(folder / WEIGHTS) for folder in (one, other))
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


def test_a_training_leaves_a_model_that_denoises(make_recipe, train, tmp_path):
    trained, _ = train(make_recipe(), tmp_path / "run")
    denoiser = zoo.load_model(trained.folder)
    frame = np.random.default_rng(0).poisson(5, (32, 32)).astype(np.float32)
    clean = denoiser.denoise_patches(frame[None, None], [denoiser.measure(frame)])
    assert np.isfinite(clean).all()
    card = zoo.read_card(trained.folder)
    assert card.details["training"]["steps"] == trained.steps == 4
    assert card.halo > 0
    assert trained.ended == "steps"
    assert (trained.folder / "validation.png").read_bytes()[1:4] == b"PNG"
    with (trained.folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert {"loss", "learning_rate", "gain_dB", "psnr_dB", "ssim"} <= rows[0].keys()


def test_the_folder_of_a_training_stands_for_its_model(make_recipe, train, tmp_path):
    train(make_recipe(), tmp_path / "run")
    assert zoo.load_model(tmp_path / "run").name == "tiny"


def test_a_report_has_what_a_live_view_needs(make_recipe, train, tmp_path):
    _, reports = train(make_recipe(), tmp_path)
    steps = [r for r in reports if isinstance(r, TrainingProgress)]
    assert steps[-1].done == steps[-1].total == 4
    assert all(np.isfinite(r.loss) and r.learning_rate > 0 for r in steps)
    validated = [r for r in steps if r.scores]
    assert [r.done for r in validated] == [2, 4]
    assert all(r.watched in r.scores for r in validated)


@pytest.mark.parametrize("normalisation", ["mean-and-noise", "min-max", "counts"])
def test_the_model_denoises_as_the_network_did_while_it_learnt(
    make_recipe, train, tmp_path, normalisation
):
    seen = []
    validate = drawings.Drawings.validate

    def spying(self, apply):
        sample = self.sample()
        seen.append((sample, apply(sample.noisy[None], [sample.measures])[0]))
        return validate(self, apply)

    network = {
        "architecture": "unet2",
        # With conditions it is told of counts, in use as while it learnt.
        "options": {"scales": 2, "base": 4, "conditions": 2},
        "normalisation": normalisation,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawings.Drawings, "validate", spying)
        trained, _ = train(make_recipe(network=network), tmp_path)
    sample, expected = seen[-1]
    denoiser = zoo.load_model(trained.folder)
    assert denoiser.card.normalisation == normalisation
    found = denoiser.denoise_patches(
        sample.noisy[None], [denoiser.measure(sample.noisy[0])]
    )[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_snapshot_denoises_as_the_model_saved_then_would(
    make_recipe, train, tmp_path
):
    trained, reports = train(make_recipe(), tmp_path)
    snapshot, saved = reports[-1].denoiser(), zoo.load_model(trained.folder)
    frame = np.random.default_rng(0).poisson(5, (32, 32)).astype(np.float32)
    results = [
        d.denoise_patches(frame[None, None], [d.measure(frame)])
        for d in (snapshot, saved)
    ]
    np.testing.assert_allclose(*results, rtol=1e-5)
    assert snapshot.needs == saved.needs


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_resuming_gives_the_weights_of_an_uninterrupted_run(
    make_recipe, train, tmp_path, schedule
):
    recipe = make_recipe(schedule=schedule, patience=1, steps=6)
    straight, _ = train(recipe, tmp_path / "straight")
    with pytest.raises(Cancelled, match="Stopped after step 3"):
        train(recipe, tmp_path / "broken", should_stop=stopping_after(3))
    resumed, _ = train(recipe, tmp_path / "broken", resume=True)
    assert_same_weights(straight.folder, resumed.folder)


def test_a_killed_training_resumes_to_the_weights_of_200_steps_straight(
    make_recipe, train, tmp_path
):
    recipe = make_recipe(steps=200, validate_every=50, checkpoint_every=100)
    straight, _ = train(recipe, tmp_path / "straight")
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        from lowdose.training.config import recipe_from_dict
        from lowdose.training.loop import iter_train
        from lowdose.training.ways import drawings
        drawings.VALIDATION_DOSES = (5.0,)
        recipe = recipe_from_dict({recipe.model_dump(exclude_none=True)!r})
        for report in iter_train(recipe, Path({str(tmp_path / "killed")!r})):
            print(report.done, flush=True)
            if report.stage == "train" and report.done > 105:
                print("kill", flush=True)
                input()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    with process:
        for line in process.stdout:
            if line.strip() == "kill":
                process.send_signal(signal.SIGTERM if os.name == "nt" else 9)
    assert process.returncode != 0
    assert not (tmp_path / "killed" / "model").exists()
    resumed, reports = train(recipe, tmp_path / "killed", resume=True)
    assert reports[-1].done == 100
    assert_same_weights(straight.folder, resumed.folder)
    curves = [
        [
            {k: v for k, v in row.items() if k != "seconds"}
            for row in csv.DictReader((f / "curve.csv").read_text().splitlines())
        ]
        for f in (straight.folder, resumed.folder)
    ]
    assert curves[0] == curves[1]


def test_no_time_left_ends_with_a_model_and_a_checkpoint(make_recipe, train, tmp_path):
    trained, _ = train(make_recipe(steps=10**6), tmp_path, minutes=1e-9)
    assert trained.ended == "budget"
    assert trained.steps == 1
    assert (tmp_path / "last.pt").exists()
    zoo.load_model(tmp_path)


def test_running_out_of_time_changes_nothing_of_what_follows(
    make_recipe, train, tmp_path
):
    recipe = make_recipe(steps=5, validate_every=3, schedule="plateau", patience=1)
    straight, _ = train(recipe, tmp_path / "straight")
    for _ in range(2):
        broken, _ = train(recipe, tmp_path / "broken", resume=True, minutes=0)
    assert (broken.ended, broken.steps) == ("budget", 2)
    resumed, _ = train(recipe, tmp_path / "broken", resume=True)
    assert_same_weights(straight.folder, resumed.folder)


def test_a_pause_does_not_count_as_time(make_recipe, tmp_path, monkeypatch):
    paused, clock = [], time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + sum(paused, start=0.0))
    job = iter_train(make_recipe(steps=6), tmp_path, minutes=60)
    for report in job:  # noqa: B007 (the last one is looked at)
        # Nobody asks for the next report for a day.
        paused.append(86_400.0)
    assert report.done == 6
    assert report.seconds < 3600


def test_the_schedule_ends_with_the_time_of_the_recipe(make_recipe, train, tmp_path):
    recipe = make_recipe(steps=10**6, minutes=0.02)
    started = time.perf_counter()
    trained, reports = train(recipe, tmp_path)
    assert trained.ended == "time"
    assert time.perf_counter() - started < 60
    assert reports[-1].learning_rate < 0.1 * recipe.learning_rate


def test_a_training_can_be_ended_and_kept(make_recipe, train, tmp_path):
    trained, _ = train(make_recipe(), tmp_path, should_finish=stopping_after(2))
    assert (trained.ended, trained.steps) == ("asked", 3)
    assert trained.scores["gain_dB"] == pytest.approx(
        float(
            list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))[-1][
                "gain_dB"
            ]
        ),
        rel=1e-4,
    )


def test_a_training_that_gets_no_better_ends_early(
    make_recipe, train, tmp_path, monkeypatch
):
    scores = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    monkeypatch.setattr(
        drawings.Drawings, "validate", lambda *_: {"gain_dB": next(scores)}
    )
    recipe = make_recipe(steps=100, validate_every=1, patience_to_stop=2)
    trained, _ = train(recipe, tmp_path)
    assert (trained.ended, trained.steps) == ("plateau", 4)
    again, reports = train(recipe, tmp_path, resume=True)
    assert (again.ended, reports[1:]) == ("plateau", [])


def test_the_best_average_is_kept_where_it_is_asked_for(
    make_recipe, train, tmp_path, monkeypatch
):
    scores = iter([5.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(
        drawings.Drawings, "validate", lambda *_: {"gain_dB": next(scores)}
    )
    recipe = make_recipe(steps=3, validate_every=1, keep="best")
    trained, _ = train(recipe, tmp_path)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["step"] == 1
    for key, value in load_file(trained.folder / WEIGHTS).items():
        assert torch.equal(value, best["average"][key])


def test_a_folder_with_a_training_is_not_overwritten(make_recipe, train, tmp_path):
    train(make_recipe(), tmp_path)
    with pytest.raises(OutputError, match="holds a training already"):
        train(make_recipe(), tmp_path)


def test_a_checkpoint_of_another_recipe_is_refused(make_recipe, train, tmp_path):
    train(make_recipe(), tmp_path)
    with pytest.raises(TrainingError, match=r"another recipe: training.batch was 2"):
        train(make_recipe(batch=3), tmp_path, resume=True)


def test_the_texts_of_a_recipe_may_change_under_way(make_recipe, train, tmp_path):
    train(make_recipe(), tmp_path)
    mended = make_recipe(top={"title": "Better", "card": {"limits": ["none"]}})
    trained, _ = train(mended, tmp_path, resume=True)
    assert trained.card.title == "Better"
    assert trained.card.details["limits"] == ["none"]


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(
    make_recipe, train, tmp_path, monkeypatch
):
    learn = Learner.learn

    def failing(self, batch):
        if self.step == 2:
            batch.target[1] = np.nan
        return learn(self, batch)

    monkeypatch.setattr(Learner, "learn", failing)
    with pytest.raises(
        TrainingError, match=r"step 3 is not finite.* image \d, .*not finite.*last\.pt"
    ) as caught:
        train(make_recipe(), tmp_path)
    assert str(caught.value).count("e-/px") == 1
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert saved["step"] == 2
    assert all(v.isfinite().all() for v in saved["network"].values())


def test_a_divergence_says_to_lower_the_rate(make_recipe, train, tmp_path):
    recipe = make_recipe(learning_rate=1e30, clip=0, steps=20)
    with pytest.raises(TrainingError, match=r"lower training\.learning_rate"):
        train(recipe, tmp_path)


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (RuntimeError("CUDA error: device-side assert"), DeviceError, "device-side"),
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemoryError, "batch"),
    ],
)
def test_a_device_that_fails_loses_no_checkpoint(
    make_recipe, train, tmp_path, monkeypatch, error, raised, message
):
    learn = Learner.learn

    def failing(self, batch):
        if self.step == 3:
            raise error
        return learn(self, batch)

    monkeypatch.setattr(Learner, "learn", failing)
    with pytest.raises(raised, match=rf"{message}.*last\.pt, is kept") as caught:
        train(make_recipe(), tmp_path)
    assert not isinstance(caught.value, RuntimeError)
    monkeypatch.setattr(Learner, "learn", learn)
    trained, _ = train(make_recipe(), tmp_path, resume=True)
    assert trained.steps == 4


def test_a_training_can_begin_with_a_model(make_recipe, train, tmp_path):
    first, _ = train(make_recipe(), tmp_path / "first")
    onward = make_recipe(
        steps=1, learning_rate=1e-12, top={"start": str(first.folder), "network": None}
    )
    second, _ = train(onward, tmp_path / "second")
    a, b = (load_file(f.folder / WEIGHTS) for f in (first, second))
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, rtol=0, atol=1e-6)
    assert second.card.details["training"]["start"] == str(first.folder)


def test_a_model_that_sees_counts_otherwise_is_no_beginning(
    make_recipe, train, tmp_path
):
    first, _ = train(make_recipe(), tmp_path / "first")
    options = {"scales": 2, "base": 4, "conditions": 2, "residual": True}
    network = {
        "architecture": "unet2",
        "options": options,
        "normalisation": "min-max",
    }
    other = make_recipe(network=network, top={"start": str(first.folder)})
    with pytest.raises(ParameterError, match="sees counts by 'mean-and-noise'"):
        train(other, tmp_path / "second")


def test_a_network_that_sees_neighbours_begins_as_one_that_does_not(
    make_recipe, train, tmp_path, movie
):
    options = {"base": 4, "blocks": [1, 1], "conditions": 10}
    single = {"architecture": "lowdose", "options": options}
    several = {"architecture": "lowdose", "options": {**options, "frames": 3}}
    first, _ = train(make_recipe(network=single), tmp_path / "first")
    onward = make_recipe(
        network=several,
        data={"way": "thinning", "stack": str(movie)},
        steps=1,
        learning_rate=1e-12,
        top={"start": str(first.folder)},
    )
    second, _ = train(onward, tmp_path / "second")
    frames = np.random.default_rng(0).poisson(5, (5, 32, 32)).astype(np.float32)
    results = [np.asarray(denoise(frames, str(m.folder))) for m in (first, second)]
    np.testing.assert_allclose(*results, rtol=1e-4)


def test_fine_tuning_leaves_the_statistics_of_normalisation_as_they_are(
    make_recipe, train, tmp_path
):
    first, _ = train(make_recipe(), tmp_path / "first")
    tuned, _ = train(make_recipe(top={"start": str(first.folder)}), tmp_path / "second")
    a, b = (load_file(f.folder / WEIGHTS) for f in (first, tuned))
    statistics = [key for key in a if "running" in key]
    assert statistics
    assert all(torch.equal(a[key], b[key]) for key in statistics)
    assert not all(torch.equal(a[key], b[key]) for key in a)


def test_a_model_of_another_network_is_no_beginning(make_recipe, train, tmp_path):
    first, _ = train(make_recipe(), tmp_path / "first")
    network = {"architecture": "unet2", "options": {"scales": 2, "base": 8}}
    other = make_recipe(network=network, top={"start": str(first.folder)})
    with pytest.raises(ParameterError, match="is of another network"):
        train(other, tmp_path / "second")


def test_frozen_normalisation_keeps_its_statistics(make_recipe, train, tmp_path):
    train(make_recipe(freeze_norm=2), tmp_path)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    for key, value in saved["network"].items():
        if "running" in key:
            assert torch.equal(value, saved["average"][key]), key
        if "num_batches" in key:
            assert value == 2


def test_a_loss_that_is_wrong_for_the_targets_is_refused(
    make_recipe, train, tmp_path, movie
):
    data = {"way": "thinning", "stack": str(movie)}
    with pytest.raises(ParameterError, match="use 'poisson' or 'mse'"):
        train(make_recipe(data=data, loss="rmse"), tmp_path / "run")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_lowers_the_error(make_recipe, train, tmp_path, precision):
    recipe = make_recipe(steps=200, validate_every=100, batch=4, precision=precision)
    train(recipe, tmp_path)
    with (tmp_path / "curve.csv").open() as file:
        first, last = (float(row["loss"]) for row in csv.DictReader(file))
    assert last < 0.95 * first


def test_patches_larger_than_the_drawings_are_refused(make_recipe, train, tmp_path):
    with pytest.raises(ParameterError, match=r"patch=64 is larger than data\.size=48"):
        train(make_recipe(patch=64), tmp_path)
