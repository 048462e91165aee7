"""MRC: what mrcfile writes, what mrcfile reads, and headers that lie."""

import io as streams

import mrcfile
import numpy as np
import pytest

from lowdose import io
from lowdose.errors import (
    CalibrationWarning,
    FormatError,
    InvalidImageError,
    OutputError,
)
from lowdose.io.mrc import HEADER_DTYPE
from lowdose.micrograph import Axis, Calibration, Micrograph


@pytest.fixture
def data(rng):
    return rng.integers(-50, 50, (4, 6, 8)).astype(np.int16)


def save(path, data, *, voxel=(2.5, 2.0, 3.0), volume=False, extended=None, **fields):
    """Write with mrcfile, then put into the header what mrcfile would not."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(data)
        if data.ndim == 3 and not volume:
            mrc.set_image_stack()
        mrc.voxel_size = voxel
        if extended is not None:
            mrc.set_extended_header(extended)
    return change(path, **fields)


def change(path, **fields):
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(raw, HEADER_DTYPE, 1)[0]
    for key, value in fields.items():
        header[key] = value
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f4", "f2", ">i2", ">f4", ">u2"])
def test_every_mode_in_both_byte_orders_is_mapped(tmp_path, data, dtype):
    data = data.astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc", data) as mrc:
        mrc.voxel_size = 2
    micrograph = io.read(tmp_path / "a.mrc")
    assert isinstance(micrograph.data, np.memmap)
    assert micrograph.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(micrograph.data, data)


def test_an_image_stack_has_a_time_axis_and_a_volume_a_depth(tmp_path, data):
    stack = io.read(save(tmp_path / "a.mrcs", data))
    volume = io.read(save(tmp_path / "b.mrc", data, volume=True))
    image = (
        Axis(label="y", spacing=2.0, unit="angstrom"),
        Axis(label="x", spacing=2.5, unit="angstrom"),
    )
    assert stack.calibration.axes == (Axis(label="t"), *image)
    assert volume.calibration.axes == (
        Axis(label="z", spacing=3.0, unit="angstrom"),
        *image,
    )


def test_a_single_section_is_an_image(tmp_path, data):
    assert io.read(save(tmp_path / "a.mrc", data[0])).shape == (6, 8)
    assert io.read(save(tmp_path / "b.mrc", data[:1], volume=True)).shape == (6, 8)


def test_a_stack_of_volumes_has_four_axes(tmp_path, rng):
    data = rng.random((2, 3, 6, 8)).astype(np.float32)
    path = save(tmp_path / "a.mrc", data, volume=True)
    micrograph = io.read(path)
    assert micrograph.calibration.labels == ("t", "z", "y", "x")
    assert micrograph.calibration.axes[1].spacing == 3.0
    np.testing.assert_array_equal(micrograph.data, data)


def test_extended_headers_of_others_are_skipped(tmp_path, data):
    extended = np.frombuffer(b'{"lowdose": ' * 100, "V1")
    path = save(tmp_path / "a.mrc", data, extended=extended, exttyp=b"FEI1")
    micrograph = io.read(path)
    np.testing.assert_array_equal(micrograph.data, data)
    assert micrograph.calibration.pixel_size("angstrom") == (2.0, 2.5)


def test_columns_that_run_along_another_axis_have_its_spacing(tmp_path, data):
    path = save(tmp_path / "a.mrc", data, volume=True, mapc=3, mapr=2, maps=1)
    header = {"cella": (80.0, 60.0, 40.0), "mx": 8, "my": 6, "mz": 4}
    z, y, x = io.read(change(path, **header)).calibration.axes
    assert (z.spacing, y.spacing, x.spacing) == (10.0, 10.0, 10.0)
    header = {"cella": (80.0, 60.0, 8.0)}
    z, y, x = io.read(change(path, **header)).calibration.axes
    assert (z.spacing, y.spacing, x.spacing) == (10.0, 10.0, 2.0)


def test_bytes_are_signed_unless_imod_says_otherwise(tmp_path, data):
    data = data.astype(np.int8)
    path = save(tmp_path / "a.mrc", data)
    np.testing.assert_array_equal(io.read(path).data, data)
    extra = bytearray(84)
    extra[40:44] = (1146047817).to_bytes(4, "little")
    change(path, extra2=bytes(extra))
    np.testing.assert_array_equal(io.read(path).data, data.view(np.uint8))
    extra[44] = 1
    change(path, extra2=bytes(extra))
    np.testing.assert_array_equal(io.read(path).data, data)


@pytest.mark.parametrize(
    "cell", [(-80.0, -60.0, 0.0), (np.nan, 1, 1), (np.inf, 1, 1), (1e13, 1e13, 1)]
)
def test_an_impossible_pixel_size_is_left_out_with_a_warning(tmp_path, data, cell):
    path = save(tmp_path / "a.mrc", data, cella=cell)
    with pytest.warns(CalibrationWarning, match="by hand"):
        micrograph = io.read(path)
    assert micrograph.calibration.axes[-1].spacing is None
    np.testing.assert_array_equal(micrograph.data, data)


def test_a_pixel_size_of_zero_means_not_known(tmp_path, data):
    path = save(tmp_path / "a.mrc", data, voxel=0)
    assert all(axis.spacing is None for axis in io.read(path).calibration.axes)


def test_one_angstrom_of_a_program_that_knows_none_is_left_out(tmp_path, data):
    path = save(tmp_path / "a.mrc", data, voxel=1, nlabl=0)
    with pytest.warns(CalibrationWarning, match="exactly 1 angstrom"):
        assert io.read(path).calibration.pixel_size() is None


def test_one_angstrom_in_a_header_with_labels_is_believed(tmp_path, data):
    path = save(tmp_path / "a.mrc", data, voxel=1)
    assert io.read(path).calibration.pixel_size("angstrom") == (1.0, 1.0)


@pytest.mark.parametrize(
    "fields", [{"map": b"\0\0\0\0"}, {"machst": (9, 9, 9, 9)}, {"mx": 0, "my": 0}]
)
def test_slightly_wrong_headers_are_read(tmp_path, data, fields):
    path = save(tmp_path / "a.mrc", data, **fields)
    np.testing.assert_array_equal(io.read(path).data, data)


def test_bytes_after_the_data_do_not_matter(tmp_path, data):
    path = save(tmp_path / "a.mrc", data)
    path.write_bytes(path.read_bytes() + b"\0" * 100)
    np.testing.assert_array_equal(io.read(path).data, data)


@pytest.mark.parametrize("size", [4, 500, 1023])
def test_a_truncated_header_is_refused(tmp_path, data, size):
    path = save(tmp_path / "a.mrc", data)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FormatError):
        io.read(path)


@pytest.mark.parametrize("size", [1024, 1200, -1])
def test_truncated_data_is_refused_with_sizes(tmp_path, data, size):
    path = save(tmp_path / "a.mrc", data)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FormatError, match=r"4x6x8.*1,408, but the file has"):
        io.read(path)


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"nx": 2**23, "ny": 2**23, "nz": 2**20}, FormatError, "promises"),
        ({"nx": -5}, FormatError, "-5 columns"),
        ({"nz": 0}, FormatError, "0 sections"),
        ({"nsymbt": -7}, FormatError, "-7 bytes"),
        ({"nsymbt": 2**30}, FormatError, "truncated"),
        ({"mode": 99}, FormatError, "mode 99"),
        ({"mode": 101}, FormatError, "4-bit.*newstack"),
        ({"mode": 3}, InvalidImageError, "complex"),
        ({"mode": 4}, InvalidImageError, "complex"),
        ({"mode": 16}, InvalidImageError, "colour"),
    ],
)
def test_absurd_headers_are_refused(tmp_path, data, fields, error, text):
    with pytest.raises(error, match=text):
        io.read(save(tmp_path / "a.mrc", data, **fields))


def test_there_is_no_dataset_to_choose(tmp_path, data):
    with pytest.raises(FormatError, match="one image"):
        io.read(save(tmp_path / "a.mrc", data), dataset="0")


# --- writing ---------------------------------------------------------------------


def valid_but_for_the_record(path):
    """Return what mrcfile's validation finds wrong, without the unregistered type."""
    report = streams.StringIO()
    mrcfile.validate(path, print_file=report)
    return [
        line
        for line in report.getvalue().splitlines()
        if line.strip()
        and not line.startswith("Checking if")
        and "Extended header type" not in line
    ]


@pytest.mark.parametrize("suffix", ["mrc", "mrcs", "st", "rec", "map"])
def test_a_movie_is_a_valid_image_stack_with_everything_in_the_record(
    tmp_path, movie, suffix
):
    path = io.write(tmp_path / f"a.{suffix}", movie)
    assert valid_but_for_the_record(path) == []
    with mrcfile.open(path) as mrc:
        assert mrc.is_image_stack()
        np.testing.assert_array_equal(mrc.data, movie.data)
        voxel = mrc.voxel_size
        np.testing.assert_allclose([voxel.x, voxel.y], [1.1, 1.0], rtol=1e-6)
    again = io.read(path)
    assert again.calibration == movie.calibration
    assert isinstance(again.data, np.memmap)


def test_sections_are_a_valid_volume_with_their_spacing(tmp_path, sections):
    path = io.write(tmp_path / "a.mrc", sections)
    assert valid_but_for_the_record(path) == []
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume()
        assert mrc.voxel_size.z == pytest.approx(500)
        np.testing.assert_array_equal(mrc.data, sections.data)
    assert io.read(path).calibration == sections.calibration


def test_a_movie_of_volumes_is_a_valid_stack_of_volumes(tmp_path, rng):
    data = rng.random((2, 3, 5, 6)).astype(np.float32)
    path = io.write(tmp_path / "a.mrc", Micrograph(data))
    assert valid_but_for_the_record(path) == []
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume_stack()
        np.testing.assert_array_equal(mrc.data, data)
    again = io.read(path)
    assert again.calibration == Calibration.unknown(4)
    np.testing.assert_array_equal(again.data, data)


def test_the_statistics_in_the_header_are_those_of_the_last_writing(tmp_path, rng):
    data = rng.normal(5, 3, (3, 9, 9)).astype(np.float32)
    with io.create(tmp_path / "a.mrc", data.shape, Calibration.unknown(3)) as sink:
        sink.write_frame(1, np.full((9, 9), 1e6))
        for number in (2, 1, 0):
            sink.write_frame(number, data[number])
    with mrcfile.open(sink.path) as mrc:
        assert float(mrc.header.dmin) == data.min()
        assert float(mrc.header.dmax) == data.max()
        assert float(mrc.header.dmean) == pytest.approx(data.mean(), rel=1e-5)
        assert float(mrc.header.rms) == pytest.approx(data.std(), rel=1e-5)


def test_pixels_that_are_not_finite_leave_the_statistics_unknown(tmp_path, rng):
    data = rng.random((2, 5, 5)).astype(np.float32)
    data[1, 2, 2] = np.nan
    path = io.write(tmp_path / "a.mrc", Micrograph(data))
    with mrcfile.open(path) as mrc:
        assert mrc.header.dmax < mrc.header.dmin
        assert mrc.header.rms < 0
    np.testing.assert_array_equal(io.read(path).data, data)


def test_unsigned_bytes_become_the_next_larger_type(tmp_path, sections):
    data = np.asarray(sections.data).astype(np.uint8)
    path = io.write(tmp_path / "a.mrc", sections.replace(data=data))
    again = io.read(path)
    assert again.dtype == np.uint16
    np.testing.assert_array_equal(again.data, data)


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint64"])
def test_types_that_the_format_lacks_are_refused(tmp_path, movie, dtype):
    data = np.asarray(movie.data).astype(dtype)
    with pytest.raises(OutputError, match=rf"{dtype}.*float32.*\.tif"):
        io.write(tmp_path / "a.mrc", movie.replace(data=data))
    assert list(tmp_path.iterdir()) == []


def test_five_axes_are_refused(tmp_path):
    with pytest.raises(OutputError, match="four axes"):
        io.write(tmp_path / "a.mrc", Micrograph(np.zeros((1, 1, 1, 2, 2), "f4")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spacing", [1e30, 1e-30])
def test_spacings_that_the_header_cannot_say_survive_in_the_record(tmp_path, spacing):
    axes = tuple(Axis(label=label, spacing=spacing, unit="1/nm") for label in "yx")
    image = Micrograph(np.ones((3, 3), "f4"), Calibration(axes=axes))
    assert io.read(io.write(tmp_path / "a.mrc", image)).calibration.axes == axes


def test_a_pixel_size_changed_by_another_program_is_believed(tmp_path, movie):
    path = io.write(tmp_path / "a.mrc", movie)
    with mrcfile.open(path, "r+") as mrc:
        mrc.voxel_size = 7
    with pytest.warns(CalibrationWarning, match="older than the file's own tags"):
        again = io.read(path)
    assert again.calibration.pixel_size("angstrom") == pytest.approx((7, 7))
    assert again.calibration.provenance == movie.calibration.provenance
