import torch
from torch import nn

from lowdose import networks
from lowdose.networks.field import Field, measure_field


def test_the_field_of_a_convolution_is_its_kernel():
    conv = nn.Conv2d(1, 1, 7, padding=3)
    assert measure_field(conv, multiple=1) == Field(least=7, greatest=7, halo=3)


def test_the_field_of_a_dilated_convolution_is_its_span():
    conv = nn.Conv2d(1, 1, 3, padding=40, dilation=40)
    assert measure_field(conv, multiple=1) == Field(least=81, greatest=81, halo=40)


def test_a_field_may_lie_to_one_side():
    class Left(nn.Module):
        def forward(self, x):
            y = nn.functional.pad(x, (5, 5, 5, 5))
            return y[..., 2:-8, 2:-8] + x

    # Four pixels, from three to the left to itself, of which two are used.
    assert measure_field(Left(), multiple=1) == Field(least=4, greatest=4, halo=3)


def test_pooling_makes_the_field_depend_on_the_place():
    pool = nn.Sequential(
        nn.AvgPool2d(4), nn.Upsample(scale_factor=4), nn.Conv2d(1, 1, 3, padding=1)
    )
    # In the middle of a window only it is seen, at its ends the next one too, whose
    # far end is four pixels away.
    found = measure_field(pool, multiple=4)
    assert found == Field(least=4, greatest=8, halo=4)


def test_a_network_that_sees_everything_has_no_field():
    class Mean(nn.Module):
        def forward(self, x):
            return x - x.mean((2, 3), keepdim=True)

    assert measure_field(Mean(), multiple=64) is None


def test_it_agrees_with_gradients():
    torch.manual_seed(0)
    network = networks.build("blind_spot", base=2, bias=False).double()
    found = measure_field(networks.build("blind_spot", base=2), multiple=4)
    extents = []
    for phase in range(4):
        image = torch.rand(1, 1, 8, 240, dtype=torch.float64, requires_grad=True)
        network(image)[0, 0, :, 120 + phase].sum().backward()
        columns = image.grad[0, 0].abs().sum(0).nonzero()
        extents.append(int(columns.max() - columns.min()) + 1)
    # A gradient may vanish by chance where a NaN does not, never the other way.
    assert max(extents) <= found.greatest
    assert found.least - 8 <= min(extents)
