import pytest
import torch

from lowdose import networks
from lowdose.errors import ParameterError

FRAMES = [1, 3, 5]


def build(frames, **options):
    torch.manual_seed(0)
    return networks.build("blind_spot", base=4, frames=frames, **options)


def gradients(network, shape):
    """Return d output[i, j] / d input[frame, k, l], shaped (i, j, frame, k, l)."""
    movie = torch.rand(1, network.frames, *shape, dtype=torch.float64)
    full = torch.autograd.functional.jacobian(network.double(), movie)
    return full[0, 0, :, :, 0]


@pytest.mark.parametrize("shape", [(9, 7), (4, 11), (1, 6), (8, 8)])
@pytest.mark.parametrize("frames", FRAMES)
def test_the_gradient_at_each_pixel_itself_is_exactly_zero(frames, shape):
    slopes = gradients(build(frames), shape)
    own = slopes.diagonal(dim1=0, dim2=3).diagonal(dim1=0, dim2=2)
    assert own.shape == (frames, *shape)
    assert torch.equal(own, torch.zeros_like(own))


@pytest.mark.parametrize("frames", FRAMES)
def test_every_other_pixel_nearby_is_seen(frames):
    # Each half plane is as wide as it can be: of a 9 x 7 image only the pixel itself
    # is missing, in every frame.
    slopes = gradients(build(frames), (9, 7))
    assert (slopes != 0).sum() == frames * 63 * 62


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("frames", FRAMES)
def test_not_even_a_nan_of_the_pixel_reaches_it(frames, bias):
    network = build(frames, bias=bias).eval()
    movie = torch.rand(1, frames, 21, 30)
    movie[..., 13, 4] = torch.nan
    with torch.inference_mode():
        seen = torch.isnan(network(movie)[0, 0])
    assert not seen[13, 4]
    around = seen[12:15, 3:6]
    assert around.sum() == 8


def test_no_pixel_of_an_image_that_is_not_square_meets_its_mirror_image():
    network = build(1).eval()
    image = torch.rand(1, 1, 23, 5)
    with torch.inference_mode():
        before = network(image)
        for i, j in [(0, 0), (22, 4), (11, 0), (11, 1), (0, 2), (21, 3)]:
            changed = image.clone()
            changed[..., i, j] += 100
            after = network(changed)
            assert after[0, 0, i, j] == before[0, 0, i, j]
            assert not torch.equal(after, before)


# From the layers of the published program, with one channel per frame and one output:
# 3 x 3 kernels without biases, and the 1 x 1 kernels that join the half planes.
@pytest.mark.parametrize(
    ("frames", "kernels"),
    [
        (1, [(1, 96)]),
        (3, [(3, 96)]),
        (5, [(3, 32), (96, 96)]),
    ],
)
def test_it_has_as_many_parameters_as_the_published_program(frames, kernels):
    expected = 384 * 384 + 384 * 96 + 96
    for inputs, outputs in kernels:
        layers = (
            [(inputs, 48), (48, 48), (48, 48)]
            + [(48, 48)] * 3
            + [(48, 96), (96, 96), (96, 48)]
            + [(96, 96)] * 4
            + [(96 + inputs, 96), (96, 96), (96, 96), (96, outputs)]
        )
        expected += 9 * sum(a * b for a, b in layers)
    with torch.device("meta"):
        network = networks.build("blind_spot", frames=frames)
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40), (33, 65)])
@pytest.mark.parametrize("frames", FRAMES)
def test_any_size_gives_an_image_of_that_size(size, frames):
    network = build(frames).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, frames, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize("size", [(45, 38), (32, 32)])
def test_a_flat_image_is_flat_up_to_the_outermost_pixels(size):
    # There one of the four half planes is empty, and has to be.
    with torch.inference_mode():
        flat = build(5).eval()(torch.ones(1, 5, *size))[0, 0]
    inside = flat[1:-1, 1:-1]
    assert inside.max() - inside.min() < 1e-5 * inside.abs().max()


@pytest.mark.parametrize("factor", [0.1, 10.0])
@pytest.mark.parametrize("frames", FRAMES)
def test_without_biases_the_network_is_homogeneous(factor, frames):
    network, movie = build(frames).eval(), torch.randn(1, frames, 32, 32)
    with torch.inference_mode():
        scaled, expected = network(factor * movie), factor * network(movie)
    assert (scaled - expected).norm() / expected.norm() < 1e-5


def test_the_half_planes_are_the_same_network_turned():
    # A turned image gives the turned result once the joint treats all sides alike.
    network = build(1).eval()
    with torch.no_grad():
        first = network.join[0].weight
        quarter = first.shape[1] // 4
        first.copy_(first[:, :quarter].repeat(1, 4, 1, 1))
    image = torch.rand(1, 1, 24, 24)
    with torch.inference_mode():
        turned = network(torch.rot90(image, 1, (2, 3)))
        expected = torch.rot90(network(image), 1, (2, 3))
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-5)


def test_constant_channels_reach_the_network():
    network = build(5, conditions=2).eval()
    movie = torch.rand(1, 7, 16, 16)
    told = movie.clone()
    told[:, 6] += 1
    with torch.inference_mode():
        assert not torch.allclose(network(movie), network(told))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 2}, r"frames=2 is not built; use one of \[1, 3, 5\]"),
        ({"base": 0}, "base=0 must be at least 1"),
        ({"conditions": -1}, "conditions=-1 must be at least 0"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        networks.build("blind_spot", **options)
