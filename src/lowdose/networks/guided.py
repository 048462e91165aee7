"""Guided backpropagation: derivatives that follow only what raises a pixel."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_RELUS = {functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu}


class _GuidedReLU(torch.autograd.Function):
    """ReLU whose derivative passes only where input and gradient are positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        passed: Tensor = gradients[0].clamp(min=0) * (x > 0)
        return passed


class _Replacing(TorchFunctionMode):
    """Puts the guided ReLU in place of every ReLU, as module or as function."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        if func in _RELUS:
            return _GuidedReLU.apply(args[0])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


@contextmanager
def guided_relu(*, active: bool = True) -> Iterator[None]:
    """Differentiate ReLUs by guided backpropagation within this context.

    Parameters
    ----------
    active : bool, optional
        False for ordinary derivatives.

    Notes
    -----
    After J. T. Springenberg et al., "Striving for Simplicity: The All Convolutional
    Net", ICLR Workshop 2015, arXiv:1412.6806. The forward pass is unchanged. Other
    activations (SiLU) keep their derivative.
    """
    if not active:
        yield
        return
    with _Replacing():
        yield
