"""FFDNet: works on four half-size images at once, and is told the level of the noise.

One network serves every noise level and noise that varies over the image, because a
map of its standard deviation is among its inputs.

References
----------
.. [1] K. Zhang, W. Zuo, L. Zhang, "FFDNet: Toward a Fast and Flexible Solution for
   CNN-Based Image Denoising", IEEE Trans. Image Process. 27, 4608 (2018).
   doi:10.1109/TIP.2018.2839891
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError
from lowdose.networks.bordering import (
    check_at_least,
    check_choice,
    check_options,
    conv,
    pad_to_multiple,
)

#: Edge of the square over which the local mean of counts is taken [px].
_WINDOW = 9

#: Least variance of the noise in the map, in units of that at the mean of the frame.
_FLOOR = 1e-4

#: How many conditions the map of the noise level takes the place of.
_TOLD = {"counts": 2, "map": 1}


class FFDNet(nn.Module):
    r"""The grey-scale FFDNet; 485,316 parameters at its published size.

    Parameters
    ----------
    depth : int, optional
        Number of 3 x 3 convolutions at half resolution, at least 2; the receptive
        field is ``2 * (2 * depth + 1)`` [px], and 8 more with ``level="counts"``.
        Published: 15.
    base : int, optional
        Number of feature maps. Published: 64.
    frames : int, optional
        Number of input frames. Published: 1.
    conditions : int, optional
        Number of channels behind the frames, of which `level` says what they mean.
        At least 2 for ``level="counts"``, at least 1 for ``level="map"``.
    level : {"counts", "map"}, optional
        Where the map of the noise level comes from; see Notes.
    padding : {"zeros", "replicate"}, optional
        What convolutions see beyond the border. Published: zeros.

    Raises
    ------
    ParameterError
        If a size is too small, or an option is not known.

    Notes
    -----
    With ``level="map"``, as published, the first condition is the standard deviation
    of the noise, in units of the image; it may vary over the image.

    With ``level="counts"`` the conditions begin with "known" and "growth" of
    :data:`lowdose.networks.normalising.CONDITIONS`. The image is
    ``z = (counts - mean) / sigma``, whose noise has the variance
    ``1 + growth * z``, and the map is the square root of that, with the mean of z over
    9 x 9 pixels in place of z: the noise of counts depends on what is below the noise.
    Where the noise is not known, growth is 0 and the map 1, for sigma was measured
    on the image. Conditions further back are handed to the network unchanged.

    Either way the map is one channel, so that the parameter count is the published
    one with the default options. It is brought to half resolution by the mean over
    2 x 2 pixels, which is what the published network does to a constant map.

    There is no batch normalisation: the released code has none, though the paper
    does. Weights begin orthogonal, biases at zero. The gain is that of ReLU, the
    square root of 2; a smaller one makes the first gradients of 15 layers without
    normalisation vanish.
    """

    def __init__(
        self,
        *,
        depth: int = 15,
        base: int = 64,
        frames: int = 1,
        conditions: int = 2,
        level: str = "counts",
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_options(frames=frames, conditions=conditions, padding=padding, base=base)
        check_at_least(2, depth=depth)
        check_choice("level", level, _TOLD)
        told = _TOLD[level]
        if conditions < told:
            msg = (
                f"conditions={conditions} must be at least {told} for level={level!r}: "
                "the noise level comes from them."
            )
            raise ParameterError(msg)
        self.frames, self.level = frames, level
        inputs = 4 * frames + 1 + conditions - told
        widths = [inputs, *[base] * (depth - 1), 4]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            layer = conv(n_in, n_out, padding=padding)
            assert layer.bias is not None
            nn.init.orthogonal_(layer.weight, gain=math.sqrt(2))
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return 2

    def forward(self, x: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        x : Tensor, shape (N, frames + conditions, H, W)
            Noisy images, of any size, and then the conditions.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
        """
        height, width = x.shape[-2:]
        images, conditions = x[:, : self.frames], x[:, self.frames :]
        told = _TOLD[self.level]
        maps = torch.cat([self._level(images, conditions), conditions[:, told:]], 1)
        images = functional.pixel_unshuffle(pad_to_multiple(images, 2), 2)
        maps = functional.avg_pool2d(pad_to_multiple(maps, 2), 2)
        y = functional.pixel_shuffle(self.layers(torch.cat([images, maps], 1)), 2)
        return y[..., :height, :width]

    def _level(self, images: Tensor, conditions: Tensor) -> Tensor:
        """Return the standard deviation of the noise at each pixel, (N, 1, H, W)."""
        if self.level == "map":
            return conditions[:, :1]
        middle = self.frames // 2
        mean = functional.avg_pool2d(
            images[:, middle : middle + 1],
            _WINDOW,
            stride=1,
            padding=_WINDOW // 2,
            count_include_pad=False,
        )
        # The floor keeps the square root, and its slope, finite where there is nothing.
        return (1 + conditions[:, 1:2] * mean).clamp(min=_FLOOR).sqrt()
