"""Errors predicted without the truth, against the truth."""

import math

import numpy as np
import pytest

from lowdose import catalogue, denoise
from lowdose.errors import Cancelled, InvalidImageError, ParameterError
from lowdose.micrograph import Axis, Calibration, Micrograph
from lowdose.noise import NoiseModel, sample_poisson_gauss
from lowdose.trust.bootstrap import bootstrap, iter_bootstrap
from lowdose.trust.error_maps import errors, errors_against
from lowdose.trust.halves import halves
from lowdose.trust.pure import iter_risk, risk

SIZE = 96


def scene(dose=5.0, size=SIZE):
    """Return columns of atoms left of vacuum [e-/px]."""
    y, x = np.mgrid[:size, :size]
    atoms = np.exp(3 * (np.cos(x / 2) + np.cos(y / 2) - 2))
    return dose * (0.5 + atoms * (x < size / 2))


def calibrated(data):
    axes = tuple(Axis(label=a, spacing=0.02, unit="nm") for a in "yx")
    return Micrograph(data, Calibration(axes=axes), "image.tif")


@pytest.fixture(scope="module")
def gaussian():
    return catalogue.load("gaussian", sigma=1.5)


@pytest.mark.parametrize("probe", ["thinning", "signs"])
@pytest.mark.parametrize("name", ["gaussian", "median"])
def test_the_risk_is_the_true_error_on_average(rng, name, probe):
    truth, denoiser = scene(), catalogue.load(name)
    gaps, true = [], []
    for trial in range(12):
        noisy = rng.poisson(truth)
        clean = np.asarray(denoise(noisy, denoiser))
        found = risk(noisy, clean, denoiser, probe=probe, probes=1, seed=trial)
        true.append(np.square(clean - truth).mean())
        gaps.append(found.mse.value - true[-1])
    error = np.std(gaps) / math.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 4 * error + 0.03 * np.mean(true)
    assert error < 0.15 * np.mean(true)  # so that the line above can fail


def test_the_risk_is_right_with_gain_offset_and_read_noise(rng, gaussian):
    model = NoiseModel(gain=3.0, offset=50.0, read_noise=2.0)
    rate = scene()
    truth = 3.0 * rate + 50.0
    gaps, true = [], []
    for trial in range(12):
        noisy = sample_poisson_gauss(rate, rng, gain=3, offset=50, read_noise=2)
        clean = np.asarray(denoise(noisy, gaussian))
        found = risk(noisy, clean, gaussian, noise=model, probes=1, seed=trial)
        assert found.probe == "signs"
        true.append(np.square(clean - truth).mean())
        gaps.append(found.mse.value - true[-1])
    error = np.std(gaps) / math.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 4 * error + 0.03 * np.mean(true)
    assert error < 0.15 * np.mean(true)


def test_the_expected_error_has_the_size_and_the_place_of_the_true_one(rng, gaussian):
    truth = scene(20.0)
    noisy = rng.poisson(truth)
    clean = denoise(noisy, gaussian)
    found = bootstrap(noisy, clean, gaussian, repeats=8)
    expected = np.asarray(found.expected.image)
    true = np.sqrt(np.asarray(errors(truth, gaussian, instances=20).squared.image))
    assert np.sqrt((expected**2).mean()) == pytest.approx(
        np.sqrt((true**2).mean()), rel=0.2
    )
    assert np.corrcoef(expected.ravel(), true.ravel())[0, 1] > 0.3
    left, right = np.s_[:, : SIZE // 2 - 8], np.s_[:, SIZE // 2 + 8 :]
    assert expected[left].mean() > 1.5 * expected[right].mean()


def test_without_the_unbiased_check_lost_detail_is_missed_and_said_so(rng):
    truth = scene(50.0)
    blur = catalogue.load("gaussian", sigma=4)
    noisy = rng.poisson(truth)
    clean = denoise(noisy, blur)
    true = np.sqrt(np.square(np.asarray(clean) - truth).mean())
    plain = bootstrap(noisy, clean, blur, repeats=4, probes=0)
    mended = bootstrap(noisy, clean, blur, repeats=4)
    size = [one.expected.numbers["mean_expected_rms_counts"] for one in (plain, mended)]
    assert size[0] < 0.6 * true
    assert size[1] == pytest.approx(true, rel=0.1)
    assert any("true error is larger" in c for c in plain.expected.caveats)


def test_the_spread_of_halves_is_that_of_exposures_for_a_linear_denoiser(rng, gaussian):
    truth = scene()
    noisy = rng.poisson(truth)
    found = halves(noisy, denoise(noisy, gaussian), gaussian)
    true = errors(truth, gaussian, instances=20).spread
    rms = np.sqrt(np.square(np.asarray(true.image)).mean())
    assert found.spread.numbers["rms_counts"] == pytest.approx(rms, rel=0.1)


def test_maps_keep_calibration_and_holes(rng, gaussian):
    noisy = rng.poisson(scene()).astype(np.float32)
    noisy[10:14, 20:24] = np.nan
    image = calibrated(noisy)
    clean = denoise(image, gaussian)
    for result in (
        bootstrap(image, clean, gaussian, repeats=2, probes=1),
        risk(image, clean, gaussian, probes=1),
        halves(image, clean, gaussian, splits=1),
    ):
        for one in result.maps:
            assert one.image.calibration.pixel_size("nm") == (0.02, 0.02)
            assert one.image.dtype == np.float32
            assert np.array_equal(np.isnan(np.asarray(one.image)), np.isnan(noisy))
            assert one.unit.startswith("counts")


def test_errors_against_a_truth_are_those_of_the_definition(rng):
    truth = scene()
    found = truth + rng.normal(0, 0.2, truth.shape)
    result = errors_against(found, truth)
    error = found - truth
    assert np.allclose(result.absolute.image, np.abs(error), atol=1e-6)
    assert np.allclose(result.squared.image, error**2, atol=1e-6)
    assert np.allclose(result.bias.image, error, atol=1e-6)
    assert result.spread is None
    assert "one noise instance" in result.absolute.caveats[0]


def test_over_instances_the_square_is_bias_and_spread_together(gaussian):
    result = errors(scene(), gaussian, instances=5)
    bias, spread = (np.asarray(m.image, float) for m in (result.bias, result.spread))
    assert np.allclose(result.squared.image, bias**2 + spread**2 * 4 / 5, rtol=1e-3)


def test_a_stop_is_heard_between_runs(rng, gaussian):
    noisy = rng.poisson(scene())
    clean = denoise(noisy, gaussian)
    stop = False
    job = iter_bootstrap(noisy, clean, gaussian, should_stop=lambda: stop)
    progress = next(job)
    assert (progress.done, progress.total) == (1, 29)
    stop = True
    with pytest.raises(Cancelled):
        next(job)


def test_counts_that_are_no_whole_electrons_are_not_divided(rng, gaussian):
    noisy = rng.poisson(scene()) + rng.normal(0, 0.3, (SIZE, SIZE))
    clean = denoise(noisy, gaussian)
    with pytest.raises(InvalidImageError, match="whole electrons"):
        halves(noisy, clean, gaussian)
    found = risk(noisy, clean, gaussian, probes=1)
    assert any("gain of the detector is not known" in c for c in found.map.caveats)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:-1], "shape"),
        (lambda x: x / x.max(), "rescaled"),
        (lambda x: 2 * x, "rescaled"),
        (lambda x: 2 * x.mean() - x, "inverted"),
        (lambda x: np.full_like(x, x.mean()), "constant"),
        (lambda x: np.full_like(x, np.nan), "no finite pixel"),
        (lambda x: np.stack([x, x]), "2 frames"),
    ],
)
def test_what_does_not_belong_together_is_refused(rng, gaussian, change, words):
    noisy = rng.poisson(scene())
    clean = np.asarray(denoise(noisy, gaussian))
    with pytest.raises(InvalidImageError, match=words):
        risk(noisy, change(clean), gaussian)


def test_a_mean_that_moved_a_little_is_a_caveat(rng, gaussian):
    noisy = rng.poisson(scene(20.0))
    clean = np.asarray(denoise(noisy, gaussian)) * 1.05
    found = risk(noisy, clean, gaussian, probes=1)
    assert any("mean is not kept" in c for c in found.map.caveats)


def test_numbers_out_of_range_are_refused(rng, gaussian):
    noisy = rng.poisson(scene())
    with pytest.raises(ParameterError, match="repeats=1"):
        bootstrap(noisy, noisy, gaussian, repeats=1)
    with pytest.raises(ParameterError, match="probes=0"):
        risk(noisy, noisy, gaussian, probes=0)
    with pytest.raises(ParameterError, match="splits=0"):
        halves(noisy, noisy, gaussian, splits=0)
    with pytest.raises(ParameterError, match="instances=0"):
        errors(scene(), gaussian, instances=0)


def test_jobs_do_nothing_before_they_are_advanced():
    iter_risk(np.zeros((3, 3)), np.zeros((4, 4)), "no such denoiser")


def test_a_normalised_truth_is_refused(gaussian):
    with pytest.raises(InvalidImageError, match="in counts"):
        errors(scene() - 10, gaussian, instances=1)
    with pytest.raises(InvalidImageError, match="one scale"):
        errors_against(scene() / 100, scene())
