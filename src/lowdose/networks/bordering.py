"""What a network sees beyond the border of an image, and which options it can have.

The published networks pad every convolution with zeros, which darkens a rim as wide
as half the field of view, unless the weights have learnt otherwise: those that are
trained here on crops have, for a crop ends as a frame does. For weights from elsewhere
a card can ask the engine to lay reflected pixels round a frame (``border``). Each
network can also repeat the outermost pixels (``padding="replicate"``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What convolutions may see beyond the border of a feature map.
PADDINGS: Final = ("zeros", "replicate")


def check_options(*, frames: int, conditions: int, padding: str, **sizes: int) -> None:
    """Refuse options of which no network can be built.

    Parameters
    ----------
    frames, conditions : int
        Number of input frames, and of constant channels behind them.
    padding : str
        One of :data:`PADDINGS`.
    **sizes : int
        Widths and depths by the name of their option; each must be at least 1.

    Raises
    ------
    ParameterError
        If one of them is not valid.
    """
    check_at_least(1, frames=frames, **sizes)
    check_at_least(0, conditions=conditions)
    if frames % 2 == 0:
        msg = f"frames={frames} must be an odd number: the middle one is denoised."
        raise ParameterError(msg)
    check_choice("padding", padding, PADDINGS)


def check_at_least(least: int, **sizes: int) -> None:
    """Refuse sizes that are too small.

    Parameters
    ----------
    least : int
        Least size that is valid.
    **sizes : int
        Sizes by the name of their option.

    Raises
    ------
    ParameterError
        If one of them is below `least`.
    """
    for name, size in sizes.items():
        if size < least:
            msg = f"{name}={size} must be at least {least}."
            raise ParameterError(msg)


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse an option that is not one of its choices.

    Parameters
    ----------
    name, value : str
        Name of the option, and what was given.
    choices : iterable of str
        Every valid value.

    Raises
    ------
    ParameterError
        If `value` is not one of `choices`.
    """
    if value not in choices:
        msg = f"{name}={value!r} is not known; use one of {', '.join(choices)}."
        raise ParameterError(msg)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples of a number.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Images or feature maps, of at least one pixel.
    multiple : int
        What the sizes should be multiples of [px].

    Returns
    -------
    Tensor, shape (N, C, H + (-H mod multiple), W + (-W mod multiple))
    """
    if multiple == 1:
        return x
    height, width = x.shape[-2:]
    return functional.pad(
        x, (0, -width % multiple, 0, -height % multiple), mode="replicate"
    )


def pad(x: Tensor, edges: tuple[int, int, int, int], padding: str) -> Tensor:
    """Pad left, right, top and bottom, in the order of `edges` [px].

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Images or feature maps.
    edges : tuple of int
        Pixels to add at the left, right, top and bottom.
    padding : {"zeros", "replicate"}
        What to add.

    Returns
    -------
    Tensor, shape (N, C, H + top + bottom, W + left + right)
    """
    mode = "constant" if padding == "zeros" else padding
    return functional.pad(x, edges, mode=mode)


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
    padding: str = "zeros",
) -> nn.Conv2d:
    """Return a convolution of odd size whose output is as large as its input.

    Parameters
    ----------
    inputs, outputs : int
        Number of maps before and behind it.
    kernel : int, optional
        Edge of the kernel, odd, in points.
    stride, dilation : int, optional
        Distance of the places where the kernel is laid down, and of its points [px].
    bias : bool, optional
        Whether it adds a constant to each map.
    padding : {"zeros", "replicate"}, optional
        What it sees beyond the border.

    Returns
    -------
    torch.nn.Conv2d
    """
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        bias=bias,
        padding_mode="replicate" if padding == "replicate" else "zeros",
    )


class TransposedConv2d(nn.ConvTranspose2d):
    """A transposed convolution that can repeat the border of its input.

    Parameters
    ----------
    inputs, outputs, kernel : int
        Number of maps before and behind it, and edge of the kernel [px].
    stride, crop : int, optional
        Distance of the places where kernels are laid down, and what is cut off the
        result at every edge, both in pixels of the output.
    bias : bool, optional
        Whether it adds a constant to each map.
    padding : {"zeros", "replicate"}, optional
        What lies beyond the border of the input.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        crop: int = 1,
        bias: bool = True,
        padding: str = "zeros",
    ) -> None:
        super().__init__(
            inputs, outputs, kernel, stride=stride, padding=crop, bias=bias
        )
        # Not torch's padding_mode, which can only be "zeros" here.
        self.beyond = padding
        # One more pixel at each edge of the input is a stride more of output there.
        self.wider_crop = crop + stride

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Lay down the kernels; sizes become `stride` times what they were."""
        if self.beyond == "zeros":
            return super().forward(x, output_size)
        return functional.conv_transpose2d(
            pad(x, (1, 1, 1, 1), self.beyond),
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.wider_crop,
        )
