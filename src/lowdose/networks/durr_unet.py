"""The small UNet of DURR: one halving, and dilated convolutions at half resolution.

The bias-free denoisers of Mohan et al. took it from [1]_, and simulation-based
denoising [3]_ kept it as its smallest network.

References
----------
.. [1] X. Zhang, Y. Lu, J. Liu, B. Dong, "Dynamically Unfolding Recurrent Restorer: A
   Moving Endpoint Control Method for Image Restoration", ICLR 2019.
   doi:10.48550/arXiv.1805.07709
.. [2] S. Mohan, Z. Kadkhodaie, E. P. Simoncelli, C. Fernandez-Granda, "Robust and
   Interpretable Blind Image Denoising via Bias-Free Convolutional Neural Networks",
   ICLR 2020. doi:10.48550/arXiv.1906.05478
.. [3] S. Mohan, R. Manzorro, J. L. Vincent et al., "Deep Denoising for Scientific
   Discovery: A Case Study in Electron Microscopy", IEEE Trans. Comput. Imaging 8,
   585 (2022). doi:10.1109/TCI.2022.3176536
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from lowdose.networks.bordering import (
    TransposedConv2d,
    check_options,
    conv,
    pad_to_multiple,
)


class DurrUNet(nn.Module):
    """A UNet of one level; 233,440 parameters, or 233,024 without biases.

    The receptive field is 45 [px].

    Parameters
    ----------
    base : int, optional
        Feature maps at full resolution; at half resolution there are twice as many.
        Published: 32.
    bias : bool, optional
        Whether convolutions have a bias; the last one never has. Without, the
        network is homogeneous: ``f(a y) == a f(y)`` for a > 0 [2]_ (without
        conditions, which do not scale with the image).
    residual : bool, optional
        Return the input minus what the network computes. Published as a switch.
    frames : int, optional
        Number of input frames; the residual is taken from the middle one.
        Published: 1.
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
    There is no normalisation. Images of odd size are padded and cropped, as published.
    Weights begin as torch does it by default.
    """

    def __init__(
        self,
        *,
        base: int = 32,
        bias: bool = True,
        residual: bool = False,
        frames: int = 1,
        conditions: int = 0,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_options(frames=frames, conditions=conditions, padding=padding, base=base)
        self.frames, self.residual = frames, residual

        layer = functools.partial(conv, bias=bias, padding=padding)
        wide = 2 * base
        self.fine = nn.Sequential(
            layer(frames + conditions, base, 5),
            nn.ReLU(inplace=True),
            layer(base, base),
            nn.ReLU(inplace=True),
        )
        self.coarse = nn.Sequential(
            layer(base, wide, stride=2),
            nn.ReLU(inplace=True),
            layer(wide, wide),
            nn.ReLU(inplace=True),
            layer(wide, wide, dilation=2),
            nn.ReLU(inplace=True),
            layer(wide, wide, dilation=4),
            nn.ReLU(inplace=True),
            TransposedConv2d(wide, wide, 4, stride=2, bias=bias, padding=padding),
            nn.ReLU(inplace=True),
        )
        self.joined = nn.Sequential(
            layer(wide + base, base),
            nn.ReLU(inplace=True),
            conv(base, 1, 5, bias=False, padding=padding),
        )

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return 2

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
        fine = self.fine(pad_to_multiple(x, 2))
        y: Tensor = self.joined(torch.cat([self.coarse(fine), fine], 1))
        y = y[..., :height, :width]
        if self.residual:
            y = x[:, self.frames // 2 : self.frames // 2 + 1] - y
        return y
