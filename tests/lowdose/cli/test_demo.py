from pathlib import Path

import numpy as np
from PIL import Image

import lowdose

FAST = ("--denoiser", "gaussian")
NAMES = ("demo-before-after.png", "demo-denoised.tif", "demo-noisy.tif")


def test_the_demo_writes_both_movies_and_a_picture_and_says_where(cli):
    code, out, err = cli("demo", "-o", "shown", "--quiet", *FAST)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in Path("shown").iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert str(Path("shown", name).resolve()) in out
    assert "napari" in out


def test_the_denoised_movie_matches_the_noisy_one_but_for_the_noise(cli):
    cli("demo", "-o", "shown", *FAST)
    noisy, clean = (lowdose.read(f"shown/demo-{n}.tif") for n in ("noisy", "denoised"))
    assert clean.shape == noisy.shape
    assert clean.calibration.axes == noisy.calibration.axes
    assert clean.calibration.pixel_size() is not None
    np.testing.assert_allclose(
        np.mean(clean.data), np.mean(noisy.data, dtype=np.float64), rtol=1e-4
    )
    assert np.std(clean.data) < np.std(noisy.data)


def test_the_picture_shows_the_two_frames_side_by_side(cli):
    cli("demo", "-o", "shown", *FAST)
    with Image.open("shown/demo-before-after.png") as picture:
        pixels = np.asarray(picture, np.float64)
    assert pixels.shape[1] > 2 * 512
    middle = pixels[100:500]
    left, right = middle[:, 30:500], middle[:, -500:-30]
    # The noisy half changes from pixel to pixel, the denoised one does not.
    rough = [np.abs(np.diff(half, axis=1)).mean() for half in (left, right)]
    assert rough[0] > 3 * rough[1]


def test_a_second_demo_replaces_the_first(cli):
    assert cli("demo", *FAST)[0] == 0
    assert cli("demo", *FAST, "--quiet")[0] == 0
    assert Path("lowdose-demo/demo-before-after.png").is_file()


def test_a_demo_that_cannot_be_written_says_so(cli):
    Path("file").touch()
    code, _, err = cli("demo", "-o", "file/sub", *FAST)
    assert code == 1
    assert "cannot be made" in err


def test_an_unknown_denoiser_is_a_usage_error(cli):
    code, _, err = cli("demo", "--denoiser", "gausian")
    assert code == 2
    assert "Did you mean 'gaussian'" in err
    assert not Path("lowdose-demo").exists()
