from __future__ import annotations

import gc
import html
import re
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import Qt

from lowdose import catalogue
from lowdose.inference import denoise
from lowdose.micrograph import Axis, Calibration, Micrograph
from napari_lowdose._layers import (
    micrograph_to_layer,
    result_to_layer,
    take_snapshot,
    to_micrograph,
)
from napari_lowdose._provenance import METADATA_KEY, describe_calibration
from napari_lowdose.inspection.checks import CHECKS
from napari_lowdose.widgets.inspect import InspectWidget

SIZE, SPACING = 72, 12


def _movie(rng, frames=2):
    """Draw columns on a square lattice, in a nanometre scale with an offset."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    rate = np.full((SIZE, SIZE), 6.0)
    for row in range(9, SIZE, SPACING):
        for column in range(9, SIZE, SPACING):
            rate += 14 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 2.5**2))
    axes = (
        Axis(label="t", spacing=0.1, unit="s"),
        Axis(label="y", spacing=0.02, unit="nm", origin=1.0),
        Axis(label="x", spacing=0.02, unit="nm", origin=-2.0),
    )
    counts = rng.poisson(rate, (frames, SIZE, SIZE)).astype(np.uint16)
    return Micrograph(counts, Calibration(axes=axes), "movie")


def add_pair(viewer, micrograph, name="gaussian", **values):
    """Add a layer and its denoised one, as the Denoise widget leaves them."""
    noisy = viewer.add_layer(Layer.create(*micrograph_to_layer(micrograph)))
    source = take_snapshot(noisy)
    result = denoise(to_micrograph(source), name, **values)
    data, state, kind = result_to_layer(
        result.data, source, denoiser=name, values=values
    )
    state["metadata"][METADATA_KEY] |= {
        **describe_calibration(result.calibration),
        "complete": True,
    }
    return noisy, viewer.add_layer(Layer.create(data, state, kind))


@pytest.fixture
def viewer(rng):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((20, 20)), name="other", visible=False)
    add_pair(viewer, _movie(rng), sigma=1.5)
    viewer.dims.set_current_step(0, 1)
    return viewer


@pytest.fixture
def make(qtbot):
    widgets = []

    def make(viewer, *checks):
        widget = InspectWidget(viewer)
        qtbot.addWidget(widget)
        widgets.append(widget)
        widget.choices.options.set_values({"device": "cpu"})
        widget.choices.form.set_values({"repeats": 2})
        tick(widget, *checks)
        return widget

    yield make
    for widget in widgets:
        widget.close_for_good()


def tick(widget, *checks):
    for name, box in widget.choices.checks.items():
        box.setChecked(name in checks)


@pytest.fixture(scope="module")
def show_found():
    """Return what shows columns and residual in a widget; they are tested only once."""
    kept = []

    def show(widget, until):
        if kept:
            widget.show_found(kept[0])
            return
        widget.run()
        finish(widget, until)
        assert widget.inspected is not None, widget.status.text()
        kept.append(widget.inspected)

    return show


@pytest.fixture
def inspected(viewer, make, until, show_found):
    """Return a widget that has tested the columns and checked the residual."""
    widget = make(viewer, "evidence", "residuals")
    show_found(widget, until)
    return widget


def finish(widget, until):
    """Wait for the job of a widget, on a machine that may be busy with others."""
    until(lambda: not widget.jobs.busy, timeout=240_000)


def state_of(viewer):
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    return {
        "grid": (grid.enabled, grid.shape, grid.stride, grid.spacing),
        "camera": (camera.center, camera.zoom, camera.angles),
        "layers": [
            (x.name, x.visible, tuple(getattr(x, "contrast_limits", ())))
            for x in viewer.layers
        ],
        "active": viewer.layers.selection.active,
        "step": viewer.dims.current_step,
        "clicks": list(viewer.mouse_drag_callbacks),
    }


def pictures(viewer):
    """Return the name of the image in every cell of the grid, in reading order."""
    grid = viewer.canvas.grid
    cells = {}
    for number, layer in enumerate(viewer.layers):
        if layer.visible and layer.name[:5] != "marks":
            cells[grid.position(number, viewer.layers)] = layer.name
    return [cells[place] for place in sorted(cells)]


def test_the_pair_is_found_by_its_provenance(viewer, make):
    viewer.layers.selection.active = viewer.layers["other"]
    widget = make(viewer, "residuals")
    assert widget.choices.noisy.layer is viewer.layers["movie"]
    assert widget.choices.denoised.layer is viewer.layers["movie (gaussian)"]
    assert "gaussian" in widget.choices.made_by.text()
    assert "sigma 1.5" in widget.choices.made_by.text()
    assert widget.run_button.isEnabled()


def test_choosing_one_of_a_pair_chooses_the_other(viewer, rng, make):
    noisy, result = add_pair(viewer, _movie(rng).replace(name="second"), sigma=2.0)
    widget = make(viewer, "residuals")
    for box, layer in (
        (widget.choices.noisy, "movie"),
        (widget.choices.denoised, result),
    ):
        layer = viewer.layers[layer] if isinstance(layer, str) else layer
        box.choose(str(layer.unique_id))
    assert widget.choices.noisy.layer is noisy
    widget.choices.noisy.choose(str(viewer.layers["movie"].unique_id))
    assert widget.choices.denoised.layer is viewer.layers["movie (gaussian)"]


def test_everything_is_shown_side_by_side_where_the_layer_lies(inspected, viewer):
    assert pictures(viewer) == [
        "noisy [counts]",
        "denoised [counts]",
        "evidence [nats]",
        "structure left behind [σ]",
    ]
    noisy = viewer.layers["movie"]
    for layer in viewer.layers[3:]:
        assert tuple(layer.scale) == tuple(noisy.scale[1:])
        assert tuple(layer.translate) == tuple(noisy.translate[1:])
        assert layer.units == noisy.units[1:]
        assert layer.axis_labels == noisy.axis_labels[1:]
    shown = viewer.layers["noisy [counts]"]
    np.testing.assert_array_equal(shown.data, noisy.data[1])
    assert "frame 1" in inspected.status.text()
    assert [x.name for x in viewer.layers[:3] if x.visible] == []


def test_maps_have_colour_bars_and_diverging_ones_are_symmetric(inspected, viewer):
    for name in ("structure left behind [σ]", "evidence [nats]"):
        layer = viewer.layers[name]
        low, high = layer.contrast_limits
        assert low == -high
        assert layer.colorbar.visible
        assert layer.name_overlay.visible
        middle = layer.colormap.map(np.array([0.5]))[0]
        np.testing.assert_allclose(middle[:3], middle[0], atol=0.03)  # white
        assert not np.allclose(layer.colormap.map(np.array([np.nan])), middle)


def test_columns_are_points_in_the_colours_of_their_evidence(inspected, viewer):
    evidence = inspected.inspected.evidence
    marks = viewer.layers["marks on denoised"]
    np.testing.assert_allclose(marks.data, evidence.columns.positions)
    low, high = viewer.layers["evidence [nats]"].contrast_limits
    share = np.clip((evidence.llr - low) / (high - low), 0, 1)
    expected = viewer.layers["evidence [nats]"].colormap.map(share)
    np.testing.assert_allclose(marks.border_color, expected, atol=1e-6)
    assert marks.features["verdict"].tolist() == list(evidence.verdicts)
    # The lattice that was drawn is there, and found to be.
    assert len(evidence.columns) >= 20
    assert evidence.verdicts.count("supported") > 0.8 * len(evidence.columns)


def test_leaving_puts_the_viewer_back_and_it_can_be_shown_again(viewer, make, until):
    viewer.canvas.grid.stride = 3
    viewer.scene.camera.zoom = 7.5
    before = state_of(viewer)
    widget = make(viewer, "residuals")
    widget.run()
    finish(widget, until)
    assert state_of(viewer) != before
    widget.show_button.click()
    assert state_of(viewer) == before
    assert not widget.show_button.isChecked()
    widget.show_button.click()
    assert pictures(viewer)[0] == "noisy [counts]"
    widget.close_for_good()
    assert state_of(viewer) == before


def test_leaving_the_grid_by_naparis_button_takes_the_maps_away(inspected, viewer):
    viewer.canvas.grid.enabled = False
    assert [x.name for x in viewer.layers] == ["other", "movie", "movie (gaussian)"]
    assert not inspected.show_button.isChecked()


def test_a_layer_added_above_does_not_shift_the_pictures(
    inspected, viewer, let_events_run
):
    before = pictures(viewer)
    viewer.add_image(np.ones((5, 5)), name="late", visible=False)
    let_events_run(50)
    assert pictures(viewer) == before
    inspected.close_for_good()
    assert "late" in viewer.layers


def test_removing_a_picture_takes_its_marks_along(inspected, viewer, let_events_run):
    viewer.layers.remove(viewer.layers["structure left behind [σ]"])
    let_events_run(50)
    assert "marks on structure left behind" not in viewer.layers
    assert pictures(viewer)[2:] == ["evidence [nats]"]


def test_maps_are_shown_and_hidden_by_their_boxes(inspected, viewer):
    maps = inspected.results.maps
    items = {maps.item(n).text(): maps.item(n) for n in range(maps.count())}
    items["evidence"].setCheckState(Qt.CheckState.Unchecked)
    items["residual"].setCheckState(Qt.CheckState.Checked)
    assert "residual [σ]" in pictures(viewer)
    assert "evidence [nats]" not in pictures(viewer)
    # A map whose axes are frequencies lies on no picture.
    power = items["residual power"]
    assert not power.flags() & Qt.ItemFlag.ItemIsUserCheckable
    maps.setCurrentItem(power)
    assert not inspected.results.picture.isHidden()
    assert inspected.results.picture.pixmap().width() > 100
    assert "spatial frequency" in inspected.results.about.text()


def test_boxes_of_maps_do_not_bring_the_maps_back(inspected, viewer):
    inspected.show_button.click()
    before = state_of(viewer)
    inspected.results.maps.item(0).setCheckState(Qt.CheckState.Checked)
    assert state_of(viewer) == before


def test_the_verdicts_are_told_in_words_with_what_to_know_before(inspected):
    text = inspected.results.words.text()
    for verdict in inspected.inspected.inspection.verdicts:
        assert f"{verdict.check}: {verdict.level}." in text
    assert "atomic columns" in text
    for caveat in inspected.inspected.inspection.caveats:
        assert html.escape(caveat) in text
    for one in inspected.inspected.maps:
        for caveat in one.caveats:
            assert html.escape(caveat) in text + inspected.results.notes.text()
    assert not inspected.results.note_section.isHidden()


def test_the_table_begins_with_the_least_evidence(inspected):
    evidence = inspected.inspected.evidence
    numbers = inspected.results.table.numbers()
    assert sorted(numbers) == list(range(len(evidence.columns)))
    assert (np.diff(evidence.llr[numbers]) >= 0).all()


def test_a_click_on_a_row_brings_the_column_to_the_middle(inspected, viewer):
    evidence = inspected.inspected.evidence
    fit = viewer.scene.camera.zoom
    number = inspected.results.table.numbers()[3]
    inspected.results.table.select(number)
    row, column = evidence.columns.positions[number]
    y, x = viewer.scene.camera.center[-2:]
    np.testing.assert_allclose((y, x), (1.0 + 0.02 * row, -2.0 + 0.02 * column))
    assert viewer.scene.camera.zoom >= fit
    for cell in ("noisy", "denoised", "evidence"):
        np.testing.assert_allclose(
            viewer.layers[f"marks on {cell}"].data[-1], (row, column)
        )


def test_a_click_shows_which_noisy_pixels_made_that_one(inspected, viewer, until):
    inspected.filter_box.setChecked(True)
    inspected.clicks.click((0, 1.0 + 0.02 * 30, -2.0 + 0.02 * 40))
    finish(inspected, until)
    assert "row 30, column 40" in inspected.results.filter_words.text()
    layer = viewer.layers["equivalent filter"]
    weights = np.nan_to_num(layer.data)
    assert np.unravel_index(weights.argmax(), weights.shape) == (30, 40)
    assert pictures(viewer)[-1] == "equivalent filter"
    # Of a Gaussian, the weights are the Gaussian itself.
    y, x = np.mgrid[:SIZE, :SIZE]
    wanted = np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / (2 * 1.5**2))
    np.testing.assert_allclose(weights, wanted / wanted.sum(), atol=2e-4)
    low, high = layer.contrast_limits
    assert -low == high >= weights.max()
    inspected.pick(50, 10)
    finish(inspected, until)
    assert "row 50, column 10" in inspected.results.filter_words.text()
    moved = np.nan_to_num(viewer.layers["equivalent filter"].data)
    assert np.unravel_index(moved.argmax(), moved.shape) == (50, 10)


def test_a_pixel_chosen_while_another_is_computed_comes_next(inspected, until):
    inspected.filter_box.setChecked(True)
    inspected.pick(20, 20)
    inspected.pick(25, 25)
    inspected.pick(31, 32)
    finish(inspected, until)
    assert "row 31, column 32" in inspected.results.filter_words.text()


def test_a_click_on_a_column_selects_its_row_and_one_outside_selects_nothing(
    inspected, viewer
):
    evidence = inspected.inspected.evidence
    row, column = np.rint(evidence.columns.positions[5]).astype(int)
    center = viewer.scene.camera.center
    inspected.pick(int(row), int(column))
    table = inspected.results.table
    assert table.numbers()[table.currentIndex().row()] == 5
    assert viewer.scene.camera.center == center
    heard = []
    inspected.clicks.clicked.connect(lambda *pixel: heard.append(pixel))
    inspected.clicks.click((0, 100.0, 100.0))
    assert heard == []


def test_the_page_holds_everything_and_needs_no_other_file(inspected, tmp_path, until):
    path = tmp_path / "page.html"
    inspected.export(path)
    finish(inspected, until)
    assert str(path) in inspected.status.text()
    page = path.read_text()
    assert page.count("data:image/png;base64") >= len(inspected.inspected.maps)
    assert not re.search(r'(src|href)="(?!data:)', page)
    for text in ("movie, frame 1", "gaussian", "sigma", "atomic columns", "evidence"):
        assert text in page
    row, column = inspected.inspected.evidence.columns.positions[0]
    assert f"<td>{column:.2f}, {row:.2f}</td>" in page


def test_a_page_that_cannot_be_written_is_told_in_a_sentence(
    inspected, tmp_path, until
):
    inspected.export(tmp_path / "missing" / "page.html")
    finish(inspected, until)
    assert "cannot be written" in inspected.status.text()


def test_all_checks_can_be_made_of_counted_electrons(viewer, make, until):
    widget = make(viewer, *(check.name for check in CHECKS))
    widget.run()
    finish(widget, until)
    found = widget.inspected.inspection
    assert not found.left_out
    names = {one.name for one in found.maps}
    assert {"expected error", "evidence", "local deviance", "residual"} <= names
    assert widget.inspected.evidence.independent
    assert {"expected error [counts]", "local deviance [σ]"} <= set(pictures(viewer))


def test_without_a_record_of_the_denoiser_only_the_images_are_compared(
    viewer, make, until
):
    viewer.layers["movie (gaussian)"].metadata = {}
    widget = make(viewer, "bootstrap", "evidence")
    widget.choices.denoised.choose(str(viewer.layers["movie (gaussian)"].unique_id))
    widget.choices.noisy.choose(str(viewer.layers["movie"].unique_id))
    assert "not recorded" in widget.choices.made_by.text()
    assert not widget.choices.checks["bootstrap"].isEnabled()
    assert widget.choices.chosen() == ("evidence",)
    widget.run()
    finish(widget, until)
    assert not widget.inspected.evidence.independent
    assert "tested on the counts that made them" in widget.results.words.text()
    assert widget.filter_box.isHidden()


def test_a_stack_denoised_by_other_means_is_refused_with_a_sentence(
    viewer, make, until
):
    result = viewer.layers["movie (gaussian)"]
    result.data = result.data[::-1].copy() + np.float32(0.0)
    ours = dict(result.metadata[METADATA_KEY])
    ours["parameters"] = {"sigma": 6.0}
    ours["provenance"] = []
    result.metadata = {METADATA_KEY: ours}
    widget = make(viewer, "residuals")
    widget.run()
    finish(widget, until)
    assert "makes another image" in widget.status.text()
    assert widget.inspected is None
    assert not viewer.canvas.grid.enabled


def _change(viewer, how):
    result = viewer.layers["movie (gaussian)"]
    if how == "binned":
        result.data = result.data[:, ::2, ::2]
    elif how == "normalised":
        result.data = (result.data - result.data.mean()) / result.data.std()
    elif how == "rescaled":
        result.scale = (0.1, 0.04, 0.04)
    elif how == "fewer frames":
        result.data = np.concatenate([result.data, result.data[:1]])
    elif how == "constant":
        result.data = np.full_like(result.data, 6.0)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("binned", "36 × 36 px"),
        ("rescaled", "same scale"),
        ("fewer frames", "3 frames"),
        ("normalised", "rescaled or shifted"),
        ("constant", "constant"),
    ],
)
def test_layers_that_do_not_belong_together_are_refused_with_a_sentence(
    viewer, make, until, how, words
):
    _change(viewer, how)
    before = state_of(viewer)
    widget = make(viewer, "evidence", "residuals", "deviance")
    widget.choices.again.setChecked(False)
    widget.run()
    finish(widget, until)
    assert words in widget.status.text()
    assert widget.inspected is None
    assert state_of(viewer) == before


def test_one_layer_twice_no_layer_and_no_check_are_refused(viewer, make, qtbot):
    widget = make(viewer, "residuals")
    other = str(viewer.layers["other"].unique_id)
    widget.choices.noisy.choose(other)
    widget.choices.denoised.choose(other)
    assert "two different layers" in widget.status.text()
    assert not widget.run_button.isEnabled()
    again = make(viewer)
    assert "at least one check" in again.status.text()
    empty = make(ViewerModel(), "residuals")
    assert "noisy image" in empty.status.text()
    assert not empty.run_button.isEnabled()


def test_an_image_without_columns_or_vacuum_says_what_was_not_made(rng, make, until):
    viewer = ViewerModel()
    flat = Micrograph(rng.poisson(20, (64, 64)).astype(np.uint16), name="flat")
    noisy = viewer.add_layer(Layer.create(*micrograph_to_layer(flat)))
    ramp = np.linspace(19.0, 21.0, 64)[:, None] * np.ones((1, 64))
    clean = viewer.add_image(ramp.astype(np.float32) + (flat.data.mean() - 20.0))
    widget = make(viewer, "evidence", "residuals")
    widget.choices.noisy.choose(str(noisy.unique_id))
    widget.choices.denoised.choose(str(clean.unique_id))
    widget.run()
    finish(widget, until)
    found = widget.inspected
    assert found is not None, widget.status.text()
    text = widget.results.words.text()
    if found.evidence is None:
        assert "Not made" in text
        assert "atomic columns: none stands out" in text
    else:
        assert "supported" not in found.evidence.verdicts
    assert "structure left behind [σ]" in pictures(viewer)


def test_a_region_of_vacuum_drawn_by_the_user_is_used(viewer, make, until):
    # Over the lattice there is none: what is drawn is what is taken.
    viewer.add_shapes(
        [np.array([[1.0, -2.0], [1.0, -1.8], [1.2, -1.8], [1.2, -2.0]])],
        shape_type="rectangle",
        name="vacuum",
        units=("nm", "nm"),
    )
    widget = make(viewer, "evidence")
    widget.choices.vacuum.setCurrentText("vacuum")
    widget.run()
    finish(widget, until)
    assert widget.inspected is not None, widget.status.text()
    region = widget.inspected.evidence.vacuum
    assert region.drawn
    assert region.mask.sum() == region.mask[:11, :11].sum() > 90
    viewer.layers["vacuum"].data = [
        np.array([[8.0, 8.0], [8.0, 9.0], [9.0, 9.0], [9.0, 8.0]])
    ]
    widget.run()
    assert "encloses no pixel" in widget.status.text()


def test_cancelling_leaves_everything_as_it_was(viewer, make, until):
    before = state_of(viewer)
    widget = make(viewer, "bootstrap")
    widget.choices.form.set_values({"repeats": 1000})
    widget.run()
    assert not widget.run_button.isEnabled()
    assert not widget.choices.isEnabled()
    until(lambda: "Denoising new noise" in widget.progress.text, timeout=120_000)
    widget.cancel()
    finish(widget, until)
    assert widget.status.text() == "Cancelled."
    assert state_of(viewer) == before
    assert widget.choices.isEnabled()


def test_the_viewer_answers_while_it_works(viewer, make, until):
    widget = make(viewer, "bootstrap")
    widget.choices.form.set_values({"repeats": 1000})
    widget.run()
    until(lambda: "Denoising new noise" in widget.progress.text, timeout=120_000)
    viewer.dims.set_current_step(0, 0)
    viewer.layers["movie"].visible = False
    widget.results.update()
    assert widget.jobs.busy
    widget.close_for_good()
    assert not widget.jobs.busy
    assert not viewer.layers["movie"].visible


def test_closing_takes_the_maps_and_the_clicks_away(viewer, make, until):
    before = state_of(viewer)
    widget = make(viewer, "residuals")
    widget.run()
    finish(widget, until)
    assert len(viewer.mouse_drag_callbacks) == len(before["clicks"]) + 1
    widget.close_for_good()
    assert state_of(viewer) == before


def test_two_viewers_know_nothing_of_each_other(viewer, rng, make, until):
    other = ViewerModel()
    add_pair(other, _movie(rng), "median", radius=1)
    before = state_of(other)
    one, two = make(viewer, "residuals"), make(other, "residuals")
    one.run()
    finish(one, until)
    assert two.inspected is None
    assert state_of(other) == before
    two.run()
    finish(two, until)
    one.close_for_good()
    assert other.canvas.grid.enabled
    assert pictures(other)[0] == "noisy [counts]"


def test_a_comparison_begun_meanwhile_is_put_back_in_its_order(viewer, make, until):
    from napari_lowdose._compare import comparison_of

    before = state_of(viewer)
    comparison_of(viewer).enter(
        viewer.layers["movie"], viewer.layers["movie (gaussian)"]
    )
    widget = make(viewer, "residuals")
    widget.run()
    finish(widget, until)
    assert not comparison_of(viewer).active
    comparison_of(viewer).enter(
        viewer.layers["movie"], viewer.layers["movie (gaussian)"]
    )
    widget.close_for_good()
    assert state_of(viewer) == before


def test_a_denoiser_that_is_gone_is_said_and_the_rest_is_made(
    viewer, make, until, monkeypatch
):
    from lowdose.errors import UnknownDenoiserError

    def gone(name, **values):
        msg = f"No denoiser named {name!r}."
        raise UnknownDenoiserError(msg)

    monkeypatch.setattr(catalogue, "load", gone)
    widget = make(viewer, "bootstrap", "residuals")
    widget.run()
    finish(widget, until)
    text = widget.results.words.text()
    assert "cannot be loaded" in text
    assert "Error map (parametric bootstrap)" in text
    assert {v.check for v in widget.inspected.inspection.verdicts}


def test_a_closed_widget_keeps_nothing_of_the_viewer_alive(rng, qtbot, until):
    viewer = ViewerModel()
    add_pair(viewer, _movie(rng, frames=1), sigma=1.5)
    widget = InspectWidget(viewer)
    tick(widget, "residuals")
    widget.run()
    until(lambda: viewer.canvas.grid.enabled, timeout=120_000)
    widget.close_for_good()
    gone = weakref.ref(widget)
    widget.deleteLater()
    del widget
    qtbot.wait(50)
    gc.collect()
    assert gone() is None
