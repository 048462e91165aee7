import pytest
import torch

from lowdose.errors import ParameterError
from lowdose.networks.tf_layers import (
    SameConv2d,
    SameUpConv2d,
    resize_bilinear,
    same_padding,
)


def row(*values):
    """One image of one row, as the layers take it."""
    return torch.tensor(values, dtype=torch.float32)[None, None, None]


def set_weights(layer, *values):
    """Make a 3 x 3 kernel that acts along a row only."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 1] = torch.tensor(values)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


# From the formulas of the TensorFlow documentation, by hand: the output has
# ceil(size / stride) pixels, and what the kernels need beyond is shared, the odd
# pixel behind.
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "expected"),
    [
        (512, 3, 1, 1, (1, 1)),
        (512, 3, 2, 1, (0, 1)),
        (511, 3, 2, 1, (1, 1)),
        (1, 3, 2, 1, (1, 1)),
        (32, 3, 1, 18, (18, 18)),
        (8, 4, 1, 1, (1, 2)),
        (8, 4, 2, 1, (1, 1)),
        (7, 2, 2, 1, (0, 1)),
        (5, 1, 1, 1, (0, 0)),
        (5, 1, 2, 1, (0, 0)),
        (9, 2, 4, 1, (0, 1)),
        (10, 2, 4, 1, (0, 0)),
    ],
)
def test_padding_is_shared_with_the_odd_pixel_behind(
    size, kernel, stride, dilation, expected
):
    padding = same_padding(size, kernel, stride=stride, dilation=dilation)
    assert padding == expected


def test_a_strided_convolution_begins_at_the_first_pixel_of_an_even_row():
    conv = set_weights(SameConv2d(1, 1, 3, stride=2), 1.0, 10.0, 100.0)
    # [1 2 3] and [3 4 0]: nothing before, one zero behind.
    assert conv(row(1, 2, 3, 4)).flatten().tolist() == [321.0, 43.0]


def test_a_strided_convolution_of_an_odd_row_pads_both_ends():
    conv = set_weights(SameConv2d(1, 1, 3, stride=2), 1.0, 10.0, 100.0)
    # [0 1 2], [2 3 4], [4 5 0].
    assert conv(row(1, 2, 3, 4, 5)).flatten().tolist() == [210.0, 432.0, 54.0]


def test_it_differs_from_the_padding_of_pytorch_on_even_sizes():
    conv = set_weights(SameConv2d(1, 1, 3, stride=2), 1.0, 10.0, 100.0)
    image = row(1, 2, 3, 4)
    ours = torch.nn.functional.conv2d(image, conv.weight, stride=2, padding=1)
    assert ours.flatten().tolist() == [210.0, 432.0]


def test_a_dilated_convolution_keeps_the_size():
    conv = set_weights(SameConv2d(1, 1, 3, dilation=2), 1.0, 10.0, 100.0)
    # [0 1 3], [0 2 4], [1 3 0], [2 4 0]
    assert conv(row(1, 2, 3, 4)).flatten().tolist() == [310.0, 420.0, 31.0, 42.0]


def test_replicated_borders_repeat_the_outermost_pixels():
    conv = set_weights(SameConv2d(1, 1, 3, padding="replicate"), 1.0, 10.0, 100.0)
    # [1 1 2], [1 2 2]
    assert conv(row(1, 2)).flatten().tolist() == [211.0, 221.0]


def up_row(layer, image):
    # Kernel row 1 makes the odd rows of the output; row 1 is the one of our row.
    return layer(image)[0, 0, 1].tolist()


def test_a_transposed_convolution_doubles_and_cuts_the_end():
    up = set_weights(SameUpConv2d(1, 1), 1.0, 10.0, 100.0)
    # Input 1 adds 1 10 100 at 0, input 2 adds 2 20 200 at 2; the fifth is cut off.
    assert up(row(1, 2)).shape == (1, 1, 2, 4)
    assert up_row(up, row(1, 2)) == [1.0, 10.0, 102.0, 20.0]


def test_a_transposed_convolution_is_the_gradient_of_the_strided_one():
    torch.manual_seed(0)
    up = SameUpConv2d(1, 1).double()
    conv = SameConv2d(1, 1, 3, stride=2).double()
    with torch.no_grad():
        conv.weight.copy_(up.weight)
        up.bias.zero_()
        conv.bias.zero_()
    fine = torch.rand(1, 1, 8, 6, dtype=torch.float64, requires_grad=True)
    coarse = torch.rand(1, 1, 4, 3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((conv(fine) * coarse).sum(), fine)
    torch.testing.assert_close(up(coarse), gradient)


def test_a_replicating_transposed_convolution_begins_as_it_goes_on():
    up = set_weights(SameUpConv2d(1, 1, padding="replicate"), 1.0, 10.0, 100.0)
    assert up_row(up, row(1, 2)) == [101.0, 10.0, 102.0, 20.0]
    assert up_row(up, row(3, 3, 3)) == [303.0, 30.0] * 3


def test_resizing_starts_at_the_first_pixel_and_ends_flat():
    enlarged = resize_bilinear(row(0, 4, 2), 4)[0, 0, 0]
    expected = [0, 1, 2, 3, 4, 3.5, 3, 2.5, 2, 2, 2, 2]
    assert enlarged.tolist() == expected


@pytest.mark.parametrize("size", [1, 5, 32, 129])
def test_resizing_is_the_same_at_any_size(size):
    ramp = torch.arange(size, dtype=torch.float32).reshape(1, 1, 1, size)
    enlarged = resize_bilinear(ramp, 2)[0, 0, 0]
    expected = (torch.arange(2 * size) / 2).clamp(max=size - 1)
    torch.testing.assert_close(enlarged, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", [SameConv2d, SameUpConv2d])
def test_a_padding_that_is_not_there_is_refused(layer):
    arguments = (1, 1, 3) if layer is SameConv2d else (1, 1)
    with pytest.raises(ParameterError, match="padding='reflect' is not known"):
        layer(*arguments, padding="reflect")
