from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_lowdose._compare import Comparison, Peek, comparison_of
from napari_lowdose._provenance import (
    METADATA_KEY,
)
from napari_lowdose.widgets.compare import CompareWidget


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3, 8, 8)), name="other", visible=True)
    viewer.add_image(
        np.ones((3, 8, 8)), name="noisy", contrast_limits=(0, 4), visible=False
    )
    viewer.add_image(np.ones((3, 8, 8)), name="clean", contrast_limits=(0.2, 0.7))
    return viewer


def _state(viewer):
    grid = viewer.canvas.grid
    return {
        "grid": (grid.enabled, grid.shape, grid.stride, grid.spacing),
        "layers": [
            (
                x.name,
                x.visible,
                tuple(x.contrast_limits),
                x.gamma,
                x.colormap.name,
                x.name_overlay.visible,
            )
            for x in viewer.layers
        ],
    }


def _enter(viewer):
    comparison = comparison_of(viewer)
    comparison.enter(viewer.layers["noisy"], viewer.layers["clean"])
    return comparison


def test_the_pair_stands_side_by_side_with_the_noisy_one_first(viewer):
    _enter(viewer)
    grid = viewer.canvas.grid
    assert grid.enabled
    assert [x.name for x in viewer.layers if x.visible] == ["noisy", "clean"]
    assert [x.name_overlay.visible for x in viewer.layers] == [False, True, True]
    assert grid.actual_shape(viewer.layers) == (1, 2)
    assert grid.position(1, viewer.layers) == (0, 0)
    assert grid.position(2, viewer.layers) == (0, 1)


def test_the_noisy_one_stands_first_whatever_the_order_of_the_layers(viewer):
    viewer.layers.move(1, 3)
    assert [x.name for x in viewer.layers] == ["other", "clean", "noisy"]
    _enter(viewer)
    assert viewer.canvas.grid.position(2, viewer.layers) == (0, 0)
    assert viewer.canvas.grid.position(1, viewer.layers) == (0, 1)


def test_contrast_is_that_of_the_result_and_moves_together(viewer):
    _enter(viewer)
    noisy, clean = viewer.layers["noisy"], viewer.layers["clean"]
    assert tuple(noisy.contrast_limits) == (0.2, 0.7)
    noisy.contrast_limits = (0.1, 0.5)
    assert tuple(clean.contrast_limits) == (0.1, 0.5)
    clean.gamma = 0.5
    assert noisy.gamma == 0.5


def test_leaving_puts_everything_back(viewer):
    viewer.canvas.grid.shape = (2, 3)
    viewer.canvas.grid.stride = 2
    before = _state(viewer)
    comparison = _enter(viewer)
    viewer.layers["clean"].contrast_limits = (0, 3)
    comparison.leave()
    assert _state(viewer) == before
    assert not comparison.active
    viewer.layers["clean"].contrast_limits = (0, 2)
    assert tuple(viewer.layers["noisy"].contrast_limits) == (0, 4)


def test_leaving_the_grid_by_naparis_button_ends_the_comparison(viewer):
    before = _state(viewer)
    comparison = _enter(viewer)
    ended = []
    comparison.changed.connect(ended.append)
    viewer.canvas.grid.enabled = False
    assert ended == [False]
    assert _state(viewer) == before


@pytest.mark.parametrize("name", ["noisy", "clean"])
def test_removing_one_of_the_two_ends_the_comparison(viewer, name, until):
    before = _state(viewer)
    comparison = _enter(viewer)
    grids = []
    viewer.layers.events.removed.connect(
        lambda: grids.append(viewer.canvas.grid.enabled)
    )
    viewer.layers.remove(viewer.layers[name])
    # Not between two events of a removal: napari's canvas would not survive it.
    assert grids == [False]
    until(lambda: not comparison.active)
    before["layers"] = [x for x in before["layers"] if x[0] != name]
    assert _state(viewer) == before


def test_layers_that_are_all_removed_are_not_shown_once_more(viewer, until):
    comparison = _enter(viewer)
    shown = []
    viewer.layers["other"].events.visible.connect(shown.append)
    viewer.layers.clear()
    until(lambda: not comparison.active)
    assert shown == []
    assert not viewer.canvas.grid.enabled


def test_the_grid_has_one_shape_for_as_long_as_it_is_on(viewer, until):
    # Of every other shape napari would keep a grid for good.
    shapes = set()

    def look():
        if viewer.canvas.grid.enabled:
            shapes.add(viewer.canvas.grid.actual_shape(viewer.layers))

    viewer.layers["other"].visible = False
    for event in (
        viewer.canvas.grid.events,
        viewer.layers.events.removed,
        *(layer.events.visible for layer in viewer.layers),
    ):
        event.connect(look)
    _enter(viewer).leave()
    comparison = _enter(viewer)
    viewer.layers.clear()
    until(lambda: not comparison.active)
    assert shapes == {(1, 2)}


def test_removing_another_layer_does_not(viewer):
    comparison = _enter(viewer)
    viewer.layers.remove(viewer.layers["other"])
    assert comparison.active
    comparison.leave()


def test_links_that_the_user_made_stay(viewer):
    noisy, other = viewer.layers["noisy"], viewer.layers["other"]
    viewer.layers.link_layers([noisy, other], ["gamma"])
    _enter(viewer).leave()
    noisy.gamma = 0.3
    assert other.gamma == 0.3


def test_comparing_another_pair_first_puts_the_former_back(viewer):
    before = _state(viewer)
    comparison = _enter(viewer)
    comparison.enter(viewer.layers["other"], viewer.layers["clean"])
    comparison.leave()
    assert _state(viewer) == before


def test_every_viewer_has_one_comparison_and_is_not_kept_alive_by_it(viewer):
    assert comparison_of(viewer) is comparison_of(viewer)
    other = ViewerModel()
    assert comparison_of(other) is not comparison_of(viewer)
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None


def test_after_the_viewer_is_gone_leaving_does_nothing():
    viewer = ViewerModel()
    comparison = Comparison(viewer)
    del viewer
    gc.collect()
    comparison.leave()


def test_peeking_shows_the_noisy_layer_for_a_while(viewer):
    before = _state(viewer)
    peek = Peek(viewer)
    peek.begin(viewer.layers["noisy"])
    assert [x.name for x in viewer.layers if x.visible] == ["noisy"]
    peek.begin(viewer.layers["noisy"])  # a second press changes nothing
    peek.end()
    assert _state(viewer) == before
    peek.end()
    assert _state(viewer) == before


@pytest.fixture
def widget(viewer, qtbot):
    noisy, clean = viewer.layers["noisy"], viewer.layers["clean"]
    clean.metadata[METADATA_KEY] = {
        "source_id": str(noisy.unique_id),
        "denoiser": "box",
        "complete": True,
    }
    viewer.layers.selection.active = clean
    widget = CompareWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.close_for_good()


def test_the_widget_offers_the_pair_that_belongs_together(widget, viewer):
    assert widget.pair() == (viewer.layers["noisy"], viewer.layers["clean"])


def test_the_buttons_of_the_widget_compare_and_put_back(widget, viewer, qtbot):
    before = _state(viewer)
    row = widget._row
    row.side_by_side.click()
    assert viewer.canvas.grid.enabled
    assert row.side_by_side.isChecked()
    assert not row.hold.isEnabled()
    row.side_by_side.click()
    assert _state(viewer) == before
    row.hold.pressed.emit()
    assert [x.name for x in viewer.layers if x.visible] == ["noisy"]
    row.hold.released.emit()
    assert _state(viewer) == before


def test_two_widgets_of_one_viewer_show_the_same_comparison(widget, viewer, qtbot):
    other = CompareWidget(viewer)
    qtbot.addWidget(other)
    widget._row.side_by_side.click()
    assert other._row.side_by_side.isChecked()
    other._row.side_by_side.click()
    assert not widget._row.side_by_side.isChecked()
    assert not viewer.canvas.grid.enabled


def test_closing_the_widget_puts_everything_back(widget, viewer):
    before = _state(viewer)
    widget._row.side_by_side.click()
    widget.close_for_good()
    assert _state(viewer) == before


def test_one_layer_cannot_be_compared_with_itself(qtbot):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((8, 8)))
    widget = CompareWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.pair() is None
    assert not widget._row.side_by_side.isEnabled()
    assert "two different" in widget._hint.text()
