import pytest

from lowdose.cli import main

RECIPE = """
name = "tiny"
title = "Tiny"
summary = "For tests."
licence = "CC0-1.0"
seed = 1
data = { kinds = { amorphous = 1 }, images = 2, size = 32 }
network = { architecture = "unet2", options = { scales = 2, base = 2 } }
training = { steps = 2, batch = 1, patch = 32, precision = "float32" }
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_becomes_a_model_that_can_be_described(recipe, tmp_path, capsys):
    assert main(["train", str(recipe), "-o", str(tmp_path / "run")]) == 0
    assert "The model is in" in capsys.readouterr().out
    assert main(["denoisers", str(tmp_path / "run" / "model")]) == 0
    assert "tiny" in capsys.readouterr().out


def test_a_stopped_training_says_how_to_go_on(recipe, tmp_path, capsys):
    command = ["train", str(recipe), "-o", str(tmp_path / "run")]
    assert main([*command, "--minutes", "0"]) == 1
    assert "is kept to resume" in capsys.readouterr().err
    assert main(command) == 1
    assert "holds a training already" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0


def test_a_bad_recipe_is_named(recipe, tmp_path, capsys):
    recipe.write_text(RECIPE + "sed = 3\n")
    assert main(["train", str(recipe), "-o", str(tmp_path / "run")]) == 2
    assert "unknown key 'sed'. Did you mean 'seed'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
