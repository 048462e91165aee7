import pytest
import torch

from lowdose import networks


@pytest.mark.parametrize(
    ("depth", "step", "copies"),
    # Layers that hand on the centre pixel: each skip adds one more copy of it, and
    # the input itself is added at the end.
    [(10, 0, 2), (10, 1, 6), (10, 2, 4), (20, 2, 6), (30, 2, 9), (30, 3, 6)],
)
def test_every_step_layers_a_map_is_added_to_its_mirror_image(depth, step, copies):
    network = networks.build("red", depth=depth, step=step, base=1).eval()
    for layer in (*network.down, *network.up):
        torch.nn.init.dirac_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    image = torch.rand(1, 1, 9, 9)
    with torch.inference_mode():
        torch.testing.assert_close(network(image), copies * image)


def test_a_skip_comes_from_the_layer_of_the_same_depth():
    network = networks.build("red", depth=12, step=2, base=1).eval()
    for layer in (*network.down, *network.up):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    # Convolution 4 of 6 makes ones; transposed convolutions 3 to 6 hand them on.
    torch.nn.init.ones_(network.down[3].bias)
    for layer in network.up[2:]:
        torch.nn.init.dirac_(layer.weight)
    image = torch.zeros(1, 1, 9, 9)
    with torch.inference_mode():
        assert torch.equal(network(image), image + 1)
        torch.nn.init.zeros_(network.up[2].weight)
        # It is added behind transposed convolution 2, so now it is lost.
        assert torch.equal(network(image), image)


def test_the_last_layer_can_subtract():
    network = networks.build("red", depth=4, base=2).eval()
    torch.nn.init.zeros_(network.up[-1].weight)
    torch.nn.init.constant_(network.up[-1].bias, -3.0)
    image = torch.rand(1, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(network(image), image - 3)


def test_the_middle_frame_is_added():
    network = networks.build("red", depth=4, base=2, frames=3).eval()
    torch.nn.init.zeros_(network.up[-1].weight)
    torch.nn.init.zeros_(network.up[-1].bias)
    movie = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        assert torch.equal(network(movie), movie[:, 1:2])
