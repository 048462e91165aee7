"""Files that instruments wrote read right: shape, type and calibration."""

import warnings

import numpy as np
import pytest

from lowdose import io
from lowdose.errors import CalibrationWarning, FormatError
from lowdose.micrograph import Axis


def image(spacing, unit):
    return {"y": (spacing, unit), "x": (spacing, unit)}


#: Name -> shape, type, spacings by axis, mean counts of the last frame.
EXPECTED = {
    "isbi2012-sstem-stack.tif": (
        (10, 512, 512),
        "uint8",
        {"z": (0.05, "um"), **image(0.004, "um")},
        129.753,
    ),
    "graphene-stem-si-dopant.tif": ((256, 256), "float32", image(None, None), 40.0961),
    "graphene-stem-grain-boundary.tif": (
        (512, 512),
        "float32",
        image(None, None),
        77.9212,
    ),
    "test_STEM_image.dm3": ((68, 68), "uint32", image(0.248538, "nm"), 32655.4),
    "test-1.dm4": ((2, 2), "int16", image(None, None), 2.5),
    "test_stackbuilder_imagestack.dm3": (
        (3, 2, 16),
        "uint32",
        {"z": (None, None), **image(0.0599829, "um")},
        611224,
    ),
    "fei_example_tem_stack.emd": (
        (2, 3, 3),
        "int16",
        {"t": (0.8, "s"), **image(8.172883, "pm")},
        9.0,
    ),
    "HAADFscan.mrc": ((16, 16), "uint16", image(56.79131, "angstrom"), 6066.2),
    "128x128_TEM_acquire-sum1_1.ser": (
        (128, 128),
        "int32",
        image(21.4793, "nm"),
        28.3237,
    ),
    "128x128_TEM_acquire-sum1.emi": (
        (128, 128),
        "int32",
        image(21.4793, "nm"),
        28.3237,
    ),
}

INSTRUMENTS = (".dm3", ".dm4", ".emd", ".ser", ".emi")


def locate(real_data, name):
    if name.endswith(INSTRUMENTS):
        pytest.importorskip("rsciio", reason="needs the extra 'formats'")
    return real_data / name


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_file_reads_with_its_calibration(real_data, name):
    shape, dtype, spacings, mean = EXPECTED[name]
    micrograph = io.read(locate(real_data, name))
    assert micrograph.shape == shape
    assert micrograph.dtype == dtype
    assert micrograph.name == name
    assert micrograph.calibration.labels == tuple(spacings)
    for axis, (spacing, unit) in zip(
        micrograph.calibration.axes, spacings.values(), strict=True
    ):
        assert axis.unit == unit
        assert axis.spacing == (spacing and pytest.approx(spacing, rel=1e-5))
    last = micrograph.frame(micrograph.n_frames - 1)
    assert last.mean() == pytest.approx(mean, rel=1e-5)


def test_the_movie_with_a_pixel_size_of_minus_one_reads_with_a_warning(real_data):
    with pytest.warns(CalibrationWarning, match="-10 angstrom is impossible") as caught:
        micrograph = io.read(real_data / "20241021_00405_movie.mrc")
    assert len(caught) == 1
    assert (micrograph.shape, micrograph.dtype) == ((32, 4, 8), np.uint16)
    assert all(axis.spacing is None for axis in micrograph.calibration.axes)
    assert [micrograph.frame(n).mean() for n in (0, 31)] == [0, 31]


def test_every_file_of_the_folder_is_in_one_of_these_tests(real_data):
    names = {path.name for path in real_data.iterdir() if path.suffix != ".md"}
    assert names <= {*EXPECTED, "20241021_00405_movie.mrc"}


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".mrc", ".npz", ".zarr", ".h5"])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_file_survives_being_written_and_read(real_data, tmp_path, name, suffix):
    micrograph = io.read(locate(real_data, name))
    with io.create(
        tmp_path / f"a{suffix}", micrograph.shape, micrograph.calibration
    ) as sink:
        for number, frame in enumerate(micrograph.frames()):
            sink.write_frame(number, frame)
    again = io.read(sink.path)
    assert again.calibration == micrograph.calibration
    np.testing.assert_array_equal(
        np.asarray(again.data[...]), np.asarray(micrograph.data[...], np.float32)
    )


def test_the_isbi_stack_keeps_4_nm_and_50_nm_for_programs_that_know_only_tags(
    real_data, tmp_path
):
    tifffile = pytest.importorskip("tifffile")
    stack = io.read(real_data / "isbi2012-sstem-stack.tif")
    with tifffile.TiffFile(io.write(tmp_path / "a.tif", stack)) as tiff:
        metadata = tiff.imagej_metadata
        pixels, per = tiff.pages.first.tags["XResolution"].value
    assert metadata["unit"] == "um"
    assert metadata["spacing"] == pytest.approx(0.05)
    assert per / pixels == pytest.approx(0.004)
    assert metadata["slices"] == 10


@pytest.mark.parametrize("name", [*EXPECTED, "20241021_00405_movie.mrc"])
def test_a_truncated_real_file_never_reads_as_if_it_were_whole(
    real_data, tmp_path, name
):
    path = locate(real_data, name)
    if path.suffix == ".emi":
        pytest.skip("the pixels are in the .ser beside it")
    cut = tmp_path / name
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(FormatError):
            np.asarray(io.read(cut).data)


def test_an_axis_is_as_the_file_says_and_not_converted(real_data):
    stack = io.read(real_data / "isbi2012-sstem-stack.tif")
    assert stack.calibration.axes[0] == Axis(label="z", spacing=0.05, unit="um")
    assert stack.calibration.pixel_size("nm") == pytest.approx((4.0, 4.0))
