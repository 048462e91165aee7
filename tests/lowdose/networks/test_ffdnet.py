import pytest
import torch

from lowdose import networks


@pytest.fixture
def spied():
    """Return a way to build an FFDNet and see what its first layer sees."""

    def build(**options):
        torch.manual_seed(0)
        network = networks.build("ffdnet", depth=2, base=4, **options).eval()
        seen = []
        network.layers.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        return network, seen

    return build


def test_counts_tell_the_level_of_the_noise_by_their_local_mean(spied, rng):
    network, seen = spied()
    # Poisson counts of two doses: the deviation of each half is known.
    rate = torch.full((1, 1, 64, 128), 20.0)
    rate[..., 64:] = 80.0
    mean = rate.mean()
    sigma = mean.sqrt()
    counts = torch.from_numpy(rng.poisson(rate.numpy())).float()
    z = (counts - mean) / sigma
    known, growth = torch.ones_like(z), torch.full_like(z, 1 / sigma)
    with torch.inference_mode():
        network(torch.cat([z, known, growth], 1))
    level = seen[0][0, 4] * sigma
    assert level[:, :28].mean() == pytest.approx(20**0.5, rel=0.02)
    assert level[:, 36:].mean() == pytest.approx(80**0.5, rel=0.02)


def test_where_the_noise_is_not_known_its_level_is_one(spied):
    network, seen = spied()
    with torch.inference_mode():
        network(torch.cat([torch.randn(1, 1, 16, 16), torch.zeros(1, 2, 16, 16)], 1))
    assert torch.equal(seen[0][:, 4], torch.ones(1, 8, 8))


def test_the_level_is_not_undefined_where_there_is_nothing(spied):
    network, seen = spied()
    image = torch.full((1, 3, 16, 16), -5.0)
    image[:, 2] = 1.0
    image.requires_grad_()
    network(image).sum().backward()
    assert seen[0].isfinite().all()
    assert image.grad.isfinite().all()


def test_a_given_map_is_handed_on_at_half_resolution(spied):
    network, seen = spied(level="map", conditions=1)
    level = torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    with torch.inference_mode():
        network(torch.cat([torch.zeros(1, 1, 4, 4), level], 1))
    assert seen[0][0, 4].tolist() == [[3.5, 5.5], [11.5, 13.5]]


def test_the_four_half_size_images_are_put_back_where_they_were(spied):
    network, seen = spied(level="map", conditions=1)
    network.layers[-1].weight.data.zero_()
    network.layers[-1].bias.data.copy_(torch.arange(4.0))
    with torch.inference_mode():
        image = torch.arange(16.0).reshape(1, 1, 4, 4)
        y = network(torch.cat([image, image], 1))
    assert y[0, 0, :2, :2].tolist() == [[0, 1], [2, 3]]
    assert seen[0][0, :4, 0, 0].tolist() == [0, 1, 4, 5]
