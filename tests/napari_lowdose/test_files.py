"""Reading, writing and calibrating layers through real files."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Layer

from lowdose.errors import FormatError, InvalidImageError, OutputError
from lowdose.io import read
from lowdose.micrograph import Axis, Calibration, Micrograph, Step
from napari_lowdose._calibrate import file_of, take_calibration
from napari_lowdose._layers import (
    take_snapshot,
    to_micrograph,
)
from napari_lowdose._provenance import (
    METADATA_KEY,
)
from napari_lowdose._reader import get_reader, read_layers
from napari_lowdose._sample_data import sample_frame, sample_movie
from napari_lowdose._writer import write_tiff

STEP = Step(
    action="denoise",
    software="napari-lowdose 1.0",
    when="2024-01-01T00:00:00+00:00",
    source="noisy",
    details={"denoiser": {"name": "gaussian"}},
)


@pytest.fixture
def stack(rng):
    """A layer like a result of the widget."""
    return Image(
        rng.poisson(5, (3, 20, 30)).astype(np.float32),
        name="stack",
        scale=(50, 4, 4),
        units=("nm", "nm", "nm"),
        axis_labels=("z", "y", "x"),
        metadata={METADATA_KEY: {"provenance": [STEP.to_dict()]}},
    )


@pytest.fixture
def tiff(tmp_path, stack):
    path = tmp_path / "stack.tif"
    write_tiff(str(path), *stack.as_layer_data_tuple()[:2])
    return path


def test_a_written_layer_keeps_counts_calibration_and_provenance(stack, tiff):
    back = read(tiff)
    np.testing.assert_array_equal(np.asarray(back.data), stack.data)
    before = to_micrograph(take_snapshot(stack)).calibration
    for got, expected in zip(back.calibration.axes, before.axes, strict=True):
        assert got.label == expected.label
        assert got.unit == expected.unit
        assert got.spacing == pytest.approx(expected.spacing)
    assert STEP in back.calibration.provenance


def test_writing_returns_the_path_and_replaces_a_file_as_napari_has_asked(stack, tiff):
    data, state, _ = stack.as_layer_data_tuple()
    assert write_tiff(str(tiff), data + 1, state) == [str(tiff)]
    assert np.asarray(read(tiff).data).min() == stack.data.min() + 1


def test_of_a_pyramid_the_full_resolution_is_written(tmp_path):
    layer = Image([np.ones((64, 64)), np.ones((32, 32))], multiscale=True)
    path = tmp_path / "pyramid.tif"
    write_tiff(str(path), *layer.as_layer_data_tuple()[:2])
    assert read(path).shape == (64, 64)


def test_a_colour_layer_is_not_written_as_counts(tmp_path):
    layer = Image(np.zeros((8, 9, 3), np.uint8), rgb=True, name="photo")
    path = tmp_path / "photo.tif"
    with pytest.raises(InvalidImageError, match="'photo' is a colour"):
        write_tiff(str(path), *layer.as_layer_data_tuple()[:2])
    assert not path.exists()


def test_writing_into_no_folder_is_an_error_that_says_so(stack, tmp_path):
    path = tmp_path / "missing" / "a.tif"
    with pytest.raises(OutputError):
        write_tiff(str(path), *stack.as_layer_data_tuple()[:2])


def test_what_naparis_dialog_writes_is_the_same(stack, tmp_path):
    from npe2 import PluginManager

    path = tmp_path / "by-dialog.tif"
    PluginManager.instance().discover()
    written = stack.save(str(path), plugin="napari-lowdose")
    assert written == [str(path)]
    assert read(path).calibration.axes[0].spacing == pytest.approx(50)


def test_the_reader_takes_microscope_formats_only(tmp_path):
    for name in ("a.dm3", "a.DM4", "a.emd", "a.ser", "a.mrc", "a.mrcs"):
        assert get_reader(str(tmp_path / name)) is read_layers
    assert get_reader(str(tmp_path / "a.tif")) is None
    assert get_reader([str(tmp_path / "a.mrc"), str(tmp_path / "b.mrc")]) is None


def test_an_mrc_stack_becomes_a_calibrated_layer_that_can_be_shown(tmp_path, rng):
    import lowdose.io

    path = tmp_path / "movie.mrc"
    data = rng.poisson(5, (3, 20, 30)).astype(np.float32)
    calibration = Calibration.from_spacing((None, 0.2, 0.2), (None, "nm", "nm"))
    lowdose.io.write(path, Micrograph(data, calibration))
    (layer_data,) = get_reader(str(path))(str(path))
    viewer = ViewerModel()
    layer = viewer.add_layer(Layer.create(*layer_data))
    assert layer.name == "movie"
    np.testing.assert_allclose(layer.scale[-2:], (0.2, 0.2), rtol=1e-6)
    assert str(layer.units[-1]) in {"nanometer", "angstrom"}
    viewer.dims.set_current_step(0, 2)
    np.testing.assert_array_equal(np.asarray(layer.data[2]), data[2])


def test_a_damaged_file_raises_only_when_it_is_read(tmp_path):
    path = tmp_path / "broken.mrc"
    path.write_bytes(b"no micrograph")
    reader = get_reader(str(path))
    with pytest.raises(FormatError):
        reader(str(path))


def _opened(path, shape=None):
    """A layer as napari's own reader makes it of a TIFF: pixels and nothing else."""
    from napari.layers._source import layer_source

    with layer_source(path=str(path), reader_plugin="napari"):
        return Image(tifffile.imread(path) if shape is None else np.zeros(shape))


def test_an_uncalibrated_layer_gets_the_calibration_of_its_file(tiff):
    layer = _opened(tiff)
    assert file_of(layer) == tiff
    assert take_calibration(layer, tiff)
    np.testing.assert_allclose(layer.scale, (50, 4, 4), rtol=1e-6)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert file_of(layer) is None


def test_a_calibrated_layer_and_one_without_a_file_are_left_alone(stack, tmp_path):
    assert file_of(stack) is None
    assert file_of(Image(np.zeros((4, 4)))) is None
    path = tmp_path / "gone.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8))
    layer = _opened(path)
    path.unlink()
    assert file_of(layer) is None


def test_a_file_without_calibration_changes_nothing(tmp_path):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.zeros((8, 9), np.uint8))
    layer = _opened(path)
    assert not take_calibration(layer, path)
    np.testing.assert_allclose(layer.scale, (1, 1))


def test_a_layer_of_another_shape_than_its_file_is_refused(tiff):
    layer = _opened(tiff, shape=(5, 5))
    with pytest.raises(InvalidImageError, match="holds an image of shape"):
        take_calibration(layer, tiff)
    np.testing.assert_allclose(layer.scale, (1, 1))


@pytest.mark.parametrize(("sample", "ndim"), [(sample_movie, 3), (sample_frame, 2)])
def test_the_samples_are_calibrated_electron_counts(sample, ndim):
    (layer_data,) = sample()
    layer = Layer.create(*layer_data)
    counts = np.asarray(layer.data)
    assert counts.ndim == ndim
    assert counts.dtype.kind in "iu"
    assert 0 < counts.mean() < 10
    assert str(layer.units[-1]) == "nanometer"
    assert layer.contrast_limits[1] < 20  # not the 255 of its type
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_micrograph(take_snapshot(layer))


def test_an_axis_that_a_file_says_nothing_about_stays_in_pixels(tmp_path):
    import lowdose.io

    path = tmp_path / "frames.tif"
    axes = (
        Axis(label="t"),
        Axis(label="y", spacing=2, unit="nm"),
        Axis(label="x", spacing=2, unit="nm"),
    )
    lowdose.io.write(path, Micrograph(np.zeros((3, 8, 9)), Calibration(axes=axes)))
    layer = _opened(path)
    assert take_calibration(layer, path)
    assert str(layer.units[0]) == "pixel"
    np.testing.assert_allclose(layer.scale, (1, 2, 2), rtol=1e-6)
