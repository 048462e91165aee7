import csv
import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lowdose import zoo
from lowdose.errors import Cancelled, OutputError, ParameterError, TrainingError
from lowdose.training import loop
from lowdose.training.config import recipe_from_dict


@pytest.fixture
def recipe():
    return recipe_from_dict(
        {
            "name": "tiny",
            "title": "Tiny",
            "summary": "For tests.",
            "licence": "CC0-1.0",
            "seed": 1,
            "data": {"kinds": {"amorphous": 1.0}, "images": 4, "size": 48},
            "network": {
                "architecture": "unet2",
                "options": {"scales": 2, "base": 4, "conditions": 2, "residual": True},
            },
            "training": {
                "steps": 4,
                "batch": 2,
                "patch": 32,
                "validate_every": 2,
                "warmup": 1,
                "precision": "float32",
            },
        }
    )


@pytest.fixture(autouse=True)
def few_validation_doses(monkeypatch):
    monkeypatch.setattr(loop, "VALIDATION_DOSES", (5.0,))


def run(*args, **kwargs):
    job = loop.iter_train(*args, **kwargs)
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def test_a_training_leaves_a_model_that_denoises(recipe, tmp_path):
    folder = run(recipe, tmp_path / "run")
    denoiser = zoo.load_model(folder)
    frame = np.random.default_rng(0).poisson(5, (32, 32)).astype(np.float32)
    clean = denoiser.denoise_patches(frame[None, None], [denoiser.measure(frame)])
    assert np.isfinite(clean).all()
    card = zoo.read_card(folder)
    assert card.details["training"]["steps"] == 4
    assert card.halo > 0
    with (tmp_path / "run" / "curve.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


def test_resuming_gives_the_weights_of_an_uninterrupted_run(recipe, tmp_path):
    straight = run(recipe, tmp_path / "straight")
    asked = iter([False] * 4 + [False] * 2 + [True])  # four images, three steps
    with pytest.raises(Cancelled, match="Stopped after step 3"):
        run(recipe, tmp_path / "broken", should_stop=lambda: next(asked))
    resumed = run(recipe, tmp_path / "broken", resume=True)
    a, b = (load_file(f / "weights.safetensors") for f in (straight, resumed))
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


def test_no_time_left_stops_with_a_checkpoint(recipe, tmp_path):
    with pytest.raises(Cancelled, match="is kept to resume"):
        run(recipe, tmp_path, minutes=0)
    assert (tmp_path / "checkpoint.pt").exists()


def test_a_folder_with_a_training_is_not_overwritten(recipe, tmp_path):
    run(recipe, tmp_path)
    with pytest.raises(OutputError, match="holds a training already"):
        run(recipe, tmp_path)


def test_a_checkpoint_of_another_recipe_is_refused(recipe, tmp_path):
    run(recipe, tmp_path)
    other = dataclasses.replace(recipe, seed=2)
    with pytest.raises(TrainingError, match="written by another recipe"):
        run(other, tmp_path, resume=True)


def test_the_texts_of_a_recipe_may_change_under_way(recipe, tmp_path):
    run(recipe, tmp_path)
    mended = dataclasses.replace(recipe, title="Better", card={"limits": ["none"]})
    card = zoo.read_card(run(mended, tmp_path, resume=True))
    assert card.title == "Better"
    assert card.details["limits"] == ["none"]


def test_a_damaged_checkpoint_is_refused(recipe, tmp_path):
    run(recipe, tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="is no checkpoint"):
        run(recipe, tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops_and_names_the_step(
    recipe, tmp_path, monkeypatch
):
    losses = iter([1.0, 1.0, float("nan")])
    learn = loop._State.learn
    monkeypatch.setattr(
        loop._State, "learn", lambda *args: (learn(*args), next(losses))[1]
    )
    with pytest.raises(TrainingError, match=r"loss of step 3 is nan.*checkpoint"):
        run(recipe, tmp_path)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 2


def test_the_learning_rate_rises_and_then_falls(recipe):
    plan = dataclasses.replace(recipe.training, steps=100, warmup=10)
    rates = [loop.learning_rate(step, plan) for step in range(101)]
    assert np.argmax(rates) == 9
    assert rates[0] == pytest.approx(0.1 * plan.learning_rate)
    assert rates[-1] == pytest.approx(0.01 * plan.learning_rate)


def test_a_restart_begins_a_lower_cosine_and_leaves_the_first_as_it_was(recipe):
    plain = dataclasses.replace(recipe.training, steps=100, warmup=10)
    longer = dataclasses.replace(plain, steps=150, restarts=[100], restart_factor=0.4)
    first, both = (
        [loop.learning_rate(step, plan) for step in range(plan.steps)]
        for plan in (plain, longer)
    )
    assert both[:100] == first
    assert both[100] == pytest.approx(0.4 * plain.learning_rate)
    assert both[-1] < 0.02 * plain.learning_rate


def test_a_training_can_begin_with_a_model(recipe, tmp_path):
    first = run(recipe, tmp_path / "first")
    plan = dataclasses.replace(
        recipe.training, steps=1, learning_rate=1e-12, freeze_norm=0
    )
    onward = dataclasses.replace(recipe, start=str(first), training=plan)
    second = run(onward, tmp_path / "second")
    a, b = (load_file(f / "weights.safetensors") for f in (first, second))
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, rtol=0, atol=1e-6)


def test_a_model_of_another_network_is_no_beginning(recipe, tmp_path):
    first = run(recipe, tmp_path / "first")
    network = dataclasses.replace(
        recipe.network, options={**recipe.network.options, "base": 8}
    )
    other = dataclasses.replace(recipe, start=str(first), network=network)
    with pytest.raises(ParameterError, match="is of another network"):
        run(other, tmp_path / "second")


def test_frozen_normalisation_keeps_its_statistics(recipe, tmp_path):
    plan = dataclasses.replace(recipe.training, freeze_norm=2)
    run(dataclasses.replace(recipe, training=plan), tmp_path)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for key, value in saved["network"].items():
        if "running" in key:
            assert torch.equal(value, saved["average"][key]), key
        if "num_batches" in key:
            assert value == 2


def test_training_lowers_the_error(recipe, tmp_path):
    plan = dataclasses.replace(recipe.training, steps=300, validate_every=150, batch=4)
    run(dataclasses.replace(recipe, training=plan), tmp_path)
    with (tmp_path / "curve.csv").open() as file:
        first, last = (float(row["loss"]) for row in csv.DictReader(file))
    assert last < 0.95 * first
