"""UDVD's blind-spot network: a pixel is restored from everything but itself.

Trained on noisy images alone, a network that can see a pixel learns to copy it, noise
and all. This one cannot: its output at a pixel does not depend on that pixel of any
input frame, so that where noise is independent from pixel to pixel the best it can
learn is the specimen [1]_ [2]_.

How it is blind. A UNet whose every layer looks only at its own row and at rows above
(convolutions are shifted up, poolings down) is applied to the image in four rotations.
Its result is moved one row down, and so knows only what lies strictly above: a half
plane. Rotated back, the four half planes cover everything but the pixel, and 1 x 1
convolutions join them. With five frames, one UNet restores each of the three triplets
of neighbours, and a second one joins them, as FastDVDnet does.

What is not as published, so that it is blind at any size and has no dark borders:

* The published program mirrors images that are not square until they are, by which a
  pixel near the border meets its own copy in the half plane. Here two orientations
  at a time are computed, no image is made square, and the padding to the size of the
  pooling is put on sides of each rotated image where no output looks for it: below
  its last row, or beside rows that lie above.
* Above the first row, convolutions and poolings repeat it instead of adding zeros.
  Only the last shift must insert zeros: in the first row nothing lies above, and the
  features of that half plane are empty.

References
----------
.. [1] D. Y. Sheth, S. Mohan et al., "Unsupervised Deep Video Denoising", ICCV 2021.
   arXiv:2011.15045
.. [2] S. Laine, T. Karras, J. Lehtinen, T. Aila, "High-Quality Self-Supervised Deep
   Image Denoising", NeurIPS 2019. arXiv:1901.10277
.. [3] M. Tassano, J. Delon, T. Veit, "FastDVDnet: Towards Real-Time Deep Video
   Denoising Without Flow Estimation", CVPR 2020. arXiv:1907.01361
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError
from lowdose.networks.bordering import check_at_least, pad_to_multiple

_SLOPE = 0.1

#: Numbers of frames, and how many of them the first UNet takes at a time.
_TAKEN = {1: 1, 3: 3, 5: 3}


class _HalfPlaneConv(nn.Conv2d):
    """3 x 3 convolution over a row and the two above it, and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (1, 1, 2, 0), mode="replicate")
        return functional.leaky_relu(super().forward(x), _SLOPE)


def _pool(x: Tensor) -> Tensor:
    """Halve; coarse row ``j`` knows the rows up to ``2 j``, as row ``2 j`` may."""
    shifted = functional.pad(x, (0, 0, 1, 0), mode="replicate")[..., :-1, :]
    return functional.max_pool2d(shifted, 2)


class _HalfPlaneUNet(nn.Module):
    """UDVD's UNet of two poolings, in which no row depends on a row below it."""

    def __init__(self, inputs: int, outputs: int, *, base: int, bias: bool) -> None:
        super().__init__()
        wide = 2 * base

        def convs(*maps: int) -> nn.Sequential:
            pairs = itertools.pairwise(maps)
            return nn.Sequential(*(_HalfPlaneConv(a, b, bias=bias) for a, b in pairs))

        self.down_one = convs(inputs, base, base, base)
        self.down_two = convs(base, base, base, base)
        self.coarsest = convs(base, wide, wide, base)
        self.up_two = convs(2 * base, wide, wide, wide, wide)
        self.up_one = convs(wide + inputs, wide, wide, wide, outputs)

    def forward(self, x: Tensor) -> Tensor:
        half = _pool(self.down_one(x))
        quarter = self.coarsest(_pool(self.down_two(half)))
        y = functional.interpolate(quarter, scale_factor=2, mode="nearest")
        y = self.up_two(torch.cat([y, half], 1))
        y = functional.interpolate(y, scale_factor=2, mode="nearest")
        restored: Tensor = self.up_one(torch.cat([y, x], 1))
        return restored


class BlindSpot(nn.Module):
    """UDVD's network of rotated half planes.

    Parameters
    ----------
    base : int, optional
        Feature maps at full resolution on the way down. 48 is published.
    frames : {1, 3, 5}, optional
        Number of input frames. With 5, the published video network; with 1 or 3 its
        single UNet.
    bias : bool, optional
        Convolutions with bias. Without, as published, the network is homogeneous.
    conditions : int, optional
        Number of further input channels that are constant over an image; the
        published network has none. What is in them is seen by every pixel.

    Raises
    ------
    ParameterError
        If there is no network for so many frames, or a size is not positive.
    """

    def __init__(
        self,
        *,
        base: int = 48,
        frames: int = 1,
        bias: bool = False,
        conditions: int = 0,
    ) -> None:
        super().__init__()
        if frames not in _TAKEN:
            msg = f"frames={frames} is not built; use one of {sorted(_TAKEN)}."
            raise ParameterError(msg)
        check_at_least(1, base=base)
        check_at_least(0, conditions=conditions)
        self.frames, wide = frames, 2 * base
        inputs = _TAKEN[frames] + conditions
        self.groups = frames - _TAKEN[frames] + 1
        self.second: _HalfPlaneUNet | None = None
        if self.groups == 1:
            self.first = _HalfPlaneUNet(inputs, wide, base=base, bias=bias)
        else:
            # 32 maps for each triplet where base is 48, so that three make 96.
            part = max(1, wide // self.groups)
            self.first = _HalfPlaneUNet(inputs, part, base=base, bias=bias)
            self.second = _HalfPlaneUNet(self.groups * part, wide, base=base, bias=bias)
        self.join = nn.Sequential(
            nn.Conv2d(4 * wide, 4 * wide, 1, bias=bias),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(4 * wide, wide, 1, bias=bias),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(wide, 1, 1, bias=bias),
        )
        self.apply(_initialise)

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return 4

    def forward(self, x: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        x : Tensor, shape (N, frames + conditions, H, W)
            Noisy images, of any size, and then the constant channels.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
            Of the middle frame. Pixel (i, j) does not depend on pixel (i, j) of any
            frame.
        """
        upright = torch.cat([x, x.flip((2, 3))])
        sideways = x.transpose(2, 3)
        sideways = torch.cat([sideways.flip(3), sideways.flip(2)])
        up, down = self._above(upright).chunk(2)
        left, right = self._above(sideways).chunk(2)
        half_planes = [
            up,
            left.flip(3).transpose(2, 3),
            down.flip((2, 3)),
            right.flip(2).transpose(2, 3),
        ]
        denoised: Tensor = self.join(torch.cat(half_planes, 1))
        return denoised

    def _above(self, x: Tensor) -> Tensor:
        """Return for each pixel features of the half plane strictly above it."""
        height, width = x.shape[-2:]
        y = self._features(pad_to_multiple(x, self.multiple))[..., :height, :width]
        return functional.pad(y, (0, 0, 1, 0))[..., :-1, :]

    def _features(self, x: Tensor) -> Tensor:
        if self.second is None:
            features: Tensor = self.first(x)
            return features
        images, constant = x[:, : self.frames], x[:, self.frames :]
        taken = _TAKEN[self.frames]
        parts = [
            self.first(torch.cat([images[:, n : n + taken], constant], 1))
            for n in range(self.groups)
        ]
        joined: Tensor = self.second(torch.cat(parts, 1))
        return joined


def _initialise(module: nn.Module) -> None:
    """Keep the variance of the features, so that a deep network without norm trains."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
