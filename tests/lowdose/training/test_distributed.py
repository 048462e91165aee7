"""Two processes on the CPU, over gloo, as ``lowdose train --devices 2`` starts them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from lowdose.training.logs import read_curve

RECIPE = """
name = "two"
title = "Two"
summary = "For tests."
licence = "CC0-1.0"
seed = 1
data = { kinds = { amorphous = 1 }, images = 4, size = 48 }

[network]
architecture = "lowdose"
options = { base = 8, blocks = [1, 1], conditions = 10 }

[training]
steps = 20
batch = 2
patch = 32
validate_every = 4
warmup = 2
precision = "float32"
"""


def train(recipe, folder, *options):
    command = [sys.executable, "-m", "lowdose", "train", str(recipe), "-o", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for variable in ("LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR"):
        environment.pop(variable, None)
    return subprocess.run(
        [*command, "--device", "cpu", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over processes of Unix")
def test_two_processes_learn_as_one_with_the_double_batch(tmp_path):
    recipe = tmp_path / "two.toml"
    recipe.write_text(RECIPE)
    two = train(recipe, tmp_path / "two", "--devices", "2", "--strategy", "ddp")
    one = train(recipe, tmp_path / "one", "--set", "training.batch=4")
    assert (two.returncode, one.returncode) == (0, 0), two.stderr + one.stderr
    assert two.stdout.count("The model is in") == 1
    curves = [
        [float(row["loss"]) for row in read_curve(tmp_path / name / "curve.csv")]
        for name in ("one", "two")
    ]
    assert len(curves[0]) == 5
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-3)
    weights = [
        load_file(tmp_path / name / "model" / "weights.safetensors")
        for name in ("one", "two")
    ]
    for key, value in weights[0].items():
        np.testing.assert_allclose(weights[1][key], value, atol=1e-3)
