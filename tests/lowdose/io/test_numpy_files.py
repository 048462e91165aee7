import io as streams
import zipfile

import numpy as np
import pytest

from lowdose import io
from lowdose.errors import FormatError, InvalidImageError
from lowdose.micrograph import Calibration


@pytest.fixture
def data(rng):
    return rng.integers(-50, 50, (4, 6, 8)).astype(np.int16)


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", ">i4", "<f2", ">f8", "u8"])
@pytest.mark.parametrize("order", "CF")
def test_npy_is_mapped_in_every_type_and_order(tmp_path, data, dtype, order):
    data = np.asarray(data.astype(dtype), order=order)
    np.save(tmp_path / "a.npy", data)
    micrograph = io.read(tmp_path / "a.npy")
    assert isinstance(micrograph.data, np.memmap)
    assert micrograph.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(micrograph.data, data)
    np.testing.assert_array_equal(micrograph.frame(2), data[2])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_npy_is_read(tmp_path, data, version):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, data, version=version)
    np.testing.assert_array_equal(io.read(tmp_path / "a.npy").data, data)


def test_a_channel_axis_of_length_one_is_dropped(tmp_path, data):
    np.save(tmp_path / "a.npy", data[..., None])
    np.testing.assert_array_equal(io.read(tmp_path / "a.npy").data, data)


@pytest.mark.parametrize("shape", [(40, 50, 3), (40, 50, 4), (2, 40, 50, 3)])
def test_colour_is_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(InvalidImageError, match="colour"):
        io.read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "data",
    [np.float32(3), np.zeros(5), np.zeros((0, 5)), np.zeros((5, 5), complex)],
    ids=["0-d", "1-d", "empty", "complex"],
)
def test_what_is_no_image_is_refused(tmp_path, data):
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(InvalidImageError):
        io.read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "data",
    [np.array([["a", "b"]]), np.zeros((3, 3), "f4,f4"), np.zeros((3, 3), "M8[s]")],
    ids=["text", "structured", "dates"],
)
def test_types_that_are_no_counts_are_refused(tmp_path, data):
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(InvalidImageError):
        io.read(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_objects_are_never_unpickled(tmp_path, suffix):
    fired = []

    class Trap:
        def __reduce__(self):
            return fired.append, (1,)

    data = np.array([[Trap()], [Trap()]], dtype=object)
    path = tmp_path / f"a.{suffix}"
    (np.save if suffix == "npy" else np.savez)(path, data)
    with pytest.raises(InvalidImageError, match="never loaded"):
        io.read(path)
    assert fired == []


@pytest.mark.parametrize("size", [1, 7, 20, 100, 128, 300, -1])
def test_a_truncated_npy_is_refused(tmp_path, data, size):
    np.save(tmp_path / "a.npy", data)
    raw = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(raw[:size])
    with pytest.raises(FormatError):
        io.read(tmp_path / "a.npy")


def npy(shape, data=b"\0" * 32, dtype="<f4"):
    stream = streams.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def test_a_promise_of_too_much_is_refused_with_sizes(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy((10**6, 10**6)))
    with pytest.raises(FormatError, match=r"1000000x1000000 .*float32.*160 bytes"):
        io.read(tmp_path / "a.npy")


def test_a_negative_size_is_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy((-4, 4)))
    with pytest.raises(FormatError, match="-4"):
        io.read(tmp_path / "a.npy")


def test_npy_has_no_dataset_to_choose(tmp_path, data):
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(FormatError, match="one array"):
        io.read(tmp_path / "a.npy", dataset="data")


# --- NPZ -------------------------------------------------------------------------


def test_npz_keeps_everything_and_is_mapped(tmp_path, movie):
    path = io.write(tmp_path / "a.npz", movie)
    again = io.read(path)
    assert again.calibration == movie.calibration
    assert isinstance(again.data, np.memmap)
    np.testing.assert_array_equal(again.data, movie.data)


def test_npz_is_read_by_numpy(tmp_path, movie):
    with np.load(io.write(tmp_path / "a.npz", movie)) as file:
        np.testing.assert_array_equal(file["data"], movie.data)
        assert '"counts_per_electron": 7.5' in str(file["calibration"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_only_image_of_an_npz_is_read(tmp_path, data, save):
    save(tmp_path / "a.npz", whatever=data, times=np.arange(4))
    micrograph = io.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(micrograph.data, data)
    assert isinstance(micrograph.data, np.memmap) is (save is np.savez)
    assert micrograph.calibration == Calibration.unknown(3)


def test_of_several_the_usual_name_is_read_or_one_has_to_be_chosen(tmp_path, data):
    np.savez(tmp_path / "a.npz", noisy=data, clean=data + 1)
    with pytest.raises(FormatError, match=r"2 arrays.*'clean', 'noisy'.*dataset="):
        io.read(tmp_path / "a.npz")
    chosen = io.read(tmp_path / "a.npz", dataset="clean")
    np.testing.assert_array_equal(chosen.data, data + 1)
    with pytest.raises(FormatError, match="Did you mean 'noisy'"):
        io.read(tmp_path / "a.npz", dataset="noise")
    np.savez(tmp_path / "b.npz", data=data, other=data + 1)
    np.testing.assert_array_equal(io.read(tmp_path / "b.npz").data, data)


def test_an_npz_without_an_image_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", times=np.arange(4))
    with pytest.raises(InvalidImageError, match="1 axes"):
        io.read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz")
    with pytest.raises(FormatError, match="holds no image"):
        io.read(tmp_path / "b.npz")


def test_objects_beside_an_image_are_not_in_the_way(tmp_path, data):
    np.savez(tmp_path / "a.npz", data=data, meta=np.array([{"a": 1}], object))
    np.testing.assert_array_equal(io.read(tmp_path / "a.npz").data, data)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_a_truncated_npz_is_refused(tmp_path, data, keep):
    np.savez(tmp_path / "a.npz", data=data)
    raw = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(raw[: int(keep * len(raw))])
    with pytest.raises(FormatError, match="damaged NPZ"):
        io.read(tmp_path / "a.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_entry_that_promises_too_much_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("data.npy", npy((10**6, 10**6)))
    with pytest.raises(FormatError, match=r"data\.npy.*promises"):
        io.read(tmp_path / "a.npz")


def test_a_header_that_is_no_python_literal_is_an_error_of_ours(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 5), np.float32))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data.replace(b"}", b" ", 1))
    with pytest.raises(FormatError):
        io.read(tmp_path / "a.npy")
