"""What holds for every network that is built from a publication."""

import pytest
import torch

from lowdose import networks
from lowdose.errors import ParameterError

#: Small versions, in which every part of the network still is.
SMALL = {
    "denoisenet": {"depth": 4, "base": 4},
    "dncnn": {"depth": 4, "base": 4},
    "durr_unet": {"base": 2},
    "em_denoise_unet": {"base": 2},
    "ffdnet": {"depth": 3, "base": 8},
    "mcnn": {"base": 2, "levels": 4},
    "mixed_scale": {"depth": 5, "dilations": (1, 2, 3)},
    "red": {"depth": 8, "base": 4},
    "unet": {"base": 4, "levels": 2},
}
BIAS_FREE = {
    "dncnn": {"depth": 6, "base": 8, "bias": False},
    "durr_unet": {"base": 4, "bias": False},
}


def small(name, **options):
    """Return a small network all of whose parts have a say, in evaluation mode."""
    torch.manual_seed(0)
    network = networks.build(name, **SMALL[name], **options)
    for weights in network.parameters():
        torch.nn.init.normal_(weights, 0.05, 0.2)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return network.eval()


def channels(name, *, frames=1):
    """Return the number of input channels with the default conditions."""
    return frames + (2 if name == "ffdnet" else 0)


def count(network):
    return sum(p.numel() for p in network.parameters())


def receptive_field(network, inputs=1):
    """Return the least and greatest extent, over output pixels, of what they see.

    A NaN in an input column makes every output NaN that depends on it.
    """
    multiple = network.eval().multiple
    length = multiple * 24
    while True:
        columns = torch.arange(length)
        images = torch.zeros(length, inputs, max(multiple, 8), length)
        images[columns, :, :, columns] = torch.nan
        with torch.inference_mode():
            seen = torch.isnan(network(images)[:, 0]).any(1)
        middle = length // 2 // multiple * multiple
        extents = []
        for column in range(middle, middle + multiple):
            inside = seen[:, column].nonzero()
            extents.append(int(inside[-1] - inside[0]) + 1)
        if max(extents) < length - 2 * multiple:
            return min(extents), max(extents)
        length *= 2


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("em_denoise_unet", {}, 122_737),
        ("unet", {}, 31_030_593),
        ("denoisenet", {}, 655_544),
        ("dncnn", {}, 557_057),
        ("dncnn", {"depth": 20}, 668_225),
        ("dncnn", {"depth": 20, "bias": False, "residual": False}, 667_008),
        ("ffdnet", {}, 485_316),
        ("ffdnet", {"level": "map", "conditions": 1}, 485_316),
        ("red", {"depth": 10, "step": 0}, 296_641),
        ("red", {"depth": 20}, 665_921),
        ("red", {}, 1_035_201),
        ("mixed_scale", {"depth": 50}, 11_577),
        ("mixed_scale", {}, 45_652),
        ("mixed_scale", {"depth": 200}, 181_302),
        ("durr_unet", {}, 233_440),
        ("durr_unet", {"bias": False}, 233_024),
    ],
)
def test_parameter_counts_are_the_published_ones(name, options, published):
    with torch.device("meta"):
        network = networks.build(name, **options)
    assert count(network) == published


@pytest.mark.parametrize(
    ("name", "options", "inputs", "published"),
    [
        ("em_denoise_unet", {}, 1, (108, 116)),
        ("dncnn", {}, 1, (35, 35)),
        ("dncnn", {"depth": 20}, 1, (41, 41)),
        ("denoisenet", {}, 1, (41, 41)),
        ("durr_unet", {}, 1, (45, 45)),
        ("red", {}, 1, (61, 61)),
        ("ffdnet", {"level": "map", "conditions": 1}, 2, (62, 62)),
        # The local mean of counts reaches four pixels further at either end.
        ("ffdnet", {}, 3, (70, 70)),
        ("mixed_scale", {"depth": 10}, 1, (111, 111)),
        # These by hand, going from an output up and down through the levels.
        ("mcnn", {"levels": 3, "blurred": False}, 1, (38, 46)),
        ("mixed_scale", {"depth": 4, "dilations": (1, 5)}, 1, (25, 25)),
        ("unet", {"levels": 2}, 1, (44, 44)),
    ],
)
def test_receptive_fields_are_the_published_ones(name, options, inputs, published):
    network = networks.build(name, base=1, **options)
    assert receptive_field(network, inputs) == published


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40), (33, 1)])
def test_any_size_gives_an_image_of_that_size(name, padding, size):
    network = small(name, padding=padding)
    with torch.inference_mode():
        y = network(torch.rand(2, channels(name), *size))
    assert y.shape == (2, 1, *size)
    assert y.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(45, 37), (1, 50)])
def test_with_repeated_borders_a_flat_image_has_no_dark_ones(name, size):
    network = small(name, padding="replicate")
    for layer in network.modules():
        # A kernel laid down every other pixel makes a pattern even where no border is.
        if isinstance(layer, torch.nn.ConvTranspose2d) and layer.stride == (2, 2):
            weights = layer.weight.detach()
            weights.copy_(weights.mean((2, 3), keepdim=True).expand_as(weights))
    with torch.inference_mode():
        flat = network(torch.ones(1, channels(name), *size))
    # What is rearranged from channels may differ within a block, as anywhere.
    step = network.multiple
    for axis in (2, 3):
        if flat.shape[axis] > step:
            here = flat.narrow(axis, step, flat.shape[axis] - step)
            before = flat.narrow(axis, 0, flat.shape[axis] - step)
            torch.testing.assert_close(here, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_far_from_the_border_its_treatment_does_not_matter(name):
    # Not so for em_denoise's upsampling, which is placed by the corners.
    place = {"align_corners": False} if name == "em_denoise_unet" else {}
    zeros = small(name, padding="zeros", **place)
    replicate = small(name, padding="replicate", **place)
    image = torch.rand(1, channels(name), 1, 1 + 16 * 24).expand(-1, -1, 385, -1)
    with torch.inference_mode():
        first, second = zeros(image)[..., 190:194, 190:194], replicate(image)
    torch.testing.assert_close(first, second[..., 190:194, 190:194])


@pytest.mark.parametrize("name", SMALL)
def test_an_image_is_denoised_alike_alone_and_in_a_batch(name):
    network = small(name)
    # Of very different doses, which statistics of the batch would mix.
    batch = torch.rand(3, channels(name), 24, 24)
    batch[:, :1] *= torch.tensor([1.0, 10.0, 100.0])[:, None, None, None]
    with torch.inference_mode():
        together = network(batch)
        alone = torch.cat([network(image[None]) for image in batch])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BIAS_FREE)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_without_biases_a_network_is_homogeneous(name, residual, factor):
    torch.manual_seed(0)
    network = networks.build(name, **BIAS_FREE[name], residual=residual)
    network.train()(torch.rand(2, 1, 32, 32))  # gives the normalisation a variance
    network.eval()
    image = torch.rand(1, 1, 31, 32)
    with torch.inference_mode():
        scaled, expected = network(factor * image), factor * network(image)
    assert (scaled - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("name", BIAS_FREE)
def test_with_biases_it_is_not_homogeneous(name):
    network = small(name)
    image = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert not torch.allclose(network(2 * image), 2 * network(image), rtol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_and_channels_last_give_nearly_the_same(name):
    network = small(name)
    image = torch.rand(2, channels(name), 33, 30)
    with torch.inference_mode():
        exact = network(image)
        last = network.to(memory_format=torch.channels_last)(
            image.contiguous(memory_format=torch.channels_last)
        )
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(image).float()
    torch.testing.assert_close(last, exact, rtol=1e-3, atol=1e-4)
    assert rough.shape == exact.shape
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("name", SMALL)
def test_each_network_can_be_exported_and_computes_the_same_then(name):
    network = small(name)
    image = torch.rand(1, channels(name), 20, 23)
    with torch.no_grad():
        program = torch.export.export(network, (image,))
        torch.testing.assert_close(program.module()(image), network(image))


@pytest.mark.parametrize("name", SMALL)
def test_every_frame_and_condition_is_seen(name):
    torch.manual_seed(0)
    conditions = channels(name) - 1 + 2
    network = networks.build(name, **SMALL[name], frames=3, conditions=conditions)
    for weights in network.parameters():
        # Positive throughout, so that no ReLU hides a channel.
        torch.nn.init.uniform_(weights, 0.05, 0.2)
    image = torch.rand(1, 3 + conditions, 20, 20, requires_grad=True)
    network.eval()(image).square().sum().backward()
    seen = image.grad.abs().sum((0, 2, 3)) > 0
    # FFDNet's noise level comes from the growth, not from whether it is known.
    ignored = [3] if name == "ffdnet" else []
    assert [n for n, yes in enumerate(seen.tolist()) if not yes] == ignored


@pytest.mark.parametrize("name", SMALL)
def test_each_network_learns_to_denoise_one_image(name):
    torch.manual_seed(0)
    network = networks.build(name, **SMALL[name])
    x = torch.arange(32.0)
    clean = (torch.sin(x / 3) + torch.cos(x / 4)[:, None]).expand(4, 1, -1, -1)
    noisy = torch.zeros(4, channels(name), 32, 32)
    noisy[:, :1] = clean + torch.randn(clean.shape)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (network(noisy) - clean).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # The noise has the variance 1, and so has the image.
    assert losses[-1] < 0.6 * min(1.0, losses[0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        *((name, {"base": 0}, "base=0 must be at least 1") for name in SMALL),
        *((name, {"frames": 2}, "frames=2 must be an odd number") for name in SMALL),
        *((name, {"conditions": -1}, "conditions=-1") for name in SMALL),
        *((name, {"padding": "circular"}, "zeros, replicate") for name in SMALL),
        ("dncnn", {"depth": 1}, "depth=1 must be at least 2"),
        ("denoisenet", {"depth": 1}, "depth=1 must be at least 2"),
        ("ffdnet", {"depth": 1}, "depth=1 must be at least 2"),
        ("ffdnet", {"conditions": 1}, "conditions=1 must be at least 2 for level="),
        ("ffdnet", {"level": "flat"}, "level='flat' is not known; use one of counts"),
        ("red", {"depth": 9}, "depth=9 must be even"),
        ("red", {"step": -1}, "step=-1 must be at least 0"),
        ("mixed_scale", {"dilations": ()}, r"dilations=\(\)"),
        ("mixed_scale", {"dilations": (1, 0)}, r"dilations=\(1, 0\)"),
        ("unet", {"levels": 0}, "levels=0 must be at least 1"),
        ("em_denoise_unet", {"upsampling": "cubic"}, "bilinear, nearest"),
        ("mcnn", {"levels": 0}, "levels=0 must be at least 1"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(ParameterError, match=message):
        networks.build(name, **options)
