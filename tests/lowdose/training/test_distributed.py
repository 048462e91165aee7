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
    return run([*command, "--device", "cpu", *options])


def run(command, cwd=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for variable in ("LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR"):
        environment.pop(variable, None)
    return subprocess.run(
        command,
        env=environment,
        cwd=cwd,
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


SPOILT = """
import os, sys
import numpy as np
from pathlib import Path
from lowdose.errors import TrainingError
from lowdose.training.config import read_recipe
from lowdose.training.hardware import Hardware
from lowdose.training.learner import Learner
from lowdose.training.loop import iter_train

learn = Learner.learn

def failing(self, batch):
    if self.step == 1 and os.environ.get("LOCAL_RANK") == "1":
        batch.target[0] = np.nan
        Path("spoilt").write_text(batch.names[0])
    return learn(self, batch)

Learner.learn = failing
two = Hardware(device="cpu", devices=2, strategy="ddp")
try:
    list(iter_train(read_recipe(sys.argv[1]), Path(sys.argv[2]), hardware=two))
except TrainingError as error:
    # Not printed: both write to one pipe.
    Path("rank" + os.environ.get("LOCAL_RANK", "0")).write_text(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over processes of Unix")
def test_a_batch_that_is_not_finite_is_named_whichever_device_had_it(tmp_path):
    recipe, script = tmp_path / "two.toml", tmp_path / "spoilt.py"
    recipe.write_text(RECIPE)
    script.write_text(SPOILT)
    command = [sys.executable, str(script), str(recipe), str(tmp_path / "run")]
    done = run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    spoilt, said = ((tmp_path / name).read_text() for name in ("spoilt", "rank0"))
    assert f"in the batch of {spoilt}. These examples are not finite" in said
