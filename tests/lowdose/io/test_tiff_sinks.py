"""Writing TIFF: what other programs find in our files, and what we find again."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tifffile

from lowdose import io
from lowdose.errors import CalibrationWarning, OutputError
from lowdose.io import tiff_sinks
from lowdose.io.ome_xml import NAMESPACE
from lowdose.micrograph import Axis, Calibration, Micrograph

NM = (Axis(label="y", spacing=0.5, unit="nm"), Axis(label="x", spacing=0.25, unit="nm"))


def test_a_movie_is_an_imagej_tiff_with_interval_and_pixel_size(tmp_path, movie):
    path = io.write(tmp_path / "a.tif", movie)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        assert not tiff.is_bigtiff
        assert tiff.series[0].axes == "TYX"
        metadata = tiff.imagej_metadata
        x = tiff.pages.first.tags["XResolution"].value
        y = tiff.pages.first.tags["YResolution"].value
        np.testing.assert_array_equal(tiff.asarray(), movie.data)
    assert metadata["unit"] == "nm"
    assert metadata["finterval"] == 0.25
    assert x[0] / x[1] == pytest.approx(1 / 0.11)
    assert y[0] / y[1] == pytest.approx(1 / 0.1)
    assert metadata["xorigin"] == pytest.approx(-4 / 0.11)
    assert metadata["yorigin"] == pytest.approx(15)


def test_sections_are_an_imagej_stack_of_slices_in_one_unit(tmp_path, sections):
    axes = (
        Axis(label="z", spacing=0.05, unit="um"),
        Axis(label="y", spacing=1.0, unit="angstrom"),
        NM[1],
    )
    mixed = sections.replace(calibration=Calibration(axes=axes))
    path = io.write(tmp_path / "a.tif", mixed)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "ZYX"
        metadata = tiff.imagej_metadata
        y = tiff.pages.first.tags["YResolution"].value
    assert metadata["unit"] == "nm"
    assert metadata["spacing"] == pytest.approx(50)
    assert y[0] / y[1] == pytest.approx(10)
    assert io.read(path).calibration.axes == axes


def test_a_movie_of_volumes_is_an_imagej_hyperstack(tmp_path, rng):
    data = rng.integers(0, 9, (2, 3, 5, 6), np.uint8)
    axes = (Axis(label="t"), Axis(label="z"), *NM)
    path = io.write(tmp_path / "a.tif", Micrograph(data, Calibration(axes=axes)))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        assert tiff.series[0].axes == "TZYX"
        np.testing.assert_array_equal(tiff.asarray(), data)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("uint8", "imagej"),
        ("uint16", "imagej"),
        ("float32", "imagej"),
        ("int16", "ome"),
        ("uint32", "ome"),
        ("float64", "ome"),
        ("float16", "shaped"),
        ("int64", "shaped"),
    ],
)
def test_the_dialect_is_the_simplest_that_holds_the_type(tmp_path, movie, dtype, kind):
    data = np.asarray(movie.data).astype(dtype)
    path = io.write(tmp_path / "a.tif", movie.replace(data=data))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].kind == kind
        np.testing.assert_array_equal(tiff.asarray(), data)
        assert tiff.asarray().dtype == dtype
    again = io.read(path)
    assert again.calibration == movie.calibration
    assert isinstance(again.data, np.memmap)


def test_volumes_with_the_time_last_keep_their_order(tmp_path, rng):
    data = rng.integers(0, 9, (2, 3, 5, 6), np.uint8)
    axes = (Axis(label="z"), Axis(label="t", spacing=2, unit="s"), *NM)
    path = io.write(tmp_path / "a.tif", Micrograph(data, Calibration(axes=axes)))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "ZTYX"
        np.testing.assert_array_equal(tiff.asarray(), data)
    again = io.read(path)
    assert again.calibration.axes == axes
    np.testing.assert_array_equal(again.data, data)


def test_five_axes_are_a_plain_tiff(tmp_path, rng):
    data = rng.random((2, 3, 2, 5, 6)).astype(np.float32)
    path = io.write(tmp_path / "a.tif", Micrograph(data))
    again = io.read(path)
    np.testing.assert_array_equal(again.data, data)
    assert again.calibration.labels == ("axis0", "t", "z", "y", "x")


@pytest.mark.parametrize("suffix", [".ome.tif", ".OME.TIFF"])
def test_an_ome_tiff_says_sizes_and_interval_in_its_xml(tmp_path, movie, suffix):
    path = io.write(tmp_path / f"a{suffix}", movie.replace(name="Bild µ & <1>"))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert tiff.series[0].axes == "TYX"
        np.testing.assert_array_equal(tiff.asarray(), movie.data)
        xml = tiff.ome_metadata
    assert xml.isascii()
    name = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
    image = ET.fromstring(xml).find(f"{name}Image")
    assert image.attrib["Name"] == "Bild µ & <1>"
    pixels = image.find(f"{name}Pixels").attrib
    assert float(pixels["PhysicalSizeX"]) == 0.11
    assert pixels["PhysicalSizeXUnit"] == "nm"
    assert float(pixels["TimeIncrement"]) == 0.25
    assert (pixels["SizeT"], pixels["SizeZ"], pixels["SizeC"]) == ("5", "1", "1")
    assert NAMESPACE in xml
    assert io.read(path).calibration == movie.calibration


@pytest.mark.parametrize("unit", ["um", "angstrom", "inch"])
def test_ome_units_are_spelt_as_the_schema_wants(tmp_path, movie, unit):
    axes = tuple(Axis(label=label, spacing=1e-4, unit=unit) for label in "yx")
    image = Micrograph(movie.frame(0), Calibration(axes=axes))
    path = io.write(tmp_path / "a.ome.tif", image)
    with tifffile.TiffFile(path) as tiff:
        spelt = {"um": "µm", "angstrom": "Å", "inch": "in"}[unit]
        xml = ET.fromstring(tiff.ome_metadata)
        assert any(e.get("PhysicalSizeXUnit") == spelt for e in xml.iter())
    assert io.read(path).calibration.axes == axes


def test_an_ome_tiff_that_cannot_hold_the_type_is_refused(tmp_path, movie):
    data = movie.data.astype(np.int64)
    with pytest.raises(OutputError, match=r"int64.*\.zarr"):
        io.write(tmp_path / "a.ome.tif", movie.replace(data=data))
    assert list(tmp_path.iterdir()) == []


def test_from_four_gigabytes_a_bigtiff_with_ome_xml_is_written(
    tmp_path, movie, monkeypatch
):
    monkeypatch.setattr(tiff_sinks, "_CLASSIC_LIMIT", 4000)
    path = io.write(tmp_path / "a.tif", movie)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
    again = io.read(path)
    assert again.calibration == movie.calibration
    np.testing.assert_array_equal(again.data, movie.data)


def test_a_file_above_four_gigabytes_is_laid_out_and_found_again(tmp_path):
    # The file is sparse: its frames take no room on the disk until they are written.
    shape = (70, 4096, 4096)
    sink = io.create(tmp_path / "a.tif", shape, Calibration.unknown(3))
    sink._written[:] = True
    sink.write_frame(69, np.full(shape[1:], 7, np.float32))
    again = io.read(sink.commit())
    assert again.shape == shape
    assert again.data[69, 4095, 4095] == 7
    assert again.data[0, 0, 0] == 0


def test_gain_and_history_are_in_the_info_that_imagej_shows(tmp_path, movie):
    path = io.write(tmp_path / "a.tif", movie)
    with tifffile.TiffFile(path) as tiff:
        info = tiff.imagej_metadata["Info"]
    assert '"counts_per_electron": 7.5' in info
    assert '"denoise"' in info


def test_a_scale_set_in_imagej_afterwards_is_believed(tmp_path, movie):
    path = io.write(tmp_path / "a.tif", movie)
    with tifffile.TiffFile(path) as tiff:
        info = tiff.imagej_metadata["Info"]
    tifffile.imwrite(
        tmp_path / "b.tif",
        movie.data,
        imagej=True,
        resolution=(2, 2),
        metadata={"axes": "TYX", "unit": "nm", "finterval": 0.25, "Info": info},
    )
    with pytest.warns(CalibrationWarning, match="older than the file's own tags"):
        again = io.read(tmp_path / "b.tif")
    assert again.calibration.pixel_size() == (0.5, 0.5)
    assert again.calibration.counts_per_electron == 7.5


def test_a_crop_made_in_imagej_keeps_the_scale_of_the_tags(tmp_path, movie):
    path = io.write(tmp_path / "a.tif", movie)
    with tifffile.TiffFile(path) as tiff:
        info = tiff.imagej_metadata["Info"]
    tifffile.imwrite(
        tmp_path / "b.tif",
        movie.data[:, :3, :4],
        imagej=True,
        resolution=(1 / 0.11, 10),
        metadata={"axes": "TYX", "unit": "nm", "finterval": 0.25, "Info": info},
    )
    again = io.read(tmp_path / "b.tif")
    assert again.shape == (5, 3, 4)
    assert again.calibration.pixel_size() == pytest.approx((0.1, 0.11))
    assert again.calibration.axes[-1].origin == 0
    assert again.calibration.provenance == movie.calibration.provenance


@pytest.mark.parametrize("spacing", [2e-9, 3.3e-5, 0.1, 1.0, 7.7, 9553926.0, 9e8])
def test_the_tags_of_any_sensible_spacing_are_right(tmp_path, spacing):
    axes = tuple(Axis(label=label, spacing=spacing, unit="pm") for label in "yx")
    image = Micrograph(np.ones((3, 3), np.float32), Calibration(axes=axes))
    with tifffile.TiffFile(io.write(tmp_path / "a.tif", image)) as tiff:
        pixels, per = tiff.pages.first.tags["XResolution"].value
    assert per / pixels == pytest.approx(spacing, rel=1e-8)


@pytest.mark.parametrize("spacing", [1e-12, 1e12])
def test_spacings_that_tags_cannot_say_survive_in_the_record(tmp_path, movie, spacing):
    axes = (Axis(label="y", spacing=spacing, unit="pm"), NM[1])
    image = Micrograph(movie.frame(0), Calibration(axes=axes))
    assert io.read(io.write(tmp_path / "a.tif", image)).calibration.axes == axes


def test_frames_lie_one_after_the_other_uncompressed(tmp_path, movie):
    with tifffile.TiffFile(io.write(tmp_path / "a.tif", movie)) as tiff:
        assert tiff.series[0].dataoffset is not None
        assert tiff.byteorder == "<"
