"""Network architectures, one per module, and the explicit table that names them.

Importing this package does not import torch; :func:`build` does.
"""

from __future__ import annotations

import importlib
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lowdose.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

#: Architecture name -> (module, class).
ARCHITECTURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "blind_spot": ("lowdose.networks.blind_spot", "BlindSpot"),
        "denoisenet": ("lowdose.networks.denoisenet", "DenoiseNet"),
        "dncnn": ("lowdose.networks.dncnn", "DnCNN"),
        "durr_unet": ("lowdose.networks.durr_unet", "DurrUNet"),
        "ede": ("lowdose.networks.ede", "Ede"),
        "em_denoise_unet": ("lowdose.networks.unet", "EMDenoiseUNet"),
        "ffdnet": ("lowdose.networks.ffdnet", "FFDNet"),
        "lowdose": ("lowdose.networks.dose_unet", "DoseUNet"),
        "mcnn": ("lowdose.networks.mcnn", "MCNN"),
        "mixed_scale": ("lowdose.networks.mixed_scale", "MixedScaleDense"),
        "red": ("lowdose.networks.red", "REDNet"),
        "unet": ("lowdose.networks.unet", "UNet"),
        "unet2": ("lowdose.networks.unet2", "UNet2"),
    }
)


def build(architecture: str, **options: Any) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    architecture : str
        A key of :data:`ARCHITECTURES`.
    **options
        Keyword arguments of its class.

    Returns
    -------
    torch.nn.Module
        In training mode, float32, on the CPU. Its attribute ``multiple`` is the
        number of pixels that image sizes should be a multiple of.

    Raises
    ------
    ParameterError
        If the architecture or one of its options is not known or not valid.
    """
    if architecture not in ARCHITECTURES:
        msg = f"There is no network {architecture!r}. "
        raise ParameterError(msg + did_you_mean(architecture, ARCHITECTURES))
    module, name = ARCHITECTURES[architecture]
    network_class = getattr(importlib.import_module(module), name)
    known = inspect.signature(network_class).parameters
    # TOML has lists where Python has tuples.
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    for option, value in options.items():
        if option not in known:
            msg = f"{architecture} has no option {option!r}. "
            raise ParameterError(msg + did_you_mean(option, known))
        if type(value) is not type(known[option].default):
            msg = (
                f"{option}={value!r} is not of type "
                f"{type(known[option].default).__name__}, as {architecture} needs."
            )
            raise ParameterError(msg)
    network: nn.Module = network_class(**options)
    return network
