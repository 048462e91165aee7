r"""Losses between what a network made and its target, both normalised.

Each takes output and target, shape (N, 1, H, W), a weight that broadcasts to them, and
`growth`, shape (N, 1, 1, 1): at the normalised rate z the noise has the variance
:math:`1 + \mathrm{growth} \cdot z` (see :mod:`lowdose.networks.normalising`). Each
is a mean over the examples, so that examples on several devices add up.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

#: Rates below this share of the mean rate of an image weigh no more than it does.
_LEAST_RATE = 0.05


def rmse(output: Tensor, target: Tensor, weight: Tensor, growth: Tensor) -> Tensor:
    """Return the root mean square error of each image, averaged over the batch.

    Its gradient weighs every image about alike, where that of the mean square would
    be ruled by the few of highest contrast. For clean targets only: with a noisy
    target the root would weigh images by their noise.
    """
    del growth
    return (weight * (output - target) ** 2).mean((1, 2, 3)).add(1e-6).sqrt().mean()


def mse(output: Tensor, target: Tensor, weight: Tensor, growth: Tensor) -> Tensor:
    """Return the mean square error; its minimum is the mean of noisy targets [1]_.

    References
    ----------
    .. [1] J. Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean
       Data", ICML 2018. arXiv:1803.04189
    """
    del growth
    return (weight * (output - target) ** 2).mean()


def huber(output: Tensor, target: Tensor, weight: Tensor, growth: Tensor) -> Tensor:
    r"""Return the Huberised mean square error of Ede and Beanland [1]_.

    Of each image, with m its mean square error: :math:`1000\,m` where
    :math:`m < 10^{-3}`, and :math:`\sqrt{1000\,m}` elsewhere, averaged over the batch.

    References
    ----------
    .. [1] J. M. Ede, R. Beanland, "Improving electron micrograph signal-to-noise with
       an atrous convolutional encoder-decoder", Ultramicroscopy 202, 18 (2019).
       doi:10.1016/j.ultramic.2019.03.017
    """
    del growth
    scaled = 1000 * (weight * (output - target) ** 2).mean((1, 2, 3))
    # The root of what is above 1 alone: that of 0 has no gradient.
    return torch.where(scaled < 1, scaled, scaled.clamp(min=1).sqrt()).mean()


def poisson(output: Tensor, target: Tensor, weight: Tensor, growth: Tensor) -> Tensor:
    r"""Return the squared error over the variance that the output itself implies.

    The quasi-likelihood [1]_ of counts: its gradient is that of the Poisson deviance
    :math:`2 (b \log(b/\lambda) - b + \lambda)` (twice over the variance), but it
    is defined, and unbiased, also where the network says a rate of zero or less. In
    vacuum, where counts scatter little, a deviation weighs more than on bright
    specimen.

    References
    ----------
    .. [1] R. W. M. Wedderburn, "Quasi-likelihood functions, generalized linear
       models, and the Gauss-Newton method", Biometrika 61, 439 (1974).
       doi:10.1093/biomet/61.3.439
    """
    variance = (1 + growth * output.detach()).clamp(min=_LEAST_RATE)
    return (weight * (output - target) ** 2 / variance).mean()


#: Name in a recipe -> loss.
LOSSES: Mapping[str, Loss] = MappingProxyType(
    {"rmse": rmse, "mse": mse, "huber": huber, "poisson": poisson}
)
