"""The UNet of simulation-based denoising (SBD), at any depth and width.

Few pooling stages keep its field of view small, many make it large: 48, 220 and 892
pixels for 2, 4 and 6 scales. The SBD study found the field of view to be what
matters most at 0.45 electrons per pixel.

References
----------
.. [1] S. Mohan, R. Manzorro, J. L. Vincent et al., "Deep Denoising for Scientific
   Discovery: A Case Study in Electron Microscopy", IEEE Trans. Comput. Imaging 8,
   585 (2022). doi:10.1109/TCI.2022.3176536
.. [2] S. Mohan, Z. Kadkhodaie, E. P. Simoncelli, C. Fernandez-Granda, "Robust and
   Interpretable Blind Image Denoising via Bias-Free Convolutional Neural Networks",
   ICLR 2020. arXiv:1906.05478
.. [3] W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an
   Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016 (the pixel-shuffle
   stem). doi:10.1109/CVPR.2016.207
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError

#: Multiples of the base width, by number of scales: (encoder stages after the first,
#: decoder stages as (middle, out)).
_WIDTHS: dict[int, tuple[tuple[int, ...], tuple[tuple[int, int], ...]]] = {
    2: ((1, 1), ((1, 1), (1, 1))),
    4: ((1, 1, 2, 2), ((2, 1), (1, 1), (1, 1), (1, 1))),
    6: ((1, 1, 2, 4, 8, 8), ((8, 4), (4, 2), (2, 1), (1, 1), (1, 1), (1, 1))),
}


class BiasFreeBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation without mean subtraction and without shift.

    With it, a network without biases is homogeneous in evaluation mode:
    ``f(a y) == a f(y)`` for a > 0 [2]_. Its unused shift is kept as a parameter, as
    in the published checkpoints, so that parameter counts agree.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Divide by the running (in training: the batch) standard deviation."""
        assert self.running_var is not None
        if self.training:
            variance = x.float().var(dim=(0, 2, 3), unbiased=True)
            with torch.no_grad():
                self.running_var.lerp_(variance, self.momentum or 0.1)
            deviation = variance.sqrt() + self.eps
        else:
            deviation = self.running_var.sqrt() + self.eps
        scale = (self.weight / deviation).to(x.dtype)
        return x * scale[None, :, None, None]


class _DoubleConv(nn.Sequential):
    """Twice: replication padding, 3 x 3 convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, middle: int, outputs: int, *, bias: bool) -> None:
        norm = nn.BatchNorm2d if bias else BiasFreeBatchNorm2d
        layers: list[nn.Module] = []
        for n_in, n_out in ((inputs, middle), (middle, outputs)):
            layers += [
                nn.Conv2d(
                    n_in, n_out, 3, padding=1, padding_mode="replicate", bias=bias
                ),
                norm(n_out),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet2(nn.Module):
    """SBD's UNet.

    Parameters
    ----------
    scales : {2, 4, 6}
        Number of 2 x 2 poolings.
    base : int
        Number of feature maps at full resolution.
    bias : bool, optional
        Convolutions with bias and ordinary batch normalisation; otherwise neither,
        and the network is homogeneous.
    residual : bool, optional
        Return the input minus what the network computes.
    stem : int, optional
        Work on `stem` x `stem` times fewer pixels: the input is rearranged into
        ``stem**2`` channels and the output back. 1 is the published network.
    frames : int, optional
        Number of input frames; the residual is taken from the middle one.
    conditions : int, optional
        Number of further input channels that are constant over an image, such as
        the noise level; the published network has none.
    align_corners : bool, optional
        How the bilinear upsampling places its samples. The published network has
        True, whose weights depend on the size of the image, so that a tile never
        equals the same place in a whole image; with False it does.

    Notes
    -----
    The published network zero-pads feature maps of odd size, which darkens two
    borders; here they are replicated, so no size has dark borders.

    Raises
    ------
    ParameterError
        If there is no such number of scales, or a size is not positive.
    """

    def __init__(
        self,
        *,
        scales: int = 4,
        base: int = 32,
        bias: bool = True,
        residual: bool = False,
        stem: int = 1,
        frames: int = 1,
        conditions: int = 0,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        if scales not in _WIDTHS:
            msg = f"scales={scales} is not built; use one of {sorted(_WIDTHS)}."
            raise ParameterError(msg)
        if min(base, stem, frames) < 1 or frames % 2 == 0 or conditions < 0:
            msg = (
                f"base={base} and stem={stem} must be at least 1, frames={frames} an "
                f"odd number, and conditions={conditions} at least 0."
            )
            raise ParameterError(msg)
        self.scales, self.stem, self.frames = scales, stem, frames
        self.residual, self.align_corners = residual, align_corners
        down, up = _WIDTHS[scales]
        widths = [base, *(base * n for n in down)]
        channels = frames * stem**2 + conditions
        self.inc = _DoubleConv(channels, base, base, bias=bias)
        self.down = nn.ModuleList(
            _DoubleConv(n_in, n_out, n_out, bias=bias)
            for n_in, n_out in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList()
        channels = widths[-1]
        for skip, (middle, out) in zip(reversed(widths[:-1]), up, strict=True):
            self.up.append(
                _DoubleConv(channels + skip, base * middle, base * out, bias=bias)
            )
            channels = base * out
        self.outc = nn.Conv2d(channels, stem**2, 1, bias=bias)

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return int(self.stem * 2**self.scales)

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
        height, width = x.shape[-2:]
        noisy = x[:, self.frames // 2 : self.frames // 2 + 1]
        if self.stem > 1:
            pad = (-width % self.stem, -height % self.stem)
            x = functional.pad(x, (0, pad[0], 0, pad[1]), mode="replicate")
            images, constant = x[:, : self.frames], x[:, self.frames :]
            x = torch.cat(
                [
                    functional.pixel_unshuffle(images, self.stem),
                    constant[..., :: self.stem, :: self.stem],
                ],
                1,
            )
        y = self.outc(self._features(x))
        if self.stem > 1:
            y = functional.pixel_shuffle(y, self.stem)[..., :height, :width]
        denoised: Tensor = noisy - y if self.residual else y
        return denoised

    def _features(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = [self.inc(x)]
        for stage in self.down:
            # ceil_mode keeps a last odd row instead of dropping it, so that a map
            # of one pixel can still be pooled.
            skips.append(stage(functional.max_pool2d(skips[-1], 2, ceil_mode=True)))
        features = skips.pop()
        for stage in self.up:
            skip = skips.pop()
            features = functional.interpolate(
                features,
                scale_factor=2,
                mode="bilinear",
                align_corners=self.align_corners,
            )
            features = features[..., : skip.shape[-2], : skip.shape[-1]]
            features = stage(torch.cat([skip, features], 1))
        return features
