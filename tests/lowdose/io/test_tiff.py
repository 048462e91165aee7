"""Reading TIFF of every kind, written by tifffile and by hand."""

import pickle
import struct

import numpy as np
import pytest
import tifffile

from lowdose import io
from lowdose.errors import (
    CalibrationWarning,
    FormatError,
    InvalidImageError,
    LowDoseWarning,
    MissingExtraError,
)
from lowdose.io.frame_array import FrameArray
from lowdose.micrograph import Axis

GREY = {"photometric": "minisblack"}


@pytest.fixture
def stack(rng):
    return rng.integers(0, 200, (6, 20, 24)).astype(np.float32)


def save(path, data, **options):
    tifffile.imwrite(path, data, **{**GREY, **options})
    return path


def same(path, data, **options):
    micrograph = io.read(path, **options)
    np.testing.assert_array_equal(np.asarray(micrograph.data), data)
    for number in range(micrograph.n_frames):
        index = micrograph.frame_index(number)
        np.testing.assert_array_equal(micrograph.frame(number), data[index])
    return micrograph


@pytest.mark.parametrize(
    "dtype",
    [*"bBhHiIqQefd"],
)
@pytest.mark.parametrize("order", "<>")
def test_every_type_in_both_byte_orders_is_mapped(tmp_path, stack, dtype, order):
    data = stack.astype(dtype)
    micrograph = same(save(tmp_path / "a.tif", data, byteorder=order), data)
    assert isinstance(micrograph.data, np.memmap)
    assert micrograph.data.mode == "r"
    assert micrograph.dtype == np.dtype(dtype).newbyteorder(order)
    assert micrograph.calibration.labels == ("t", "y", "x")


@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"metadata": None},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "TYX"}},
        {"rowsperstrip": 7},
        {"truncate": True},
    ],
)
def test_every_uncompressed_layout_is_mapped(tmp_path, stack, options):
    assert isinstance(
        same(save(tmp_path / "a.tif", stack, **options), stack).data, np.memmap
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "zlib", "bigtiff": True},
        {"compression": "zlib", "rowsperstrip": 3},
        {"compression": "zlib", "imagej": True, "metadata": {"axes": "TYX"}},
        {"compression": "zlib", "ome": True, "metadata": {"axes": "ZYX"}},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "zlib"},
        {"volumetric": True, "tile": (16, 16, 16)},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "zlib"},
    ],
)
def test_pages_that_must_be_decoded_are_read_one_by_one(
    tmp_path, stack, options, order
):
    path = save(tmp_path / "a.tif", stack, byteorder=order, **options)
    micrograph = same(path, stack)
    if options != {"planarconfig": "separate"}:
        assert isinstance(micrograph.data, FrameArray)


@pytest.mark.parametrize("compression", ["lzw", "zstd", "packbits", "lerc"])
def test_other_codecs_are_read_where_imagecodecs_is_installed(
    tmp_path, stack, compression
):
    pytest.importorskip("imagecodecs")
    micrograph = same(save(tmp_path / "a.tif", stack, compression=compression), stack)
    assert isinstance(micrograph.data, FrameArray)


def test_only_the_pages_asked_for_are_decoded(tmp_path, stack, monkeypatch):
    micrograph = io.read(save(tmp_path / "a.tif", stack, compression="zlib"))
    decoded = []
    original = tifffile.TiffPage.asarray

    def count(page, *args, **kwargs):
        decoded.append(page.index)
        return original(page, *args, **kwargs)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", count)
    monkeypatch.setattr(tifffile.TiffFrame, "asarray", count)
    micrograph.frame(4)
    assert decoded == [4]


def test_a_compressed_stack_can_be_pickled_and_read_elsewhere(tmp_path, stack):
    data = io.read(save(tmp_path / "a.tif", stack, compression="zlib")).data
    data[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data))[3], stack[3])


def test_pages_scattered_over_the_file_are_one_stack(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for frame in stack:
            writer.write(frame, contiguous=False, metadata=None, **GREY)
    same(tmp_path / "a.tif", stack)


def test_images_written_one_by_one_are_one_stack_not_many_series(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for frame in stack:
            writer.write(frame, **GREY)
    same(tmp_path / "a.tif", stack)
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        for frame in stack:
            writer.write(frame, compression="zlib", **GREY)
    same(tmp_path / "b.tif", stack)


def test_a_single_image_has_two_axes(tmp_path, stack):
    same(save(tmp_path / "a.tif", stack[0]), stack[0])
    same(save(tmp_path / "b.tif", stack[:1]), stack[0])


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (2, 2)])
def test_tiny_images_keep_their_shape(tmp_path, shape):
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    same(save(tmp_path / "a.tif", data), data)


def test_of_several_images_the_first_is_read_with_a_warning(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(stack, **GREY)
        writer.write(stack[0, :5, :5], **GREY)
    with pytest.warns(LowDoseWarning, match="2 separate images.*series=1"):
        same(tmp_path / "a.tif", stack)
    same(tmp_path / "a.tif", stack[0, :5, :5], dataset="series=1")
    with pytest.raises(FormatError, match="holds 2"):
        io.read(tmp_path / "a.tif", dataset="series=2")


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_channel_has_to_be_picked(tmp_path, rng, options, compression):
    data = rng.integers(0, 99, (2, 3, 4, 8, 9)).astype(np.uint16)  # t, z, c
    axes = {"metadata": {"axes": "TZCYX"}, "compression": compression}
    path = save(tmp_path / "a.tif", data, **options, **axes)
    with pytest.raises(InvalidImageError, match=r"4 channels.*dataset='c=0'"):
        io.read(path)
    with pytest.raises(InvalidImageError, match="no channel 4"):
        io.read(path, dataset="c=4")
    micrograph = same(path, data[:, :, 2], dataset="c=2")
    assert micrograph.calibration.labels == ("t", "z", "y", "x")


@pytest.mark.parametrize("dataset", ["images", "x=1", "series=one"])
def test_a_dataset_that_means_nothing_is_refused(tmp_path, stack, dataset):
    with pytest.raises(FormatError, match="series=0"):
        io.read(save(tmp_path / "a.tif", stack), dataset=dataset)


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_colour_is_refused(tmp_path, planarconfig):
    shape = (16, 18, 3) if planarconfig == "contig" else (3, 16, 18)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros(shape, np.uint8), photometric="rgb", planarconfig=planarconfig
    )
    with pytest.raises(InvalidImageError, match="colour"):
        io.read(path)


def test_complex_pixels_are_refused(tmp_path):
    with pytest.raises(InvalidImageError, match="complex"):
        io.read(save(tmp_path / "a.tif", np.zeros((8, 8), np.complex64)))


# --- calibration -----------------------------------------------------------------


def imagej(path, data, resolution=None, axes="TYX", **metadata):
    options = {} if resolution is None else {"resolution": resolution}
    return save(path, data, imagej=True, metadata={"axes": axes, **metadata}, **options)


@pytest.mark.parametrize("unit", ["um", "\\u00B5m", "\\u00b5m", "micron"])
def test_imagej_units_are_understood_in_every_spelling(tmp_path, stack, unit):
    path = imagej(tmp_path / "a.tif", stack, (250, 500), "ZYX", unit=unit, spacing=0.05)
    z, y, x = io.read(path).calibration.axes
    assert z == Axis(label="z", spacing=0.05, unit="um")
    assert (x.spacing, x.unit) == (pytest.approx(0.004), "um")
    assert y.spacing == pytest.approx(0.002)


def test_imagej_frame_interval_origin_and_units_per_axis_are_read(tmp_path, rng):
    data = rng.integers(0, 9, (2, 3, 8, 9), np.uint8)
    path = imagej(
        tmp_path / "a.tif",
        data,
        (2, 2),
        "TZYX",
        unit="nm",
        zunit="um",
        spacing=0.07,
        finterval=0.4,
        tunit="ms",
        xorigin=6,
        yorigin=-4.0,
    )
    t, z, y, x = io.read(path).calibration.axes
    assert t == Axis(label="t", spacing=0.4, unit="ms")
    assert z == Axis(label="z", spacing=0.07, unit="um")
    assert y == Axis(label="y", spacing=0.5, unit="nm", origin=2.0)
    assert x == Axis(label="x", spacing=0.5, unit="nm", origin=-3.0)


def test_imagej_without_a_unit_has_no_calibration(tmp_path, stack):
    for unit in ({}, {"unit": "pixel"}):
        path = imagej(tmp_path / "a.tif", stack, (2, 2), **unit)
        assert all(a.spacing is None for a in io.read(path).calibration.axes)


def test_imagej_inches_of_a_printer_are_no_calibration(tmp_path, stack):
    path = imagej(tmp_path / "a.tif", stack, (300, 300), unit="inch")
    assert io.read(path).calibration.pixel_size() is None


def test_imagej_centimetres_of_a_printer_are_no_calibration(tmp_path, stack):
    path = imagej(tmp_path / "a.tif", stack, (118.11, 118.11), unit="cm")
    assert io.read(path).calibration.pixel_size() is None


def test_imagej_units_that_are_none_give_a_warning(tmp_path, stack):
    path = imagej(tmp_path / "a.tif", stack, (2, 2), unit="parsec")
    with pytest.warns(CalibrationWarning, match="parsec"):
        assert io.read(path).calibration.pixel_size() is None


def test_a_negative_section_spacing_gives_a_warning_and_keeps_the_pixels(
    tmp_path, stack
):
    path = imagej(tmp_path / "a.tif", stack, (2, 2), "ZYX", unit="nm", spacing=-1.0)
    with pytest.warns(CalibrationWarning, match="-1 nm is impossible"):
        calibration = io.read(path).calibration
    assert calibration.axes[0].spacing is None
    assert calibration.pixel_size() == (0.5, 0.5)


def test_ome_sizes_units_and_defaults_are_read(tmp_path, rng):
    data = rng.integers(0, 9, (2, 3, 8, 9), np.uint8)
    metadata = {
        "axes": "TZYX",
        "PhysicalSizeX": 0.31,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.00032,  # in the default unit, the micrometre
        "PhysicalSizeZ": 40.0,
        "PhysicalSizeZUnit": "Å",
        "TimeIncrement": 0.8,
    }
    path = save(tmp_path / "a.ome.tif", data, ome=True, metadata=metadata)
    t, z, y, x = io.read(path).calibration.axes
    assert t == Axis(label="t", spacing=0.8, unit="s")
    assert z == Axis(label="z", spacing=40.0, unit="angstrom")
    assert y == Axis(label="y", spacing=0.00032, unit="um")
    assert x == Axis(label="x", spacing=0.31, unit="nm")


def described(path, data, xml):
    tifffile.imwrite(path, data, description=xml, metadata=None, **GREY)
    return path


OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="float" '
    'SizeX="24" SizeY="20" SizeC="1" SizeZ="1" SizeT="6" {}>'
    "<TiffData/></Pixels></Image></OME>"
)


@pytest.mark.parametrize("size", ["-0.1", "0", "nan", "inf", "wide"])
def test_ome_sizes_that_lie_give_a_warning(tmp_path, stack, size):
    xml = OME.format(f'PhysicalSizeX="{size}" PhysicalSizeY="0.5"')
    path = described(tmp_path / "a.ome.tif", stack, xml)
    with pytest.warns(CalibrationWarning, match="impossible"):
        calibration = same(path, stack).calibration
    assert calibration.axes[-1].spacing is None
    assert calibration.axes[-2] == Axis(label="y", spacing=0.5, unit="um")


def test_the_second_image_of_an_ome_tiff_has_its_own_size(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for data, size in ((stack, 0.1), (stack[0, :5], 0.7)):
            sizes = {f"PhysicalSize{a}": size for a in "XY"}
            units = {f"PhysicalSize{a}Unit": "nm" for a in "XY"}
            axes = {"axes": "TYX"[-data.ndim :]}
            writer.write(data, metadata={**axes, **sizes, **units}, **GREY)
    micrograph = same(tmp_path / "a.ome.tif", stack[0, :5], dataset="series=1")
    assert micrograph.calibration.pixel_size() == (0.7, 0.7)
    with pytest.warns(LowDoseWarning, match="2 separate images"):
        first = io.read(tmp_path / "a.ome.tif")
    assert first.calibration.pixel_size() == (0.1, 0.1)


def test_ome_xml_with_entities_is_not_parsed(tmp_path, stack):
    xml = '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "b">]><OME></OME>'
    with pytest.raises(FormatError, match="entities"):
        io.read(described(tmp_path / "a.tif", stack, xml))


@pytest.mark.parametrize("dpi", [72, 96, 300, 600, 1200])
def test_printer_resolutions_are_no_calibration(tmp_path, stack, dpi):
    path = save(tmp_path / "a.tif", stack, resolution=(dpi, dpi), resolutionunit="inch")
    assert io.read(path).calibration.pixel_size() is None


def test_resolution_tags_of_a_microscope_are_believed(tmp_path, stack):
    path = save(
        tmp_path / "a.tif", stack, resolution=(2e7, 1e7), resolutionunit="centimeter"
    )
    assert io.read(path).calibration.pixel_size("nm") == pytest.approx((1.0, 0.5))


def test_resolution_tags_without_a_unit_mean_nothing(tmp_path, stack):
    path = save(tmp_path / "a.tif", stack, resolution=(2e7, 2e7), resolutionunit="none")
    assert io.read(path).calibration.pixel_size() is None


def test_gatan_tags_are_read(tmp_path, stack):
    tags = [
        (65003, "s", 3, "nm", True),
        (65004, "s", 3, "nm", True),
        (65009, "d", 1, 0.031, True),
        (65010, "d", 1, 0.032, True),
    ]
    path = save(tmp_path / "a.tif", stack[0], extratags=tags)
    assert io.read(path).calibration.pixel_size("nm") == (0.032, 0.031)


def test_thermo_fisher_tags_are_read(tmp_path, stack):
    text = "[User]\r\nUser=a\r\n[Scan]\r\nPixelWidth=2.5e-009\r\nPixelHeight=3e-009\r\n"
    tags = [(34682, "s", 0, text, True)]
    path = save(tmp_path / "a.tif", stack[0], extratags=tags)
    assert io.read(path).calibration.pixel_size("nm") == pytest.approx((3.0, 2.5))


def test_zeiss_tags_are_read(tmp_path, stack):
    text = "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.25 nm\r\n"
    path = save(tmp_path / "a.tif", stack[0], extratags=[(34118, "s", 0, text, True)])
    assert io.read(path).calibration.pixel_size("nm") == pytest.approx((2.25, 2.25))


# --- damage ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metadata": None},
        {"bigtiff": True},
        {"imagej": True, "metadata": {"axes": "TYX"}},
        {"ome": True, "metadata": {"axes": "TYX"}},
        {"compression": "zlib"},
        {"compression": "zlib", "imagej": True, "metadata": {"axes": "TYX"}},
        {"tile": (16, 16)},
        {"truncate": True},
    ],
)
@pytest.mark.parametrize("kept", [0.001, 0.05, 0.3, 0.6, 0.9, 0.97])
def test_a_truncated_file_is_refused_with_sizes(tmp_path, stack, options, kept, caplog):
    raw = save(tmp_path / "whole.tif", stack, **options).read_bytes()
    size = max(5, int(kept * len(raw)))
    path = tmp_path / "cut.tif"
    path.write_bytes(raw[:size])
    with pytest.raises(FormatError, match="truncated") as caught:
        io.read(path)
    assert f"{size:,}" in str(caught.value)


def test_a_truncated_file_of_scattered_pages_is_refused(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for frame in stack:
            writer.write(frame, contiguous=False, metadata=None, **GREY)
    raw = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(raw[: len(raw) - 300])
    with pytest.raises(FormatError, match="truncated"):
        io.read(tmp_path / "a.tif")


def test_imagej_metadata_that_promises_more_images_is_refused(tmp_path, stack, caplog):
    path = save(
        tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TYX", "loop": None}
    )
    raw = path.read_bytes()
    assert raw.count(b"frames=6") == 1
    path.write_bytes(raw.replace(b"frames=6", b"frames=9"))
    with pytest.raises(FormatError, match="promises 9 images, but 6"):
        io.read(path)


def absurd(path, width, height, compression, data=b"\0" * 64):
    """Write a TIFF by hand whose header says what it likes."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, 200),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(data)),
    ]
    ifd = struct.pack("<H", len(tags))
    for code, kind, value in tags:
        ifd += struct.pack("<HHII", code, kind, 1, value)
    head = b"II*\0" + struct.pack("<I", 8) + ifd + struct.pack("<I", 0)
    path.write_bytes(head.ljust(200, b"\0") + data)
    return path


@pytest.mark.parametrize("compression", [1, 8])
def test_absurd_sizes_are_refused_before_anything_is_allocated(tmp_path, compression):
    path = absurd(tmp_path / "a.tif", 2**30, 2**30, compression)
    with pytest.raises(FormatError, match=r"1073741824|truncated"):
        io.read(path)


def test_a_size_of_zero_is_refused(tmp_path):
    with pytest.raises(FormatError):
        io.read(absurd(tmp_path / "a.tif", 0, 4, 1))


def test_damaged_compressed_data_is_named_when_it_is_read(tmp_path):
    path = absurd(tmp_path / "a.tif", 8, 8, 8, data=b"no deflate stream, this")
    micrograph = io.read(path)
    with pytest.raises(FormatError, match=r"Image 0 of a\.tif cannot be decoded"):
        micrograph.frame(0)


def test_a_chain_of_pages_that_bites_its_tail_is_refused(tmp_path):
    path = absurd(tmp_path / "a.tif", 8, 8, 1)
    raw = bytearray(path.read_bytes())
    end = 8 + 2 + 9 * 12
    raw[end : end + 4] = struct.pack("<I", 8)
    path.write_bytes(raw)
    with pytest.raises(FormatError, match="returns to a page"):
        io.read(path)


def test_a_tiff_without_pages_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\0\0\0\0")
    with pytest.raises(FormatError, match="without a page"):
        io.read(tmp_path / "a.tif")


def test_a_missing_codec_names_the_extra(tmp_path, monkeypatch):
    path = absurd(tmp_path / "a.tif", 8, 8, 5)  # LZW

    class NoCodecs(dict):
        def __missing__(self, key):
            raise KeyError(f"{key} requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", NoCodecs(), raising=False)
    with pytest.raises(MissingExtraError, match=r"LZW.*napari-lowdose\[formats\]"):
        io.read(path)


def test_packed_samples_without_their_codec_name_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16), compression="zlib", **GREY)
    micrograph = io.read(path)

    def lacking(page):
        raise ValueError("<12 bit> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", lacking)
    with pytest.raises(MissingExtraError, match=r"\[formats\]"):
        micrograph.frame(0)


def test_an_unknown_compression_is_refused(tmp_path):
    with pytest.raises(FormatError, match="12345"):
        io.read(absurd(tmp_path / "a.tif", 8, 8, 12345))


def test_the_file_is_not_kept_open_by_what_is_dropped(tmp_path, stack):
    # A file that is left open is a ResourceWarning, which fails the test.
    data = io.read(save(tmp_path / "a.tif", stack, compression="zlib")).data
    data[0]
    del data
