from __future__ import annotations

import dataclasses

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer

from lowdose.errors import InvalidImageError
from lowdose.micrograph import Axis, Calibration, Micrograph, Step
from napari_lowdose._display import (
    display_limits,
)
from napari_lowdose._layers import (
    PLACE,
    micrograph_to_layer,
    result_to_layer,
    take_snapshot,
    to_micrograph,
    unit_name,
    why_not,
)
from napari_lowdose._provenance import (
    METADATA_KEY,
    find_pair,
    is_result_of,
)

STEP = Step(action="align", software="other 1.0", when="2024-01-01T00:00:00+00:00")


@pytest.fixture
def tilted():
    """A calibrated stack with every transform that a layer can have."""
    affine = np.eye(4)
    affine[1:3, 1:3] = [[0.9, 0.2], [-0.1, 1.1]]
    affine[1:3, 3] = [7, -3]
    return Image(
        np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8),
        name="stack",
        scale=(50, 4, 4),
        translate=(10, 20, 30),
        rotate=25,
        shear=[0, 0, 0.2],
        affine=affine,
        units=("nm", "nm", "nm"),
        axis_labels=("z", "y", "x"),
        metadata={"microscope": "theirs"},
        colormap="magma",
        gamma=1.4,
    )


def test_a_layers_calibration_reaches_the_micrograph(tilted):
    micrograph = to_micrograph(take_snapshot(tilted))
    assert micrograph.data is tilted.data
    assert micrograph.name == "stack"
    assert micrograph.calibration.axes == (
        Axis(label="z", spacing=50, unit="nm", origin=10),
        Axis(label="y", spacing=4, unit="nm", origin=20),
        Axis(label="x", spacing=4, unit="nm", origin=30),
    )


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("nm", "nm"),
        ("um", "um"),
        ("µm", "um"),
        ("angstrom", "angstrom"),
        ("pm", "pm"),
        ("1/nm", "1/nm"),
        ("mrad", "mrad"),
        ("s", "s"),
        ("ms", "ms"),
        ("min", "min"),
        ("inch", "inch"),
        ("pixel", None),
        ("kg", None),
    ],
)
def test_pint_units_become_names(unit, name):
    layer = Image(np.zeros((3, 3)), units=(unit, unit))
    assert unit_name(layer.units[0]) == name


def test_a_pint_unit_is_not_equal_to_the_name_it_was_given_by():
    # The trap that unit_name is there for.
    assert Image(np.zeros((3, 3)), units=("nm", "nm")).units[0] != "nm"


def test_a_layer_without_calibration_gives_unknown_spacings_and_default_labels():
    micrograph = to_micrograph(take_snapshot(Image(np.zeros((2, 3, 5, 5)))))
    assert micrograph.calibration == Calibration.unknown(4)


def test_a_scale_without_unit_is_kept_as_a_spacing():
    layer = Image(np.zeros((5, 5)), scale=(2, 2))
    assert to_micrograph(take_snapshot(layer)).calibration.axes[0].spacing == 2


def test_a_result_lies_exactly_on_its_source(tilted, rng):
    source = take_snapshot(tilted)
    data = np.zeros(tilted.data.shape, dtype=np.float32)
    result = Layer.create(
        *result_to_layer(data, source, denoiser="box", values={"width": 3})
    )
    for point in rng.uniform(-5, 5, (10, 3)):
        np.testing.assert_allclose(
            result.data_to_world(point), tilted.data_to_world(point)
        )
    assert result.units == tilted.units
    assert result.axis_labels == tilted.axis_labels
    assert result.colormap.name == "magma"
    assert result.gamma == 1.4
    assert result.name == "stack (box)"


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_every_placing_argument_of_a_layer_is_carried(ndim, rng):
    layer = Image(
        np.zeros((3,) * ndim),
        scale=rng.uniform(1, 5, ndim),
        translate=rng.uniform(1, 5, ndim),
        shear=rng.uniform(0, 0.3, ndim * (ndim - 1) // 2),
        units=("nm",) * ndim,
        axis_labels=tuple("abcd"[:ndim]),
    )
    state = result_to_layer(
        layer.data, take_snapshot(layer), denoiser="box", values={}
    )[1]
    result = Layer.create(layer.data, state, "image")
    _, expected, _ = layer.as_layer_data_tuple()
    _, got, _ = result.as_layer_data_tuple()
    for key in PLACE:
        np.testing.assert_array_equal(got[key], expected[key])


def test_a_result_with_fewer_axes_drops_the_leading_ones(tilted):
    data = np.zeros(tilted.data.shape[1:], dtype=np.float32)
    result = Layer.create(
        *result_to_layer(data, take_snapshot(tilted), denoiser="mean", values={})
    )
    np.testing.assert_allclose(result.scale, (4, 4))
    np.testing.assert_allclose(result.rotate, tilted.rotate[1:, 1:])
    np.testing.assert_allclose(result.shear, tilted.shear[2:])
    np.testing.assert_allclose(
        result.data_to_world((2, 3)), tilted.data_to_world((0, 2, 3))[1:]
    )
    assert [str(u) for u in result.units] == ["nanometer"] * 2


def test_the_metadata_of_others_is_kept_and_only_our_key_is_written(tilted):
    tilted.metadata[METADATA_KEY] = {"counts_per_electron": 2.5}
    state = result_to_layer(
        tilted.data, take_snapshot(tilted), denoiser="box", values={"width": 3}
    )[1]
    assert state["metadata"]["microscope"] == "theirs"
    ours = state["metadata"][METADATA_KEY]
    assert ours["denoiser"] == "box"
    assert ours["parameters"] == {"width": 3}
    assert ours["source"] == "stack"
    assert ours["complete"] is False
    assert tilted.metadata == {
        "microscope": "theirs",
        METADATA_KEY: {"counts_per_electron": 2.5},
    }


def test_a_micrograph_survives_becoming_a_layer_and_back():
    calibration = Calibration(
        axes=(
            Axis(label="t", spacing=0.5, unit="s"),
            Axis(label="y", spacing=8.17, unit="pm", origin=4),
            Axis(label="x", spacing=8.17, unit="pm", origin=-2),
        ),
        counts_per_electron=3.5,
        provenance=(STEP,),
    )
    micrograph = Micrograph(np.zeros((2, 5, 6), np.int16), calibration, "movie")
    layer = Layer.create(*micrograph_to_layer(micrograph))
    back = to_micrograph(take_snapshot(layer))
    assert back.calibration == calibration
    assert back.name == "movie"
    assert back.dtype == np.int16


def test_an_uncalibrated_micrograph_becomes_a_layer_in_pixels():
    layer = Layer.create(*micrograph_to_layer(Micrograph(np.zeros((5, 6)))))
    assert [str(u) for u in layer.units] == ["pixel", "pixel"]
    assert layer.axis_labels == ("y", "x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((4, 4), np.complex64), "is complex"),
        (np.zeros((0, 4)), "is empty"),
    ],
)
def test_what_cannot_be_denoised_is_refused_with_a_sentence(data, words):
    # napari itself cannot show these, but a layer's data can be exchanged.
    snapshot = dataclasses.replace(take_snapshot(Image(np.zeros((4, 4)))), data=data)
    with pytest.raises(InvalidImageError, match=words):
        to_micrograph(snapshot)


def test_rgb_is_refused_with_what_to_do():
    layer = Image(np.zeros((8, 9, 3), np.uint8), rgb=True, name="photo")
    assert "Split the layer" in why_not(layer)
    with pytest.raises(InvalidImageError, match="'photo' is a colour"):
        take_snapshot(layer)


def test_a_good_layer_is_not_refused(tilted):
    assert why_not(tilted) == ""


def test_of_a_pyramid_the_full_resolution_is_taken():
    full, half = np.ones((3, 64, 64)), np.ones((3, 32, 32))
    micrograph = to_micrograph(take_snapshot(Image([full, half], multiscale=True)))
    assert micrograph.shape == (3, 64, 64)


def test_lazy_data_is_neither_read_nor_copied():
    reads = []

    def read(block, block_info=None):
        reads.append(block_info)
        return block

    stored = dask.array.zeros((5, 32, 32), chunks=(1, 32, 32), dtype=np.float32)
    lazy = stored.map_blocks(read, dtype=np.float32, meta=np.zeros(0, np.float32))
    layer = Image(lazy, contrast_limits=(0, 1))
    reads.clear()
    micrograph = to_micrograph(take_snapshot(layer))
    assert reads == []
    assert micrograph.data is layer.data
    micrograph.frame(3)
    assert len(reads) == 1


def _is_result(layer, source, denoiser):
    return is_result_of(
        layer, source_id=source.uid, denoiser=denoiser, shape=source.shape
    )


def test_a_layer_is_recognised_by_provenance_never_by_name(tilted):
    source = take_snapshot(tilted)
    data, state, kind = result_to_layer(
        np.zeros((4, 6, 8), np.float32), source, denoiser="box", values={}
    )
    theirs = Image(np.zeros((4, 6, 8), np.float32), name=state["name"])
    assert not _is_result(theirs, source, "box")
    unfinished = Layer.create(data, state, kind)
    assert not _is_result(unfinished, source, "box")
    state["metadata"][METADATA_KEY]["complete"] = True
    ours = Layer.create(data, {**state, "name": "renamed"}, kind)
    assert _is_result(ours, source, "box")
    assert not _is_result(ours, source, "gaussian")
    other_source = take_snapshot(Image(np.zeros((4, 6, 8)), name="stack"))
    assert not _is_result(ours, other_source, "box")
    ours.data = np.zeros((3, 6, 8), np.float32)
    assert not _is_result(ours, source, "box")


def test_noisy_and_result_find_each_other():
    viewer = ViewerModel()
    noisy = viewer.add_image(np.zeros((6, 8)), name="a")
    assert find_pair(viewer, noisy) is None
    assert find_pair(viewer, None) is None
    data, state, kind = result_to_layer(
        np.zeros((6, 8), np.float32), take_snapshot(noisy), denoiser="box", values={}
    )
    result = viewer.add_layer(Layer.create(data, state, kind))
    assert find_pair(viewer, noisy) is None  # not finished
    result.metadata[METADATA_KEY]["complete"] = True
    noisy.name = "renamed"
    assert find_pair(viewer, noisy) == (noisy, result)
    assert find_pair(viewer, result) == (noisy, result)


def test_limits_are_kept_where_the_result_uses_them(rng):
    frame = rng.uniform(20, 230, (64, 64)).astype(np.float32)
    assert display_limits(frame, (0, 255)) == (0, 255)


def test_at_low_dose_the_limits_are_those_of_the_result(rng):
    clean = rng.uniform(0.3, 0.6, (256, 256)).astype(np.float32)
    noisy = rng.poisson(clean)
    low, high = display_limits(clean, (float(noisy.min()), float(noisy.max())))
    assert 0.25 < low <= 0.31
    assert 0.59 <= high < 0.65


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-12, 1e30])
def test_limits_of_one_value_are_increasing_and_round_it(value):
    frame = np.full((8, 8), value, np.float32)
    low, high = display_limits(frame, (-7.0, 8.0))
    assert low < high
    assert low <= value <= high


def test_limits_ignore_pixels_that_are_not_finite(rng):
    frame = rng.uniform(1, 2, (64, 64)).astype(np.float32)
    expected = display_limits(frame, (0, 100))
    frame[0, :3] = np.nan, np.inf, -np.inf
    np.testing.assert_allclose(display_limits(frame, (0, 100)), expected, rtol=1e-2)
    empty = np.full((4, 4), np.nan, np.float32)
    assert display_limits(empty, (0, 100)) == (0, 100)
