import dataclasses

import numpy as np
import pytest

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.noise import NoiseModel
from lowdose.simulation.detector import Detector, expose, record, unit_range
from lowdose.simulation.detector_stages import BeamProfile, Dose, Transfer
from lowdose.simulation.detectors import DETECTORS, detector

FLAT = np.full((256, 256), 3.0)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def image(rng):
    y, x = np.mgrid[:64, :80]
    return 1 + 0.5 * np.sin(x / 4) * np.cos(y / 5)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_is_reproducible_and_keeps_the_shape(name, image):
    first, second, other = (
        expose(image, detector(name), np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert first.dtype == np.float32
    assert first.shape == image.shape
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_detector_of_no_stages_returns_the_rate(image, rng):
    nothing = Detector(poisson=False)
    np.testing.assert_allclose(expose(image, nothing, rng), image, rtol=1e-6)


def test_sbd_counts_are_poisson_of_the_image_itself(rng):
    counts = expose(FLAT, detector("sbd"), rng)
    assert np.array_equal(counts, np.rint(counts))
    assert counts.mean() == pytest.approx(3, rel=0.02)
    assert counts.var() == pytest.approx(3, rel=0.03)


def test_ede_rescales_counts_and_matches_the_mean_of_the_target(image, rng):
    exposure = record(image, detector("ede-low"), rng)
    assert (exposure.counts.min(), exposure.counts.max()) == (0, 1)
    assert exposure.target.mean() == pytest.approx(exposure.counts.mean(), rel=1e-5)
    np.testing.assert_allclose(
        exposure.target / exposure.target.max(), unit_range(image), atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "low", "mean"), [("ede-low", 25, 100), ("ede-ordinary", 200, 1350)]
)
def test_ede_doses_follow_their_published_laws(name, low, mean, rng):
    doses = [detector(name).dose.draw(rng) for _ in range(4000)]
    assert min(doses) >= low
    assert np.mean(doses) == pytest.approx(mean, rel=0.05)


def test_a_constant_image_survives_ede(rng):
    counts = expose(np.zeros((32, 32)), detector("ede-low"), rng)
    assert np.isfinite(counts).all()


def test_em_graphene_lights_the_middle_kills_pixels_and_keeps_the_units(rng):
    counts = expose(FLAT, detector("em-graphene"), rng)
    corner, middle = counts[:16, :16].mean(), counts[120:136, 120:136].mean()
    assert corner < 0.9 * middle
    assert middle == pytest.approx(3, rel=0.1)
    dead = np.mean(counts == 0)
    assert 2e-4 < dead < 3e-3


def test_the_mean_dose_is_the_mean_dose(image, rng):
    asked = Detector(dose=Dose(law="fixed", low=20, of="mean"))
    exposure = record(image, asked, rng)
    assert exposure.target.mean() == pytest.approx(20, rel=1e-5)
    assert exposure.counts.mean() == pytest.approx(20, rel=0.02)


def test_gain_offset_and_read_noise_make_the_noise_model_of_the_package(rng):
    asked = Detector(gain=4, offset=30, read_noise=5)
    counts = expose(FLAT, asked, rng)
    model = NoiseModel(gain=4, offset=30, read_noise=5)
    assert counts.mean() == pytest.approx(42, rel=0.01)
    assert counts.var() == pytest.approx(float(model.variance(42)), rel=0.03)


def test_a_lower_dqe_keeps_the_mean_and_raises_the_noise(rng):
    counts = expose(FLAT, Detector(dqe=0.25), rng)
    assert counts.mean() == pytest.approx(3, rel=0.02)
    assert counts.var() == pytest.approx(3 / 0.25, rel=0.03)


def test_mtf_blurs_the_signal_by_its_own_value(rng):
    wave = 2 + np.cos(np.pi * 64 * (np.arange(256) + 0.5) / 256)
    flat = Detector(poisson=False, mtf=Transfer(nyquist=0.3, power=2))
    seen = expose(np.tile(wave, (256, 1)), flat, rng)
    transfer = 0.3 ** (0.25**2)  # 64 half waves in 256 px: a quarter of Nyquist
    np.testing.assert_allclose(seen[0] - 2, transfer * (wave - 2), atol=1e-5)


def test_ntf_and_dqe_shape_the_noise_spectrum(rng):
    asked = Detector(
        mtf=Transfer(nyquist=0.2), ntf=Transfer(nyquist=0.5), dqe=0.5, dose=Dose(low=50)
    )
    counts = expose(FLAT, asked, rng)
    power = np.abs(np.fft.rfft2(counts - counts.mean())) ** 2 / counts.size
    white = 50 * 3 / 0.5
    near_nyquist = power[:, 124:128].mean(1)[:8].mean()
    assert near_nyquist == pytest.approx(white * 0.5**2, rel=0.5)
    assert power[1:8, 1:8].mean() == pytest.approx(white * 0.93, rel=0.4)
    assert counts.mean() == pytest.approx(150, rel=0.01)


def test_blur_does_not_wrap_around_the_border(rng):
    image = np.zeros((64, 64))
    image[:, :4] = 1
    seen = expose(
        image, Detector(poisson=False, mtf=Transfer(nyquist=0.05, power=2)), rng
    )
    assert seen[:, 4].max() > 0.1
    assert seen[:, -1].max() < 1e-6


def test_bad_pixels_stay_where_they_are_with_a_seed_of_their_own():
    asked = Detector(dead=0.01, hot=0.01, hot_counts=1e6, offset=10, pixel_seed=3)
    first, second = (expose(FLAT, asked, np.random.default_rng(s)) for s in (1, 2))
    np.testing.assert_array_equal(first > 1e5, second > 1e5)
    assert 0.005 < np.mean(first > 1e5) < 0.02
    moving = dataclasses.replace(asked, pixel_seed=None)
    first, second = (expose(FLAT, moving, np.random.default_rng(s)) for s in (1, 2))
    assert not np.array_equal(first > 1e5, second > 1e5)


def test_row_noise_is_shared_by_a_row(rng):
    counts = expose(FLAT, Detector(poisson=False, row_noise=2), rng)
    assert counts.std(1).max() < 1e-5
    assert counts.mean(1).std() == pytest.approx(2, rel=0.2)


def test_digitised_counts_are_whole_and_stay_in_range(image, rng):
    asked = Detector(gain=3, read_noise=9, quantise=True, full_well=7)
    counts = expose(image, asked, rng)
    assert set(np.unique(counts)) == set(range(8))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Detector(dqe=0), "dqe=0"),
        (lambda: Detector(gain=0), "gain=0"),
        (lambda: Detector(dead=0.7, hot=0.7), "shares of pixels"),
        (lambda: Detector(read_noise=-1), "read_noise is -1"),
        (lambda: Detector(full_well=0), "full_well=0"),
        (lambda: Detector(rescale="no"), "rescale='no'"),
        (
            lambda: Detector(ntf=Transfer(nyquist=0.5)),
            "noise is blurred more than the signal",
        ),
        (lambda: Dose(law="gamma"), "no dose law 'gamma'"),
        (lambda: Dose(of="max"), "dose of the 'max'"),
        (lambda: Dose(law="uniform", low=3, high=2), "not in order"),
        (lambda: Dose(law="log-uniform", low=0, high=2), "above 0"),
        (lambda: BeamProfile(narrowest=2, widest=1), "width 2 to 1"),
        (lambda: Transfer(nyquist=0), "transfer of 0"),
        (lambda: Transfer(nyquist=0.5, power=0), "exponent"),
        (lambda: detector("sdb"), "Did you mean 'sbd'"),
    ],
)
def test_impossible_detectors_are_refused(make, said):
    with pytest.raises(ParameterError, match=said):
        make()


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((0, 4)), np.zeros((2, 3, 4))])
def test_only_images_can_be_exposed(bad, rng):
    with pytest.raises(InvalidImageError, match="shape"):
        expose(bad, Detector(), rng)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_negative_and_infinite_intensities_are_refused(value, rng):
    image = np.ones((8, 8))
    image[2, 3] = value
    with pytest.raises(InvalidImageError, match="1 of 64 pixels"):
        expose(image, Detector(), rng)
