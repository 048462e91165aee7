import numpy as np
import pytest
import torch

from lowdose import zoo
from lowdose.zoo.spreading import summed
from lowdose.zoo.views import Views, averaged

COUNTS = (1, 2, 4, 8)


@pytest.fixture
def image(rng):
    return torch.from_numpy(rng.normal(size=(1, 1, 24, 36)).astype(np.float32))


@pytest.mark.parametrize("count", COUNTS)
def test_views_are_different_and_the_first_is_the_frame(count, image):
    square = image[..., :24, :24]
    seen = [view.turn(square) for view in Views(count).all]
    assert torch.equal(seen[0], square)
    assert len({x.numpy().tobytes() for x in seen}) == count


def test_every_view_comes_back_as_it_was(image):
    for view in Views(8).all:
        assert torch.equal(view.back(view.turn(image)), image)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("binning", [1, 2, 3, 6])
def test_every_pixel_is_held_by_a_view(count, binning):
    number = Views(count, binning).holding(5, 7)
    assert number.shape == (5 * binning, 7 * binning)
    assert number.min() >= 1
    assert number.max() == count


def test_grids_of_successive_views_are_half_a_block_apart():
    places = [(view.down, view.right) for view in Views(4, 6).all]
    assert places[0] == (0, 0)
    assert len(set(places)) == 4
    assert all(abs(shift) in {0, 3} for place in places for shift in place)
    assert {(view.down, view.right) for view in Views(8, 1).all} == {(0, 0)}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("binning", [2, 4])
def test_a_network_that_returns_its_input_gives_smooth_images_back(count, binning):
    y, x = np.mgrid[:64, :96] / 64
    smooth = 3 + np.cos(np.pi * (y + 1 / 128)) * np.cos(2 * np.pi * (x + 1 / 128))
    frame = torch.from_numpy(smooth[None, None].astype(np.float32))
    seen = Views(count, binning)

    def see(view):
        return summed(view.window(frame), binning)

    clean = averaged(seen, see, lambda z: z, spreads=True)
    assert clean.shape == frame.shape
    # Sums are means over blocks, a little below the samples at their centres.
    np.testing.assert_allclose(clean, frame, atol=0.02)


def test_displaced_grids_average_more_noise_away(make_model, tmp_path):
    sampling = {"pixel_size_nm": 0.04, "finest_nm": 0.03, "coarsest_nm": 0.06}
    folder = make_model(tmp_path / "m", sampling=sampling)
    flat = np.random.default_rng(1).poisson(2.0, (96, 96)).astype(np.float32)

    def left(views):
        denoiser = zoo.load_model(folder, binning=4, views=views)
        denoiser._network = torch.nn.Module()
        denoiser._network.forward = lambda x: x[:, :1]
        clean = denoiser.denoise_patches(flat[None, None], [denoiser.measure(flat)])[0]
        return clean.std()

    # Without their displacement all views of such a network were the same.
    assert left(8) < 0.9 * left(1)
