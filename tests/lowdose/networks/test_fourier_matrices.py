import pytest
import torch

from lowdose import networks
from lowdose.networks import fourier_matrices


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (12, 7), (96, 97)])
def test_products_with_matrices_are_the_transform(size):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, *size)
    given = fourier_matrices.waves(*size, like=maps)
    expected = torch.fft.rfft2(maps, norm="ortho")
    parts = fourier_matrices.spectrum(maps, given)
    torch.testing.assert_close(
        parts, torch.cat([expected.real, expected.imag], 1), rtol=1e-5, atol=1e-5
    )
    other = torch.randn_like(parts)
    back = torch.fft.irfft2(torch.complex(*other.chunk(2, 1)), s=size, norm="ortho")
    torch.testing.assert_close(
        fourier_matrices.back(other, given), back, rtol=1e-5, atol=1e-5
    )


def test_a_network_mixes_alike_by_matrices():
    torch.manual_seed(0)
    network = networks.build(
        "lowdose", base=8, blocks=(1, 1), mixing=True, conditions=2
    ).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    frames, constants = torch.randn(2, 1, 24, 20), torch.randn(2, 2)
    with torch.inference_mode():
        expected = network.conditioned(frames, constants)
        network.use_matrices()
        found = network.conditioned(frames, constants)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
