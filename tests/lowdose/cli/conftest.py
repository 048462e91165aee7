"""Small files to denoise, and the command line called in this process."""

import signal

import numpy as np
import pytest

import lowdose
from lowdose.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder of our own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """Undo what a shell does to a job in the background, where Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def cli(capsys):
    """Return a function that runs the command line: code, stdout, stderr."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def movie(here, rng):
    """Write a small calibrated movie as movie.tif, and return it."""
    calibration = lowdose.Calibration.from_spacing((0.5, 4.0, 4.0), ("s", "nm", "nm"))
    counts = rng.poisson(6.0, (3, 40, 52)).astype(np.uint8)
    micrograph = lowdose.Micrograph(counts, calibration, "movie.tif")
    lowdose.write("movie.tif", micrograph)
    return micrograph
