import pytest
import torch

from lowdose import networks
from lowdose.errors import ParameterError
from lowdose.networks.fusing import fuse

PAPER = {"norm": "between", "pooled": True, "activated": False}
SMALL = {"base": 8, "blocks": 1}


def count(module):
    return sum(p.numel() for p in module.parameters())


def on_meta(**options):
    with torch.device("meta"):
        return networks.build("ede", **options)


def randomise(network):
    """Give the normalisation something to do, as training would."""
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return network.eval()


def test_the_program_has_the_tensors_of_its_checkpoint():
    network = on_meta()
    assert count(network) == 25_413_620
    assert len(list(network.parameters())) == 398
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(torch.nn.ConvTranspose2d) == 0
    named = {kind.__name__: kinds.count(kind) for kind in kinds}
    assert named["SameUpConv2d"] == 2
    # 57 separable convolutions have two each; of the 67, ten are not depthwise.
    assert named["SameConv2d"] == 57 + 10
    assert named["Conv2d"] == 57
    assert named["BatchNorm2d"] == 57 + 73


def test_its_parts_have_the_published_sizes():
    network = on_meta()
    pyramid = [network.plain, network.atrous, network.whole, network.narrow]
    assert count(network.entry) == 1_751_201
    assert count(network.middle) == 19_420_128
    assert sum(map(count, pyramid)) == 3_088_944


def test_normalising_between_depthwise_and_pointwise_saves_558_parameters():
    # Scale and shift of the input maps instead of a second pair for the output maps.
    assert count(on_meta(norm="between")) == 25_413_062


def test_the_paper_has_no_normalisation_behind_the_last_layer():
    assert count(on_meta(**PAPER)) == 25_413_062 - 2


@pytest.mark.parametrize("options", [{}, PAPER])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40), (33, 65)])
def test_any_size_gives_an_image_of_that_size(options, size):
    network = networks.build("ede", **SMALL, **options).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 1, *size)).shape == (2, 1, *size)


def test_an_odd_size_is_what_the_extended_image_gives():
    torch.manual_seed(0)
    network = randomise(networks.build("ede", **SMALL, activated=False))
    image = torch.rand(1, 1, 45, 37)
    extended = torch.nn.functional.pad(image, (0, 11, 0, 3), mode="replicate")
    with torch.inference_mode():
        assert torch.equal(network(image), network(extended)[..., :45, :37])


def flat_result(**options):
    """Return what a flat image becomes, without the rim of the last convolutions."""
    torch.manual_seed(0)
    options = {**SMALL, "activated": False, **options}
    network = randomise(networks.build("ede", **options)).double()
    with torch.inference_mode():
        result = network(torch.ones(1, 1, 61, 102, dtype=torch.float64))[0, 0]
    # Transposed convolutions give pixels four phases, a pattern that a repeated pixel
    # does not continue: behind it are five 3 x 3 kernels, two of them on 2 x 2 pixels.
    return result[8:-8, 8:-8]


@pytest.mark.parametrize("options", [{}, PAPER])
def test_with_replicated_borders_a_flat_image_stays_flat_near_them(options):
    flat = flat_result(**options, padding="replicate")
    torch.testing.assert_close(flat[:-4], flat[4:])
    torch.testing.assert_close(flat[:, :-4], flat[:, 4:])


def test_zeros_beyond_the_border_are_felt_far_inside():
    flat = flat_result()
    assert not torch.allclose(flat[:-4], flat[4:], rtol=1e-3)


def test_the_output_of_the_program_lies_between_0_and_6():
    torch.manual_seed(0)
    network = randomise(networks.build("ede", **SMALL))
    with torch.inference_mode():
        output = network(100 * torch.randn(1, 1, 64, 64))
    assert output.min() >= 0
    assert output.max() <= 6


def test_batch_normalisation_has_the_constants_of_tensorflow():
    norms = [m for m in on_meta().modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(n.eps, n.momentum) for n in norms} == {(1e-3, 0.001)}


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = networks.build("ede", **SMALL, **PAPER)
    network(torch.rand(2, 1, 64, 64)).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_fusing_changes_nothing_but_rounding():
    torch.manual_seed(0)
    network = randomise(networks.build("ede", **SMALL, **PAPER))
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        before = network(image)
        after = fuse(network)(image)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"norm": "once"}, "norm='once' is not known; use one of twice, between"),
        ({"padding": "wrap"}, "padding='wrap' is not known"),
        ({"base": 0}, "base=0 must be at least 1"),
        ({"rates": (6, 0)}, r"rates\[1\]=0 must be at least 1"),
        ({"frames": 2}, "frames=2 must be an odd number"),
        ({"momentum": 0.0}, "momentum=0.0 must be above 0"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(option, message):
    with pytest.raises(ParameterError, match=message):
        networks.build("ede", **{**SMALL, **option})
