import re
from pathlib import Path

import pytest

from lowdose.errors import InputError, ParameterError
from lowdose.training.config import read_recipe, recipe_from_dict

RECIPES = Path(__file__).parents[3] / "recipes"


def table(**changes):
    return {
        "name": "tiny",
        "title": "Tiny",
        "summary": "For tests.",
        "licence": "CC0-1.0",
        "seed": 1,
        "data": {"kinds": {"lattice": 1.0}, "images": 4, "size": 48},
        "network": {"architecture": "unet2", "options": {"scales": 2, "base": 4}},
        "training": {"steps": 4, "batch": 2, "patch": 32},
        **changes,
    }


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda p: p.name)
def test_every_recipe_that_comes_with_the_project_is_valid(path):
    assert read_recipe(path).name == path.stem


def test_whole_numbers_serve_as_floats():
    recipe = recipe_from_dict(table(noise={"dose_min": 1}))
    assert isinstance(recipe.noise.dose_min, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 1}, "unknown key 'sed'. Did you mean 'seed'"),
        ({"training": {"step": 4}}, "unknown key 'step'. Did you mean 'steps'"),
        ({"training": {}}, "lacks the key 'steps'"),
        ({"training": 5}, "training is 5; it must be a table"),
        ({"seed": "one"}, "seed is 'one'; it must be a int"),
        ({"seed": True}, "seed is True"),
        ({"training": {"steps": 0}}, "steps=0"),
        ({"training": {"steps": 4, "precision": "half"}}, "precision='half'"),
        ({"training": {"steps": 9, "warmup": 1, "restarts": [9]}}, "restarts=[9]"),
        ({"data": {"kinds": {"latice": 1.0}}}, "Did you mean 'lattice'"),
        ({"data": {"kinds": {}}}, "kinds"),
        ({"data": {"kinds": {"lattice": -1.0}}}, "kinds"),
        (
            {
                "data": {"kinds": {"lattice": 1.0}, "size": 20},
                "training": {"steps": 1, "patch": 32},
            },
            "patch=32 is larger than data.size=20",
        ),
        ({"noise": {"dose_min": 5.0, "dose_max": 1.0}}, "dose_min=5.0"),
    ],
)
def test_a_wrong_entry_is_named(changes, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        recipe_from_dict(table(**changes))


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(ParameterError, match="is not a TOML file"):
        read_recipe(tmp_path / "bad.toml")
