import json
from pathlib import Path

import numpy as np
import pytest

import lowdose


def test_a_file_is_described_in_words(cli, movie):
    code, out, err = cli("info", "movie.tif")
    assert (code, err) == (0, "")
    assert "3 x 40 x 52 (t, y, x), uint8" in out
    assert "pixel        4 nm" in out
    assert "along t      0.5 s" in out
    assert "whole counts from" in out


@pytest.mark.parametrize(
    ("spacing", "unit", "text"),
    [
        (0.004, "um", "4 nm"),
        (40.0, "angstrom", "4 nm"),
        (8.1729, "pm", "8.1729 pm"),
        (2.5, "um", "2.5 µm"),
        (1e-7, "cm", "1 nm"),
        (0.25, "1/nm", "0.25 1/nm"),
        (None, None, "of unknown size"),
    ],
)
def test_the_pixel_is_told_in_the_unit_people_would_use(cli, spacing, unit, text):
    calibration = lowdose.Calibration.from_spacing((spacing,) * 2, (unit,) * 2)
    frame = np.ones((4, 4), np.float32)
    lowdose.write("a.npz", lowdose.Micrograph(frame, calibration))
    _, out, _ = cli("info", "a.npz")
    assert f"  pixel        {text}\n" in out


def test_pixels_that_are_not_square_are_told_both(cli):
    calibration = lowdose.Calibration.from_spacing((1.0, 2.0), ("nm", "nm"))
    lowdose.write("a.npz", lowdose.Micrograph(np.ones((4, 4)), calibration))
    assert "1 nm (y), 2 nm (x)" in cli("info", "a.npz")[1]


def test_what_was_done_is_told(cli, movie):
    lowdose.write("clean.tif", lowdose.denoise(movie, "gaussian"))
    _, out, _ = cli("info", "clean.tif")
    assert "denoise (gaussian) of movie.tif, by napari-lowdose" in out


def test_pixels_that_are_not_finite_are_told(cli):
    np.save("a.npy", np.array([[1.5, np.nan], [np.inf, 2.5]]))
    np.save("b.npy", np.full((2, 2), np.nan))
    _, out, _ = cli("info", "a.npy", "b.npy")
    assert "values from 1.5 to 2.5, mean 2, 0 of the pixels zero, 0.5 NaN or inf" in out
    assert "no finite pixel" in out


def test_json_is_one_line_per_file(cli, movie):
    np.save("frame.npy", np.ones((4, 4), np.uint8))
    code, out, _ = cli("info", "*.tif", "*.npy", "gone.tif", "--json")
    assert code == 1
    first, second, gone = map(json.loads, out.splitlines())
    assert first["pixel_size_nm"] == [4.0, 4.0]
    assert second["shape"] == [4, 4]
    assert gone["path"] == "gone.tif"
    assert "does not exist" in gone["error"]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(cli, movie):
    Path("bad.tif").write_bytes(b"?")
    code, out, err = cli("info", "bad.tif", "movie.tif")
    assert code == 1
    assert "bad.tif" in err
    assert "movie.tif" in out


def test_a_lying_header_is_a_warning_on_one_line(cli, real_data):
    code, out, err = cli("info", real_data / "20241021_00405_movie.mrc")
    assert code == 0
    assert "of unknown size" in out
    assert err.count("\n") == 1
    assert err.startswith("lowdose: warning: ")
