import json

import numpy as np
import pytest
import zarr

from lowdose import io
from lowdose.errors import (
    CalibrationWarning,
    FormatError,
    InvalidImageError,
    LowDoseWarning,
)
from lowdose.io import zarr_files
from lowdose.io.ome_zarr import make_metadata
from lowdose.micrograph import Axis, Calibration, Micrograph


@pytest.fixture
def data(rng):
    return rng.random((4, 6, 8)).astype(np.float32)


def axis(name, kind, unit=None):
    return {"name": name, "type": kind, **({"unit": unit} if unit else {})}


T, C = axis("t", "time", "second"), axis("c", "channel")
Z = axis("z", "space", "nanometer")
Y, X = axis("y", "space", "micrometer"), axis("x", "space", "micrometer")


def scale(*factors):
    return {"type": "scale", "scale": list(factors)}


def translation(*shifts):
    return {"type": "translation", "translation": list(shifts)}


def put(group, name, data):
    """Store an array; older versions of zarr cannot do it in one go."""
    group.create_array(name, shape=data.shape, dtype=data.dtype)[...] = data


def save_ome(path, data, axes, level=(), image=(), version="0.5"):
    """Write an OME-Zarr of version 0.5 (Zarr 3) or 0.4 (Zarr 2)."""
    multiscales = [
        {
            "axes": axes,
            "datasets": [{"path": "s0", "coordinateTransformations": list(level)}],
            "coordinateTransformations": list(image),
        }
    ]
    metadata = {"multiscales": multiscales, "version": version}
    attributes = {"ome": metadata} if version == "0.5" else metadata
    zarr_format = 3 if version == "0.5" else 2
    group = zarr.create_group(path, zarr_format=zarr_format, attributes=attributes)
    put(group, "s0", data)
    return path


def test_what_is_written_comes_back_whole_and_lazy(tmp_path, movie):
    path = io.write(tmp_path / "a.zarr", movie)
    again = io.read(path)
    assert isinstance(again.data, zarr.Array)
    assert again.calibration == movie.calibration
    np.testing.assert_array_equal(again.data[...], movie.data)


def test_what_is_written_is_an_ome_zarr_of_version_05(tmp_path, movie):
    path = io.write(tmp_path / "a.ome.zarr", movie)
    root = json.loads((path / "zarr.json").read_text())
    assert (root["zarr_format"], root["node_type"]) == (3, "group")
    ome = root["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert image["name"] == "movie"
    assert image["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "nanometer"},
    ]
    (level,) = image["datasets"]
    assert level["coordinateTransformations"] == [
        {"type": "scale", "scale": [0.25, 0.1, 0.11]},
        {"type": "translation", "translation": [2.0, -1.5, 4.0]},
    ]
    array = zarr.open_group(path, mode="r")[level["path"]]
    assert array.chunks == (1, 7, 9)
    assert array.metadata.dimension_names == ("t", "y", "x")


def test_the_tags_alone_tell_the_calibration_to_other_readers(tmp_path, movie):
    path = io.write(tmp_path / "a.zarr", movie)
    root = json.loads((path / "zarr.json").read_text())
    del root["attributes"]["lowdose"]
    (path / "zarr.json").write_text(json.dumps(root))
    assert io.read(path).calibration.axes == movie.calibration.axes


def test_large_frames_are_cut_into_chunks_that_fit_memory(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(zarr_files, "_LARGEST_CHUNK", 1000)
    data = rng.random((2, 33, 40)).astype(np.float32)
    again = io.read(io.write(tmp_path / "a.zarr", Micrograph(data)))
    assert again.data.chunks == (1, 6, 40)
    np.testing.assert_array_equal(again.data[...], data)


@pytest.mark.parametrize(
    "axes",
    [
        (Axis(label="z"), Axis(label="t"), Axis(label="y"), Axis(label="x")),
        (Axis(label="a"), Axis(label="z"), Axis(label="y"), Axis(label="x")),
        (Axis(label="x"), Axis(label="y"), Axis(label="y"), Axis(label="x")),
    ],
)
def test_axes_without_a_place_in_ome_zarr_survive_in_the_record(tmp_path, rng, axes):
    calibration = Calibration(axes=axes)
    assert make_metadata(calibration, "a") is None
    data = rng.random((2, 3, 4, 5)).astype(np.float32)
    again = io.read(io.write(tmp_path / "a.zarr", Micrograph(data, calibration)))
    assert again.calibration == calibration
    np.testing.assert_array_equal(again.data[...], data)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_of_others_is_read_with_both_transformations(tmp_path, data, version):
    path = save_ome(
        tmp_path / "a.zarr",
        data,
        [T, Y, X],
        level=[scale(2.0, 0.1, 0.2), translation(1.0, 0.5, 0.0)],
        image=[scale(0.5, 1.0, 10.0)],
        version=version,
    )
    micrograph = io.read(path)
    assert micrograph.calibration.axes == (
        Axis(label="t", spacing=1.0, unit="s", origin=0.5),
        Axis(label="y", spacing=0.1, unit="um", origin=0.5),
        Axis(label="x", spacing=2.0, unit="um"),
    )
    np.testing.assert_array_equal(micrograph.data[...], data)


def test_a_scale_without_a_unit_means_nothing(tmp_path, data):
    plain = [axis("z", "space"), axis("y", "space"), axis("x", "space")]
    path = save_ome(tmp_path / "a.zarr", data, plain, [scale(1, 1, 1)])
    assert all(a.spacing is None for a in io.read(path).calibration.axes)


def test_axes_of_length_one_and_single_channels_vanish(tmp_path, data):
    path = save_ome(
        tmp_path / "a.zarr", data[None, None], [T, C, Z, Y, X], [scale(1, 1, 5, 1, 1)]
    )
    micrograph = io.read(path)
    assert micrograph.calibration.labels == ("z", "y", "x")
    assert micrograph.calibration.axes[0].spacing == 5
    np.testing.assert_array_equal(np.asarray(micrograph.data), data)


def test_a_channel_has_to_be_picked_and_is_read_lazily(tmp_path, rng):
    data = rng.random((2, 3, 6, 8)).astype(np.float32)
    path = save_ome(tmp_path / "a.zarr", data, [T, C, Y, X], [scale(1, 1, 1, 1)])
    with pytest.raises(InvalidImageError, match="3 channels"):
        io.read(path)
    micrograph = io.read(path, dataset="c=1")
    assert not isinstance(micrograph.data, np.ndarray)
    np.testing.assert_array_equal(micrograph.frame(1), data[1, 1])


def test_impossible_scales_give_a_warning(tmp_path, data):
    path = save_ome(tmp_path / "a.zarr", data, [T, Y, X], [scale(1, -1, 0)])
    with pytest.warns(CalibrationWarning):
        calibration = io.read(path).calibration
    assert [a.spacing for a in calibration.axes] == [1.0, None, None]


@pytest.mark.parametrize(
    "damage",
    [
        {"datasets": []},
        {"axes": [T, Y]},
        {"axes": [{}, {}, {}]},
        {"datasets": [{"path": "gone"}]},
        {"datasets": [{"path": "s0", "coordinateTransformations": [scale(1)]}]},
    ],
)
def test_damaged_metadata_is_refused(tmp_path, data, damage):
    path = save_ome(tmp_path / "a.zarr", data, [T, Y, X], [scale(1, 1, 1)])
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["ome"]["multiscales"][0].update(damage)
    (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(FormatError):
        io.read(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays_are_read(tmp_path, data, zarr_format):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=data, zarr_format=zarr_format)
    micrograph = io.read(path)
    assert isinstance(micrograph.data, zarr.Array)
    np.testing.assert_array_equal(micrograph.data[...], data)
    assert micrograph.calibration == Calibration.unknown(3)


def test_the_names_of_the_axes_of_a_plain_array_are_kept(tmp_path, data):
    names = ["tilt", "y", "x"]
    zarr.create_array(tmp_path / "a.zarr", data=data, dimension_names=names)
    assert io.read(tmp_path / "a.zarr").calibration.labels == ("tilt", "y", "x")


def test_an_array_in_a_group_is_found_or_chosen(tmp_path, data):
    group = zarr.create_group(tmp_path / "a.zarr")
    put(group, "deep/noisy", data)
    np.testing.assert_array_equal(io.read(tmp_path / "a.zarr").data[...], data)
    put(group, "clean", data + 1)
    with pytest.raises(FormatError, match="'clean', 'deep/noisy'"):
        io.read(tmp_path / "a.zarr")
    chosen = io.read(tmp_path / "a.zarr", dataset="clean")
    np.testing.assert_array_equal(chosen.data[...], data + 1)


def test_images_in_a_group_are_found_with_a_warning_or_chosen(tmp_path, data):
    zarr.create_group(tmp_path / "a.zarr")
    for n in range(2):
        save_ome(tmp_path / "a.zarr" / str(n), data + n, [T, Y, X], [scale(1, 1, 1)])
    with pytest.warns(LowDoseWarning, match="2 images; '0' is read"):
        np.testing.assert_array_equal(io.read(tmp_path / "a.zarr").data[...], data)
    chosen = io.read(tmp_path / "a.zarr", dataset="1")
    np.testing.assert_array_equal(chosen.data[...], data + 1)


def test_a_group_without_an_image_is_refused(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    put(group, "times", np.arange(4))
    with pytest.raises(FormatError, match="holds no image"):
        io.read(tmp_path / "a.zarr")


def test_a_folder_that_lost_its_metadata_is_refused(tmp_path, data):
    zarr.create_array(tmp_path / "a.zarr", data=data)
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    with pytest.raises(FormatError, match="damaged Zarr"):
        io.read(tmp_path / "a.zarr")


def test_every_type_comes_back_as_it_was(tmp_path, data):
    for dtype in ("u1", "i2", "u4", "i8", "f2", "f8", "?"):
        path = tmp_path / f"{np.dtype(dtype).name}.zarr"
        written = (data * 9).astype(dtype)
        again = io.read(io.write(path, Micrograph(written)))
        assert again.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(again.data[...], written)
