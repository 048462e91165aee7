import pytest
import torch

from lowdose import networks
from lowdose.errors import ParameterError
from lowdose.networks.fusing import fuse
from lowdose.networks.reach import measure_halo


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("scales", "base", "bias", "published"),
    [
        (2, 128, True, 1_627_137),
        (2, 128, False, 1_625_856),
        (4, 128, True, 5_613_441),
        (4, 128, False, 5_610_496),
        (6, 128, True, 70_514_817),
        (6, 128, False, 70_504_960),
        (6, 64, False, 17_631_488),
        (6, 32, False, 4_410_496),
        (6, 16, False, 1_103_936),
    ],
)
def test_parameter_counts_are_the_published_ones(scales, base, bias, published):
    with torch.device("meta"):
        network = networks.build("unet2", scales=scales, base=base, bias=bias)
    assert count(network) == published


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_without_biases_the_network_is_homogeneous(factor):
    torch.manual_seed(0)
    network = networks.build("unet2", scales=4, base=8, bias=False)
    network.train()(torch.rand(2, 1, 64, 64))  # gives the normalisation a variance
    network.eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        scaled, expected = network(factor * image), factor * network(image)
    error = (scaled - expected).norm() / expected.norm()
    assert error < 1e-5


def test_with_biases_it_is_not_homogeneous():
    torch.manual_seed(0)
    network = networks.build("unet2", scales=2, base=8).eval()
    image = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert not torch.allclose(network(2 * image), 2 * network(image), rtol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40), (33, 65)])
@pytest.mark.parametrize("stem", [1, 2, 4])
def test_any_size_gives_an_image_of_that_size(size, stem):
    network = networks.build("unet2", scales=4, base=4, stem=stem).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 1, *size)).shape == (2, 1, *size)


def test_an_odd_size_has_no_dark_borders():
    torch.manual_seed(0)
    network = networks.build("unet2", scales=4, base=8, align_corners=False).eval()
    with torch.inference_mode():
        flat = network(torch.ones(1, 1, 45, 37))[0, 0]
    assert flat.max() - flat.min() < 1e-5 * flat.abs().max()


def test_the_residual_is_taken_from_the_middle_frame():
    network = networks.build("unet2", scales=2, base=4, frames=3, residual=True).eval()
    torch.nn.init.zeros_(network.outc.weight)
    torch.nn.init.zeros_(network.outc.bias)
    movie = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network(movie), movie[:, 1:2])


def test_constant_channels_reach_the_network_through_the_stem():
    torch.manual_seed(0)
    network = networks.build("unet2", scales=2, base=4, stem=2, conditions=1).eval()
    image = torch.rand(1, 1, 16, 16)
    zero, one = (torch.full_like(image, value) for value in (0.0, 1.0))
    with torch.inference_mode():
        without = network(torch.cat([image, zero], 1))
        told = network(torch.cat([image, one], 1))
    assert not torch.allclose(without, told)


# The published reach is 48 to 52 and 220 to 236 px, by phase; half of the largest is
# the halo.
@pytest.mark.parametrize(("scales", "reach"), [(2, 52), (4, 236)])
def test_the_halo_covers_the_published_receptive_field(scales, reach):
    network = networks.build("unet2", scales=scales, base=1)
    halo = measure_halo(network, multiple=network.multiple)
    assert reach / 2 - 1 <= halo <= 0.6 * reach


def test_an_operator_that_sees_everything_has_no_halo():
    class Mean(torch.nn.Module):
        def forward(self, x):
            return x - x.mean((2, 3), keepdim=True)

    assert measure_halo(Mean(), multiple=64) is None


def test_the_halo_of_a_plain_convolution_is_its_radius():
    assert measure_halo(torch.nn.Conv2d(1, 1, 7, padding=3), multiple=1) == 3


def test_fusing_changes_nothing_but_rounding():
    torch.manual_seed(0)
    network = networks.build("unet2", scales=2, base=8)
    network.train()(torch.randn(4, 1, 32, 32))
    network.eval()
    image = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        before = network(image)
        after = fuse(network)(image)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    kinds = {type(module) for module in network.modules()}
    assert torch.nn.BatchNorm2d not in kinds


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("unett2", {}, "Did you mean 'unet2'"),
        ("unet2", {"scale": 2}, "Did you mean 'scales'"),
        ("unet2", {"scales": 3}, r"scales=3 is not built; use one of \[2, 4, 6\]"),
        ("unet2", {"base": 0}, "base=0"),
        ("unet2", {"frames": 2}, "frames=2 an odd number"),
        ("unet2", {"base": 4.5}, "base=4.5 is not of type int"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(architecture, options, message):
    with pytest.raises(ParameterError, match=message):
        networks.build(architecture, **options)


def test_a_single_dilated_kernel_is_not_leapt_over():
    kernel = torch.nn.Conv2d(1, 1, 3, padding=50, dilation=50)
    assert measure_halo(kernel, multiple=1) == 50
