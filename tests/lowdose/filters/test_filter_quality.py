"""The benchmark that tunes the filters on the truth."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "filter_quality.py"
pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file(), reason="benchmarks/ is not beside the tests here"
)


@pytest.fixture(scope="module")
def quality():
    spec = importlib.util.spec_from_file_location("filter_quality", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["filter_quality"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["filter_quality"]


@pytest.fixture(scope="module")
def truth():
    y, x = np.mgrid[:48, :40]
    frames = [0.5 + 0.5 * np.sin((x + 3 * n) / 5) * np.cos(y / 6) for n in range(3)]
    return np.stack(frames).astype(np.float32)


def test_the_truth_is_the_mean_of_blocks_scaled_over_the_stack(quality, tmp_path):
    stack = np.random.default_rng(1).integers(0, 255, (2, 18, 20)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack)
    truth = quality.ground_truth(tmp_path / "stack.tif")
    assert truth.shape == (2, 4, 5)
    assert (truth.min(), truth.max()) == (0.0, 1.0)
    means = stack[:, :16].reshape(2, 4, 4, 5, 4).mean(axis=(2, 4))
    assert np.corrcoef(truth.ravel(), means.ravel())[0, 1] == pytest.approx(1.0)


def test_the_noise_is_poisson_and_the_same_every_time(quality, truth):
    first, again = (quality.noisy_counts(truth, 20.0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, quality.noisy_counts(truth, 21.0))
    assert np.mean((first - 20 * truth) ** 2) == pytest.approx(
        20 * truth.mean(), rel=0.1
    )


def test_scores_follow_their_definitions(quality, truth):
    found = quality.scores(truth + np.float32(0.1), truth)
    assert found["mse"] == pytest.approx(0.01, rel=1e-3)
    assert found["psnr"] == pytest.approx(20.0, abs=0.01)
    ranges = np.ptp(truth, axis=(1, 2))
    expected = 20.0 + np.mean(20 * np.log10(ranges))
    assert found["psnr_range"] == pytest.approx(expected, abs=0.01)


def test_the_search_finds_the_minimum_over_numbers_steps_and_choices(quality):
    def cost(values):
        if values["n"] < 0:
            return math.inf
        kind = {"good": 0.0, "bad": 1.0}[values["kind"]]
        product = math.log(values["a"] * values["b"] / 6.0)
        ratio = math.log(values["a"] / values["b"] / 1.5)
        return product**2 + 0.3 * ratio**2 + (values["n"] - 4) ** 2 + kind

    axes = {
        "a": quality.Axis(1.0, factor=2.0),
        "b": quality.Axis(1.0, factor=2.0),
        "n": quality.Axis(0, step=3),
        "kind": quality.Axis("bad", choices=("good", "bad")),
    }
    start = {name: axis.start for name, axis in axes.items()}
    best, lowest = quality.search(cost, axes, start)
    assert (best["n"], best["kind"]) == (4, "good")
    assert best["a"] == pytest.approx(3.0, rel=0.05)
    assert best["b"] == pytest.approx(2.0, rel=0.05)
    assert lowest == cost(best)


def test_every_filter_is_searched_over_parameters_it_has(quality):
    from lowdose.filters import FILTERS

    assert set(quality.SEARCH) == set(FILTERS)
    for name, axes in quality.SEARCH.items():
        declared = {p.name: p for p in FILTERS[name].parameters}
        for axis_name, axis in axes.items():
            declared[axis_name].validate(axis.start)
            for choice in axis.choices:
                declared[axis_name].validate(choice)


def test_tuning_beats_the_defaults_and_the_table_lists_the_best_first(quality, truth):
    rows = quality.run(
        truth,
        peaks=[10.0],
        names=["gaussian", "wiener"],
        denoisers=["gaussian"],
        sections=2,
    )
    by_name = {(row.denoiser, bool(row.values)): row for row in rows}
    tuned, default = by_name["gaussian", True], by_name["gaussian", False]
    assert tuned.mse < default.mse < by_name["(noisy)", False].mse
    counts = quality.noisy_counts(truth, 10.0)
    direct = quality.scores(quality.apply_filter("gaussian", counts, {}) / 10, truth)
    assert default.mse == pytest.approx(direct["mse"], rel=1e-4)

    lines = quality.to_markdown(rows).splitlines()
    listed = [float(line.split("|")[2]) for line in lines if line[:3] in ("| g", "| w")]
    assert len(listed) == 3
    assert listed == sorted(listed)
    records = json.loads(quality.to_json(rows))["rows"]
    assert records[0]["denoiser"] == "(noisy)"
    assert {"mse", "psnr", "psnr_range", "values", "peak"} <= set(records[0])
