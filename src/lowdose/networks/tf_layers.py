"""Layers that compute what TensorFlow's do, where PyTorch's own do not.

Three things differ, and a network published in TensorFlow is another network without
them:

* **SAME padding** puts the odd pixel of padding *behind* the image. A 3 x 3
  convolution with stride 2 on an even size pads 0 before and 1 behind; PyTorch's
  ``padding=1`` samples the image one pixel further up and left.
* **A transposed convolution** with SAME padding returns stride times the size of its
  input, cut at the end: the gradient of the convolution above.
* **Bilinear resizing** in TensorFlow 1 (``resize_bilinear``, ``align_corners=False``)
  has no half-pixel centres: output ``i`` lies at ``i / factor`` of the input.

Only the padding of the borders can be chosen: zeros, as in TensorFlow, or the
nearest pixel, which leaves no dark border.

References
----------
.. [1] TensorFlow 1.15, ``tf.nn.convolution`` (notes on padding),
   ``tf.nn.conv2d_transpose``, ``tf.image.resize_bilinear``.
.. [2] V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning"
   (2016). arXiv:1603.07285
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.bordering import PADDINGS, check_choice, pad


def same_padding(
    size: int, kernel: int, *, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """Return how many pixels SAME padding adds before and behind one axis.

    Parameters
    ----------
    size, kernel : int
        Length of the axis and of the kernel [px].
    stride, dilation : int, optional
        Of the convolution [px].

    Returns
    -------
    tuple of int
        Before and behind [px]; the output then has ``ceil(size / stride)`` pixels.
    """
    total = (kernel - 1) * dilation - (size - 1) % stride
    total = max(total, 0) if stride > kernel else total
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding.

    Parameters
    ----------
    inputs, outputs : int
        Feature maps in and out.
    kernel : int
        Side of the kernel [px].
    stride, dilation, groups : int, optional
        As of :class:`torch.nn.Conv2d`.
    bias : bool, optional
        Add a constant to each feature map.
    padding : {"zeros", "replicate"}, optional
        What lies beyond the border.

    Raises
    ------
    ParameterError
        If there is no such padding.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        padding: str = "zeros",
    ) -> None:
        check_choice("padding", padding, PADDINGS)
        self.beyond = padding
        super().__init__(
            inputs,
            outputs,
            kernel,
            stride=stride,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) into (N, C', ceil(H / stride), ceil(W / stride))."""
        (kernel, _), (stride, _), (dilation, _) = (
            self.kernel_size,
            self.stride,
            self.dilation,
        )
        if kernel > 1:
            above, below = same_padding(
                x.shape[-2], kernel, stride=stride, dilation=dilation
            )
            left, right = same_padding(
                x.shape[-1], kernel, stride=stride, dilation=dilation
            )
            x = pad(x, (left, right, above, below), self.beyond)
        return super().forward(x)


class SameUpConv2d(nn.ConvTranspose2d):
    """Transposed 3 x 3 convolution of stride 2 with TensorFlow's SAME padding.

    Input ``i`` adds to the outputs ``2 i``, ``2 i + 1`` and ``2 i + 2``; what would lie
    behind the end is cut off.

    Parameters
    ----------
    inputs, outputs : int
        Feature maps in and out.
    padding : {"zeros", "replicate"}, optional
        What lies before the first input, whose third output is the first one here.

    Raises
    ------
    ParameterError
        If there is no such padding.
    """

    def __init__(self, inputs: int, outputs: int, *, padding: str = "zeros") -> None:
        check_choice("padding", padding, PADDINGS)
        self.beyond = padding
        super().__init__(inputs, outputs, 3, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Turn (N, C, H, W) into (N, C', 2 H, 2 W)."""
        x = pad(x, (1, 0, 1, 0), self.beyond)
        # Without the outputs of the row and column put before, and the last ones.
        return super().forward(x, output_size)[..., 2:-1, 2:-1]


def resize_bilinear(x: Tensor, factor: int) -> Tensor:
    """Enlarge as ``resize_bilinear`` of TensorFlow 1 does, without half-pixel centres.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Feature maps.
    factor : int
        Output pixels per input pixel.

    Returns
    -------
    Tensor, shape (N, C, factor H, factor W)
        At pixel ``i`` the linear interpolation at ``i / factor``; beyond the last
        input pixel its value.
    """
    height, width = x.shape[-2:]
    # With one more pixel, corners that are aligned give steps of exactly 1 / factor.
    x = functional.pad(x, (0, 1, 0, 1), mode="replicate")
    size = (factor * height + 1, factor * width + 1)
    enlarged = functional.interpolate(x, size, mode="bilinear", align_corners=True)
    return enlarged[..., :-1, :-1]
