from __future__ import annotations

import math

import numpy as np
import pytest

from lowdose import catalogue
from lowdose.errors import LowDoseError
from lowdose.inference.device import CPU
from lowdose.inference.rates import known_rates
from lowdose.speed import Case, measure_cases, measure_disk
from lowdose.speed.bare import bare_calls
from lowdose.speed.cases import lattice, measure_case, psnr

CLASSICAL = [d.name for d in catalogue.list_denoisers() if d.group == "classical"]
#: Those that scipy or scikit-image have, too.
WITH_LIBRARY = [
    "gaussian",
    "median",
    "butterworth",
    "bilateral",
    "wiener",
    "wavelet",
    "tv-chambolle",
    "tv-bregman",
    "nl-means",
]


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LOWDOSE_CACHE", str(tmp_path / "cache"))


def small(name, **changes):
    return Case(
        **{"denoiser": name, "size": 96, "tiles": (None, 64), "repeats": 1, **changes}
    )


def test_a_filter_is_measured_bare_untiled_and_tiled():
    rows = list(measure_case(small("gaussian", device="cpu")))
    assert [row.way for row in rows] == [
        "scipy gaussian_filter",
        "untiled",
        "engine, own choice",
        "engine",
    ]
    for row in rows:
        assert row.megapixels_per_second == pytest.approx(96 * 96 / row.seconds / 1e6)
        assert row.peak_mib is None or row.peak_mib >= 0
        assert row.error == ""
    # All of them are the same filter, up to the edge of the frame.
    assert np.ptp([row.psnr for row in rows]) < 0.2
    assert max(rows[-1].tile) <= 64


@pytest.mark.parametrize("name", WITH_LIBRARY)
def test_the_bare_call_of_every_filter_denoises_about_as_ours(name):
    clean = lattice(64)
    noisy = np.random.default_rng(0).poisson(clean).astype(np.float32)
    denoiser = catalogue.load(name)
    ((_, call),) = bare_calls(denoiser, noisy, CPU, compiled=False)
    result = call()
    assert result.shape == noisy.shape
    # It removes noise; how much, with other conventions, is not for here.
    assert psnr(result, clean) > psnr(noisy, clean) + 1


def test_filters_that_no_library_has_have_no_bare_call():
    noisy = np.ones((32, 32), np.float32)
    for name in set(CLASSICAL) - set(WITH_LIBRARY):
        denoiser = catalogue.load(name)
        assert not list(bare_calls(denoiser, noisy, CPU, compiled=False)), name


def test_a_network_is_measured_in_its_own_process():
    rows = list(measure_cases([small("general", device="cpu", precision="float32")]))
    ways = [row.way for row in rows]
    assert ways[:2] == ["torch", "untiled"]
    assert {row.precision for row in rows} == {"float32"}
    assert all(row.seconds and row.seconds > 0 for row in rows)
    # The bare network answers in its own units; the others in counts.
    assert [row.psnr is None for row in rows] == [w == "torch" for w in ways]
    assert np.ptp([row.psnr for row in rows if row.psnr is not None]) < 0.01


def test_a_denoiser_that_does_not_exist_is_an_error_out_of_the_process():
    with pytest.raises(LowDoseError, match="no-such"):
        list(measure_cases([small("no-such")]))


def test_tuning_keeps_what_was_measured():
    list(measure_case(small("median", device="cpu", tune=True)))
    rates = known_rates(catalogue.load("median"), CPU)
    assert {rate.side for rate in rates} == {64}


def test_psnr_is_that_of_the_range():
    clean = np.array([[0.0, 10.0]])
    assert psnr(np.array([[1, 9]], np.float32), clean) == pytest.approx(20)
    assert psnr(clean.astype(np.float32), clean) == math.inf


def test_a_disk_is_measured_and_left_as_it_was(tmp_path):
    rows = list(measure_disk(tmp_path, frames=3, side=64))
    assert [row.format for row in rows] == [".tif", ".mrc", ".zarr"]
    assert all(row.write > 0 and row.read > 0 for row in rows)
    assert list(tmp_path.iterdir()) == []
