import pytest
import torch

from lowdose.networks.bordering import TransposedConv2d, pad_to_multiple


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (8, 16), (9, 3)])
def test_sizes_become_multiples_by_repeating_the_last_pixels(size):
    image = torch.rand(2, 3, *size)
    padded = pad_to_multiple(image, 8)
    height, width = padded.shape[-2:]
    assert height % 8 == width % 8 == 0
    assert height - size[0] < 8
    assert width - size[1] < 8
    assert torch.equal(padded[..., : size[0], : size[1]], image)
    assert torch.equal(padded[..., -1, -1], image[..., -1, -1])


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2)])
def test_a_transposed_convolution_that_repeats_its_border_is_that_of_more_image(
    kernel, stride
):
    torch.manual_seed(0)
    layer = TransposedConv2d(2, 3, kernel, stride=stride, padding="replicate")
    image = torch.rand(1, 2, 6, 7)
    larger = torch.nn.functional.pad(image, (4,) * 4, mode="replicate")
    plain = torch.nn.ConvTranspose2d(2, 3, kernel, stride=stride, padding=1)
    plain.load_state_dict(layer.state_dict())
    inside = slice(4 * stride, -4 * stride)
    with torch.inference_mode():
        y, expected = layer(image), plain(larger)[..., inside, inside]
    assert y.shape[-2:] == (6 * stride, 7 * stride)
    torch.testing.assert_close(y, expected)


def test_a_transposed_convolution_is_torch_s_where_it_pads_with_zeros():
    torch.manual_seed(0)
    layer = TransposedConv2d(2, 3, 4, stride=2)
    plain = torch.nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1)
    plain.load_state_dict(layer.state_dict())
    image = torch.rand(1, 2, 5, 5)
    with torch.inference_mode():
        assert torch.equal(layer(image), plain(image))
