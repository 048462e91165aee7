"""A few tests in a real window: what only docks, menus and a canvas can show."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtGui import QOpenGLContext
from qtpy.QtOpenGLWidgets import QOpenGLWidget

from napari_lowdose._compare import comparison_of
from napari_lowdose.widgets import preview as preview_module

pytestmark = pytest.mark.gl

PLUGIN = "napari-lowdose"


@pytest.fixture
def noisy(rng):
    return rng.poisson(20, (4, 64, 80)).astype(np.uint16)


@pytest.fixture
def open_viewer(make_napari_viewer, noisy):
    """Return a function that opens a window with a calibrated stack in it."""

    def make(**more):
        viewer = make_napari_viewer(**more)
        viewer.add_image(
            noisy,
            name="noisy",
            scale=(50, 4, 4),
            units=("nm", "nm", "nm"),
            axis_labels=("z", "y", "x"),
        )
        return viewer

    return make


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert QThreadPool.globalInstance().waitForDone(20_000)


def _open(viewer, denoiser="gaussian"):
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Denoise")
    widget.choices.denoisers.choose(denoiser)
    widget.choices.options.form.set_values({"device": "cpu"})
    return dock, widget


def _names(viewer):
    return [layer.name for layer in viewer.layers]


def test_a_real_filter_denoises_the_layer_in_a_real_window(open_viewer, noisy, until):
    viewer = open_viewer()
    _, widget = _open(viewer)
    widget.run()
    until(lambda: not widget.runner.busy)
    result = viewer.layers["noisy (gaussian)"]
    assert result.data.std() < 0.6 * noisy.std()
    np.testing.assert_allclose(
        result.data.mean(axis=(1, 2)), noisy.mean(axis=(1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(result.scale, (50, 4, 4))
    viewer.screenshot(canvas_only=True, flash=False)


def test_closing_the_dock_during_a_run_stops_the_work(
    open_viewer, fakes, until, let_events_run
):
    viewer = open_viewer()
    dock, widget = _open(viewer, "gated")
    widget.run()
    until(lambda: fakes.loaded and fakes.loaded[0].threads)
    assert "noisy (gated)" in _names(viewer)
    dock.destroyOnClose()  # what the cross in its title bar does
    let_events_run()
    assert widget.closed
    assert _names(viewer) == ["noisy"]
    fakes.gate.release(1)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    let_events_run()
    assert len(fakes.loaded[0].batches) == 1
    assert _names(viewer) == ["noisy"]
    viewer.add_image(np.zeros((4, 4)), name="later")  # no callback is left to fail
    viewer.dims.set_current_step(0, 1)


def test_closing_the_window_during_a_run_stops_the_work(
    open_viewer, fakes, until, let_events_run
):
    viewer = open_viewer()
    _, widget = _open(viewer, "gated")
    widget.run()
    until(lambda: fakes.loaded and fakes.loaded[0].threads)
    viewer.close()
    let_events_run()
    fakes.gate.release(1)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    let_events_run()
    assert len(fakes.loaded[0].batches) == 1


def test_closing_the_window_during_a_preview_stops_the_work(
    open_viewer, fakes, until, let_events_run, monkeypatch
):
    monkeypatch.setattr(preview_module, "QUIET", 5)
    viewer = open_viewer()
    _, widget = _open(viewer, "gated")
    widget.preview_box.setChecked(True)
    until(lambda: fakes.loaded and fakes.loaded[0].threads)
    viewer.close()
    fakes.gate.release(1)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    let_events_run()


def test_hiding_the_dock_does_not_stop_the_work(open_viewer, fakes, until):
    viewer = open_viewer(show=True)
    dock, widget = _open(viewer, "gated")
    widget.run()
    dock.setVisible(False)
    fakes.gate.release(4)
    until(lambda: not widget.runner.busy)
    assert not widget.closed
    assert "noisy (gated)" in _names(viewer)


def test_a_closed_dock_can_be_opened_again_and_remembers(
    open_viewer, until, let_events_run
):
    viewer = open_viewer()
    dock, widget = _open(viewer)
    name = widget.choices.form.names[0]
    before = widget.choices.values()[name]
    widget.choices.form.set_values({name: before + 1})
    dock.destroyOnClose()
    let_events_run()
    _, again = _open(viewer)
    assert again is not widget
    assert again.choices.values()[name] == before + 1


def test_a_closed_widget_leaves_no_trace(open_viewer, fakes, let_events_run):
    viewer = open_viewer()
    dock, widget = _open(viewer, "box")
    widget.preview_box.setChecked(True)
    gone = weakref.ref(widget)
    dock.destroyOnClose()
    del dock, widget
    let_events_run()
    gc.collect()
    assert gone() is None


def test_the_preview_covers_what_is_on_the_screen(
    open_viewer, until, let_events_run, monkeypatch
):
    monkeypatch.setattr(preview_module, "QUIET", 5)
    viewer = open_viewer(show=True)
    viewer.window.resize(900, 700)
    _, widget = _open(viewer)
    let_events_run()
    viewer.scene.camera.center = (0, 128, 160)
    viewer.scene.camera.zoom = 20
    let_events_run(200)
    widget.preview_box.setChecked(True)
    until(lambda: widget.preview.layer is not None)
    small = widget.preview.layer.data.shape
    assert small[1] < 64
    assert small[2] < 80
    viewer.reset_view()
    until(lambda: widget.preview.layer.data.shape == (1, 64, 80))


def test_comparing_in_a_real_window_puts_everything_back(
    open_viewer, until, let_events_run
):
    viewer = open_viewer(show=True)
    _, widget = _open(viewer)
    widget.run()
    until(lambda: not widget.runner.busy)
    before = [(x.name, x.visible, x.contrast_limits) for x in viewer.layers]
    widget.compare.side_by_side.click()
    let_events_run()
    assert viewer.canvas.grid.enabled
    widget.compare.side_by_side.click()
    let_events_run()
    assert not viewer.canvas.grid.enabled
    assert [(x.name, x.visible, x.contrast_limits) for x in viewer.layers] == before


@pytest.mark.parametrize("end", ["button", "removed", "cleared"])
def test_comparing_again_and_again_keeps_nothing_of_the_canvas(
    open_viewer, noisy, let_events_run, end
):
    from vispy.scene.widgets import Grid

    viewer = open_viewer()
    comparison = comparison_of(viewer)
    grids = []
    for _ in range(4):
        viewer.layers.clear()
        pair = [viewer.add_image(noisy) for _ in range(2)]
        comparison.enter(*pair)
        let_events_run(10)
        if end == "button":
            comparison.leave()
        elif end == "removed":
            viewer.layers.remove(pair[0])
        else:
            viewer.layers.clear()
        let_events_run(10)
        assert not comparison.active
        gc.collect()
        # Not isinstance, which asks objects for their class: some of torch warn then.
        grids.append(sum(issubclass(type(thing), Grid) for thing in gc.get_objects()))
    assert grids == grids[:1] * len(grids)


def test_closing_the_window_while_comparing_raises_nothing(
    open_viewer, until, let_events_run
):
    viewer = open_viewer()
    _, widget = _open(viewer)
    widget.run()
    until(lambda: not widget.runner.busy)
    widget.compare.side_by_side.click()
    viewer.close()
    let_events_run()


def test_menus_and_palette_have_the_commands(open_viewer):
    from napari._app_model import get_app_model

    open_viewer()
    commands = get_app_model().commands
    titles = {c.id: c.title for _, c in commands if c.id.startswith(PLUGIN)}
    assert titles[f"{PLUGIN}.denoise"] == "Denoise (Low-dose denoising)"
    assert "Compare" in titles[f"{PLUGIN}.compare"]
    for menu, command in (
        ("napari/layers/filter", "denoise"),
        ("napari/layers/visualize", "compare"),
    ):
        items = get_app_model().menus.get_menu(menu)
        ids = {item.command.id for item in items if hasattr(item, "command")}
        assert f"{PLUGIN}.{command}" in ids


def test_the_widget_works_with_the_proxy_that_plugins_are_given(
    make_napari_viewer_proxy, noisy, until
):
    from napari_lowdose.widgets.denoise import DenoiseWidget

    viewer = make_napari_viewer_proxy()
    viewer.add_image(noisy, name="noisy")
    widget = DenoiseWidget(viewer)  # a private attribute of napari would be an error
    viewer.window.add_dock_widget(widget)
    widget.choices.denoisers.choose("gaussian")
    widget.run()
    until(lambda: not widget.runner.busy)
    assert "noisy (gaussian)" in _names(viewer)
    widget.compare.side_by_side.click()
    widget.compare.side_by_side.click()
    widget.preview_box.setChecked(True)
    until(lambda: widget.preview.layer is not None)
    widget.close_for_good()


@pytest.mark.parametrize("sample", ["movie", "frame"])
def test_the_samples_open_calibrated(make_napari_viewer, sample):
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample(PLUGIN, sample)
    assert layer.ndim == (3 if sample == "movie" else 2)
    assert str(layer.units[-1]) == "nanometer"
    assert layer.axis_labels[-2:] == ("y", "x")
    assert np.asarray(layer.data).min() >= 0


@pytest.mark.parametrize(
    "name", ["Denoise", "Compare noisy and denoised", "Inspect", "Batch", "Train"]
)
def test_layers_go_in_the_context_of_the_canvas_while_a_widget_is_open(
    make_napari_viewer, qtbot, name
):
    viewer = make_napari_viewer(show=True)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", name)
    (canvas,) = dock.parentWidget().findChildren(QOpenGLWidget)
    qtbot.waitUntil(canvas.isValid)
    found = []
    viewer.layers.events.removed.connect(
        lambda: found.append(QOpenGLContext.currentContext()), position="first"
    )
    for floating in (False, True):
        dock.setFloating(floating)
        layer = viewer.add_image(np.zeros((8, 8), np.float32))
        canvas.doneCurrent()  # as Qt leaves it when it has painted another widget
        viewer.layers.remove(layer)
        assert found.pop() is canvas.context()
    widget.close_for_good()
    viewer.add_image(np.zeros((8, 8), np.float32))
    canvas.doneCurrent()
    viewer.layers.clear()
    assert found.pop() is None  # it is napari's own affair again
