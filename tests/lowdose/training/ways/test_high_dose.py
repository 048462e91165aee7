from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import stats

from lowdose.errors import InvalidImageError
from lowdose.simulation import procedural
from lowdose.training.batches import collate
from lowdose.training.config import read_recipe
from lowdose.training.schedule import learning_rate


@pytest.fixture
def folder(tmp_path, rng):
    folder = tmp_path / "clean"
    folder.mkdir()
    for number in range(3):
        image = procedural.draw("membranes", np.random.default_rng(number), 160)
        counts = rng.poisson(3000 + 5000 * image).astype(np.uint16)
        tifffile.imwrite(folder / f"{number}.tif", counts)
    return folder


@pytest.fixture
def build(open_way, folder):
    def run(**changes):
        table = {"way": "high-dose", "folder": str(folder), **changes}
        return open_way(table, patch=64, normalisation="min-max")

    return run


def doses(way, count=20_000):
    rng = np.random.default_rng(0)
    return np.array([way.draw_dose(rng) for _ in range(count)])


def test_low_doses_are_25_and_an_exponential_of_mean_75(build):
    found = doses(build())
    assert found.min() >= 25
    assert stats.kstest(found, stats.expon(loc=25, scale=75).cdf).pvalue > 0.01


def test_ordinary_doses_are_uniform_from_200_to_2500(build):
    found = doses(build(regime="ordinary"))
    assert stats.kstest(found, stats.uniform(200, 2300).cdf).pvalue > 0.01


def test_the_network_sees_0_to_1_and_its_target_is_matched_in_the_mean(build):
    way = build()
    for seed in range(5):
        example = way.example(np.random.default_rng(seed))
        batch = collate([example], 0)
        seen, target = batch.seen[0, 0], batch.target[0, 0]
        assert (seen.min(), seen.max()) == (0, 1)
        assert target.mean() == pytest.approx(seen.mean(), rel=1e-4)
        # A multiple of x, whose smallest value is 0: no affine match.
        assert target.min() == pytest.approx(0, abs=1e-6)


def test_the_counts_are_poisson_of_s_times_x(build):
    way = build()
    example = way.example(np.random.default_rng(1))
    counts = example.noisy[0]
    assert np.array_equal(counts, np.rint(counts))
    error = np.mean((counts - example.target) ** 2)
    assert error == pytest.approx(counts.mean(), rel=0.1)


def test_images_are_binned_two_by_two(build, folder):
    way = build()
    assert way._images[0].shape == (80, 80)
    whole = tifffile.imread(folder / "0.tif").astype(float)
    assert way._images[0][0, 0] == pytest.approx(whole[:2, :2].mean())


def test_dim_images_are_warned_about(build):
    assert build().warnings == ()
    assert "3 of 3 micrographs" in build(least_counts=1e5).warnings[0]


def test_too_small_or_too_few_images_are_refused(build, folder):
    with pytest.raises(InvalidImageError, match=r"after binning.*data\.binning=1"):
        build(binning=3)
    for number in (1, 2):
        (folder / f"{number}.tif").unlink()
    with pytest.raises(InvalidImageError, match="two are needed at least"):
        build()


def test_a_constant_image_is_refused(build, folder):
    tifffile.imwrite(folder / "0.tif", np.full((160, 160), 7, np.uint16))
    with pytest.raises(InvalidImageError, match=r"0.tif, frame 0 is constant"):
        build()


RECIPES = Path(__file__).parents[4] / "recipes"


def test_the_recipe_has_the_schedule_of_the_paper():
    recipe = read_recipe(RECIPES / "ede-low-dose.toml")
    plan = recipe.training
    assert (plan.beta1, plan.l2, plan.loss, plan.patch) == (0.5, 5e-5, "huber", 512)
    assert recipe.freeze_norm == 134_108
    assert plan.steps == 134_108 + 17_713 + 46_690
    rates = {
        step: learning_rate(step, recipe)
        for step in (0, 134_107, 134_108, 151_820, 151_821, 198_510)
    }
    assert list(rates.values()) == [1e-3, 1e-3, 2.5e-4, 2.5e-4, 1e-4, 1e-4]


def test_the_recipe_for_ordinary_doses_goes_on_from_the_other():
    recipe = read_recipe(RECIPES / "ede-ordinary-dose.toml")
    assert recipe.data.regime == "ordinary"
    assert recipe.freeze_norm == 0
    assert learning_rate(16_772, recipe) == 2.5e-4
    assert learning_rate(16_773, recipe) == 1e-4
    assert recipe.training.steps == 16_773 + 17_562
