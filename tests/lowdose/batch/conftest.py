"""Small files in a folder of their own, to denoise."""

import numpy as np
import pytest

from lowdose import catalogue, io
from lowdose.batch import DenoiserSpec, Job
from lowdose.micrograph import Calibration, Micrograph

SPEC = DenoiserSpec(name="gaussian", values={"sigma": 1.5})


@pytest.fixture
def spec():
    return SPEC


@pytest.fixture
def gaussian():
    return catalogue.load("gaussian", sigma=1.5)


@pytest.fixture
def stack(rng):
    return rng.poisson(6.0, (8, 40, 52)).astype(np.uint16)


@pytest.fixture
def job(tmp_path, stack):
    """Return a calibrated movie, and where its result goes."""
    calibration = Calibration.from_spacing((0.5, 4.0, 4.0), ("s", "nm", "nm"))
    source = tmp_path / "movie.tif"
    io.write(source, Micrograph(stack, calibration, "movie.tif"))
    return Job(source=source, target=tmp_path / "clean.tif")


@pytest.fixture
def many(tmp_path, stack):
    """Return a function that makes several movies to denoise."""

    def make(count):
        (tmp_path / "out").mkdir(exist_ok=True)
        jobs = []
        for number in range(count):
            source = tmp_path / f"movie{number}.tif"
            io.write(source, Micrograph(stack + number))
            target = tmp_path / "out" / f"movie{number}.tif"
            jobs.append(Job(source=source, target=target))
        return jobs

    return make


@pytest.fixture
def finish():
    """Return a function that runs a generator to its end: its items, its result."""

    def run(steps):
        items = []
        while True:
            try:
                items.append(next(steps))
            except StopIteration as end:
                return items, end.value

    return run


@pytest.fixture
def names():
    """Return a function that lists every file below a folder, the hidden ones too."""

    def listed(folder):
        return sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file()
        )

    return listed
