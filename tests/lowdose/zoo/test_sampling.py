import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from lowdose import zoo
from lowdose.errors import ParameterError, WeightsError
from lowdose.inference.engine import denoise, denoise_region, plan_step
from lowdose.inference.fitting import fitted
from lowdose.micrograph import Calibration, Micrograph
from lowdose.zoo.band_limit import binning_by_spectrum, strongest_reflection
from lowdose.zoo.sampling import Sampling
from lowdose.zoo.spreading import (
    bin_counts,
    displaced,
    held,
    spread,
    spreading,
    summed,
)

SAMPLING = Sampling(pixel_size=0.04, finest=0.03, coarsest=0.06)
TABLE = SAMPLING.to_table()


@pytest.fixture
def model(make_model, tmp_path):
    return make_model(tmp_path / "m", sampling=TABLE)


@pytest.fixture
def waves():
    """Lattice planes 8 px apart over a slow change, 96 x 96 px, with 40 counts."""
    y, x = np.mgrid[:96, :96]
    fine = np.cos(2 * np.pi * (x + 0.6 * y) / 9.3)
    return 40 + 8 * fine + 5 * np.cos(y / 40)


def micrograph(counts, pixel_size):
    spacing = (pixel_size,) * 2
    return Micrograph(counts, Calibration.from_spacing(spacing, ("nm", "nm")))


def counted(rate, seed=0):
    return np.random.default_rng(seed).poisson(rate).astype(np.float32)


@pytest.mark.parametrize("pixel_size", [0.001, 0.0061, 0.01, 0.02, 0.029, 0.031, 0.055])
def test_every_fine_enough_pixel_size_is_brought_into_the_range(pixel_size):
    binning = SAMPLING.binning_for(pixel_size)
    assert SAMPLING.covers(binning * pixel_size)


def test_pixels_that_are_too_coarse_are_left_as_they_are():
    assert SAMPLING.binning_for(0.2) == 1
    assert not SAMPLING.covers(0.2)


@pytest.mark.parametrize("table", [{}, {**TABLE, "x": 1}, {**TABLE, "finest_nm": "a"}])
def test_a_table_with_other_keys_or_types_is_refused(table):
    with pytest.raises(ParameterError, match="sampling"):
        Sampling.from_table(table)


@pytest.mark.parametrize("values", [(0.04, 0.05, 0.06), (0.04, 0.0, 0.06)])
def test_a_range_out_of_order_is_refused(values):
    size, finest, coarsest = values
    with pytest.raises(ParameterError, match="order"):
        Sampling(pixel_size=size, finest=finest, coarsest=coarsest)


def test_sums_keep_every_count():
    counts = counted(np.full((2, 12, 18), 3e5))
    sums = bin_counts(counts, 3)
    assert sums.shape == (2, 4, 6)
    assert sums.sum(dtype=np.float64) == counts.sum(dtype=np.float64)


@pytest.mark.parametrize("binning", [1, 2, 6])
def test_samples_of_a_band_limited_image_give_it_back(waves, binning):
    side = 96 // binning
    cosines = dctn(waves, norm="ortho")
    cosines[side:] = 0
    cosines[:, side:] = 0
    # Its samples at the centres of the blocks, as counts per block.
    samples = idctn(cosines[:side, :side], norm="ortho") * binning
    again = spread(samples.astype(np.float32), binning)
    over_pixels = np.sinc(np.arange(96) / (2 * 96))
    smooth = idctn(cosines * np.outer(over_pixels, over_pixels), norm="ortho")
    np.testing.assert_allclose(again, smooth, atol=1e-3)
    assert again.mean() == pytest.approx(smooth.mean(), rel=1e-6)


def test_tensors_are_summed_as_arrays_are(rng):
    counts = rng.poisson(3e5, (2, 12, 18)).astype(np.float32)
    sums = summed(torch.from_numpy(counts), 3).numpy()
    np.testing.assert_array_equal(sums, bin_counts(counts, 3))


@pytest.mark.parametrize("displacement", [-3, -1, 0, 2])
def test_a_displaced_window_shows_what_is_there_and_mirrors_the_rest(displacement, rng):
    frame = torch.from_numpy(rng.normal(size=(2, 9, 12)))
    seen = displaced(frame, displacement, -displacement)
    mirrored = np.pad(frame.numpy(), ((0, 0), (3, 3), (3, 3)), mode="symmetric")
    shifts = ((displacement, 9), (-displacement, 12))
    rows, columns = (slice(3 + d, 3 + d + n) for d, n in shifts)
    np.testing.assert_array_equal(seen.numpy(), mirrored[:, rows, columns])


@pytest.mark.parametrize("displacement", [-2, 0, 2])
def test_displaced_samples_give_the_same_image_where_they_hold_it(displacement):
    binning, length = 4, 24
    pixels = np.arange(length * binning)
    wave = np.cos(2 * np.pi * (pixels + 0.3) / 31.0)
    # The wave at the centres of displaced blocks, far from the borders.
    centres = displacement + binning * (np.arange(length) + 0.5) - 0.5
    samples = np.cos(2 * np.pi * (centres + 0.3) / 31.0) * binning
    matrix = spreading(length, binning, displacement)
    again = (matrix.double() @ torch.from_numpy(samples)).numpy()
    inside = held(length, binning, displacement).numpy() > 0
    assert (again[~inside] == 0).all()
    assert (~inside).sum() == abs(displacement)
    np.testing.assert_allclose(again[24:-24], wave[24:-24], atol=0.02)


def test_the_network_sees_sums_and_its_answer_is_spread(model, waves):
    denoiser = zoo.load_model(model, binning=3)
    # A network that returns its input.
    denoiser._network = torch.nn.Module()
    denoiser._network.forward = lambda x: x[:, :1]
    frame = counted(waves)
    measures = denoiser.measure(frame)
    clean = denoiser.denoise_patches(frame[None, None], [measures])[0]
    expected = spread(bin_counts(frame, 3), 3)
    np.testing.assert_allclose(clean, expected, rtol=1e-4)
    # The noise that it is told is that of the sums.
    assert measures["sigma"] == pytest.approx(3 * np.sqrt(frame.mean()), rel=1e-3)


def test_the_engine_chooses_the_binning_by_the_pixel_size(model, waves):
    frame = counted(waves)
    result = denoise(micrograph(frame, 0.0133), zoo.load_model(model))
    step = result.calibration.provenance[-1].details["denoiser"]
    assert step["parameters"]["binning"] == 3
    by_hand = denoise(frame, zoo.load_model(model, binning=3))
    np.testing.assert_array_equal(result.data, by_hand.data)
    planned = plan_step(micrograph(frame, 0.0133), zoo.load_model(model))
    assert planned.details["denoiser"] == step


def test_a_region_has_the_pixels_of_the_run(model, waves):
    image = micrograph(counted(waves), 0.0133)
    denoiser = fitted(zoo.load_model(model), image)
    whole = denoise(image, denoiser)
    part = denoise_region(image.data, denoiser, slice(20, 50), slice(31, 72))
    shift = part - np.asarray(whole.data)[20:50, 31:72]
    assert np.ptp(shift) < 1e-3 * np.ptp(part)


def test_a_set_binning_is_kept(model, waves):
    denoiser = zoo.load_model(model, binning=2)
    assert fitted(denoiser, micrograph(waves, 0.0133)) is denoiser


def test_pixels_far_coarser_than_it_knows_are_refused(model, waves):
    with pytest.raises(ParameterError, match="4 nm"):
        denoise(micrograph(waves, 4.0), zoo.load_model(model))


def test_fitting_again_changes_nothing_and_shares_the_weights(model, waves):
    denoiser = zoo.load_model(model)
    once = fitted(denoiser, micrograph(waves, 0.0133))
    assert fitted(once, micrograph(waves, 0.001)) is once
    assert once._network is denoiser._network
    assert denoiser.values["binning"] == 0


def test_frames_that_are_no_multiple_of_the_blocks_come_back_whole(model, waves):
    image = micrograph(counted(waves)[:91, :83], 0.0133)
    clean = denoise(image, zoo.load_model(model))
    assert clean.shape == (91, 83)
    assert np.isfinite(clean.data).all()


def test_an_unknown_pixel_size_is_judged_by_the_lattice(waves):
    frequency = strongest_reflection(counted(10 * waves))
    # (1, 0.6) / 9.3 px
    assert frequency == pytest.approx(np.hypot(1, 0.6) / 9.3, rel=0.1)
    assert binning_by_spectrum(counted(10 * waves), SAMPLING) >= 1


def test_noise_shows_no_lattice_and_the_message_says_what_to_do(model):
    flat = counted(np.full((128, 128), 4.0))
    assert strongest_reflection(flat) is None
    with pytest.raises(ParameterError, match="pixel size"):
        denoise(flat, zoo.load_model(model))


def test_a_constant_frame_shows_no_lattice():
    assert strongest_reflection(np.full((64, 64), 3, np.float32)) is None


def test_a_block_larger_than_the_frame_is_refused(model):
    with pytest.raises(ParameterError, match="binning"):
        zoo.load_model(model, binning=40).measure(np.ones((32, 64), np.float32))


def test_what_is_not_fitted_says_so(model):
    with pytest.raises(ParameterError, match="fit"):
        zoo.load_model(model).measure(np.ones((32, 64), np.float32))


@pytest.mark.parametrize("views", ["1", "4"])
def test_derivatives_are_those_of_the_full_grid(model, waves, views):
    denoiser = zoo.load_model(model, binning=3, views=views)
    frame = counted(waves)[:48, :48]
    measures = denoiser.measure(frame)
    row, column = 20, 25
    value, weights = denoiser.differentiate(frame[None], measures, row, column)
    assert weights.shape == (1, 48, 48)
    clean = denoiser.denoise_patches(frame[None, None], [measures])[0]
    assert value == pytest.approx(float(clean[row, column]), rel=1e-4)
    step = 2.0
    for place in [(20, 25), (19, 25), (8, 33)]:
        more = frame.copy()
        more[place] += step
        changed = denoiser.denoise_patches(more[None, None], [measures])[0]
        slope = (changed[row, column] - clean[row, column]) / step
        assert slope == pytest.approx(float(weights[0][place]), abs=2e-4)


def test_a_card_says_over_how_many_views_to_average(make_model, tmp_path):
    folder = make_model(tmp_path / "eight", inputs={"views": 8, "tile": 64})
    denoiser = zoo.load_model(folder)
    assert denoiser.values["views"] == "8"
    assert denoiser.needs.tile == 64
    assert zoo.load_model(folder, views="2").values["views"] == "2"


def test_views_that_there_are_not_are_refused(make_model, tmp_path):
    folder = make_model(tmp_path / "three", inputs={"views": 3})
    with pytest.raises(WeightsError, match="views=3"):
        zoo.load_model(folder)


def test_a_card_without_sampling_has_no_binning(make_model, tmp_path):
    plain = zoo.load_model(make_model(tmp_path / "plain"))
    assert "binning" not in plain.values
    assert plain.needs.halo is not None


def test_a_damaged_sampling_on_a_card_is_refused(make_model, tmp_path):
    folder = make_model(tmp_path / "bad", sampling={"pixel_size_nm": "fine"})
    with pytest.raises(WeightsError, match="sampling"):
        zoo.load_model(folder)
