"""The table of filters, and making denoisers of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lowdose.errors import InvalidImageError, ParameterError, UnknownDenoiserError
from lowdose.filters import (
    FILTERS,
    absf,
    bilateral_filter,
    bm3d,
    bragg_filter,
    butterworth_lowpass,
    gaussian_blur,
    hrtem_wiener,
    make,
    median_filter,
    nl_means,
    pca_denoise,
    pure_let,
    tv_bregman,
    tv_chambolle,
    wavelet_shrink,
    wiener_filter,
)
from lowdose.parameters import resolve

FUNCTIONS = {
    "gaussian": gaussian_blur,
    "butterworth": butterworth_lowpass,
    "median": median_filter,
    "bilateral": lambda frame: bilateral_filter(frame, sigma_color=1.0),
    "wiener": lambda frame: wiener_filter(frame, noise=1.0),
    "wavelet": lambda frame: wavelet_shrink(frame, sigma=1.0),
    "tv-chambolle": lambda frame: tv_chambolle(frame, weight=1.0),
    "tv-bregman": lambda frame: tv_bregman(frame, weight=1.0),
    "nl-means": lambda frame: nl_means(frame, h=1.0),
    "bm3d": lambda frame: bm3d(frame, sigma=1.0),
    "pure-let": pure_let,
    "hrtem-wiener": hrtem_wiener,
    "absf": absf,
    "bragg": bragg_filter,
    "pca": lambda frame: pca_denoise(frame, sigma=1.0),
}


def counts(shape: tuple[int, int], rate: float = 4.0) -> np.ndarray:
    return np.random.default_rng(3).poisson(rate, shape).astype(np.float32)


def denoise(name: str, frame: np.ndarray, **values) -> np.ndarray:
    denoiser = make(name, **values)
    return denoiser.denoise_patches(frame[None, None], [denoiser.measure(frame)])[0]


def test_all_filters_are_there_each_with_source_and_both_wrappers():
    assert set(FILTERS) == set(FUNCTIONS)
    for name, spec in FILTERS.items():
        assert spec.name == name
        assert "19" in spec.reference or "20" in spec.reference
        assert [p.name for p in spec.parameters[-2:]] == ["vst", "binning"]
        assert len({p.name for p in spec.parameters}) == len(spec.parameters)


def test_every_preset_has_values_that_its_filter_takes():
    named = [spec for spec in FILTERS.values() if spec.presets]
    assert {spec.name for spec in named} == set(FILTERS) - {"butterworth"}
    for spec in named:
        for preset in spec.presets.values():
            resolve(spec.parameters, preset, owner=spec.name)


@pytest.mark.parametrize("name", FILTERS)
def test_a_denoiser_says_what_it_is_in_json(name):
    denoiser = make(name, binning="2", vst="counts")
    described = json.loads(json.dumps(denoiser.describe()))
    assert described["name"] == denoiser.name == name
    assert described["parameters"]["binning"] == 2
    assert set(described["parameters"]) == {p.name for p in FILTERS[name].parameters}


def test_values_go_before_those_of_a_preset():
    denoiser = make("gaussian", preset="ede2018", radius=3)
    assert denoiser.values["radius"] == 3
    assert denoiser.values["sigma"] == pytest.approx(0.849, abs=1e-3)


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UnknownDenoiserError, match="'gaussian'"):
        make("gausian")
    with pytest.raises(ParameterError, match="'ede2018'"):
        make("gaussian", preset="ede2019")
    with pytest.raises(ParameterError, match=r"no parameter 'sgima'.*'sigma'"):
        make("gaussian", sgima=1)
    with pytest.raises(ParameterError, match=r"0\.1 to 50 px"):
        make("gaussian", sigma=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_refuse_what_is_no_frame(name):
    function = FUNCTIONS[name]
    for bad in (
        np.zeros((2, 3, 4, 5)),
        np.zeros(4),
        np.zeros((0, 3)),
        np.zeros((3, 3), complex),
    ):
        with pytest.raises(InvalidImageError):
            function(bad)
    with pytest.raises(InvalidImageError, match="NaN"):
        function(np.array([[1.0, np.nan], [0.0, 1.0]]))


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_functions_refuse_impossible_amplitudes_and_take_any_other(value):
    frame = 1e6 * counts((9, 9))
    for function, name in (
        (bilateral_filter, "sigma_color"),
        (wiener_filter, "noise"),
        (wavelet_shrink, "sigma"),
        (tv_chambolle, "weight"),
        (tv_bregman, "weight"),
        (nl_means, "h"),
        (bm3d, "sigma"),
        (pca_denoise, "sigma"),
        (hrtem_wiener, "noise"),
        (absf, "noise"),
    ):
        with pytest.raises(ParameterError, match=name):
            function(frame, **{name: value})
        assert np.isfinite(function(frame, **{name: 1e6})).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_any_real_type_and_leave_it_untouched(name):
    frame = counts((24, 31)).astype(np.uint16)
    before = frame.copy()
    result = FUNCTIONS[name](frame)
    assert result.shape == (24, 31)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_allclose(result, FUNCTIONS[name](frame.astype(float)))


@pytest.mark.parametrize("name", FILTERS)
def test_the_needs_grow_with_binning(name):
    plain, binned = make(name).needs, make(name, binning=3).needs
    assert binned.multiple == 3 * plain.multiple
    where_patches_begin = {"bm3d": 3, "pca": 16}
    assert plain.multiple == where_patches_begin.get(name, 1)
    assert not plain.device
    assert plain.frames == (5 if name == "pca" else 1)
    if plain.halo is None:
        assert binned.halo is None
    else:
        assert binned.halo > 3 * plain.halo
        assert binned.halo % 3 == 0


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("vst", ["none", "auto"])
def test_threads_give_the_same_result_as_one_after_the_other(name, vst):
    frames = [counts((40, 40), rate) for rate in (1, 2, 5, 9)]
    alone = [denoise(name, frame, vst=vst) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda frame: denoise(name, frame, vst=vst), frames))
    for first, second in zip(alone, together, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", FILTERS)
def test_a_batch_is_its_patches_each_with_its_own_measures(name):
    denoiser = make(name, vst="counts")
    frames = [counts((20, 24), rate) for rate in (2, 30)]
    denoiser.place("cpu", "float32")
    measures = [denoiser.measure(frame) for frame in frames]
    batch = denoiser.denoise_patches(np.stack(frames)[:, None], measures)
    assert batch.dtype == np.float32
    for frame, result in zip(frames, batch, strict=True):
        np.testing.assert_array_equal(result, denoise(name, frame, vst="counts"))
