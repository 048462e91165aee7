import pytest
import torch

from lowdose import networks


def constant_layers(network, values):
    """Make each layer ignore its input and give `values[layer]` in every channel."""
    for layer, value in zip(network.layers, values, strict=True):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, value)


def test_the_answer_is_the_input_with_a_tenth_of_all_corrections():
    network = networks.build("denoisenet", depth=4, base=2).eval()
    # Negative ones too: a correction is peeled off before the ReLU.
    constant_layers(network, [1.0, -2.0, 5.0, 20.0])
    image = torch.rand(1, 1, 6, 7)
    with torch.inference_mode():
        torch.testing.assert_close(network(image), image + 24 / 10)


def test_all_hidden_layers_but_the_last_are_rectified():
    network = networks.build("denoisenet", depth=4, base=1).eval()
    for layer in network.layers:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        # Hand on what comes with its sign turned, and peel off nothing.
        layer.weight.data[-1, 0, 1, 1] = -1
    network.layers[1].weight.data[-1, 0, 1, 1] = 1
    ones = torch.ones(1, 1, 5, 5)
    with torch.inference_mode():
        # The first layer makes -1 of 1, and its ReLU 0.
        torch.testing.assert_close(network(ones), ones)
        # Of -1 the third makes -1 again, and without a ReLU the last one makes 1.
        torch.testing.assert_close(network(-ones), -ones + 1 / 10)


def test_biases_begin_at_a_hundredth():
    network = networks.build("denoisenet", depth=3, base=4)
    assert all(
        layer.bias.unique().tolist() == pytest.approx([0.01])
        for layer in network.layers
    )


def test_the_middle_frame_is_corrected():
    network = networks.build("denoisenet", depth=3, base=2, frames=3).eval()
    constant_layers(network, [0.0, 0.0, 0.0])
    movie = torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        assert torch.equal(network(movie), movie[:, 1:2])
