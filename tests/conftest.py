"""Fixtures for all tests: a seeded generator, and the real micrographs."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng():
    """Return a random generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of real micrographs, or skip where it is missing."""
    beside = Path(__file__).parents[2] / "shared" / "real"
    folder = Path(os.environ.get("LOWDOSE_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"The real micrographs are not here: there is no {folder}.")
    return folder
