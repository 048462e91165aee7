import numpy as np
import pytest

from lowdose.networks.spectrum import BANDS, band_powers


def test_white_noise_has_its_variance_in_every_band(rng):
    powers = band_powers(rng.normal(100, 3, (512, 512)).astype(np.float32))
    assert powers == pytest.approx(9, rel=0.06)


@pytest.mark.parametrize("frequency", [0.045, 0.1, 0.2, 0.4])
def test_a_wave_is_found_in_its_own_band(frequency):
    x = np.arange(256)
    wave = np.broadcast_to(np.cos(2 * np.pi * frequency * x), (256, 256))
    powers = band_powers(wave.astype(np.float32))
    assert BANDS[powers.argmax()] <= frequency < BANDS[powers.argmax() + 1]


def test_powers_follow_the_square_of_the_gain_and_no_offset(rng):
    frame = rng.poisson(5, (100, 130)).astype(np.float32)
    assert band_powers(1000 + 3 * frame) == pytest.approx(
        9 * band_powers(frame), rel=1e-3
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 2), (3, 200), (65, 31)])
def test_small_frames_have_a_power_in_every_band(shape, rng):
    powers = band_powers(rng.normal(size=shape).astype(np.float32))
    assert powers.shape == (len(BANDS) - 1,)
    assert np.isfinite(powers).all()
    assert (powers >= 0).all()


def test_a_large_frame_is_sampled_all_over(rng):
    frame = np.zeros((2048, 2048), np.float32)
    frame[:, 1024:] = rng.normal(size=(2048, 1024))
    assert band_powers(frame) == pytest.approx(0.5, rel=0.15)
