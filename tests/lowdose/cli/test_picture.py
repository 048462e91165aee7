import numpy as np
import pytest
from PIL import Image

from lowdose.cli.picture import grey_range, scale_bar, write_before_after
from lowdose.errors import OutputError
from lowdose.micrograph import Calibration

NONE = Calibration.unknown(2)


def nm(size, unit="nm"):
    return Calibration.from_spacing((size, size), (unit, unit))


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    clean = np.full((40, 60), 5, np.float32)
    clean[:, 30:] = 20
    return rng.poisson(clean).astype(np.uint16), clean


def draw(path, frames, calibration=NONE):
    write_before_after(path, *frames, calibration, title="gaussian")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def test_small_frames_are_enlarged_in_whole_steps_side_by_side(tmp_path, frames):
    picture = draw(tmp_path / "p.png", frames)
    zoom = 512 // 60
    height, width = picture.shape
    assert width >= 2 * 60 * zoom
    assert height >= 40 * zoom
    right = picture[height // 2, -(60 * zoom) :]
    assert {int(right[20]), int(right[-30])} == {0, 255}


def test_only_the_middle_of_a_large_frame_is_shown(tmp_path):
    frame = np.zeros((2000, 3000), np.float32)
    frame[1000 - 256 : 1000 + 256, 1500 - 256 : 1500 + 256] = np.eye(512)
    picture = draw(tmp_path / "p.png", (frame, frame))
    assert 2 * 512 < picture.shape[1] < 2 * 512 + 100
    left = picture[-12 - 22 - 12 - 512 :, 12:][:512, :512]
    assert (np.diag(left) == 255).all()


def test_pixels_that_are_not_finite_do_not_spoil_the_greys(tmp_path, frames):
    noisy, clean = frames
    broken = clean.copy()
    broken[0, 0], broken[1, 1] = np.nan, np.inf
    assert grey_range(broken) == grey_range(clean)
    draw(tmp_path / "p.png", (noisy, broken))


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_a_constant_frame_is_drawn(tmp_path, value):
    frame = np.full((8, 8), value, np.float32)
    draw(tmp_path / "p.png", (frame, frame))


@pytest.mark.parametrize(
    ("width", "calibration", "label"),
    [
        (512, nm(4), "1 µm"),
        (512, nm(0.4), "100 nm"),
        (64, nm(0.01), "200 pm"),
        (512, nm(2, "um"), "500 µm"),
        (512, nm(0.1, "angstrom"), "2 nm"),
    ],
)
def test_scale_bar_is_a_round_length_of_a_fifth_to_half_the_width(
    width, calibration, label
):
    length, text = scale_bar(width, calibration)
    assert text == label
    assert width / 5 <= length <= width / 2


def test_there_is_no_scale_bar_without_a_pixel_size(tmp_path, frames):
    assert scale_bar(512, NONE) is None
    bare = draw(tmp_path / "bare.png", frames)
    barred = draw(tmp_path / "barred.png", frames, nm(1))
    assert (bare != barred).any()


def test_a_folder_that_is_not_there_is_an_error_in_words(tmp_path, frames):
    with pytest.raises(OutputError, match=r"gone.*cannot be written"):
        draw(tmp_path / "gone" / "p.png", frames)
