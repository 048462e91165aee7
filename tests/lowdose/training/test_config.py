import re
import subprocess
import sys
from pathlib import Path

import pytest

from lowdose.errors import InputError, ParameterError
from lowdose.training.config import read_recipe, recipe_from_dict, recipe_to_dict
from lowdose.training.ways import WAYS, config_of

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
    assert isinstance(recipe.data.noise.dose_min, float)


def test_a_recipe_without_a_way_learns_from_drawings():
    assert recipe_from_dict(table()).way == "drawings"


@pytest.mark.parametrize("way", WAYS)
def test_every_way_has_a_table_that_says_its_name(way):
    assert config_of(way).model_fields["way"].default == way


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 1}, "unknown key 'sed'. Did you mean 'seed'"),
        ({"training": {"step": 4}}, "unknown key 'step'. Did you mean 'steps'"),
        ({"training": {}}, "training lacks the key 'steps'"),
        ({"training": 5}, "training is 5; it"),
        ({"seed": "one"}, "seed is 'one'; it"),
        ({"seed": True}, "seed is True"),
        ({"training": {"steps": 0}}, "training.steps is 0; it"),
        ({"training": {"steps": 4, "precision": "half"}}, "precision is 'half'"),
        ({"training": {"steps": 9, "warmup": 1, "restarts": [9]}}, "restarts=[9]"),
        ({"training": {"steps": 9, "rates": [1e-3]}}, "'stepped' only"),
        (
            {"training": {"steps": 9, "schedule": "stepped", "boundaries": [3]}},
            "one rate more than boundaries",
        ),
        ({"data": {"kinds": {"latice": 1.0}}}, "Did you mean 'lattice'"),
        ({"data": {"kinds": {}}}, "kinds"),
        ({"data": {"kinds": {"lattice": -1.0}}}, "kinds"),
        ({"data": {"way": "thining", "stack": "a"}}, "Did you mean 'thinning'"),
        ({"data": {"way": "thinning", "stak": "a"}}, "Did you mean 'stack'"),
        ({"data": {"way": "thinning"}}, "data lacks the key 'stack'"),
        (
            {"data": {"way": "thinning", "stack": "a"}, "noise": {"known": 1}},
            "the table [noise] is of way='drawings'",
        ),
        ({"data": {"way": "pairs", "noisy": "a"}}, "both noisy and clean"),
        ({"noise": {"dose_min": 5.0, "dose_max": 1.0}}, "dose_min=5.0"),
        ({"noise": {"dose_mn": 5.0}}, "Did you mean 'dose_min'"),
        ({"name": "no spaces"}, "name is 'no spaces'"),
        ({"network": {"options": {}}}, "network lacks the key 'architecture'"),
    ],
)
def test_a_wrong_entry_is_named(changes, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        recipe_from_dict(table(**changes))


def test_a_recipe_needs_a_network_or_a_model_to_start_from():
    without = table()
    del without["network"]
    with pytest.raises(ParameterError, match=r"neither a table \[network\] nor"):
        recipe_from_dict(without)
    assert recipe_from_dict({**without, "start": "general"}).network is None


def test_fine_tuning_is_slower_and_freezes_normalisation_unless_told_otherwise():
    fresh = recipe_from_dict(table())
    tuned = recipe_from_dict(table(start="general"))
    assert tuned.learning_rate < fresh.learning_rate
    assert (fresh.freeze_norm, tuned.freeze_norm) == (-1, 0)
    told = recipe_from_dict(
        table(
            start="general",
            training={"steps": 4, "learning_rate": 1e-2, "freeze_norm": -1},
        )
    )
    assert (told.learning_rate, told.freeze_norm) == (1e-2, -1)


def test_a_recipe_survives_its_dictionary():
    recipe = recipe_from_dict(table(noise={"known": 0.5}))
    again = recipe_from_dict(recipe_to_dict(recipe))
    assert again == recipe


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(ParameterError, match="is not a TOML file"):
        read_recipe(tmp_path / "bad.toml")


def test_keys_are_set_over_what_the_file_says():
    path = RECIPES / "general.toml"
    recipe = read_recipe(
        path,
        changes=["training.steps=30007", "seed = 9", "title=A title", "noise.known=1"],
    )
    assert (recipe.training.steps, recipe.seed) == (30007, 9)
    assert (recipe.title, recipe.data.noise.known) == ("A title", 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.step=7", "Did you mean 'steps'"),
        ("training.steps", "must look like"),
        ("title.long=1", "title is no table"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        read_recipe(RECIPES / "general.toml", changes=[change])


def test_reading_a_recipe_does_not_load_torch():
    code = (
        "import sys; from lowdose.training.config import read_recipe; "
        f"read_recipe({str(RECIPES / 'general.toml')!r}); "
        "sys.exit('torch' in sys.modules or 'lightning_fabric' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
