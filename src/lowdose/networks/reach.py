"""How far a network sees, measured and not computed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

#: No tile is worth cutting for a network that sees further than this [px].
_LIMIT = 2048

#: Reach that is tried first [px].
_FIRST = 256


def measure_halo(network: nn.Module, *, multiple: int, channels: int = 1) -> int | None:
    """Measure the distance beyond which no input pixel changes an output pixel.

    A NaN is put at one input pixel; every output pixel that depends on it, however
    weakly, becomes NaN, through convolutions, ReLU, pooling and interpolation alike.
    Where pooling makes the reach depend on the position, the largest one over all
    positions is returned.

    Parameters
    ----------
    network : torch.nn.Module
        Takes (N, channels, H, W), returns (N, 1, H, W); on the CPU. Its mode is set
        to evaluation. Its width does not matter: measure a narrow twin.
    multiple : int
        Sizes are multiples of this, and so the positions to try [px].
    channels : int, optional
        Number of input channels.

    Returns
    -------
    int or None
        The halo [px], or None where the network sees the whole image.
    """
    network.eval()
    # Wide enough that no single dilated kernel leaps over the window unseen.
    reach = max(4 * multiple, _FIRST)
    while reach <= _LIMIT:
        # One row of the image is enough: every operator here is the same along both
        # axes, and square to a row's neighbours.
        length = 2 * reach + multiple
        height = max(multiple, 8)
        halo = max(
            _reach_of(network, height, length, reach + phase, channels)
            for phase in range(multiple)
        )
        if halo < reach:
            return halo
        reach *= 2
    return None


@torch.inference_mode()
def _reach_of(
    network: nn.Module, height: int, length: int, position: int, channels: int
) -> int:
    image = torch.zeros(1, channels, height, length)
    image[..., position] = torch.nan
    touched = torch.isnan(network(image)[0, 0]).any(0).nonzero()
    return int((touched - position).abs().max())
