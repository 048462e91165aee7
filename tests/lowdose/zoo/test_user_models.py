import errno
import os
import shutil

import pytest
import torch

from lowdose import zoo
from lowdose.errors import (
    OutputError,
    ParameterError,
    UnknownDenoiserError,
    WeightsError,
)
from lowdose.networks import build
from lowdose.zoo.package import save_model
from lowdose.zoo.user_models import add_model, remove_model

OPTIONS = {"scales": 2, "base": 2}


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    folder = tmp_path / "shelf"
    monkeypatch.setenv("LOWDOSE_MODELS", str(folder))
    return folder


@pytest.fixture
def trained(tmp_path):
    """Return the folder of a training, with a model in it."""
    torch.manual_seed(0)
    folder = tmp_path / "run"
    save_model(
        folder / "model",
        build("unet2", **OPTIONS),
        name="mine",
        title="Mine",
        summary="For tests.",
        licence="CC0-1.0",
        architecture="unet2",
        options=OPTIONS,
        training={"seed": 0},
    )
    (folder / "model" / "curve.csv").write_text("step,loss\n1,2\n")
    (folder / "last.pt").write_bytes(b"large")
    return folder


def names():
    return [card.name for card in zoo.list_models() if card.group == "yours"]


def test_a_model_that_was_added_is_listed_and_loads(trained, shelf):
    card = add_model(trained)
    assert names() == ["mine"]
    shutil.rmtree(trained)
    assert zoo.load_model("mine").card.sha256 == card.sha256
    assert sorted(p.name for p in (shelf / "mine").iterdir()) == [
        "card.toml",
        "curve.csv",
        "weights.safetensors",
    ]


def test_a_model_can_be_added_under_another_name(trained):
    assert add_model(trained / "model", name="other").name == "other"
    assert names() == ["other"]
    assert zoo.read_card(trained / "model").name == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("general", "a model that comes with lowdose"),
        ("gaussian", "a filter"),
        ("../up", "letters, digits"),
    ],
)
def test_a_name_that_cannot_be_is_refused(trained, name, message):
    with pytest.raises(ParameterError, match=message):
        add_model(trained, name=name)
    assert names() == []


def test_a_model_is_replaced_only_where_that_is_asked_for(trained):
    add_model(trained)
    with pytest.raises(ParameterError, match="You have a model 'mine' already"):
        add_model(trained)
    add_model(trained, overwrite=True)
    assert names() == ["mine"]


def test_a_damaged_model_is_not_added(trained, shelf):
    weights = trained / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        add_model(trained)
    assert names() == []


def test_a_full_disk_leaves_nothing_half_copied(trained, shelf, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left"):
        add_model(trained)
    assert os.listdir(shelf) == []


def test_a_model_of_ones_own_can_be_removed_and_no_other(trained, shelf):
    add_model(trained)
    assert remove_model("mine") == shelf / "mine"
    assert names() == []
    with pytest.raises(UnknownDenoiserError, match="no model 'general' of your own"):
        remove_model("general")
