from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_lowdose._provenance import (
    METADATA_KEY,
)
from napari_lowdose.widgets.choosers import DenoiserBox, LayerBox


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def make_box(viewer, qtbot):
    def make():
        box = LayerBox(viewer)
        qtbot.addWidget(box)
        return box

    return make


def _names(box):
    return [box.itemText(n) for n in range(box.count())]


def test_only_image_layers_are_offered(viewer, make_box):
    viewer.add_image(np.zeros((4, 4)), name="image")
    viewer.add_points([[0, 0]], name="points")
    viewer.add_labels(np.zeros((4, 4), int), name="labels")
    viewer.add_image(
        np.zeros((4, 4)), name="preview", metadata={METADATA_KEY: {"preview": True}}
    )
    assert _names(make_box()) == ["image"]


def test_the_active_layer_is_chosen_first(viewer, make_box):
    first = viewer.add_image(np.zeros((4, 4)), name="first")
    viewer.add_image(np.zeros((4, 4)), name="second")
    viewer.layers.selection.active = first
    assert make_box().layer is first


def test_without_an_active_image_the_topmost_that_is_no_result_is_chosen(
    viewer, make_box
):
    raw = viewer.add_image(np.zeros((4, 4)), name="raw")
    viewer.add_image(
        np.zeros((4, 4)), name="done", metadata={METADATA_KEY: {"denoiser": "box"}}
    )
    viewer.layers.selection.clear()
    assert make_box().layer is raw


def test_the_choice_survives_renaming_reordering_and_new_layers(viewer, make_box):
    first = viewer.add_image(np.zeros((4, 4)), name="first")
    viewer.add_image(np.zeros((4, 4)), name="second")
    box = make_box()
    box.choose(str(first.unique_id))
    first.name = "renamed"
    viewer.layers.move(0, 2)
    viewer.add_image(np.zeros((4, 4)), name="third")
    changes = []
    box.layer_changed.connect(lambda: changes.append(box.uid))
    box.reset_choices()
    assert box.layer is first
    assert box.currentText() == "renamed"
    assert changes == []


def test_when_the_chosen_layer_goes_another_is_chosen_and_told(viewer, make_box):
    viewer.add_image(np.zeros((4, 4)), name="first")
    second = viewer.add_image(np.zeros((4, 4)), name="second")
    box = make_box()
    assert box.layer is second
    changes = []
    box.layer_changed.connect(lambda: changes.append(box.currentText()))
    viewer.layers.remove(second)
    box.reset_choices()
    assert changes == ["first"]


def test_two_layers_of_one_name_are_told_apart(viewer, make_box):
    viewer.add_image(np.zeros((4, 4)), name="a")
    other = viewer.add_image(np.ones((4, 4)), name="b")
    box = make_box()
    box.setItemText(0, "b")
    box.setCurrentIndex(1)
    assert box.layer is other


def test_without_layers_nothing_is_chosen(make_box):
    box = make_box()
    assert box.uid == ""
    assert box.layer is None


def _info(name, group):
    return SimpleNamespace(
        name=name, title=name.upper(), group=group, summary=f"about {name}"
    )


@pytest.fixture
def denoisers(qtbot):
    box = DenoiserBox()
    qtbot.addWidget(box)
    box.set_denoisers(
        [_info("mine", "yours"), _info("tv", "classical"), _info("net", "pretrained")]
    )
    return box


def test_denoisers_stand_under_their_groups(denoisers):
    assert _names(denoisers) == [
        "Pretrained networks",
        "NET",
        "Classical filters",
        "TV",
        "Your models",
        "MINE",
    ]


def test_groups_without_members_have_no_heading(qtbot):
    box = DenoiserBox()
    qtbot.addWidget(box)
    box.set_denoisers([_info("tv", "classical")])
    assert _names(box) == ["Classical filters", "TV"]


def test_headings_cannot_be_chosen(denoisers):
    model = denoisers.model()
    selectable = [
        bool(model.item(row).flags() & Qt.ItemFlag.ItemIsSelectable)
        for row in range(model.rowCount())
    ]
    assert selectable == [False, True] * 3
    assert denoisers.name == "net"


def test_a_denoiser_that_does_not_exist_falls_back_to_the_first(denoisers):
    denoisers.choose("tv")
    assert denoisers.info.name == "tv"
    denoisers.choose("gone")
    assert denoisers.name == "net"


def test_the_choice_survives_a_new_list(denoisers):
    denoisers.choose("tv")
    denoisers.set_denoisers([_info("tv", "classical"), _info("a", "classical")])
    assert denoisers.name == "tv"


def test_an_empty_catalogue_leaves_no_choice(qtbot):
    box = DenoiserBox()
    qtbot.addWidget(box)
    box.set_denoisers([])
    assert box.info is None
