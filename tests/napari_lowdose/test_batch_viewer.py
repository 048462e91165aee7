"""The widget Batch in a real window: its dock, a real filter, real clicks."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest

from lowdose import io
from lowdose.inference import denoise
from lowdose.micrograph import Calibration, Micrograph
from napari_lowdose._batch_plan import read_plan

pytestmark = pytest.mark.gl

PLUGIN = "napari-lowdose"


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert QThreadPool.globalInstance().waitForDone(20_000)


@pytest.fixture
def folder(tmp_path, rng):
    for number in range(3):
        stack = rng.poisson(20, (2, 48, 64)).astype(np.uint16)
        calibration = Calibration.from_spacing((50.0, 4.0, 4.0), ("nm",) * 3)
        io.write(tmp_path / f"tilt{number}.mrc", Micrograph(stack, calibration))
    return tmp_path


def _open(viewer, folder, denoiser="gaussian"):
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Batch")
    widget.choices.method.denoisers.choose(denoiser)
    widget.choices.method.options.form.set_values({"device": "cpu"})
    widget.choices.add([folder])
    return dock, widget


def test_a_folder_is_denoised_and_a_double_click_opens_a_pair_side_by_side(
    make_napari_viewer, folder, until, let_events_run
):
    viewer = make_napari_viewer(show=True)
    _, widget = _open(viewer, folder)
    QTest.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    assert widget.jobs.busy
    until(lambda: not widget.jobs.busy)
    assert [row.state for row in widget.choices.table.rows] == ["done"] * 3
    table = widget.choices.table
    let_events_run()
    place = table.visualRect(table.model().index(1, 0)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    until(lambda: len(viewer.layers) == 2)
    noisy, clean = viewer.layers
    assert (noisy.name, clean.name) == ("tilt1", "tilt1 (gaussian)")
    assert viewer.canvas.grid.enabled
    wanted = denoise(io.read(folder / "tilt1.mrc"), "gaussian")
    np.testing.assert_array_equal(np.asarray(clean.data), wanted.data)
    assert widget.compare.side_by_side.isChecked()
    widget.compare.side_by_side.click()
    assert not viewer.canvas.grid.enabled
    viewer.screenshot(canvas_only=True, flash=False)


def test_closing_the_dock_during_a_batch_stops_it_and_it_can_be_gone_on_with(
    make_napari_viewer, folder, fakes, until, let_events_run
):
    viewer = make_napari_viewer()
    dock, widget = _open(viewer, folder, "gated")
    widget.run()
    until(lambda: fakes.loaded and fakes.loaded[0].threads)
    dock.destroyOnClose()  # what the cross in its title bar does
    let_events_run()
    assert widget.closed
    fakes.gate.release(1)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    assert len(fakes.loaded[0].batches) == 1
    plan = read_plan(folder / "denoised")
    assert plan is not None
    assert len(plan.sources) == 3


def test_closing_the_window_during_a_batch_stops_it(
    make_napari_viewer, folder, fakes, until, let_events_run
):
    viewer = make_napari_viewer()
    _, widget = _open(viewer, folder, "gated")
    widget.run()
    until(lambda: fakes.loaded and fakes.loaded[0].threads)
    viewer.close()
    let_events_run()
    fakes.gate.release(1)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    assert len(fakes.loaded[0].batches) == 1


def test_a_closed_batch_widget_leaves_no_trace(
    make_napari_viewer, folder, fakes, until, let_events_run
):
    viewer = make_napari_viewer()
    dock, widget = _open(viewer, folder, "box")
    widget.run()
    gone = weakref.ref(widget)
    until(lambda: not gone().jobs.busy)
    dock.destroyOnClose()
    del dock, widget
    let_events_run()
    gc.collect()
    assert gone() is None
    viewer.add_image(np.zeros((4, 4)))  # no callback is left to fail


def test_the_widget_works_with_the_proxy_that_plugins_are_given(
    make_napari_viewer_proxy, folder, until
):
    from napari_lowdose.widgets.batch import BatchWidget

    viewer = make_napari_viewer_proxy()
    widget = BatchWidget(viewer)
    viewer.window.add_dock_widget(widget)
    widget.choices.method.denoisers.choose("median")
    widget.choices.add([folder])
    widget.run()
    until(lambda: not widget.jobs.busy)
    widget.open_row(0)
    until(lambda: len(viewer.layers) == 2)
    widget.close_for_good()
