import numpy as np
import pytest

from lowdose.training.scores import averaged, with_truth, without_truth


def test_the_truth_has_both_conventions_of_psnr_and_ssim(rng):
    clean = rng.uniform(0.2, 0.8, (2, 32, 32)).astype(np.float32)
    noisy = clean + rng.normal(0, 0.2, clean.shape).astype(np.float32)
    half = (clean + noisy) / 2
    found = with_truth(half, clean, noisy)
    assert found.keys() == {"gain_dB", "psnr_dB", "psnr_sbd_dB", "ssim"}
    assert found["gain_dB"] == pytest.approx(20 * np.log10(2), abs=1e-3)
    # The range of the truth is about 0.6 electrons, SBD's peak is one.
    expected = 20 * np.log10(np.ptp(clean, (1, 2)).mean())
    assert found["psnr_dB"] - found["psnr_sbd_dB"] == pytest.approx(expected, abs=0.05)


def test_a_constant_truth_has_no_range_to_score_by(rng):
    clean = np.ones((1, 16, 16), np.float32)
    found = with_truth(clean, clean, clean + 1)
    assert found.keys() == {"gain_dB", "psnr_sbd_dB"}
    assert np.isfinite(list(found.values())).all()


def test_an_image_of_nothing_but_vacuum_leaves_the_scores_of_the_others():
    every = [{"gain_dB": 4.0}, {"gain_dB": 2.0, "ssim": 0.5}, {"gain_dB": 0, "ssim": 1}]
    assert averaged(every) == {"gain_dB": 2.0, "ssim": 0.75}


def test_without_truth_the_gain_is_that_of_the_mean(rng):
    found = without_truth(4.0, rng.normal(1.0, 1.0, 100_000))
    assert found["fidelity"] == pytest.approx(0.75, abs=0.01)
    assert found["gain_dB"] == pytest.approx(10 * np.log10(4), abs=0.1)


def test_no_gain_is_claimed_beyond_what_the_data_can_tell(rng):
    terms = rng.normal(0, 1.0, 10_000)
    terms -= terms.mean() + 0.005
    found = without_truth(1.0, terms)
    assert found["fidelity"] == pytest.approx(1.005)
    assert found["gain_dB"] == pytest.approx(20, abs=0.1)
