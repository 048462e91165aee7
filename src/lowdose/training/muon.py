"""Muon: steps along the orthogonal part of the momentum, for weights that are matrices.

The momentum of a layer is mostly along a few directions; its orthogonal part moves the
layer along all of them alike [1]_. A convolution counts as a matrix of its output
channels by all that each of them sums over. What is no matrix (biases) or is at either
end of the network (few channels there, which are pixels) is stepped by Adam.

References
----------
.. [1] K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks"
   (2024), https://kellerjordan.github.io/posts/muon/
.. [2] J. Liu et al., "Muon is Scalable for LLM Training" (2025), arXiv:2502.16982: the
   scale by which one learning rate serves Muon and Adam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

#: Coefficients of the iteration, and how often it is done; after [1]_.
_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_ITERATIONS: Final = 5
#: Root mean square of a step of Adam at a rate of 1; after [2]_.
_ADAM_RMS: Final = 0.2
#: Fewer channels than this are pixels or conditions, and no hidden layer.
_HIDDEN: Final = 8


class Muon(torch.optim.Optimizer):
    """Muon for the hidden layers of a network, and Adam for the rest of it.

    Parameters
    ----------
    network : torch.nn.Module
        Whose parameters to step.
    lr : float
        Learning rate of both.
    momentum : float, optional
        Of Muon.
    betas : tuple of float, optional
        Of Adam.
    eps : float, optional
        Of Adam.
    dtype : torch.dtype, optional
        In which momenta are made orthogonal.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._dtype = dtype
        hidden: list[Tensor] = []
        others: list[Tensor] = []
        for weights in network.parameters():
            (hidden if _is_hidden(weights) else others).append(weights)
        groups: list[dict[str, Any]] = [
            {"params": hidden, "hidden": True},
            {"params": others, "hidden": False},
        ]
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            advance = self._muon if group["hidden"] else self._adam
            for weights in group["params"]:
                if weights.grad is not None:
                    advance(weights, weights.grad, group)
        return loss

    def _muon(self, weights: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, momentum = self.state[weights], group["momentum"]
        if not state:
            state["momentum"] = torch.zeros_like(weights)
        state["momentum"].lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(state["momentum"], momentum)
        matrix = ahead.reshape(len(ahead), -1)
        step = orthogonal_part(matrix.to(self._dtype)).to(weights.dtype)
        scale = _ADAM_RMS * max(matrix.shape) ** 0.5
        weights.add_(step.reshape(weights.shape), alpha=-group["lr"] * scale)

    def _adam(self, weights: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[weights], group["betas"]
        if not state:
            state["count"] = torch.zeros((), dtype=torch.float32)
            state["mean"] = torch.zeros_like(weights)
            state["square"] = torch.zeros_like(weights)
        state["count"] += 1
        count = int(state["count"])
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].lerp_(gradient.square(), 1 - beta2)
        spread = (state["square"] / (1 - beta2**count)).sqrt_().add_(group["eps"])
        rate = group["lr"] / (1 - beta1**count)
        weights.addcdiv_(state["mean"], spread, value=-rate)


def orthogonal_part(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix whose singular values are all one.

    Parameters
    ----------
    matrix : Tensor, shape (M, N)
        Any matrix.

    Returns
    -------
    Tensor, shape (M, N)
        With singular values between 0.6 and 1.3 where the given ones are not far
        smaller than the largest: a Newton-Schulz iteration that is stopped early.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


def _is_hidden(weights: Tensor) -> bool:
    return (
        weights.ndim > 1
        and min(len(weights), weights[0].numel()) >= _HIDDEN
        and (weights.shape[1] >= _HIDDEN)
    )
