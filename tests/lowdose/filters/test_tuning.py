"""Tuning filters, without the truth and with it."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import (
    Cancelled,
    InvalidImageError,
    ParameterError,
    UnknownDenoiserError,
)
from lowdose.filters import FILTERS, make
from lowdose.filters.tuning import denoise_frames, tune_by_thinning, tune_to_truth
from lowdose.noise import NoiseModel


@pytest.fixture(scope="module")
def truth():
    y, x = np.mgrid[:96, :112]
    return 3 * (1.2 + np.cos(2 * np.pi * x / 19) * np.cos(2 * np.pi * y / 23))


@pytest.fixture(scope="module")
def counts(truth):
    return np.random.default_rng(0).poisson(truth).astype(np.float32)


def error(name, counts, truth, values):
    return float(np.mean((denoise_frames(name, counts[None], values)[0] - truth) ** 2))


@pytest.mark.parametrize("name", ["gaussian", "median", "wiener", "butterworth"])
def test_tuning_without_the_truth_comes_near_to_tuning_on_it(name, counts, truth):
    found = tune_by_thinning(counts, name)
    best = tune_to_truth(name, counts[None], truth[None], binnings=(1, 2, 4, 8))
    reached = error(name, counts, truth, found.values)
    assert reached < 1.5 * error(name, counts, truth, best)
    assert reached <= 1.05 * error(name, counts, truth, {})


@pytest.mark.parametrize("name", ["bm3d", "hrtem-wiener", "bragg", "pure-let", "pca"])
def test_what_is_found_is_better_than_the_defaults_and_can_be_used(name, counts, truth):
    found = tune_by_thinning(counts, name, most=16, binnings=(1, 4))
    assert found.mse <= found.default_mse
    assert found.tried <= 16
    assert error(name, counts, truth, found.values) < error(name, counts, truth, {})
    assert make(name, **found.values).name == name
    assert found.to_dict()["values"] == dict(found.values)


def test_the_estimates_differ_as_the_errors_do(counts, truth):
    """All values are judged by the same electrons, so that differences are sure."""
    found = tune_by_thinning(counts, "gaussian", binnings=(1,), vst=("none",))
    estimated = found.default_mse - found.mse
    known = error("gaussian", counts, truth, {}) - error(
        "gaussian", counts, truth, found.values
    )
    assert estimated == pytest.approx(known, abs=0.05 * truth.mean())


def test_a_camera_with_gain_offset_and_read_noise_is_tuned_too(truth):
    rng = np.random.default_rng(1)
    recorded = 20 * rng.poisson(truth) + 300 + rng.normal(0, 10, truth.shape)
    model = NoiseModel(gain=20, offset=300, read_noise=10)
    found = tune_by_thinning(recorded, "gaussian", noise=model)
    recorded = recorded.astype(np.float32)
    signal = 20 * truth + 300
    best = tune_to_truth("gaussian", recorded[None], signal[None])
    reached = error("gaussian", recorded, signal, found.values)
    assert reached < 1.2 * error("gaussian", recorded, signal, best)
    for sigma in (0.5, 4.0):  # so that it is no matter of chance
        assert reached < 0.5 * error("gaussian", recorded, signal, {"sigma": sigma})


def test_given_values_are_not_tuned(counts):
    found = tune_by_thinning(
        counts, "gaussian", fixed={"sigma": "3.5", "vst": "none"}, binnings=(1, 2)
    )
    assert found.values["sigma"] == 3.5
    assert found.values["vst"] == "none"
    with pytest.raises(ParameterError, match="'sigma'"):
        tune_by_thinning(counts, "gaussian", fixed={"sgima": 1})


def test_it_is_the_same_every_time_and_reports_and_stops(counts):
    seen = []
    first = tune_by_thinning(counts, "median", on_progress=seen.append)
    assert first == tune_by_thinning(counts, "median")
    assert len(seen) == first.tried
    assert {progress.stage for progress in seen} == {"tune median"}
    with pytest.raises(Cancelled):
        tune_by_thinning(counts, "median", should_stop=lambda: True)


def test_what_cannot_be_tuned_is_said(counts):
    with pytest.raises(UnknownDenoiserError, match="'gaussian'"):
        tune_by_thinning(counts, "gausian")
    with pytest.raises(ParameterError, match="most=0"):
        tune_by_thinning(counts, "gaussian", most=0)
    with pytest.raises(InvalidImageError, match="no noise"):
        tune_by_thinning(np.full((64, 64), 7.5), "gaussian")
    with pytest.raises(InvalidImageError, match="NaN"):
        tune_by_thinning(np.full((9, 9), np.nan), "gaussian")


def test_more_sections_are_used_after_the_first(truth):
    rng = np.random.default_rng(2)
    stack = rng.poisson(np.stack([truth] * 4)).astype(np.float32)
    values = tune_to_truth(
        "gaussian", stack, np.stack([truth] * 4), first=2, binnings=(1, 2)
    )
    one = error("gaussian", stack[0], truth, values)
    assert one < error("gaussian", stack[0], truth, {})


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_can_be_tuned_on_a_tiny_frame(name):
    frame = np.random.default_rng(3).poisson(2.0, (9, 14))
    found = tune_by_thinning(frame, name, most=6)
    assert np.isfinite(found.mse)


def test_nothing_that_comes_with_the_filter_is_better_on_the_same_images():
    y, x = np.mgrid[:48, :48]
    flat = np.full((48, 48), 4.0)
    fine = 40 + 39 * np.cos(2 * np.pi * x / 3) * np.cos(2 * np.pi * y / 3)
    # The first that are searched are unlike the rest.
    truth = np.stack([flat, *[fine] * 6, flat])
    counts = np.random.default_rng(4).poisson(truth).astype(np.float32)

    def reached(values):
        return np.mean((denoise_frames("gaussian", counts, values) - truth) ** 2)

    # With a stabilisation that neither the defaults nor a preset have.
    fixed = {"vst": "counts", "binning": 1}
    found = tune_to_truth(
        "gaussian", counts, truth, first=2, vst=("counts",), binnings=(1,)
    )
    assert set(found) == {p.name for p in FILTERS["gaussian"].parameters}
    assert reached(found) <= reached(fixed)
    for preset in FILTERS["gaussian"].presets.values():
        assert reached(found) <= reached({**preset, **fixed})


def test_a_hard_image_decides_the_error_but_not_the_psnr(truth):
    strong = 400 * truth
    rates = np.stack([truth, truth, strong])
    counts = np.random.default_rng(5).poisson(rates).astype(np.float32)
    by_error, by_psnr = (
        tune_to_truth("gaussian", counts, rates, score=score, binnings=(1,))["sigma"]
        for score in ("mse", "psnr")
    )
    alone = tune_to_truth("gaussian", counts[2:], rates[2:], binnings=(1,))["sigma"]
    assert by_error == pytest.approx(alone, rel=0.1)
    assert by_psnr > 1.5 * by_error


def test_every_image_can_have_its_own_unit(truth):
    rates = np.stack([truth, 400 * truth])
    counts = np.random.default_rng(6).poisson(rates).astype(np.float32)
    units = np.array([1.0, 400.0])
    dim = tune_to_truth("gaussian", counts[:1], rates[:1], binnings=(1,))["sigma"]
    both = tune_to_truth(
        "gaussian", counts, rates / units[:, None, None], scale=units, binnings=(1,)
    )["sigma"]
    # In units of the truth the dim image is the hard one.
    assert both == pytest.approx(dim, rel=0.2)
