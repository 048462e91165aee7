"""Fixtures for training: tiny recipes, tiny stacks, and a way to run to the end."""

import numpy as np
import pytest
import tifffile

from lowdose.simulation import procedural
from lowdose.training.config import recipe_from_dict
from lowdose.training.examples import Setting
from lowdose.training.loop import iter_train
from lowdose.training.tables import build
from lowdose.training.ways import config_of, iter_open

NETWORK = {
    "architecture": "unet2",
    "options": {"scales": 2, "base": 4, "conditions": 2, "residual": True},
}
TRAINING = {
    "steps": 4,
    "batch": 2,
    "patch": 32,
    "validate_every": 2,
    "warmup": 1,
    "precision": "float32",
}
DRAWINGS = {"kinds": {"amorphous": 1.0}, "images": 4, "size": 48}


@pytest.fixture
def make_recipe():
    """Return a function that makes a tiny recipe, with changes of [training]."""

    def make(*, data=DRAWINGS, network=NETWORK, top=None, **training):
        return recipe_from_dict(
            {
                "name": "tiny",
                "title": "Tiny",
                "summary": "For tests.",
                "licence": "CC0-1.0",
                "seed": 1,
                "data": data,
                "network": network,
                "training": {**TRAINING, **training},
                **(top or {}),
            }
        )

    return make


@pytest.fixture
def train():
    """Return a function that trains to the end: the model, and every report."""

    def run(*args, **kwargs):
        job = iter_train(*args, **kwargs)
        reports = []
        while True:
            try:
                reports.append(next(job))
            except StopIteration as stop:
                return stop.value, reports

    return run


@pytest.fixture
def open_way(tmp_path):
    """Return a function that opens a way to learn by its [data] table."""

    def run(table, **setting):
        config = build(config_of(table["way"]), table, "data")
        opening = iter_open(
            config, Setting(**{"seed": 1, "folder": tmp_path, "patch": 32, **setting})
        )
        while True:
            try:
                next(opening)
            except StopIteration as stop:
                return stop.value

    return run


@pytest.fixture
def rate():
    """Return the electron rate of a specimen, shape (96, 96)."""
    image = procedural.draw("membranes", np.random.default_rng(3), 96)
    return (0.4 + image).astype(np.float64)


@pytest.fixture
def movie(tmp_path, rate, rng):
    """Return a file of ten counted frames of one specimen."""
    path = tmp_path / "movie.tif"
    frames = rng.poisson(np.repeat(rate[None], 10, 0)).astype(np.uint8)
    tifffile.imwrite(path, frames)
    return path
