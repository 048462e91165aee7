"""A short soak of the plugin in a real window; a long one is benchmarks/soak.py."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from qtpy.QtCore import QThreadPool

pytestmark = pytest.mark.gl

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture
def soak(monkeypatch):
    spec = importlib.util.spec_from_file_location("soak", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "soak", module)
    spec.loader.exec_module(module)
    yield module
    assert QThreadPool.globalInstance().waitForDone(20_000)


# On request: what it is to find ends the whole test run.
@pytest.mark.skipif(
    os.environ.get("LOWDOSE_SOAK") != "1", reason="a soak runs with LOWDOSE_SOAK=1"
)
def test_runs_cancels_deletions_and_closings_at_random_moments_leave_nothing(
    make_napari_viewer, soak
):
    viewer = make_napari_viewer(show=True)
    found = soak.soak(viewer, rounds=10, seed=1, denoiser="gaussian", shape=(4, 64, 64))
    assert found.rounds == 10
    assert not found.errors
    assert found.threads[1] <= found.threads[0]


def test_growth_is_told_from_noise(soak):
    steady = soak.Found(memory=[300.0 + n % 3 for n in range(80)])
    growing = soak.Found(memory=[300.0 + n for n in range(80)])
    assert abs(steady.growth) < 2
    assert growing.growth > soak.GROWTH
