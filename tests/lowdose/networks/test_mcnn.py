import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from lowdose import networks


def test_the_published_network_has_the_parameters_of_its_layers():
    with torch.device("meta"):
        network = networks.build("mcnn")
    down = [4, 64, 128, 256, 512, 512, 512, 512]
    up = [(512, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64)]
    heads = [1024, 1024, 1024, 512, 256, 128, 128]
    layers = [*itertools.pairwise(down), *up, *((n, 1) for n in heads)]
    convolutions = sum(16 * n_in * n_out + n_out for n_in, n_out in layers)
    normalisations = sum(2 * n_out for _, n_out in up)
    counted = sum(p.numel() for p in network.parameters())
    assert counted == convolutions + normalisations == 41_890_055


def test_there_is_an_output_for_every_size_and_the_finest_is_the_answer():
    torch.manual_seed(0)
    network = networks.build("mcnn", base=2, levels=4).eval()
    image = torch.rand(2, 1, 21, 30)
    with torch.inference_mode():
        outputs = network.outputs(image)
        answer = network(image)
    assert torch.equal(outputs[0], answer)
    # Padded to 32 x 32.
    assert [tuple(y.shape[-2:]) for y in outputs] == [
        (21, 30), (16, 16), (8, 8), (4, 4)
    ]  # fmt: skip


def test_targets_are_block_means_of_the_sizes_of_the_outputs():
    network = networks.build("mcnn", base=1, levels=3)
    clean = torch.rand(2, 1, 13, 16)
    targets = network.targets(clean)
    assert [y.shape for y in targets] == [y.shape for y in network.outputs(clean)]
    assert torch.equal(targets[0], clean)
    torch.testing.assert_close(targets[1][0, 0, 0, 1], clean[0, 0, :2, 2:4].mean())
    torch.testing.assert_close(targets[2][1, 0, 1, 2], clean[1, 0, 4:8, 8:12].mean())


def test_every_parameter_has_a_gradient_from_all_the_outputs():
    torch.manual_seed(0)
    network = networks.build("mcnn", base=4, levels=3)
    clean = torch.rand(2, 1, 32, 32)
    pairs = zip(network.outputs(clean), network.targets(clean), strict=True)
    sum((y - target).abs().mean() for y, target in pairs).backward()
    assert all(weights.grad is not None for weights in network.parameters())


def test_one_level_is_a_network_of_one_output():
    network = networks.build("mcnn", base=2, levels=1).eval()
    with torch.inference_mode():
        (only,) = network.outputs(torch.rand(1, 1, 9, 8))
    assert only.shape == (1, 1, 9, 8)


def test_the_network_sees_four_blurred_copies(rng):
    network = networks.build("mcnn", base=1, levels=1)
    seen = []
    network.down[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    image = rng.normal(size=(60, 60)).astype(np.float32)
    with torch.inference_mode():
        network.eval()(torch.from_numpy(image)[None, None])
    expected = [
        ndimage.uniform_filter(image, 5, mode="constant"),
        ndimage.uniform_filter(image, 7, mode="constant"),
        ndimage.gaussian_filter(image, 20**0.5, mode="constant", radius=16),
        ndimage.gaussian_filter(image, 30**0.5, mode="constant", radius=16),
    ]
    assert seen[0][0].numpy() == pytest.approx(np.stack(expected), abs=1e-5)


def test_it_can_be_shown_the_image_itself():
    network = networks.build("mcnn", base=1, levels=1, blurred=False, frames=3)
    assert network.down[0][0].conv.in_channels == 3


def test_squashed_outputs_lie_between_zero_and_one():
    torch.manual_seed(0)
    network = networks.build("mcnn", base=2, levels=2, squashed=True).eval()
    with torch.inference_mode():
        outputs = network.outputs(100 * torch.randn(1, 1, 16, 16))
    assert all(((y >= 0) & (y <= 1)).all() for y in outputs)
    assert outputs[0].std() > 0


def test_an_even_kernel_is_padded_as_tensorflow_does_it():
    # One pixel before and two behind: a kernel whose last point is 1 looks two ahead.
    network = networks.build("mcnn", base=1, levels=1, blurred=False).eval()
    head = network.heads[0]
    torch.nn.init.zeros_(head.conv.weight)
    torch.nn.init.zeros_(head.conv.bias)
    head.conv.weight.data[..., 1, 3] = 1
    row = torch.arange(6.0).expand(1, 1, 6, 6)
    with torch.inference_mode():
        assert head(row)[0, 0, 0].tolist() == [2, 3, 4, 5, 0, 0]
