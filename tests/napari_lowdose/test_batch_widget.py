"""The widget "Batch" on a ViewerModel: everything but the drawing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPoint, Qt, QThreadPool, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest

from lowdose import io
from lowdose.inference import DenoiseOptions
from lowdose.micrograph import Calibration, Micrograph
from napari_lowdose._batch_plan import PLAN_NAME, read_plan
from napari_lowdose._provenance import METADATA_KEY, find_pair
from napari_lowdose.widgets.batch import BatchWidget


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def files(tmp_path, rng):
    """Return three files of which the second is damaged, in a folder of their own."""
    folder = tmp_path / "day1"
    folder.mkdir()
    paths = []
    for number in (1, 2, 10):
        path = folder / f"frame{number}.tif"
        stack = rng.poisson(9, (3, 24, 32)).astype(np.uint16)
        calibration = Calibration.from_spacing((50.0, 4.0, 4.0), ("nm",) * 3)
        io.write(path, Micrograph(stack, calibration))
        paths.append(path)
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    return paths


@pytest.fixture
def open_widget(fakes, qtbot, viewer):
    opened = []
    # So that every frame is a batch of its own, which the gate can hold up.
    one_by_one = DenoiseOptions(batch=1, device="cpu")

    def make(denoiser="box"):
        widget = BatchWidget(viewer)
        widget.choices.method.options.options = lambda: one_by_one
        qtbot.addWidget(widget)
        for event in ("inserted", "removed"):
            getattr(viewer.layers.events, event).connect(widget.reset_choices)
        widget.choices.method.denoisers.choose(denoiser)
        opened.append(widget)
        return widget

    yield make
    fakes.gate.release(10_000)
    for widget in opened:
        widget.close_for_good()
    assert QThreadPool.globalInstance().waitForDone(20_000)


@pytest.fixture
def run(until):
    def start_and_wait(widget):
        widget.run()
        until(lambda: not widget.jobs.busy)

    return start_and_wait


def states(widget):
    return [row.state for row in widget.choices.table.rows]


def test_a_folder_is_denoised_into_another_and_a_damaged_file_stops_no_other(
    open_widget, files, run
):
    widget = open_widget()
    widget.choices.add([files[0].parent])
    assert widget.choices.table.paths == files  # 2 before 10
    assert widget.choices.folder == files[0].parent / "denoised"
    run(widget)
    assert states(widget) == ["done", "failed", "done"]
    assert "3 of 3 files" in widget.status.text()
    assert "2 denoised, 1 failed" in widget.status.text()
    assert "✗ frame2.tif" in widget.status.text()
    result = io.read(widget.choices.folder / "frame10-denoised.tif")
    np.testing.assert_allclose(result, np.asarray(io.read(files[2]).data), rtol=1e-5)
    assert result.calibration.axes[-1].spacing == 4.0
    assert not (widget.choices.folder / PLAN_NAME).exists()


def test_the_reason_of_a_failure_is_in_the_tool_tip_of_its_row(open_widget, files, run):
    widget = open_widget()
    widget.choices.add(files)
    run(widget)
    model = widget.choices.table.model()
    tip = model.data(model.index(1, 1), Qt.ItemDataRole.ToolTipRole)
    assert "frame2.tif" in tip
    assert "damaged" in tip
    assert model.data(model.index(1, 1)) == "✗ failed"
    assert model.data(model.index(0, 0)) == "frame1.tif"


def test_parameters_and_format_are_those_of_the_form(open_widget, files, run, fakes):
    widget = open_widget()
    widget.choices.add(files[:1])
    widget.choices.method.set_values({"gain": 2.0, "width": 9})
    widget.choices.format_box.setCurrentText(".mrc")
    run(widget)
    assert fakes.loaded[-1].values == {"gain": 2.0, "width": 9}
    result = io.read(widget.choices.folder / "frame1-denoised.mrc")
    step = result.calibration.provenance[-1]
    assert step.details["denoiser"]["parameters"]["width"] == 9


def test_what_cannot_be_run_is_said_and_nothing_is_begun(open_widget, files, fakes):
    widget = open_widget()
    assert not widget.run_button.isEnabled()
    assert "Add files" in widget.status.text()
    widget.run()
    assert not widget.jobs.busy
    widget.choices.add(files[:1])
    assert widget.run_button.isEnabled()
    widget.choices.folder_edit.setText("")
    widget.choices.folder_edit.editingFinished.emit()
    assert not widget.run_button.isEnabled()
    assert not fakes.loaded


def test_results_never_replace_the_files(open_widget, files, fakes):
    twin = files[0].with_name("frame1-denoised.tif")
    files[0].with_name("frame1.tif").replace(twin)
    source = files[0].with_name("frame1.mrc")
    io.write(source, io.read(twin))
    before = twin.read_bytes()
    widget = open_widget()
    widget.choices.add([source, twin])
    widget.choices.set_folder(source.parent)
    widget.run()
    assert not widget.jobs.busy
    assert "would replace the input" in widget.status.text()
    assert "give -o" not in widget.status.text()
    assert twin.read_bytes() == before
    assert not fakes.loaded


def test_cancel_keeps_what_is_finished_and_run_goes_on_from_there(
    open_widget, files, until, run, fakes
):
    widget = open_widget("gated")
    widget.choices.add([files[0], files[2]])
    fakes.gate.release(4)  # the first file, and the first frame of the second
    widget.run()
    until(lambda: states(widget) == ["done", "running"])
    until(lambda: len(fakes.loaded[0].batches) == 4)
    widget.cancel()
    fakes.gate.release(1)
    until(lambda: not widget.jobs.busy)
    assert states(widget) == ["done", "cancelled"]
    assert "Stopped. 1 of 2 files" in widget.status.text()
    assert "goes on" in widget.status.text()
    fakes.gate.release(100)
    run(widget)
    assert states(widget) == ["present", "done"]
    resumed = widget.choices.table.rows[1].outcome.frames_resumed
    assert 1 <= resumed <= 2
    assert "1 denoised, 1 there already" in widget.status.text()


def test_without_going_on_a_cancelled_batch_leaves_no_half_file(
    open_widget, files, until, fakes
):
    widget = open_widget("gated")
    widget.choices.add([files[0]])
    widget.choices.resume_box.setChecked(False)
    fakes.gate.release(1)
    widget.run()
    until(lambda: fakes.loaded and fakes.loaded[0].batches)
    widget.cancel()
    fakes.gate.release(100)
    until(lambda: not widget.jobs.busy)
    assert not list(widget.choices.folder.iterdir())


def test_a_batch_that_was_stopped_is_offered_when_its_folder_is_chosen_again(
    open_widget, files, until, fakes
):
    first = open_widget("gated")
    first.choices.add([files[0], files[2]])
    first.choices.method.set_values({"width": 9})
    fakes.gate.release(4)
    first.run()
    until(lambda: states(first) == ["done", "running"])
    folder = first.choices.folder
    first.close_for_good()  # as when its dock is closed
    fakes.gate.release(100)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    assert read_plan(folder).denoiser == "gated"

    again = open_widget("box")
    assert not again.go_on_button.isVisibleTo(again)
    again.choices.set_folder(folder)
    assert again.go_on_button.isVisibleTo(again)
    again.go_on()
    until(lambda: not again.jobs.busy)
    assert again.choices.method.denoisers.name == "gated"
    assert again.choices.method.values()["width"] == 9
    assert states(again) == ["present", "done"]
    assert not again.go_on_button.isVisibleTo(again)
    assert sorted(p.name for p in folder.iterdir()) == [
        "frame1-denoised.tif",
        "frame10-denoised.tif",
    ]


def test_a_batch_with_a_denoiser_that_is_gone_is_not_gone_on_with(
    open_widget, files, tmp_path, fakes
):
    record = {"version": 1, "sources": [str(files[0])], "suffix": ".tif"}
    record |= {"denoiser": "mine", "values": {}}
    (tmp_path / PLAN_NAME).write_text(json.dumps(record))
    widget = open_widget()
    widget.choices.set_folder(tmp_path)
    widget.go_on()
    assert not widget.jobs.busy
    assert "'mine', which is not here" in widget.status.text()
    assert not fakes.loaded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"version": 2}',
        '{"version": 1, "sources": [], "suffix": "", "denoiser": "", "values": {}}',
        '{"version": 1, "sources": [3], "suffix": "", "denoiser": "", "values": {}}',
        '{"version": 1, "sources": ["\\u0000"], "suffix": "", "denoiser": "", '
        '"values": {}}',
        '{"version": 1, "sources": ["a"], "suffix": "", "denoiser": "", '
        '"values": {"a": []}}',
    ],
)
def test_a_plan_of_nonsense_is_no_plan(tmp_path, text):
    (tmp_path / PLAN_NAME).write_text(text)
    assert read_plan(tmp_path) is None


def test_a_result_of_something_else_fails_until_it_may_be_replaced(
    open_widget, files, run
):
    widget = open_widget()
    widget.choices.add(files[:1])
    run(widget)
    widget.choices.method.set_values({"gain": 3.0})
    run(widget)
    assert states(widget) == ["failed"]
    assert "'Replace results that are there'" in widget.status.text()
    widget.choices.replace_box.setChecked(True)
    run(widget)
    assert states(widget) == ["done"]


def test_a_denoiser_that_cannot_be_loaded_is_told_once(
    open_widget, files, run, monkeypatch
):
    from lowdose import catalogue
    from lowdose.errors import WeightsError

    def refuse(name, **values):
        raise WeightsError("The weights are damaged.")

    widget = open_widget()
    widget.choices.add(files)
    monkeypatch.setattr(catalogue, "load", refuse)
    run(widget)
    assert widget.status.text() == "The weights are damaged."
    assert states(widget) == ["waiting"] * 3


def test_a_double_click_shows_a_result_beside_its_input(
    open_widget, files, run, viewer, until
):
    widget = open_widget()
    widget.choices.add(files)
    run(widget)
    widget.open_row(2)
    until(lambda: len(viewer.layers) == 2)
    noisy, clean = viewer.layers
    assert (noisy.name, clean.name) == ("frame10", "frame10 (box)")
    assert find_pair(viewer, noisy) == (noisy, clean)
    assert widget.pair() == (noisy, clean)
    assert viewer.canvas.grid.enabled
    assert tuple(clean.scale) == (50, 4, 4)
    ours = clean.metadata[METADATA_KEY]
    assert ours["complete"]
    assert ours["denoiser"] == "box"
    assert ours["provenance"]
    widget.open_row(2)  # a second time shows the same layers
    assert len(viewer.layers) == 2
    viewer.layers.remove(clean)
    until(lambda: not viewer.canvas.grid.enabled)
    widget.open_row(2)  # the user removed one: both are opened anew
    until(lambda: len(viewer.layers) == 3)


def test_a_file_without_a_result_is_opened_alone_and_a_damaged_one_is_told(
    open_widget, files, viewer, until
):
    widget = open_widget()
    widget.choices.add(files)
    widget.open_row(0)
    until(lambda: len(viewer.layers) == 1)
    assert viewer.layers[0].name == "frame1"
    assert not viewer.canvas.grid.enabled
    widget.open_row(1)
    until(lambda: "frame2.tif" in widget.status.text())
    assert len(viewer.layers) == 1


def test_files_can_be_dropped_removed_and_are_taken_once(open_widget, files, fakes):
    widget = open_widget()
    table = widget.choices.table
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in files])
    drop = QDropEvent(
        QPoint(5, 5).toPointF(),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    table.dropEvent(drop)
    widget.choices.add(files)
    assert table.paths == files
    table.selectRow(1)
    QTest.keyClick(table, Qt.Key.Key_Delete)
    assert table.paths == [files[0], files[2]]


def test_files_stay_on_the_table_while_they_are_denoised(
    open_widget, files, fakes, until
):
    widget = open_widget("gated")
    widget.choices.add(files)
    widget.run()
    until(lambda: fakes.loaded and fakes.loaded[0].threads)
    widget.choices.table.selectRow(0)
    widget.choices.table.remove_selected()
    assert widget.choices.table.paths == files
    assert not widget.choices.method.form.isEnabled()
    fakes.gate.release(100)
    until(lambda: not widget.jobs.busy)


def test_progress_counts_files_and_says_the_time_left(open_widget, files, fakes, until):
    widget = open_widget("gated")
    widget.choices.add([files[0], files[2]])
    widget.run()
    for _ in range(4):
        fakes.gate.release(1)
    until(lambda: "1 of 2 files" in widget.progress.text)
    assert "left" in widget.progress.text
    fakes.gate.release(100)
    until(lambda: not widget.jobs.busy)


def test_closing_the_widget_stops_the_batch_and_says_nothing_more(
    open_widget, files, fakes, until, let_events_run
):
    widget = open_widget("gated")
    widget.choices.add(files)
    widget.run()
    until(lambda: fakes.loaded and fakes.loaded[0].threads)
    widget.close_for_good()
    fakes.gate.release(1)
    assert QThreadPool.globalInstance().waitForDone(20_000)
    let_events_run()
    assert len(fakes.loaded[0].batches) == 1
