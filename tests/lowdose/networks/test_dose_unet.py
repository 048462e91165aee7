import pytest
import torch

from lowdose import networks
from lowdose.errors import ParameterError
from lowdose.networks.reach import measure_halo

SMALL = {"base": 4, "blocks": [1, 1, 2]}


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40), (33, 65)])
@pytest.mark.parametrize("stem", [1, 2, 4])
def test_any_size_gives_an_image_of_that_size(size, stem):
    network = networks.build("lowdose", stem=stem, **SMALL).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 1, *size)).shape == (2, 1, *size)


def test_what_is_known_of_the_frame_changes_the_answer():
    torch.manual_seed(0)
    network = networks.build("lowdose", conditions=2, **SMALL).eval()
    for weights in network.modulate.parameters():
        torch.nn.init.normal_(weights)
    image = torch.rand(2, 1, 16, 16)
    told = torch.tensor([[0.0, 1.0], [0.0, -1.0]])[:, :, None, None]
    with torch.inference_mode():
        first, second = (
            network(torch.cat([image, told[[n, n]].expand(-1, -1, 16, 16)], 1))
            for n in (0, 1)
        )
    assert not torch.allclose(first, second, atol=1e-3)


def test_each_image_of_a_batch_is_modulated_by_its_own_constants():
    torch.manual_seed(0)
    network = networks.build("lowdose", conditions=1, **SMALL).eval()
    for weights in network.modulate.parameters():
        torch.nn.init.normal_(weights)
    batch = torch.rand(3, 2, 24, 24)
    batch[:, 1] = torch.tensor([0.0, 1.0, 2.0])[:, None, None]
    with torch.inference_mode():
        together = network(batch)
        alone = torch.cat([network(image[None]) for image in batch])
    assert (together - alone).norm() < 1e-5 * alone.norm()


def test_the_reach_is_what_the_docstring_says():
    network = networks.build("lowdose", base=1, blocks=[1, 2, 4])
    assert 90 <= measure_halo(network, multiple=network.multiple) <= 130


@pytest.mark.parametrize(
    "options", [{"base": 0}, {"blocks": []}, {"blocks": [1, 0]}, {"conditions": -1}]
)
def test_sizes_that_cannot_be_built_are_named(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        networks.build("lowdose", **options)
