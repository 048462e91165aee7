"""The widget Train on a ViewerModel, with real trainings of a few steps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool

from lowdose import catalogue
from lowdose.zoo.shelf import list_models
from napari_lowdose.training.records import find_record, read_records, trainings_folder
from napari_lowdose.widgets.train import TrainWidget

SIZE = 48


@pytest.fixture(autouse=True)
def _folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWDOSE_TRAININGS", str(tmp_path / "training"))
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))


@pytest.fixture
def movie(rng):
    rate = 4 + 3 * np.sin(np.arange(SIZE) / 3)
    return rng.poisson(rate, (9, SIZE, SIZE)).astype(np.uint8)


@pytest.fixture
def viewer(movie):
    viewer = ViewerModel()
    viewer.add_image(movie, name="my movie", scale=(1, 2, 2))
    return viewer


@pytest.fixture
def open_widget(qtbot):
    """Return a function that opens the widget in a viewer, as napari would."""
    opened = []

    def open_in(viewer, **values):
        widget = TrainWidget(viewer)
        qtbot.addWidget(widget)
        for event in ("inserted", "removed", "reordered", "renamed"):
            getattr(viewer.layers.events, event).connect(widget.reset_choices)
        widget.choices.start.choose(fresh="small")
        widget.choices.time.set_values({"minutes": 60})
        small = {"device": "cpu", "batch": 1, "patch": 16, "validate_every": 3}
        widget.choices.training.set_values({**small, **values})
        opened.append(widget)
        return widget

    yield open_in
    for widget in opened:
        widget.close_for_good()
    assert QThreadPool.globalInstance().waitForDone(60_000)


@pytest.fixture
def widget(viewer, open_widget):
    return open_widget(viewer)


def _status(widget):
    return widget.status.text()


def _mine():
    return [card.name for card in list_models() if card.group == "yours"]


@pytest.fixture
def train_a_while(until):
    """Return a function that trains until there are steps, validations, a preview."""

    def run(widget, *, validations=2):
        widget.train()
        until(
            lambda: widget.curves.points[1] >= validations or not widget.busy,
            timeout=120_000,
        )
        assert widget.busy, _status(widget)

    return run


def test_stop_and_keep_makes_a_model_that_denoises(
    widget, viewer, train_a_while, until
):
    train_a_while(widget)
    widget.stop_and_keep()
    until(lambda: not widget.busy, timeout=60_000)
    assert "my-movie" in _status(widget)
    assert _mine() == ["my-movie"]
    denoiser = catalogue.load("my-movie")
    assert denoiser.describe()
    assert read_records() == ([], [])
    assert list(trainings_folder().iterdir()) == []
    assert [layer.name for layer in viewer.layers] == ["my movie"]
