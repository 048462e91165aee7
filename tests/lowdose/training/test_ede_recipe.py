"""Ede's recipe with its own constants, on real sections, against values by hand."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from lowdose.training.config import read_recipe
from lowdose.training.examples import turned
from lowdose.training.learner import Learner
from lowdose.training.logs import read_curve
from lowdose.training.ways.high_dose import HighDose

RECIPES = Path(__file__).parents[3] / "recipes"
#: Only what the data and the time ask for: small images, a small network, few steps.
CHANGES = [
    "data.binning=1",
    "network.architecture=unet2",
    "network.options={scales=2, base=4}",
    "training.steps=4",
    "training.validate_every=4",
]


@pytest.fixture
def sections(real_data, tmp_path):
    """Return ten sections, shape (10, 512, 512), and a folder that holds them."""
    stack = tifffile.imread(real_data / "isbi2012-sstem-stack.tif")
    folder = tmp_path / "sections"
    folder.mkdir()
    for number, section in enumerate(stack):
        tifffile.imwrite(folder / f"{number:02}.tif", section)
    return stack.astype(np.float64), folder


def test_steps_on_real_sections_are_those_of_the_paper(
    sections, train, tmp_path, monkeypatch
):
    stack, folder = sections
    examples, steps = {}, []
    learn, draw = Learner.learn, HighDose.example

    def spying_draw(self, rng):
        example = draw(self, rng)
        examples[example.name] = example
        return example

    def spying_learn(self, batch):
        with torch.no_grad():
            twin = copy.deepcopy(self.network).train()
            output = twin(torch.from_numpy(batch.seen)).numpy()
        loss = learn(self, batch)
        steps.append((batch, output, loss, self.optimiser.param_groups[0]))
        return loss

    monkeypatch.setattr(HighDose, "example", spying_draw)
    monkeypatch.setattr(Learner, "learn", spying_learn)
    recipe = read_recipe(
        RECIPES / "ede-low-dose.toml", changes=[f"data.folder={folder}", *CHANGES]
    )
    with pytest.warns(UserWarning, match="10 of 10 micrographs.*below 2500 counts"):
        train(recipe, tmp_path / "run")

    assert len(steps) == 4
    for batch, output, loss, optimiser in steps:
        (name,) = batch.names
        number, dose = re.fullmatch(r"image (\d+), largest count (.*)", name).groups()
        counts = examples[name].noisy[0].astype(np.float64)
        section = stack[int(number)]
        x = (section - section.min()) / np.ptp(section)
        assert float(dose) >= 25
        assert counts.mean() == pytest.approx(float(dose) * x.mean(), rel=0.01)
        seen = (counts - counts.min()) / np.ptp(counts)
        np.testing.assert_allclose(batch.seen[0, 0], seen, atol=1e-6)
        targets = [turned(x, n) * seen.mean() / x.mean() for n in range(8)]
        target = min(targets, key=lambda t: np.abs(t - batch.target[0, 0]).max())
        np.testing.assert_allclose(batch.target[0, 0], target, atol=1e-5)
        scaled = 1000 * np.mean((output[0, 0] - target) ** 2)
        expected = scaled if scaled < 1 else np.sqrt(scaled)
        assert loss == pytest.approx(expected, rel=1e-3)
        assert optimiser["lr"] == 1e-3
        assert (optimiser["betas"][0], optimiser["weight_decay"]) == (0.5, 5e-5)
    (row,) = read_curve(tmp_path / "run" / "curve.csv")
    assert float(row["loss"]) == pytest.approx(np.mean([s[2] for s in steps]), rel=1e-4)
    assert {"psnr_dB", "psnr_sbd_dB", "ssim"} < row.keys()
