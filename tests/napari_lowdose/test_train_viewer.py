"""The widget Train in a real window: its dock, its preview, and closing napari."""

from __future__ import annotations

import gc
import importlib
import warnings
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtGui import QCloseEvent

from napari_lowdose.training.records import find_record, read_records
from napari_lowdose.widgets.choosers import GROUPS

pytestmark = pytest.mark.gl

PLUGIN = "napari-lowdose"
SIZE = 48


@pytest.fixture(scope="module", autouse=True)
def _torch_is_loaded():
    """Load what the first training would, which takes long on a busy machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("lightning_fabric")


@pytest.fixture(autouse=True)
def _folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWDOSE_TRAININGS", str(tmp_path / "training"))
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert QThreadPool.globalInstance().waitForDone(60_000)


@pytest.fixture
def open_train(make_napari_viewer, rng):
    """Return a function that opens a window with a movie and the widget."""

    def make(**more):
        viewer = make_napari_viewer(**more)
        rate = 4 + 3 * np.sin(np.arange(SIZE) / 3)
        movie = rng.poisson(rate, (9, SIZE, SIZE)).astype(np.uint8)
        viewer.add_image(movie, name="movie")
        dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Train")
        widget.choices.start.choose(fresh="small")
        widget.choices.time.set_values({"minutes": 60})
        widget.choices.training.set_values(
            {"device": "cpu", "batch": 1, "patch": 16, "validate_every": 3}
        )
        widget.preview_choices.form.set_values({"every": 0.5})
        return viewer, dock, widget

    return make


@pytest.fixture
def begin(until):
    """Return a function that trains until there is a validation."""

    def run(widget):
        widget.train_button.click()
        until(lambda: widget.curves.points[1] > 1 or not widget.busy, timeout=120_000)
        assert widget.busy, widget.status.text()

    return run


def test_a_few_seconds_of_training_make_a_model_that_denoises_the_layer(
    open_train, begin, until
):
    viewer, _, widget = open_train(show=True)
    begin(widget)
    until(lambda: widget.preview.layer is not None, timeout=60_000)
    widget.progress.keep.click()
    until(lambda: not widget.busy, timeout=120_000)
    assert read_records() == ([], [])
    widget.use_button.click()
    _, denoise = viewer.window.add_plugin_dock_widget(PLUGIN, "Denoise")
    info = denoise.choices.denoisers.info
    assert (info.name, info.group) == ("movie", "yours")
    assert GROUPS[info.group] == "Your models"
    denoise.choices.options.form.set_values({"device": "cpu"})
    denoise.choices.layers.choose(str(viewer.layers["movie"].unique_id))
    denoise.run()
    until(lambda: denoise.runner.busy)
    until(lambda: not denoise.runner.busy, timeout=120_000)
    noisy, clean = denoise.pair()
    assert clean.data.shape == noisy.data.shape
    assert np.isfinite(clean.data).all()
    # Hardly anything is learnt in so short a time, but the mean is kept.
    np.testing.assert_allclose(clean.data.mean(), noisy.data.mean(), rtol=0.01)


def test_closing_the_window_asks_and_stays_open_where_the_user_wants(
    open_train, begin, until
):
    _, _, widget = open_train(show=True)
    begin(widget)
    window = widget.window()
    asked = []
    widget.runner.guard.ask = lambda: asked.append(1)  # no
    assert not window.close()
    assert asked == [1]
    assert window.isVisible()
    before = widget.curves.points[1]
    until(lambda: widget.curves.points[1] > before + 1, timeout=60_000)


def test_closing_the_window_leaves_a_checkpoint_that_the_next_one_offers(
    open_train, begin
):
    viewer, _, widget = open_train(show=True)
    begin(widget)
    widget.runner.guard.ask = lambda: True
    # What Qt asks before the window closes; napari's fixture has to close it itself.
    event = QCloseEvent()
    assert not widget.runner.guard.eventFilter(widget.window(), event)
    assert event.isAccepted()
    record = find_record("movie")
    assert record is not None
    assert record.steps > 0
    assert not record.running
    viewer.close()
    _, _, again = open_train()
    assert again.resume_row.record == record
    assert again.resume_row.isVisibleTo(again)


def test_a_script_that_closes_the_viewer_is_not_asked(open_train, begin):
    viewer, _, widget = open_train(show=True)
    begin(widget)
    asked = []
    widget.runner.guard.ask = lambda: asked.append(1)
    viewer.close()
    assert asked == []


def test_closing_the_dock_leaves_a_checkpoint_and_no_trace(
    open_train, begin, let_events_run
):
    viewer, dock, widget = open_train()
    begin(widget)
    gone = weakref.ref(widget)
    dock.destroyOnClose()  # what the cross in its title bar does
    del dock, widget
    let_events_run()
    assert QThreadPool.globalInstance().waitForDone(60_000)
    let_events_run()
    gc.collect()
    assert gone() is None
    assert [layer.name for layer in viewer.layers] == ["movie"]
    assert find_record("movie").steps > 0
    viewer.add_image(np.zeros((4, 4)), name="later")  # no callback is left to fail
    viewer.theme = "light"


def test_the_curves_follow_the_theme(open_train):
    viewer, _, widget = open_train()
    dark = widget.curves.upper.getAxis("left").textPen().color().name()
    viewer.theme = "light"
    assert widget.curves.upper.getAxis("left").textPen().color().name() != dark


def test_it_works_with_the_proxy_that_plugins_are_given(
    make_napari_viewer_proxy, rng, until
):
    from napari_lowdose.widgets.train import TrainWidget

    viewer = make_napari_viewer_proxy()
    viewer.add_image(rng.poisson(5, (SIZE, SIZE)).astype(np.uint8), name="frame")
    widget = TrainWidget(viewer)  # a private attribute of napari would be an error
    viewer.window.add_dock_widget(widget)
    widget.choices.start.choose(fresh="small")
    widget.choices.training.set_values({"batch": 1, "patch": 16, "validate_every": 2})
    widget.train()
    until(lambda: widget.preview.layer is not None, timeout=120_000)
    widget.stop_and_keep()
    until(lambda: not widget.busy, timeout=120_000)
    widget.use_model()
