"""The U-Net of Ronneberger et al., and the small one of em_denoise.

Both halve the image by 2 x 2 maximum pooling, and hand each size over to the way up.

References
----------
.. [1] O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for
   Biomedical Image Segmentation", MICCAI 2015. doi:10.1007/978-3-319-24574-4_28
.. [2] J. Thiyagalingam, M. Shankar, G. Fox, T. Hey, "Scientific machine learning
   benchmarks", Nat. Rev. Phys. 4, 413 (2022): em_denoise, of SciML-Bench.
   doi:10.1038/s42254-022-00441-7
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.bordering import (
    check_at_least,
    check_choice,
    check_options,
    conv,
    pad_to_multiple,
)


def _unit(inputs: int, outputs: int, *, norm: bool, padding: str) -> list[nn.Module]:
    """Return a 3 x 3 convolution, a ReLU, and where asked for a normalisation."""
    layers = [
        conv(inputs, outputs, padding=padding),
        nn.ReLU(inplace=True),
    ]
    return [*layers, nn.BatchNorm2d(outputs)] if norm else layers


def _double(inputs: int, outputs: int, *, norm: bool, padding: str) -> nn.Sequential:
    return nn.Sequential(
        *_unit(inputs, outputs, norm=norm, padding=padding),
        *_unit(outputs, outputs, norm=norm, padding=padding),
    )


class UNet(nn.Module):
    """The U-Net of Ronneberger et al.; 31,030,593 parameters at its published size.

    The receptive field is 188 to 204 [px], by the place of a pixel.

    Parameters
    ----------
    base : int, optional
        Feature maps at full resolution; each halving doubles them. Published: 64.
    levels : int, optional
        Number of halvings. Published: 4.
    frames : int, optional
        Number of input frames. Published: 1.
    conditions : int, optional
        Number of constant channels behind the frames. Published: none.
    padding : {"zeros", "replicate"}, optional
        What convolutions see beyond the border. The published network has no padding:
        its output is 92 pixels smaller at each edge than its mirrored input. Padded,
        it is as large as the input.

    Raises
    ------
    ParameterError
        If a size is too small, or an option is not known.

    Notes
    -----
    The one output channel is the image; the published network has two, for classes,
    which is 65 parameters more. The drop-out at the end of the way down is left
    out: the paper gives no rate. Weights begin by He's rule, as published.
    """

    def __init__(
        self,
        *,
        base: int = 64,
        levels: int = 4,
        frames: int = 1,
        conditions: int = 0,
        padding: str = "replicate",
    ) -> None:
        super().__init__()
        check_options(
            frames=frames,
            conditions=conditions,
            padding=padding,
            base=base,
            levels=levels,
        )
        widths = [base * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            _double(n_in, n_out, norm=False, padding=padding)
            for n_in, n_out in itertools.pairwise([frames + conditions, *widths])
        )
        self.finer = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2)
            for width in widths[-2::-1]
        )
        self.up = nn.ModuleList(
            _double(2 * width, width, norm=False, padding=padding)
            for width in widths[-2::-1]
        )
        self.last = nn.Conv2d(base, 1, 1)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                # An output of a transposed 2 x 2 convolution of stride 2 sums over
                # one pixel of each map, and not over four.
                transposed = isinstance(layer, nn.ConvTranspose2d)
                places = 1 if transposed else layer.kernel_size[0] ** 2
                std = math.sqrt(2 / (layer.in_channels * places))
                nn.init.normal_(layer.weight, std=std)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return int(2 ** len(self.finer))

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
        y = pad_to_multiple(x, self.multiple)
        skips: list[Tensor] = []
        for level, stage in enumerate(self.down):
            if level:
                skips.append(y)
                y = functional.max_pool2d(y, 2)
            y = stage(y)
        for finer, stage in zip(self.finer, self.up, strict=True):
            y = stage(torch.cat([skips.pop(), finer(y)], 1))
        denoised: Tensor = self.last(y)[..., :height, :width]
        return denoised


class EMDenoiseUNet(nn.Module):
    """The network of em_denoise; 122,737 parameters at its published size.

    The receptive field is 108 to 116 [px], by the place of a pixel.

    Parameters
    ----------
    base : int, optional
        Feature maps at full resolution; each halving doubles them. Published: 8.
    levels : int, optional
        Number of halvings. Published: 3.
    upsampling : {"bilinear", "nearest"}, optional
        How maps are doubled in size. Published: bilinear in the PyTorch version,
        nearest in the TensorFlow version before it.
    align_corners : bool, optional
        How the bilinear upsampling places its samples. The published network has
        True, whose weights depend on the size of the image, so that a tile never
        equals the same place in a whole image; with False it does.
    frames : int, optional
        Number of input frames. Published: 1.
    conditions : int, optional
        Number of constant channels behind the frames. Published: none.
    padding : {"zeros", "replicate"}, optional
        What convolutions see beyond the border. Published: zeros.

    Raises
    ------
    ParameterError
        If a size is too small, or an option is not known.

    Notes
    -----
    As published, normalisation comes after the ReLU and not before it, so that it
    cannot be folded into the convolution before it; it begins with scale 1 and shift 0,
    with eps 1e-5 and momentum 0.1 (TensorFlow version: 1e-3, and 0.01 as torch counts
    it). Upsampled maps are joined before those of the way down. Weights begin as torch
    does it by default.
    """

    def __init__(
        self,
        *,
        base: int = 8,
        levels: int = 3,
        upsampling: str = "bilinear",
        align_corners: bool = True,
        frames: int = 1,
        conditions: int = 0,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_options(frames=frames, conditions=conditions, padding=padding, base=base)
        check_at_least(1, levels=levels)
        check_choice("upsampling", upsampling, ("bilinear", "nearest"))
        self.upsampling = upsampling
        # torch refuses a choice of corners where there is none to make.
        self.align_corners = align_corners if upsampling == "bilinear" else None
        widths = [base * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            _double(n_in, n_out, norm=True, padding=padding)
            for n_in, n_out in itertools.pairwise([frames + conditions, *widths])
        )
        self.up = nn.ModuleList(
            _double(3 * width, width, norm=True, padding=padding)
            for width in widths[-2::-1]
        )
        self.last = conv(base, 1, padding=padding)

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return int(2 ** len(self.up))

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
        y = pad_to_multiple(x, self.multiple)
        skips: list[Tensor] = []
        for level, stage in enumerate(self.down):
            if level:
                skips.append(y)
                y = functional.max_pool2d(y, 2)
            y = stage(y)
        for stage in self.up:
            y = functional.interpolate(
                y,
                scale_factor=2,
                mode=self.upsampling,
                align_corners=self.align_corners,
            )
            y = stage(torch.cat([y, skips.pop()], 1))
        denoised: Tensor = self.last(y)[..., :height, :width]
        return denoised
