import pytest
import torch

from lowdose import networks


def test_em_denoise_normalises_after_the_relu():
    network = networks.build("em_denoise_unet")
    kinds = [type(layer).__name__ for layer in network.down[0]]
    assert kinds == ["Conv2d", "ReLU", "BatchNorm2d"] * 2


def test_em_denoise_has_the_published_widths():
    network = networks.build("em_denoise_unet")
    widths = [
        [
            layer.weight.shape[:2]
            for layer in stage
            if isinstance(layer, torch.nn.Conv2d)
        ]
        for stage in (*network.down, *network.up)
    ]
    assert widths == [
        [(8, 1), (8, 8)],
        [(16, 8), (16, 16)],
        [(32, 16), (32, 32)],
        [(64, 32), (64, 64)],
        [(32, 96), (32, 32)],
        [(16, 48), (16, 16)],
        [(8, 24), (8, 8)],
    ]


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
def test_em_denoise_doubles_maps_as_asked(upsampling):
    network = networks.build("em_denoise_unet", base=1, levels=1, upsampling=upsampling)
    seen = []
    network.up[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    network.down[1].register_forward_hook(
        lambda *_: torch.tensor([0.0, 3.0]).expand(1, 2, 2, 2)
    )
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, 4, 4))
    # Upsampled maps come first; corners are aligned in the published network.
    row = {"bilinear": [0, 1, 2, 3], "nearest": [0, 0, 3, 3]}[upsampling]
    assert seen[0][0, 0, 1].tolist() == pytest.approx(row, abs=1e-6)


def test_without_aligned_corners_a_part_is_denoised_as_in_the_whole():
    torch.manual_seed(0)
    image = torch.rand(1, 1, 256, 256)
    differences = []
    for aligned in (False, True):
        network = networks.build("em_denoise_unet", align_corners=aligned).eval()
        with torch.inference_mode():
            whole = network(image)[..., 64:-64, 64:-64]
            part = network(image[..., :-8, :-8])[..., 64:-56, 64:-56]
        differences.append((whole - part).abs().max() / whole.abs().max())
    assert differences[0] < 1e-5
    assert differences[1] > 1e-4


def test_the_u_net_hands_over_maps_and_halves_channels_on_the_way_up():
    network = networks.build("unet", base=2, levels=2)
    assert [stage[0].weight.shape[:2] for stage in network.down] == [
        (2, 1), (4, 2), (8, 4)
    ]  # fmt: skip
    assert [layer.weight.shape[:2] for layer in network.finer] == [(8, 4), (4, 2)]
    assert [stage[0].weight.shape[:2] for stage in network.up] == [(4, 8), (2, 4)]
    assert network.multiple == 4


def test_the_u_net_begins_by_he_s_rule():
    torch.manual_seed(0)
    network = networks.build("unet", base=16, levels=2)
    deep, finer = network.down[2][2].weight, network.finer[0].weight
    assert deep.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
    assert finer.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)
