import numpy as np
import pytest
import tifffile

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


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "noisy.tif"
    counts = np.random.default_rng(0).poisson(3, (2, 64, 64)).astype(np.uint8)
    tifffile.imwrite(path, counts)
    return path


def test_a_recipe_becomes_a_model_that_can_be_described(recipe, tmp_path, capsys):
    assert main(["train", str(recipe), "-o", str(tmp_path / "run")]) == 0
    assert "The model is in" in capsys.readouterr().out
    for folder in ("run", "run/model"):
        assert main(["denoisers", str(tmp_path / folder)]) == 0
        assert "tiny" in capsys.readouterr().out


def test_a_training_out_of_time_says_how_to_go_on(recipe, tmp_path, capsys):
    command = ["train", str(recipe), "-o", str(tmp_path / "run")]
    assert main([*command, "--minutes", "0"]) == 0
    assert "--resume goes on from here" in capsys.readouterr().err
    assert main(command) == 1
    assert "holds a training already" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert "All steps are made. 2 steps in all." in capsys.readouterr().err


def test_a_bad_recipe_is_named(recipe, tmp_path, capsys):
    recipe.write_text(RECIPE + "sed = 3\n")
    assert main(["train", str(recipe), "-o", str(tmp_path / "run")]) == 2
    assert "unknown key 'sed'. Did you mean 'seed'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_key_is_set_on_the_command_line(recipe, tmp_path, capsys):
    command = ["train", str(recipe), "-o", str(tmp_path / "run")]
    assert main([*command, "--set", "training.steps=1"]) == 0
    assert "1 steps in all" in capsys.readouterr().err
    assert main([*command, "--set", "training.stesp=1"]) == 2
    assert "Did you mean 'steps'" in capsys.readouterr().err


def test_a_noisy_stack_alone_becomes_a_model_that_denoises_it(stack, tmp_path, capsys):
    run = str(tmp_path / "run")
    command = ["train", "--from-stack", str(stack), "-o", run]
    assert main([*command, "--start", "none", "--set", "training.steps=2"]) == 0
    assert "counted electrons: learning by thinning" in capsys.readouterr().err
    result = tmp_path / "clean.tif"
    assert main(["denoise", str(stack), "-o", str(result), "--denoiser", run]) == 0
    assert tifffile.imread(result).shape == (2, 64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a RECIPE or --from-stack"),
        (["RECIPE", "--from-stack", "STACK"], "either a RECIPE or --from-stack"),
        (["RECIPE", "--way", "thinning"], "--way goes with --from-stack"),
        (["RECIPE", "--start", "general"], "--start goes with --from-stack"),
        (["RECIPE", "--devices", "0"], "--devices 0 must be at least 1"),
        (["RECIPE", "--minutes", "-1"], "--minutes -1.0 must be at least 0"),
        (["RECIPE", "--set", "seed"], "must look like training.steps=2000"),
        (["--from-stack", "STACK", "--start", "genral"], "Did you mean 'general'"),
    ],
)
def test_a_wrong_command_is_refused_before_anything_is_done(
    recipe, stack, tmp_path, capsys, arguments, message
):
    names = {"RECIPE": str(recipe), "STACK": str(stack)}
    arguments = [names.get(a, a) for a in arguments]
    assert main(["train", "-o", str(tmp_path / "run"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
