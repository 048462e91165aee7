"""The mixed-scale dense network: few maps, every one of which all later layers see.

Dilated convolutions take the place of pooling, so that all maps are of full size and
can be joined; a network of 100 layers needs but one map per layer.

References
----------
.. [1] D. M. Pelt, J. A. Sethian, "A mixed-scale dense convolutional neural network for
   image analysis", Proc. Natl. Acad. Sci. 115, 254 (2018).
   doi:10.1073/pnas.1715832114
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lowdose.errors import ParameterError
from lowdose.networks.bordering import check_options, conv

if TYPE_CHECKING:
    from collections.abc import Sequence


class MixedScaleDense(nn.Module):
    """MS-D; 45,652 parameters with 100 layers of one map.

    Parameters
    ----------
    depth : int, optional
        Number of layers before the last one, which weighs all maps. Published: 50,
        100 and 200.
    base : int, optional
        Maps that a layer makes, called the width in [1]_. Published: 1.
    dilations : tuple of int, optional
        Distance of the points of a 3 x 3 kernel [px], by layer; they are gone
        through again and again. Published: 1 to 10. The receptive field is twice
        their sum over all layers, and 1 [px].
    frames : int, optional
        Number of input frames. Published: 1.
    conditions : int, optional
        Number of constant channels behind the frames. Published: none.
    padding : {"zeros", "replicate"}, optional
        What convolutions see beyond the border. The authors' code mirrors the border,
        which takes maps that are wider than the dilation; repeating the outermost
        pixel takes maps of any size.

    Raises
    ------
    ParameterError
        If a size or dilation is too small, or an option is not known.

    Notes
    -----
    As published, hidden weights begin normally distributed with the variance
    ``2 / (9 * (inputs + base * (depth - 1)) + outputs)``, biases at 0, and the last
    layer at 0. The published network also scales input and output by constants of the
    data set; :mod:`lowdose.networks.normalising` does that for each frame.

    In training the maps that a layer sees are joined a second time for the gradient
    instead of being kept: 100 layers would keep 5050 maps instead of 101.
    """

    def __init__(
        self,
        *,
        depth: int = 100,
        base: int = 1,
        dilations: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
        frames: int = 1,
        conditions: int = 0,
        padding: str = "replicate",
    ) -> None:
        super().__init__()
        check_options(
            frames=frames,
            conditions=conditions,
            padding=padding,
            depth=depth,
            base=base,
        )
        if not dilations or min(dilations) < 1:
            msg = f"dilations={tuple(dilations)} must be numbers of at least 1."
            raise ParameterError(msg)
        inputs = frames + conditions
        steps = [dilations[number % len(dilations)] for number in range(depth)]
        self.layers = nn.ModuleList(
            conv(inputs + base * number, base, dilation=step, padding=padding)
            for number, step in enumerate(steps)
        )
        self.last = nn.Conv2d(inputs + base * depth, 1, 1)
        fan = 9 * (inputs + base * (depth - 1)) + 1
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan))
            nn.init.zeros_(layer.bias)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return 1

    def forward(self, x: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        x : Tensor, shape (N, frames + conditions, H, W)
            Noisy images, of any size, and then the constant channels.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
        """
        if self.training and torch.is_grad_enabled():
            return self._forward_sparing(x)
        maps = x
        for layer in self.layers:
            maps = torch.cat([maps, functional.relu(layer(maps))], 1)
        y: Tensor = self.last(maps)
        return y

    def _forward_sparing(self, x: Tensor) -> Tensor:
        """Compute the same, and keep no joined maps for the gradient."""
        maps = [x]
        for layer in self.layers:
            maps.append(functional.relu(_joined(layer, maps)))
        return _joined(self.last, maps)


def _joined(layer: nn.Module, maps: list[Tensor]) -> Tensor:
    def run(*maps: Tensor) -> Tensor:
        y: Tensor = layer(torch.cat(maps, 1))
        return y

    y: Tensor = checkpoint(run, *maps, use_reentrant=False, preserve_rng_state=False)
    return y
