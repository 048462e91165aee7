import numpy as np
import pytest

from lowdose import catalogue, denoise
from lowdose.errors import InvalidImageError, ParameterError
from lowdose.micrograph import Axis, Calibration, Micrograph
from lowdose.trust.artefacts import border_ratio, grid_power
from lowdose.trust.residuals import autocorrelation, residual_checks

SIZE = 128


def lattice(dose=10.0, contrast=0.6):
    y, x = np.mgrid[:SIZE, :SIZE]
    return dose * (1 + contrast * np.cos(2 * np.pi * x / 8) * np.cos(2 * np.pi * y / 8))


def levels(checks):
    return {verdict.check: verdict.level for verdict in checks.verdicts}


def test_a_residual_of_noise_alone_passes_every_check(rng):
    truth = lattice()
    checks = residual_checks(rng.poisson(truth), truth)
    assert set(levels(checks).values()) == {"good"}
    assert checks.residual.numbers["mean_square"] == pytest.approx(1, abs=0.05)


def test_a_lattice_that_was_taken_away_is_found(rng):
    noisy = rng.poisson(lattice())
    blur = catalogue.load("gaussian", sigma=2)
    checks = residual_checks(noisy, denoise(noisy, blur), blur)
    found = levels(checks)
    assert found["lattice"] == "bad"
    assert found["whiteness"] != "good"
    power = np.asarray(checks.power.image)
    middle, step = SIZE // 2, SIZE // 8
    assert power[middle + step, middle + step] > 20


def test_a_denoiser_on_what_it_can_do_passes_against_its_own_residuals(rng):
    y, x = np.mgrid[:SIZE, :SIZE]
    noisy = rng.poisson(10 + 3 * np.sin(x / 20) * np.sin(y / 25))
    blur = catalogue.load("gaussian", sigma=2)
    clean = denoise(noisy, blur)
    own = residual_checks(noisy, clean, blur)
    assert set(levels(own).values()) == {"good"}
    # Against white noise the same residual is not white, and a caveat says why.
    blind = residual_checks(noisy, clean)
    assert levels(blind)["whiteness"] == "doubtful"
    assert any("white noise" in caveat for caveat in blind.autocorrelation.caveats)


def test_noise_left_in_the_image_is_found(rng):
    truth = lattice(contrast=0.0)
    noisy = rng.poisson(truth)
    checks = residual_checks(noisy, 0.5 * noisy + 0.5 * truth)
    strength = next(v for v in checks.verdicts if v.check == "strength")
    assert strength.level == "bad"
    assert "Less was taken away" in strength.sentence


def test_a_shifted_mean_is_found(rng):
    truth = lattice()
    found = levels(residual_checks(rng.poisson(truth), truth * 1.07))
    assert found["mean zero"] == "bad"


def test_correlated_noise_is_found(rng):
    truth = np.full((SIZE, SIZE), 400.0)
    noise = rng.normal(0, 20, (SIZE, SIZE + 1))
    noisy = truth + (noise[:, 1:] + noise[:, :-1]) / np.sqrt(2)
    slope = 0.01 * np.arange(SIZE)
    checks = residual_checks(noisy, truth + slope - slope.mean())
    assert levels(checks)["whiteness"] == "bad"


def test_lags_and_frequencies_are_calibrated(rng):
    axes = tuple(Axis(label=a, spacing=0.05, unit="nm") for a in "yx")
    truth = lattice()
    image = Micrograph(rng.poisson(truth), Calibration(axes=axes))
    checks = residual_checks(image, truth)
    lag = checks.autocorrelation.image
    assert lag.shape == (33, 33)
    assert lag.calibration.axes[0].origin == pytest.approx(-16 * 0.05)
    frequency = checks.power.image.calibration.axes[1]
    assert frequency.unit == "1/nm"
    assert frequency.spacing == pytest.approx(1 / (SIZE * 0.05))
    assert checks.residual.image.calibration.pixel_size("nm") == (0.05, 0.05)


def test_autocorrelation_is_that_of_the_definition(rng):
    image = rng.normal(size=(40, 50))
    image -= image.mean()
    found = autocorrelation(image, lags=3)
    shifted = (image[2:, 1:] * image[:-2, :-1]).mean() / (image**2).mean()
    assert found[3, 3] == pytest.approx(1)
    assert found[5, 4] == pytest.approx(shifted, abs=1e-10)
    assert np.allclose(found, found[::-1, ::-1])


def test_small_frames_and_no_replicates_are_refused(rng):
    image = rng.poisson(np.full((20, 20), 5.0))
    blur = catalogue.load("gaussian")
    with pytest.raises(ParameterError, match="32 x 32"):
        residual_checks(image, image)
    with pytest.raises(ParameterError, match="replicates=0"):
        residual_checks(rng.poisson(lattice()), lattice(), blur, replicates=0)


def test_the_border_ratio_is_that_of_the_errors():
    squared = np.ones((40, 60))
    squared[:4], squared[-4:], squared[:, :4], squared[:, -4:] = 9, 9, 9, 9
    assert border_ratio(squared) == pytest.approx(3)
    with pytest.raises(InvalidImageError, match="no inside"):
        border_ratio(np.ones((8, 8)))


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_grid_shows_at_its_own_stride(rng, stride):
    error = rng.normal(1, 0.1, (128, 160))
    assert all(ratio < 3 for ratio in grid_power(error).values())
    error[::stride, ::stride] += 0.1
    found = grid_power(error)
    assert found[stride] > 3
    assert all(found[other] < 3 for other in found if other > stride)
