"""Summing pixels as far as the spectrum of a frame lets."""

import numpy as np
import pytest
import torch

from lowdose import zoo
from lowdose.errors import ParameterError, WeightsError
from lowdose.inference.engine import denoise
from lowdose.inference.fitting import fitted
from lowdose.micrograph import Micrograph
from lowdose.zoo.band_limit import binning_by_band
from lowdose.zoo.spreading import bin_counts, spread


def counted(rate, seed=0):
    return np.random.default_rng(seed).poisson(rate).astype(np.float32)


def lattice(period, *, side=256, contrast=0.8):
    y, x = np.mgrid[:side, :side] * (2 * np.pi / period)
    return 1 + contrast * np.cos(x + 0.3 * y) * np.cos(y - 0.2 * x)


@pytest.fixture
def model(make_model, tmp_path):
    return make_model(tmp_path / "m", inputs={"band": True})


@pytest.mark.parametrize("seed", range(6))
def test_noise_alone_is_summed_as_far_as_can_be(seed):
    assert binning_by_band(counted(np.full((512, 600), 3.0), seed)) >= 5


@pytest.mark.parametrize(("shape", "most"), [((600, 100), 1), ((130, 140), 2)])
def test_enough_sums_are_left_for_the_network(shape, most):
    assert binning_by_band(counted(np.full(shape, 3.0))) == most


def test_smooth_images_are_summed_more_than_fine_ones():
    chosen = [binning_by_band(counted(20 * lattice(p))) for p in (3, 18, 48)]
    assert chosen[0] == 1
    assert 1 < chosen[1] < chosen[2]


def test_what_shows_in_the_spectrum_is_kept():
    for period in (5, 9, 17):
        binning = binning_by_band(counted(50 * lattice(period)))
        # At the highest frequency of it, sums have about four samples in a period.
        assert 3.6 * binning <= max(3.6, period / 1.3)


def test_a_faint_lattice_is_not_lost():
    """Its power is a five-hundredth of the noise, all in a few waves."""
    rate = 5 * lattice(4, side=512, contrast=0.038)
    assert (5 * 0.038) ** 2 / 4 < 0.002 * 5
    assert binning_by_band(counted(rate)) == 1


def test_a_higher_dose_shows_finer_detail():
    y, x = np.mgrid[:256, :256] - 128
    ball = np.sqrt(np.clip(1 - (x**2 + y**2) / 80.0**2, 0, 1))
    chosen = [binning_by_band(counted(dose * (0.2 + ball))) for dose in (0.5, 20, 1e5)]
    assert chosen[0] > chosen[1] > chosen[2] == 1


def test_gain_and_offset_change_nothing():
    counts = counted(20 * lattice(24))
    assert binning_by_band(7.3 * counts + 110) == binning_by_band(counts) > 1


def test_fine_structure_of_counts_is_no_noise():
    """White texture beyond counting noise is kept where the noise is known."""
    rng = np.random.default_rng(3)
    texture = rng.gamma(200, 1 / 200, (256, 256))
    assert binning_by_band(counted(20 * texture)) == 1


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_frame_is_left_as_it_is(value):
    assert binning_by_band(np.full((64, 64), value, np.float32)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3)])
def test_a_tiny_frame_is_no_error(shape):
    assert 1 <= binning_by_band(counted(np.full(shape, 4.0))) <= 1


def test_means_over_blocks_give_the_image_back():
    y, x = np.mgrid[:96, :96]
    image = 40 + 8 * np.cos(2 * np.pi * (x + 0.6 * y) / 16) + 5 * np.cos(y / 40)
    again = spread(bin_counts(image.astype(np.float32), 4), 4, means=True)
    blurred = spread(bin_counts(image.astype(np.float32), 4), 4)
    inner = (slice(12, -12),) * 2
    errors = [np.abs(some - image)[inner].max() for some in (again, blurred)]
    assert errors[0] < 0.3 < 1 < errors[1]
    assert again.mean() == pytest.approx(image.mean(), rel=1e-5)


@pytest.mark.parametrize("views", ["1", "4"])
def test_the_network_sees_sums_and_the_blur_of_its_answer_is_undone(model, views):
    denoiser = zoo.load_model(model, binning=2, views=views)
    # A network that returns its input, an even function of the place.
    denoiser._network = torch.nn.Module()
    denoiser._network.forward = lambda x: x[:, :1]
    image = (20 * lattice(16, side=96)).astype(np.float32)
    clean = denoiser.denoise_patches(image[None, None], [denoiser.measure(image)])[0]
    inner = (slice(12, -12),) * 2
    np.testing.assert_allclose(clean[inner], image[inner], atol=0.6)


def test_a_frame_chooses_for_the_whole_stack(model):
    rate = 20 * lattice(24, side=192)
    movie = np.stack([counted(rate, seed) for seed in range(3)])
    binning = binning_by_band(movie[0])
    assert binning > 1
    denoiser = fitted(zoo.load_model(model), Micrograph(movie))
    assert denoiser.values["binning"] == binning
    clean = denoise(movie, zoo.load_model(model))
    by_hand = denoise(movie, zoo.load_model(model, binning=binning))
    np.testing.assert_array_equal(clean.data, by_hand.data)


def test_without_summing_nothing_is_interpolated(model, make_model, tmp_path):
    plain = zoo.load_model(make_model(tmp_path / "plain"))
    frame = counted(20 * lattice(16, side=96))
    alone = zoo.load_model(model, binning=1)
    assert alone.needs == plain.needs
    np.testing.assert_array_equal(
        denoise(frame, alone).data, denoise(frame, plain).data
    )


def test_a_binning_must_be_found_first(model):
    with pytest.raises(ParameterError, match="depends on the micrograph"):
        zoo.load_model(model).measure(counted(lattice(16)))


def test_a_card_says_so_clearly(make_model, tmp_path):
    with pytest.raises(WeightsError, match="band='yes' must be true or false"):
        zoo.read_card(make_model(tmp_path / "a", inputs={"band": "yes"}))
    sampling = {"pixel_size_nm": 0.04, "finest_nm": 0.03, "coarsest_nm": 0.06}
    both = make_model(tmp_path / "b", inputs={"band": True}, sampling=sampling)
    with pytest.raises(WeightsError, match="exclude each other"):
        zoo.read_card(both)
    assert zoo.read_card(make_model(tmp_path / "c", inputs={"band": True})).to_dict()[
        "band"
    ]
