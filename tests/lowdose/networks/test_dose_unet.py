import pytest
import torch

from lowdose import networks
from lowdose.errors import ParameterError
from lowdose.networks.reach import measure_halo

SMALL = {"base": 4, "blocks": [1, 1, 2]}


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40), (33, 65)])
@pytest.mark.parametrize("stem", [1, 2, 4])
def test_any_size_gives_an_image_of_that_size(size, stem):
    network = networks.build("lowdose", stem=stem, residual=stem < 4, **SMALL).eval()
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
    network = networks.build("lowdose", base=4, blocks=[1, 2, 4])
    assert 90 <= measure_halo(network, multiple=network.multiple) <= 130


@pytest.mark.parametrize(
    "options", [{"base": 0}, {"blocks": []}, {"blocks": [1, 0]}, {"conditions": -1}]
)
def test_sizes_that_cannot_be_built_are_named(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        networks.build("lowdose", **options)


def test_frames_equal_to_the_middle_one_change_nothing():
    torch.manual_seed(0)
    movie = networks.build("lowdose", frames=3, **SMALL).eval()
    single = networks.build("lowdose", **SMALL).eval()
    single.load_state_dict(
        {k: v for k, v in movie.state_dict().items() if not k.startswith("neighbours")}
    )
    image, other = torch.rand(2, 1, 24, 24), torch.rand(2, 1, 24, 24)
    with torch.inference_mode():
        alone = single(image)
        assert torch.allclose(movie(image.expand(-1, 3, -1, -1)), alone, atol=1e-6)
        with_others = movie(torch.cat([other, image, other], 1))
    assert not torch.allclose(with_others, alone, atol=1e-3)


def test_noise_that_cannot_pass_the_stem_is_not_asked_for():
    with pytest.raises(ParameterError, match="residual=False"):
        networks.build("lowdose", base=16, stem=8)


def test_an_even_number_of_frames_has_no_middle():
    with pytest.raises(ParameterError, match="frames=4"):
        networks.build("lowdose", frames=4)


def test_spectral_mixing_sees_the_whole_image():
    network = networks.build("lowdose", base=4, blocks=[1, 1], mixing=True)
    for name, weights in network.named_parameters():
        if "restore" in name:
            torch.nn.init.normal_(weights)
    assert measure_halo(network, multiple=network.multiple) is None


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (33, 65)])
def test_spectral_mixing_takes_any_size_and_half_precision(size):
    network = networks.build("lowdose", mixing=True, conditions=2, **SMALL).eval()
    image = torch.rand(2, 3, *size)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network(image).shape == (2, 1, *size)


@pytest.mark.parametrize("mixing", [False, True])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("conditions", [0, 2])
def test_images_that_are_alike_get_what_each_gets_alone(mixing, frames, conditions):
    torch.manual_seed(0)
    network = networks.build(
        "lowdose", conditions=conditions, mixing=mixing, frames=frames, **SMALL
    ).eval()
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.2)
    images = torch.rand(2, frames, 20, 28)
    constants = torch.tensor([0.7, -1.3])[:conditions]
    maps = constants[None, :, None, None].expand(2, -1, 20, 28)
    kept = images.clone()
    with torch.inference_mode():
        expected = network(torch.cat([images, maps], 1))
        found = network.alike(images, constants)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(images, kept)  # computed in place, but not in this place
