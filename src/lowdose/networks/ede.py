"""Ede's atrous encoder-decoder: Xception, spatial pyramid pooling, three decoders.

Two networks go by this name: the one that the paper [1]_ describes, and the one that
its program builds. The defaults here are the program's, whose 25,413,620 trainable
parameters are known tensor by tensor. What the paper has otherwise, each an option:

==================  ===========================  ============================
option              program                      paper
==================  ===========================  ============================
`norm`              twice after the pointwise    between depthwise and pointwise
                    convolution                  ones, and after the latter
`pooled`            its pooled branch is thrown  2 x 2 average, stride 2, then
                    away, the input taken        bilinear enlargement
`activated`         normalisation and ReLU6      convolution only ("trained
                    behind the last layer        without clipping its outputs")
==================  ===========================  ============================

The paper's ratio of 1:1 between high-level and low-level features entering the decoder
is no difference: 256 from the pyramid stand against 128 + 128 from the entry flow.

References
----------
.. [1] J. M. Ede, R. Beanland, "Improving electron micrograph signal-to-noise with an
   atrous convolutional encoder-decoder", Ultramicroscopy 202, 18 (2019).
   doi:10.1016/j.ultramic.2019.03.017
.. [2] F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions",
   CVPR 2017. arXiv:1610.02357
.. [3] L.-C. Chen, G. Papandreou, F. Schroff, H. Adam, "Rethinking Atrous Convolution
   for Semantic Image Segmentation" (2017). arXiv:1706.05587
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError
from lowdose.networks.bordering import (
    check_at_least,
    check_choice,
    check_options,
    pad_to_multiple,
)
from lowdose.networks.tf_layers import SameConv2d, SameUpConv2d, resize_bilinear

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where separable convolutions are normalised.
NORMS = ("twice", "between")

#: The published feature maps are for this `base`.
_PUBLISHED_BASE = 64


class Ede(nn.Module):
    """Ede's atrous encoder-decoder.

    Its input is an image scaled to the range from 0 to 1. It has no global residual;
    with `activated` the output lies between 0 and 6.

    Parameters
    ----------
    base : int, optional
        Feature maps of the first layer; all others are in proportion. 64 is published.
    blocks : int, optional
        Residual blocks of three convolutions in the middle flow, at 1/16 of the size.
    rates : sequence of int, optional
        Dilations of the atrous branches, in pixels of 1/16 of the size.
    norm : {"twice", "between"}, optional
        Batch normalisation of separable convolutions, see above.
    pooled : bool, optional
        The image-level branch of the pyramid is pooled and enlarged again.
    activated : bool, optional
        Batch normalisation and ReLU6 behind the last convolution.
    padding : {"zeros", "replicate"}, optional
        Beyond the border. Zeros are published, and make the errors larger there [1]_;
        with the nearest pixel only the last few pixels differ from the inside.
    momentum : float, optional
        Share of a batch in the running statistics. The published one needs thousands
        of batches before the evaluation mode can be used.
    frames : int, optional
        Number of input frames; the published network has one.
    conditions : int, optional
        Number of further input channels that are constant over an image.

    Raises
    ------
    ParameterError
        If an option is none of its choices, or a size is not positive.
    """

    def __init__(
        self,
        *,
        base: int = 64,
        blocks: int = 12,
        rates: Sequence[int] = (6, 12, 18),
        norm: str = "twice",
        pooled: bool = False,
        activated: bool = True,
        padding: str = "zeros",
        momentum: float = 0.001,
        frames: int = 1,
        conditions: int = 0,
    ) -> None:
        super().__init__()
        check_options(frames=frames, conditions=conditions, padding=padding, base=base)
        check_at_least(0, blocks=blocks)
        check_at_least(1, **{f"rates[{n}]": rate for n, rate in enumerate(rates)})
        check_choice("norm", norm, NORMS)
        if not 0 < momentum <= 1:
            msg = f"momentum={momentum} must be above 0 and at most 1."
            raise ParameterError(msg)
        layer = _Layers(norm=norm, padding=padding, momentum=momentum)
        w64, w128, w256, w728 = (
            max(1, n * base // _PUBLISHED_BASE) for n in (64, 128, 256, 728)
        )
        self.pooled = pooled
        self.entry = nn.ModuleList(
            [
                _Entry(layer, frames + conditions, w64, w128),
                _Entry(layer, w128, w128, w128),
                _Entry(layer, w128, w256, w256),
                _Entry(layer, w256, w728, w728),
            ]
        )
        self.middle = nn.ModuleList(
            nn.Sequential(*(layer.separable(w728, w728) for _ in range(3)))
            for _ in range(blocks)
        )
        self.plain = layer.conv(w728, w728, 1)
        self.atrous = nn.ModuleList(
            nn.Sequential(layer.separable(w728, w728, rate=rate), *layer.rectify(w728))
            for rate in rates
        )
        self.whole = nn.Sequential(*layer.rectify(w728))
        self.narrow = layer.conv((2 + len(rates)) * w728, w256, 1)
        self.semantics = _Decoder(layer, w256 + w128, w256)
        self.up_once = layer.up(w256, w256)
        self.details = _Decoder(layer, w256 + w128, w128)
        self.up_twice = layer.up(w128, w128)
        self.finest = _Decoder(layer, w128, w64)
        last = SameConv2d(w64, 1, 3, padding=padding)
        self.last = nn.Sequential(last, *(layer.rectify(1) if activated else ()))
        self.apply(_initialise)

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return 32 if self.pooled else 16

    def forward(self, x: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        x : Tensor, shape (N, frames + conditions, H, W)
            Noisy images, of any size, and then the constant channels. Other sizes
            than multiples of :attr:`multiple` are extended by their last pixels.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
        """
        height, width = x.shape[-2:]
        first, second, *coarse = self.entry
        half = first(pad_to_multiple(x, self.multiple))
        quarter = second(half)
        y = quarter
        for stage in coarse:
            y = stage(y)
        for block in self.middle:
            y = y + block(y)
        y = resize_bilinear(self._pyramid(y), 4)
        y = self.up_once(self.semantics(torch.cat([y, quarter], 1)))
        y = self.up_twice(self.details(torch.cat([y, half], 1)))
        denoised: Tensor = self.last(self.finest(y))[..., :height, :width]
        return denoised

    def _pyramid(self, x: Tensor) -> Tensor:
        image = resize_bilinear(functional.avg_pool2d(x, 2), 2) if self.pooled else x
        branches = [self.plain(x), *(branch(x) for branch in self.atrous)]
        narrowed: Tensor = self.narrow(torch.cat([*branches, self.whole(image)], 1))
        return narrowed


class _Layers:
    """Makes the three layers of the network, all of one kind."""

    def __init__(self, *, norm: str, padding: str, momentum: float) -> None:
        self._norm, self._padding, self._momentum = norm, padding, momentum

    def normalise(self, maps: int) -> nn.BatchNorm2d:
        """Return batch normalisation with TensorFlow's constants."""
        return nn.BatchNorm2d(maps, eps=1e-3, momentum=self._momentum)

    def rectify(self, maps: int) -> tuple[nn.Module, nn.Module]:
        """Return batch normalisation and ReLU6."""
        return self.normalise(maps), nn.ReLU6(inplace=True)

    def conv(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1
    ) -> nn.Sequential:
        """Return convolution, normalisation, ReLU6."""
        conv = SameConv2d(inputs, outputs, kernel, stride=stride, padding=self._padding)
        return nn.Sequential(conv, *self.rectify(outputs))

    def up(self, inputs: int, outputs: int) -> nn.Sequential:
        """Return transposed convolution of stride 2, normalisation, ReLU6."""
        conv = SameUpConv2d(inputs, outputs, padding=self._padding)
        return nn.Sequential(conv, *self.rectify(outputs))

    def separable(
        self, inputs: int, outputs: int, *, stride: int = 1, rate: int = 1
    ) -> nn.Sequential:
        """Return depthwise and pointwise convolution, normalised twice, and ReLU6."""
        depthwise = SameConv2d(
            inputs,
            inputs,
            3,
            stride=stride,
            dilation=rate,
            groups=inputs,
            bias=False,
            padding=self._padding,
        )
        pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        if self._norm == "between":
            layers = [depthwise, self.normalise(inputs), pointwise]
        else:
            layers = [depthwise, pointwise, self.normalise(outputs)]
        return nn.Sequential(*layers, *self.rectify(outputs))


class _Entry(nn.Module):
    """Three separable convolutions to half the size, plus a strided 1 x 1 one."""

    def __init__(self, layer: _Layers, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            layer.separable(inputs, middle),
            layer.separable(middle, middle),
            layer.separable(middle, outputs, stride=2),
        )
        self.shortcut = layer.conv(inputs, outputs, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.path(x) + self.shortcut(x)
        return total


class _Decoder(nn.Module):
    """Two separable convolutions, plus a 1 x 1 one of their input."""

    def __init__(self, layer: _Layers, inputs: int, outputs: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            layer.separable(inputs, outputs), layer.separable(outputs, outputs)
        )
        self.shortcut = layer.conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.path(x) + self.shortcut(x)
        return total


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
