import numpy as np
import pytest
import tifffile

from lowdose.errors import InvalidImageError, ParameterError, UnknownDenoiserError
from lowdose.inference.engine import denoise
from lowdose.micrograph import Micrograph
from lowdose.training.stack_recipe import recipe_for_stack


def test_counted_electrons_are_learnt_from_by_thinning(movie):
    recipe, reason = recipe_for_stack(movie, minutes=1)
    assert (recipe.way, recipe.name) == ("thinning", "movie")
    assert "counted electrons" in reason


def test_other_data_are_learnt_from_by_blind_spot(tmp_path, rng, rate):
    path = tmp_path / "Scan 1 (raw).tif"
    tifffile.imwrite(path, rng.normal(100 + rate, 1).astype(np.float32))
    recipe, reason = recipe_for_stack(path, minutes=1)
    assert (recipe.way, recipe.name) == ("blind-spot", "Scan-1-raw")
    assert "not whole numbers" in reason


def test_what_is_asked_for_is_done(movie):
    recipe, _ = recipe_for_stack(
        movie,
        minutes=2,
        way="noise2noise",
        start="none",
        changes=["training.batch=3", "seed=5"],
    )
    assert (recipe.way, recipe.start) == ("noise2noise", "")
    assert (recipe.training.batch, recipe.seed) == (3, 5)
    assert recipe.training.minutes == 2


def test_it_begins_with_the_general_model_unless_told_otherwise(movie):
    assert recipe_for_stack(movie, minutes=1)[0].start == "general"
    with pytest.raises(UnknownDenoiserError):
        recipe_for_stack(movie, minutes=1, start="genral")


def hexagons(side):
    """Return a lattice of atoms, above 0, of shape (side, side)."""
    y, x = np.mgrid[:side, :side] * (2 * np.pi / 14)
    turns = [(np.cos(t), np.sin(t)) for t in 0.3 + np.pi / 3 * np.arange(3)]
    return 1 + 0.2 * sum(np.cos(x * c + y * s) for c, s in turns)


@pytest.mark.parametrize(("side", "patch"), [(100, 96), (300, 256)])
def test_crystals_get_a_network_that_mixes_the_spectrum(tmp_path, rng, side, patch):
    path = tmp_path / "crystal.tif"
    tifffile.imwrite(path, rng.poisson(2 * hexagons(side)).astype(np.uint8))
    recipe, reason = recipe_for_stack(path, minutes=1)
    assert "counted electrons" in reason
    assert "a fresh network for crystals" in reason
    assert recipe.network.options["mixing"]
    assert (recipe.start, recipe.training.patch) == ("", patch)
    asked, reason = recipe_for_stack(path, minutes=1, start="general")
    assert (asked.start, asked.training.patch) == ("general", 96)
    assert "beginning with the model 'general'" in reason


def test_of_a_movie_the_network_sees_five_frames(movie, tmp_path):
    recipe, _ = recipe_for_stack(movie, minutes=1)
    assert recipe.network.options["frames"] == 5
    assert recipe.start == "general"
    paired, _ = recipe_for_stack(movie, minutes=1, way="noise2noise")
    assert paired.network is None
    single = tmp_path / "single.tif"
    tifffile.imwrite(single, tifffile.imread(movie)[0])
    assert recipe_for_stack(single, minutes=1)[0].network is None


def test_small_images_get_small_crops(tmp_path, rng):
    path = tmp_path / "small.tif"
    tifffile.imwrite(path, rng.poisson(2, (50, 70)).astype(np.uint8))
    assert recipe_for_stack(path, minutes=1)[0].training.patch == 48


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((8, 8)), "at least 16 x 16 px"),
        (np.ones((64, 64)), "is constant"),
        (np.full((64, 64), np.nan), "NaN or Inf"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_are_refused(data, message):
    with pytest.raises(InvalidImageError, match=message):
        recipe_for_stack(Micrograph(data, name="bad"), minutes=1)


def test_a_change_that_is_not_known_is_refused(movie):
    with pytest.raises(ParameterError, match="'steps'"):
        recipe_for_stack(movie, minutes=1, changes=["training.step=5"])


def test_a_layer_is_trained_on_and_denoised_better(rng, rate, train, tmp_path):
    """From data in memory to a model in a few seconds, with a fresh network."""
    counts = rng.poisson(np.repeat(3 * rate[None], 8, 0)).astype(np.float32)
    layer = Micrograph(counts, name="a layer")
    recipe, _ = recipe_for_stack(
        layer, minutes=5, start="none", changes=["training.steps=150"]
    )
    trained, _ = train(recipe, tmp_path, given={"stack": layer})
    clean = np.asarray(denoise(counts[:1], str(trained.folder)))
    before, after = (np.mean((x - 3 * rate) ** 2) for x in (counts[0], clean[0]))
    assert after < 0.3 * before
