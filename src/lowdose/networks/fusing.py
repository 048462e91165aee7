"""Folding batch normalisation into the convolutions before it, for inference."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse(network: nn.Module) -> nn.Module:
    """Fold each batch normalisation that directly follows a convolution into it.

    The result computes the same up to rounding, with one pass less over each feature
    map. Bias-free normalisation is left as it is: it has no mean to fold.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode; changed in place.

    Returns
    -------
    torch.nn.Module
        The same network.
    """
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for first, second in zip(list(module), list(module)[1:], strict=False):
            if isinstance(first, nn.Conv2d) and type(second) is nn.BatchNorm2d:
                names = {child: name for name, child in module.named_children()}
                setattr(module, names[first], fuse_conv_bn_eval(first, second))
                setattr(module, names[second], nn.Identity())
    return network
