import pytest
import torch

from lowdose import networks


def test_the_dilations_are_gone_through_again_and_again():
    network = networks.build("mixed_scale", depth=5, dilations=(1, 4))
    assert [layer.dilation for layer in network.layers] == [
        (1, 1), (4, 4), (1, 1), (4, 4), (1, 1)
    ]  # fmt: skip


def test_the_last_layer_weighs_every_map_and_the_input():
    network = networks.build("mixed_scale", depth=3, base=2).eval()
    for number, layer in enumerate(network.layers):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data.copy_(torch.tensor([10.0**number, 2 * 10.0**number]))
    torch.nn.init.ones_(network.last.weight)
    image = torch.rand(1, 1, 4, 4)
    with torch.inference_mode():
        torch.testing.assert_close(network(image), image + 333)


def test_before_training_the_answer_is_zero():
    network = networks.build("mixed_scale", depth=4).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 1, 9, 9)).count_nonzero() == 0


def test_hidden_weights_begin_with_the_published_deviation():
    torch.manual_seed(0)
    network = networks.build("mixed_scale", depth=100, base=4)
    weights = torch.cat([layer.weight.flatten() for layer in network.layers])
    expected = (2 / (9 * (1 + 4 * 99) + 1)) ** 0.5
    assert weights.std().item() == pytest.approx(expected, rel=0.02)


def test_training_computes_the_same_and_keeps_few_maps():
    torch.manual_seed(0)
    network = networks.build("mixed_scale", depth=20, base=1)
    torch.nn.init.normal_(network.last.weight)
    image = torch.rand(2, 1, 16, 16)

    def run():
        kept = set()
        sizes = []

        def pack(tensor):
            if tensor.data_ptr() not in kept and tensor.ndim == 4:
                kept.add(tensor.data_ptr())
                sizes.append(tensor.numel())
            return tensor

        network.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = network(image)
        y.square().mean().backward()
        gradients = [weights.grad.clone() for weights in network.parameters()]
        return y.detach(), gradients, sum(sizes) / image.numel()

    sparing = network.train(), run()
    plain = network.eval(), run()
    torch.testing.assert_close(sparing[1][:2], plain[1][:2])
    assert sparing[1][2] < 50
    assert plain[1][2] > 200
