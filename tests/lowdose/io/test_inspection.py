import json

import numpy as np
import pytest
import tifffile

from lowdose import io
from lowdose.errors import FormatError
from lowdose.micrograph import Micrograph

SUFFIXES = {
    ".tif": "TIFF (ImageJ)",
    ".ome.tif": "OME-TIFF",
    ".mrc": "MRC",
    ".npz": "NPZ",
    ".zarr": "OME-Zarr (Zarr 3)",
    ".h5": "HDF5",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_described_in_json_types(tmp_path, movie, suffix):
    path = io.write(tmp_path / f"a{suffix}", movie)
    found = io.describe(path)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["path"] == str(path)
    assert found["name"] == f"a{suffix}"
    assert found["format"] == SUFFIXES[suffix]
    assert found["shape"] == [5, 7, 9]
    assert found["dtype"] == "float32"
    assert found["byte_order"] == "little"
    assert found["frames"] == 5
    assert found["bytes"] > 0
    assert found["axes"][0] == {
        "label": "t",
        "size": 5,
        "spacing": 0.25,
        "unit": "s",
        "origin": 2.0,
    }
    assert found["pixel_size_nm"] == [0.1, 0.11]
    assert found["counts_per_electron"] == 7.5
    assert found["provenance"][0]["action"] == "denoise"
    frame = movie.frame(0)
    assert found["first_frame"] == {
        "minimum": frame.min(),
        "maximum": frame.max(),
        "mean": pytest.approx(frame.mean()),
        "zeros": pytest.approx((frame == 0).mean()),
        "not_finite": 0.0,
        "integer_counts": True,
    }


def test_fractions_and_pixels_that_are_not_finite_are_told(tmp_path):
    data = np.array([[0.5, 0.0, np.nan, np.inf]], np.float32)
    found = io.describe(io.write(tmp_path / "a.h5", Micrograph(data)))["first_frame"]
    assert found == {
        "minimum": 0.0,
        "maximum": 0.5,
        "mean": 0.25,
        "zeros": 0.25,
        "not_finite": 0.5,
        "integer_counts": False,
    }


def test_a_frame_without_a_finite_pixel_has_no_statistics(tmp_path):
    data = np.full((2, 2), np.nan, np.float32)
    found = io.describe(io.write(tmp_path / "a.h5", Micrograph(data)))["first_frame"]
    assert (found["minimum"], found["mean"], found["integer_counts"]) == (
        None,
        None,
        False,
    )
    assert found["not_finite"] == 1.0


def test_compression_and_byte_order_are_told(tmp_path, rng):
    data = rng.integers(0, 99, (2, 8, 8)).astype(np.uint16)
    options = {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", data, byteorder=">", **options)
    tifffile.imwrite(tmp_path / "b.tif", data, compression="zlib", **options)
    tifffile.imwrite(tmp_path / "c.tif", data.astype("u1"), bigtiff=True, **options)
    found = [io.describe(tmp_path / f"{name}.tif") for name in "abc"]
    assert [f["byte_order"] for f in found] == ["big", "little", None]
    assert [f["compression"] for f in found] == ["none", "adobe_deflate", "none"]
    assert [f["format"] for f in found] == ["TIFF", "TIFF", "BigTIFF"]


def test_only_the_first_frame_is_read(tmp_path, rng):
    data = rng.random((4, 16, 16)).astype(np.float32)
    path = io.write(tmp_path / "a.zarr", Micrograph(data))
    for chunk in (path / "0" / "c").iterdir():
        if chunk.name != "0":
            for file in chunk.rglob("*"):
                if file.is_file():
                    file.write_bytes(b"broken")
    assert io.describe(path)["first_frame"]["mean"] == pytest.approx(data[0].mean())


def test_a_file_of_several_images_is_described_one_at_a_time(tmp_path, rng):
    np.savez(tmp_path / "a.npz", noisy=rng.random((3, 4)), clean=np.zeros((5, 6)))
    with pytest.raises(FormatError, match="dataset="):
        io.describe(tmp_path / "a.npz")
    assert io.describe(tmp_path / "a.npz", dataset="clean")["shape"] == [5, 6]
