import torch

from lowdose import networks


def test_the_residual_switch_subtracts_from_the_middle_frame():
    torch.manual_seed(0)
    plain = networks.build("durr_unet", base=2, frames=3).eval()
    residual = networks.build("durr_unet", base=2, frames=3, residual=True).eval()
    residual.load_state_dict(plain.state_dict())
    movie = torch.rand(2, 3, 13, 12)
    with torch.inference_mode():
        torch.testing.assert_close(residual(movie), movie[:, 1:2] - plain(movie))


def test_the_coarse_half_dilates_by_one_two_and_four():
    layers = [
        layer
        for layer in networks.build("durr_unet").coarse
        if isinstance(layer, torch.nn.Conv2d)
    ]
    assert [layer.stride for layer in layers] == [(2, 2), (1, 1), (1, 1), (1, 1)]
    assert [layer.dilation for layer in layers] == [(1, 1), (1, 1), (2, 2), (4, 4)]


def test_only_the_last_convolution_never_has_a_bias():
    network = networks.build("durr_unet")
    biased = [name for name, _ in network.named_parameters() if name.endswith("bias")]
    assert len(biased) == 8
    assert network.joined[-1].bias is None
