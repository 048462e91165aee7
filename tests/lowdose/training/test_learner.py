from pathlib import Path

import numpy as np
import pytest
import torch

import lowdose.zoo
from lowdose.errors import ParameterError
from lowdose.training.config import read_recipe
from lowdose.training.examples import measured
from lowdose.training.hardware import Hardware, make_fabric
from lowdose.training.learner import Learner

RECIPE = Path(__file__).parents[3] / "recipes" / "tem-movie.toml"
FOLDER = Path(lowdose.zoo.__file__).parent / "models" / "tem-nanoparticle"


@pytest.fixture
def learner():
    """Return a function that makes the learner of tem-movie, with changes.

    It begins with the bundled model in place of an earlier part of its training.
    """

    def make(*changes):
        fabric = make_fabric(Hardware(device="cpu"), "float32")
        fabric.launch()
        changes = ("start=tem-nanoparticle", *changes)
        return Learner(read_recipe(RECIPE, changes=changes), fabric, "mse")

    return make


@pytest.mark.parametrize("start", ["tem-nanoparticle", str(FOLDER)])
def test_tem_movie_begins_as_tem_nanoparticle_on_the_middle_frame(learner, start, rng):
    five = learner(f"start={start}")
    one = learner(f"start={start}", "network.options.frames=1")
    noisy = rng.poisson(9, (1, 5, 48, 48)).astype(np.float32)
    measures = [measured(noisy[0, 2], "mean-and-noise")]
    assert five.settings.options["frames"] == 5
    np.testing.assert_allclose(
        five.apply(noisy, measures), one.apply(noisy[:, 2:3], measures), rtol=1e-5
    )


def test_the_neighbours_are_learnt_from_the_first_step(learner, rng):
    five = learner()
    before = five.network.neighbours.weight.detach().clone()
    assert not before.any()
    noisy = torch.from_numpy(rng.normal(size=(1, 15, 32, 32)).astype(np.float32))
    five.network(noisy).square().mean().backward()
    assert five.network.neighbours.weight.grad.abs().max() > 0


@pytest.mark.parametrize("option", ["base=36", "stem=4", "conditions=2"])
def test_a_start_with_other_options_is_refused(learner, option):
    with pytest.raises(ParameterError, match="is of another network"):
        learner(f"network.options.{option}")
