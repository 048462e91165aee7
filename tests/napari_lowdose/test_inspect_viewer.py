"""The widget Inspect in a real window: its dock, its canvas and real clicks."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtTest import QTest

from lowdose.inference import denoise

pytestmark = pytest.mark.gl

PLUGIN = "napari-lowdose"
SCALE = 4.0


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert QThreadPool.globalInstance().waitForDone(20_000)


@pytest.fixture
def open_inspected(make_napari_viewer, rng, until):
    """Return a function that opens a window in which a pair is inspected."""

    def make(**more):
        viewer = make_napari_viewer(**more)
        counts = rng.poisson(20, (64, 80)).astype(np.uint16)
        place = {"scale": (SCALE, SCALE), "units": ("nm", "nm")}
        viewer.add_image(counts, name="noisy", **place)
        clean = np.asarray(denoise(counts, "gaussian", sigma=2.0))
        viewer.add_image(clean, name="clean", **place)
        dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Inspect")
        for name, box in widget.choices.checks.items():
            box.setChecked(name == "residuals")
        for box, name in (
            (widget.choices.noisy, "noisy"),
            (widget.choices.denoised, "clean"),
        ):
            box.choose(str(viewer.layers[name].unique_id))
        widget.run()
        until(lambda: not widget.jobs.busy, timeout=120_000)
        assert widget.view.active, widget.status.text()
        return viewer, dock, widget

    return make


@pytest.mark.parametrize("cell", [(0, 0), (0, 1), (1, 0)])
def test_a_click_into_any_picture_means_the_pixel_under_it(
    open_inspected, let_events_run, cell
):
    viewer, _, widget = open_inspected(show=True)
    viewer.window.resize(1100, 800)
    let_events_run(300)
    viewer.scene.camera.center = (0, 20 * SCALE, 30 * SCALE)
    let_events_run(200)
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (2, 2)
    heard = []
    widget.clicks.clicked.connect(lambda *pixel: heard.append(pixel))
    canvas = viewer.window._qt_viewer.canvas.native
    row, column = cell
    middle = QPoint(
        round(canvas.width() * (1 + 2 * column) / 4),
        round(canvas.height() * (1 + 2 * row) / 4),
    )
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
    let_events_run(200)
    assert len(heard) == 1
    np.testing.assert_allclose(heard[0], (20, 30), atol=2)
    marked = viewer.layers["marks on denoised"].data
    np.testing.assert_array_equal(marked, [heard[0]])


def test_a_drag_pans_and_chooses_nothing(open_inspected, let_events_run):
    viewer, _, widget = open_inspected(show=True)
    let_events_run(300)
    heard = []
    widget.clicks.clicked.connect(lambda *pixel: heard.append(pixel))
    canvas = viewer.window._qt_viewer.canvas.native
    start = QPoint(canvas.width() // 4, canvas.height() // 4)
    end = start + QPoint(40, 25)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(canvas, end)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)
    let_events_run(200)
    assert heard == []


def test_closing_the_dock_puts_everything_back_and_leaves_no_trace(
    open_inspected, let_events_run
):
    viewer, dock, widget = open_inspected()
    gone = weakref.ref(widget)
    dock.destroyOnClose()  # what the cross in its title bar does
    del dock, widget
    let_events_run()
    gc.collect()
    assert gone() is None
    assert [(x.name, x.visible) for x in viewer.layers] == [
        ("noisy", True),
        ("clean", True),
    ]
    assert not viewer.canvas.grid.enabled
    viewer.add_image(np.zeros((4, 4)), name="later")  # no callback is left to fail
    viewer.screenshot(canvas_only=True, flash=False)


def test_closing_the_window_while_maps_are_shown_raises_nothing(
    open_inspected, let_events_run
):
    viewer, _, _ = open_inspected()
    viewer.close()
    let_events_run()


def test_it_works_with_the_proxy_that_plugins_are_given(
    make_napari_viewer_proxy, rng, until
):
    from napari_lowdose.widgets.inspect import InspectWidget

    viewer = make_napari_viewer_proxy()
    counts = rng.poisson(20, (64, 64)).astype(np.uint16)
    viewer.add_image(counts, name="noisy")
    viewer.add_image(np.asarray(denoise(counts, "gaussian", sigma=2.0)), name="clean")
    widget = InspectWidget(viewer)  # a private attribute of napari would be an error
    viewer.window.add_dock_widget(widget)
    for name, box in widget.choices.checks.items():
        box.setChecked(name == "residuals")
    widget.choices.noisy.choose(str(viewer.layers["noisy"].unique_id))
    widget.choices.denoised.choose(str(viewer.layers["clean"].unique_id))
    widget.run()
    until(lambda: not widget.jobs.busy, timeout=120_000)
    assert viewer.canvas.grid.enabled, widget.status.text()
    widget.pick(10, 12)
    widget.close_for_good()
    assert [x.name for x in viewer.layers] == ["noisy", "clean"]
