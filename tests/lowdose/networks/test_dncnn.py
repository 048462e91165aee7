import torch

from lowdose import networks
from lowdose.networks.fusing import fuse


def test_the_residual_switch_subtracts_from_the_middle_frame():
    torch.manual_seed(0)
    options = {"depth": 4, "base": 4, "frames": 3}
    plain = networks.build("dncnn", residual=False, **options).eval()
    residual = networks.build("dncnn", residual=True, **options).eval()
    residual.load_state_dict(plain.state_dict())
    movie = torch.rand(2, 3, 12, 12)
    with torch.inference_mode():
        torch.testing.assert_close(residual(movie), movie[:, 1:2] - plain(movie))


def test_only_hidden_layers_are_normalised():
    kinds = [type(layer).__name__ for layer in networks.build("dncnn", depth=4).layers]
    hidden = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds == ["Conv2d", "ReLU", *hidden, *hidden, "Conv2d"]


def test_normalisation_can_be_folded_away():
    torch.manual_seed(0)
    network = networks.build("dncnn", depth=5, base=8)
    network.train()(torch.randn(4, 1, 32, 32))
    network.eval()
    image = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        before = network(image)
        after = fuse(network)(image)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert torch.nn.BatchNorm2d not in {type(module) for module in network.modules()}


def test_the_bias_free_network_has_no_bias_that_acts():
    network = networks.build("dncnn", depth=4, base=4, bias=False).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 9, 9)).count_nonzero() == 0
