import h5py
import numpy as np
import pytest
import tifffile

from lowdose.errors import InvalidImageError
from lowdose.micrograph import Micrograph


@pytest.fixture
def clean(rate):
    return np.stack([np.rot90(rate, n) for n in range(4)]).astype(np.float32) * 20


@pytest.fixture
def noisy(rng, clean):
    return rng.poisson(clean).astype(np.float32)


@pytest.fixture
def build(open_way, tmp_path):
    def run(noisy, clean, setting=None, **changes):
        table = {"way": "pairs", **changes}
        for key, frames in (("noisy", noisy), ("clean", clean)):
            path = tmp_path / f"{key}.tif"
            tifffile.imwrite(path, frames, photometric="minisblack")
            table[key] = str(path)
        return open_way(table, **(setting or {}))

    return run


def test_noisy_and_clean_crops_are_of_one_place(build, noisy, clean, rng):
    way = build(noisy, clean)
    for _ in range(10):
        example = way.example(rng)
        error = np.mean((example.noisy[0] - example.target) ** 2)
        assert error == pytest.approx(example.target.mean(), rel=0.2)


def test_the_truth_scores_best(build, noisy, clean):
    way = build(noisy, clean)
    truth = way.validate(lambda frames, _: clean[-1:, : frames.shape[2]])
    nothing = way.validate(lambda frames, _: frames[:, 0])
    assert truth["ssim"] == pytest.approx(1)
    assert nothing["gain_dB"] == pytest.approx(0)
    assert truth["psnr_dB"] > nothing["psnr_dB"] + 20


def test_layers_in_memory_are_pairs_too(open_way, noisy, clean, rng):
    way = open_way(
        {"way": "pairs", "noisy": "a layer", "clean": "another"},
        given={"noisy": Micrograph(noisy), "clean": Micrograph(clean)},
    )
    assert way.example(rng).target.shape == (32, 32)


def test_a_folder_of_em_denoise_is_read_as_it_is(open_way, tmp_path, noisy, clean, rng):
    for name, images in (("noise", noisy), ("clean", clean)):
        with h5py.File(tmp_path / f"graphene_img_{name}.h5", "w") as file:
            file["images"] = images[..., None]
    way = open_way({"way": "pairs", "folder": str(tmp_path)}, normalisation="counts")
    example = way.example(rng)
    assert (example.measures["mean"], example.measures["sigma"]) == (0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, c: (n, c[:, :90]), r"noisy.tif has shape .*96, 96.*clean.tif has"),
        (lambda n, c: (n[:1], c[:1]), r"There is 1 pair; two are needed"),
        (lambda n, c: (n[..., :24], c[..., :24]), r"less than a crop of 32"),
        (lambda n, c: (n * np.nan, c), r"noisy.tif, frame \d has \d+ pixels that are"),
        (lambda n, c: (n, c * np.nan), r"clean.tif, frame \d has pixels that are NaN"),
    ],
    ids=["shapes", "one pair", "small", "NaN in noisy", "NaN in clean"],
)
def test_data_that_are_no_pairs_are_refused(build, noisy, clean, change, message):
    with pytest.raises(InvalidImageError, match=message):
        build(*change(noisy, clean))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: c / 20, id="other units"),
        pytest.param(lambda c: c[::-1, ::-1].copy(), id="other places"),
    ],
)
def test_pairs_that_do_not_belong_together_are_warned_about(
    build, noisy, clean, change
):
    assert build(noisy, clean).warnings == ()
    assert "check the order of the files" in build(noisy, change(clean)).warnings[0]
