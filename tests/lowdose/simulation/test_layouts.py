import h5py
import numpy as np
import pytest
import tifffile

from lowdose.errors import FormatError, InputError, InvalidImageError, ParameterError
from lowdose.simulation.layouts import (
    area_downsample,
    ede_crops,
    list_micrographs,
    open_pairs,
    read_sbd_list,
)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def graphene(tmp_path, rng):
    images = {
        name: rng.random((3, 16, 16, 1), np.float32) for name in ("noise", "clean")
    }
    for name, data in images.items():
        with h5py.File(tmp_path / f"graphene_img_{name}.h5", "w") as file:
            file["images"] = data
    return tmp_path, images


def test_graphene_pairs_are_noisy_and_clean_in_this_order(graphene):
    folder, images = graphene
    with open_pairs(folder) as pairs:
        assert len(pairs) == 3
        noisy, clean = pairs[1]
        np.testing.assert_array_equal(noisy, images["noise"][1, ..., 0])
        np.testing.assert_array_equal(clean, images["clean"][1, ..., 0])
        assert noisy.dtype == np.float32
        with pytest.raises(IndexError, match="no pair 3"):
            pairs[3]


def test_graphene_files_of_another_shape_are_refused(graphene):
    folder, _ = graphene
    with h5py.File(folder / "graphene_img_noise.h5", "r+") as file:
        del file["images"]
        file["images"] = np.zeros((2, 16, 16, 1))
    with pytest.raises(FormatError, match="do not belong together"):
        open_pairs(folder)
    with h5py.File(folder / "graphene_img_noise.h5", "r+") as file:
        del file["images"]
        file["images"] = np.zeros((2, 16, 16))
    with pytest.raises(FormatError, match=r"no `images` of shape \(N, H, W, 1\)"):
        open_pairs(folder)
    (folder / "graphene_img_clean.h5").unlink()
    with pytest.raises((InputError, FormatError)):
        open_pairs(folder)


def sbd_line(name, thickness="40", contrast="white"):
    cells = [name, "PtNp2-D1", "", "", thickness, "1", "2", "", "", "", "7", contrast]
    return ",".join(cells)


def test_sbd_lists_give_images_and_labels(tmp_path, rng):
    image = rng.random((20, 30), np.float32)
    (tmp_path / "white").mkdir()
    tifffile.imwrite(tmp_path / "white" / "a.tif", image)
    heading = "path,particle,,,thickness,tx,ty,,,,defocus,contrast\n"
    (tmp_path / "list.csv").write_text(heading + sbd_line("white/a.tif") + "\n")
    (entry,) = read_sbd_list(tmp_path / "list.csv")
    np.testing.assert_array_equal(entry.read(), image)
    assert entry.labels == {
        "particle": "PtNp2-D1",
        "thickness": 4.0,
        "tilt_x": 1.0,
        "tilt_y": 2.0,
        "defocus": 7.0,
        "contrast": "white",
        "structure": "PtNp2",
        "defect": "D1",
    }


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("a.tif,PtNp1-D0\n", FormatError, "has 2 columns"),
        (sbd_line("a.tif", thickness="thin"), FormatError, "thickness='thin'"),
        (sbd_line("b.tif"), InputError, r"names b\.tif"),
        ("name,else\n", FormatError, "lists no TIFF"),
        ("", FormatError, "empty"),
    ],
)
def test_bad_sbd_lists_are_explained(text, error, said, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.float32))
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(error, match=said):
        read_sbd_list(tmp_path / "list.csv")


def test_downsampling_averages_areas():
    image = np.arange(20.0).reshape(4, 5)
    small = area_downsample(image)
    assert small.shape == (2, 2)
    assert small[0, 0] == np.mean([0, 1, 5, 6])
    assert small.dtype == np.float32
    with pytest.raises(ParameterError, match="cannot be downsampled by 0"):
        area_downsample(image, 0)


def test_ede_crops_are_cut_side_by_side_from_binned_micrographs(tmp_path, rng):
    big = rng.poisson(3000, (72, 40)).astype(np.uint16)
    (tmp_path / "sub").mkdir()
    tifffile.imwrite(tmp_path / "sub" / "m.tiff", big)
    crops = list(ede_crops(tmp_path, crop=16))
    assert len(crops) == 2
    np.testing.assert_array_equal(crops[1], area_downsample(big)[16:32, :16])
    drawn = list(ede_crops(tmp_path, crop=16, per_image=5, rng=rng))
    assert len(drawn) == 5
    assert {crop.shape for crop in drawn} == {(16, 16)}
    with pytest.raises(InvalidImageError, match="less than a crop of 512"):
        next(ede_crops(tmp_path))
    with pytest.raises(ParameterError, match="rng="):
        next(ede_crops(tmp_path, per_image=2))


def test_pixels_that_are_not_finite_become_the_mean(tmp_path):
    image = np.ones((8, 8), np.float32)
    image[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "m.tif", image)
    (crop,) = ede_crops(tmp_path, crop=8, binning=1)
    assert (crop == 1).all()


def test_folders_without_micrographs_are_explained(tmp_path):
    with pytest.raises(InputError, match="no TIFF files"):
        list_micrographs(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        list_micrographs(tmp_path / "none")
