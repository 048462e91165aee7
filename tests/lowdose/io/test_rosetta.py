"""The formats of instruments: what is made of what RosettaSciIO says."""

import importlib.util

import numpy as np
import pytest

from lowdose import io
from lowdose.errors import (
    CalibrationWarning,
    FormatError,
    InvalidImageError,
    LowDoseWarning,
    MissingExtraError,
)
from lowdose.io import rosetta
from lowdose.micrograph import Axis

DATA = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)


def axis(name, size, scale=1.0, units="", offset=0.0, *, navigate=False, index=None):
    entry = {"name": name, "size": size, "scale": scale, "offset": offset}
    entry |= {"units": units, "navigate": navigate}
    return entry if index is None else {**entry, "index_in_array": index}


def signal(data=DATA, axes=None, title="HAADF"):
    axes = axes or [
        axis("Time", 2, 0.5, "s", navigate=True),
        axis("y", 3, 0.1, "nm", 7.0),
        axis("x", 4, 0.2, "nm", -1.0),
    ]
    return {"data": data, "axes": axes, "metadata": {"General": {"title": title}}}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Return a function that reads a file in which the given signals are."""

    def read(*signals, dataset=None):
        path = tmp_path / "a.dm4"
        path.write_bytes(b"\0\0\0\x04")
        monkeypatch.setattr(rosetta, "_read", lambda path, name: list(signals))
        return io.read(path, dataset=dataset)

    return read


def test_axes_scales_units_and_origins_become_the_calibration(opened):
    micrograph = opened(signal())
    assert micrograph.calibration.axes == (
        Axis(label="t", spacing=0.5, unit="s"),
        Axis(label="y", spacing=0.1, unit="nm", origin=7.0),
        Axis(label="x", spacing=0.2, unit="nm", origin=-1.0),
    )
    np.testing.assert_array_equal(micrograph.data, DATA)


def test_the_order_of_the_axes_is_that_of_the_array(opened):
    axes = [
        axis("x", 4, 0.2, "nm", index=2),
        axis("y", 3, 0.1, "nm", index=1),
        axis("z", 2, 5, "nm", index=0, navigate=True),
    ]
    calibration = opened(signal(axes=axes)).calibration
    assert calibration.labels == ("z", "y", "x")
    assert calibration.pixel_size() == (0.1, 0.2)


def test_the_axes_of_the_image_come_last(opened):
    axes = [
        axis("height", 2, 0.1, "nm"),
        axis("width", 3, 0.2, "nm"),
        axis("", 4, navigate=True),
    ]
    micrograph = opened(signal(axes=axes))
    assert micrograph.shape == (4, 2, 3)
    np.testing.assert_array_equal(micrograph.data, np.moveaxis(DATA, 2, 0))
    assert micrograph.calibration.labels == ("t", "y", "x")
    assert micrograph.calibration.pixel_size() == (0.1, 0.2)


def test_a_scan_of_diffraction_patterns_has_labels_that_differ(opened):
    data = np.zeros((2, 3, 4, 5))
    axes = [axis("y", 2, navigate=True), axis("x", 3, navigate=True)]
    axes += [axis("ky", 4, 0.1, "1/nm"), axis("kx", 5, 0.1, "1/nm")]
    calibration = opened(signal(data, axes)).calibration
    assert calibration.labels == ("scan y", "scan x", "y", "x")
    assert calibration.axes[-1].unit == "1/nm"


@pytest.mark.parametrize("units", ["", None, "<undefined>", "px"])
def test_a_scale_without_a_unit_means_nothing(opened, units):
    axes = [axis("y", 3, 1.0, units), axis("x", 4, 1.0, units)]
    assert opened(signal(DATA[0], axes)).calibration.pixel_size() is None


def test_axes_that_are_not_uniform_have_no_spacing(opened):
    axes = [{"name": "y", "axis": [0, 1, 5], "units": "nm", "navigate": False}]
    axes += [axis("x", 4, 0.2, "nm")]
    assert opened(signal(DATA[0], axes)).calibration.axes[0].spacing is None


def test_impossible_scales_give_a_warning(opened):
    axes = [axis("y", 3, -1.0, "nm"), axis("x", 4, -1.0, "nm")]
    with pytest.warns(CalibrationWarning, match="-1 nm"):
        opened(signal(DATA[0], axes))


def test_of_several_images_the_first_is_read_with_a_warning(opened):
    spectrum = signal(axes=[*signal()["axes"][:2], axis("E", 4)], title="EDS")
    for n, entry in enumerate(spectrum["axes"]):
        entry["navigate"] = n < 2
    signals = [spectrum, signal(title="HAADF"), signal(DATA + 1, title="BF")]
    with pytest.warns(LowDoseWarning, match="2 images.*1: HAADF, 2: BF.*'2'"):
        np.testing.assert_array_equal(opened(*signals).data, DATA)
    for dataset in ("2", "BF"):
        chosen = opened(*signals, dataset=dataset)
        np.testing.assert_array_equal(chosen.data, DATA + 1)
    with pytest.raises(FormatError, match=r"no image 'DF'.*1: HAADF"):
        opened(*signals, dataset="DF")


def test_spectra_are_refused(opened):
    axes = [axis("y", 3, navigate=True), axis("E", 4)]
    with pytest.raises(InvalidImageError, match="no image"):
        opened(signal(DATA[0], axes))


def test_colour_is_refused(opened):
    axes = [axis("y", 3), axis("x", 4)]
    with pytest.raises(InvalidImageError, match="colour"):
        opened(signal(np.zeros((3, 4), "u1,u1,u1"), axes))


def test_axes_that_do_not_fit_the_data_are_refused(opened):
    with pytest.raises(FormatError, match="2 axes"):
        opened(signal(axes=[axis("y", 3), axis("x", 4)]))


@pytest.mark.parametrize("name", ["a.dm3", "a.DM4", "a.emd", "a.ser", "a.mib", "a.blo"])
def test_without_rosettasciio_the_extra_and_its_licence_are_named(
    tmp_path, monkeypatch, name
):
    (tmp_path / name).write_bytes(b"\0\0\0\x03")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"\[formats\].*GPL-3"):
        io.read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.dm3", "a.dm4", "a.emd", "a.ser"])
@pytest.mark.parametrize("content", [b"\0", b"nonsense" * 100])
def test_damaged_files_are_refused_in_one_kind_of_error(tmp_path, name, content):
    pytest.importorskip("rsciio")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=f"{name} cannot be read as"):
        io.read(tmp_path / name)


def test_a_library_that_a_reader_lacks_is_named(tmp_path, monkeypatch):
    pytest.importorskip("rsciio")
    import rsciio.digitalmicrograph

    def lacking(*args, **kwargs):
        raise ImportError("No module named 'special'")

    monkeypatch.setattr(rsciio.digitalmicrograph, "file_reader", lacking)
    (tmp_path / "a.dm4").write_bytes(b"\0\0\0\x04")
    with pytest.raises(MissingExtraError, match=r"special.*\[formats\]"):
        io.read(tmp_path / "a.dm4")


def test_every_format_in_the_list_is_one_that_rosettasciio_reads():
    rsciio = pytest.importorskip("rsciio")
    known = {s.lower() for p in rsciio.IO_PLUGINS for s in p["file_extensions"]}
    assert {suffix.removeprefix(".") for suffix in rosetta.FORMATS} <= known


class _Lazy:
    """A lazy array that fails when it is read, as those of dask do."""

    def __init__(self, shape, error=None, dtype=np.int32):
        self.shape, self.dtype, self.error = shape, np.dtype(dtype), error

    def __getitem__(self, index):
        if self.error:
            raise self.error
        return np.zeros((0, self.shape[-1]), self.dtype)


def _lazy_signal(data):
    axes = [axis("t", data.shape[0], navigate=True)]
    axes += [axis("y", data.shape[1]), axis("x", data.shape[2])]
    return signal(data, axes)


@pytest.mark.parametrize(
    "error", [ValueError("mmap length is greater than file size"), None]
)
def test_frames_that_cannot_be_read_are_an_error_of_ours(opened, error):
    image = opened(_lazy_signal(_Lazy((2, 1, 1), error, np.uint8)))
    with pytest.raises(FormatError, match=r"Frame 1 of .* (cannot be read|not there)"):
        image.frame(1)


def test_a_header_that_promises_more_than_the_file_has_is_refused(opened):
    with pytest.raises(FormatError, match="truncated or damaged"):
        opened(_lazy_signal(_Lazy((10**6, 10**4, 10**5))))


def test_a_header_that_asks_for_all_memory_is_a_damaged_file(tmp_path, monkeypatch):
    pytest.importorskip("rsciio")
    import rsciio.digitalmicrograph

    def greedy(*args, **kwargs):
        raise MemoryError("Unable to allocate 8.01 TiB")

    monkeypatch.setattr(rsciio.digitalmicrograph, "file_reader", greedy)
    (tmp_path / "a.dm4").write_bytes(b"\0\0\0\x04")
    with pytest.raises(FormatError, match="more memory"):
        io.read(tmp_path / "a.dm4")
