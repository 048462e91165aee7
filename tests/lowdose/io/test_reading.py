"""What cannot be read, and why, and what is recognised under a wrong name."""

import io as streams
import os
import pickle
import shutil

import mrcfile
import numpy as np
import pytest
import tifffile

from lowdose import io
from lowdose.errors import FormatError, InputError
from lowdose.micrograph import Micrograph


def npy(data):
    stream = streams.BytesIO()
    np.save(stream, data)
    return stream.getvalue()


@pytest.fixture
def data(rng):
    return rng.random((3, 8, 9)).astype(np.float32)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.tif does not exist"):
        io.read(tmp_path / "nothing.tif")


def test_of_a_missing_folder_the_first_missing_part_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*day1\."):
        io.read(tmp_path / "day1" / "grid2" / "a.tif")


@pytest.mark.parametrize("name", ["folder", "folder.tif", "folder.zarr"])
def test_a_folder_is_no_image(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="is a folder"):
        io.read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(InputError, match="not a regular file"):
        io.read(tmp_path / "pipe.tif")


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="the superuser may read anything"
)
def test_a_file_without_permission_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    (tmp_path / "a.tif").chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        io.read(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["tif", "mrc", "npy", "npz", "h5", "dm4", "xyz"])
def test_an_empty_file_is_refused(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").touch()
    with pytest.raises(FormatError, match="is empty"):
        io.read(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["tif", "TIFF", "mrc", "npy", "npz", "h5"])
@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"Dear colleague,\nhere is", "text ('Dear colleague,'...)"),
        ("Größe\n".encode(), "text ('Größe'...)"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "a JPEG picture"),
        (b"\x1f\x8b\x08" + b"\0" * 50, "a gzip archive"),
        (b"%PDF-1.4", "a PDF document"),
        (pickle.dumps({"a": 1}, 4), "a Python pickle"),
        (b"\0" * 4000, "zeros"),
        (b"\x07\x99\xfe\x01" * 500, "binary data beginning with 07 99 fe 01"),
        (b"\0\0\0\x03" + b"\x01" * 50, "a DigitalMicrograph 3 file"),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_it_looks_like(
    tmp_path, suffix, content, looks
):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        io.read(path)
    assert looks in str(caught.value)
    assert path.name in str(caught.value)


def test_a_zip_named_tif_is_said_to_be_one(tmp_path, data):
    np.savez(tmp_path / "a.npz", data=data)
    shutil.move(tmp_path / "a.npz", tmp_path / "a.tif")
    with pytest.raises(FormatError, match="a zip archive"):
        io.read(tmp_path / "a.tif")


def test_an_unknown_suffix_gets_the_nearest_names(tmp_path):
    (tmp_path / "a.tifff").write_text("text")
    with pytest.raises(FormatError, match=r"Did you mean '\.tif"):
        io.read(tmp_path / "a.tifff")


@pytest.mark.parametrize("true", [".tif", ".mrc", ".npy", ".h5"])
@pytest.mark.parametrize("false", [".tif", ".mrc", ".npy", ".h5", ".dat", "", ".dm4"])
def test_a_mislabelled_file_is_recognised_by_its_first_bytes(
    tmp_path, data, true, false
):
    if (true, false) == (".h5", ".dm4"):
        pytest.skip("formats of instruments can be HDF5 inside")
    path = io.write(tmp_path / f"right{true}", Micrograph(data))
    wrong = path.rename(tmp_path / f"wrong{false}")
    np.testing.assert_array_equal(np.asarray(io.read(wrong).data[...]), data)


def test_suffixes_are_read_in_any_case(tmp_path, data):
    for name in ("a.TIF", "b.Mrc", "c.NPY", "d.H5", "e.OME.TIFF"):
        path = io.write(tmp_path / name, Micrograph(data))
        np.testing.assert_array_equal(np.asarray(io.read(path).data[...]), data)


def test_paths_may_be_texts_and_have_letters_of_any_alphabet(tmp_path, data):
    path = str(tmp_path / "Probe µ 日本 (1).tif")
    assert str(io.write(path, Micrograph(data))) == path
    assert io.read(path).name == "Probe µ 日本 (1).tif"


@pytest.mark.parametrize(
    "save",
    [
        lambda path, data: tifffile.imwrite(path, data, photometric="minisblack"),
        lambda path, data: mrcfile.new(path, data, overwrite=True).close(),
        lambda path, data: path.write_bytes(npy(data)),
    ],
    ids=["tif", "mrc", "npy"],
)
def test_reading_one_frame_of_a_long_stack_reads_only_that_frame(tmp_path, save, rng):
    path = tmp_path / "a.bin"
    data = rng.random((40, 128, 128)).astype(np.float32)
    save(path, data)
    micrograph = io.read(path)
    # The bytes of all other frames are overwritten: were they read, it would show.
    raw = bytearray(path.read_bytes())
    frame = data[17].astype(micrograph.dtype).tobytes()
    start = raw.index(frame)
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * len(frame))
    assert not micrograph.frame(17).any()
    np.testing.assert_array_equal(micrograph.frame(18), data[18])


def test_the_names_that_can_be_read_and_written_are_listed():
    assert set(io.writable_suffixes()) <= set(io.readable_suffixes())
    assert {".tif", ".mrc", ".npy", ".npz", ".zarr", ".h5"} <= set(
        io.writable_suffixes()
    )
    assert ".dm4" in io.readable_suffixes()
    assert ".dm4" not in io.writable_suffixes()
