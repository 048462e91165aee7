"""What every network declares, derived from the network itself.

Parameter counts and operations are taken from the full network without its memory;
receptive field, homogeneity and blindness, which do not depend on the width, from a
narrow twin. :func:`declarations` returns what was derived when the package was made
(``data/networks.json``), at once and without torch; the tests derive it all again.
"""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from lowdose.errors import ParameterError
from lowdose.networks.variants import VARIANTS, Variant, find_variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

_FILE = "networks.json"

#: Size at which operations are counted [px], a multiple of every network's.
_COUNTED = 512

#: Feature maps of a narrow twin at the finest level.
_TWIN = 4

#: Relative error below which a scaled image gives the scaled result.
_SAME = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a network is.

    Parameters
    ----------
    name : str
        Of the variant.
    parameters : int
        Trainable parameters.
    receptive_field : tuple of int or None
        Least and greatest over the places of an output pixel [px]; None where every
        pixel sees the whole image.
    halo : int or None
        Distance beyond which no input pixel matters [px]; None as above.
    multiple : int
        Sizes that are multiples of it need no padding [px].
    frames : int
        Input frames; the middle one is denoised.
    conditions : int
        Constant channels behind the frames.
    homogeneous : bool
        Whether f(a y) = a f(y) for a > 0, with any weights.
    blind : bool
        Whether the output at a pixel does not depend on that pixel of any frame.
    macs : int
        Multiplications with addition per pixel of the image, of convolutions and
        matrix products; Fourier transforms and elementwise operations are not counted.
    exports : mapping of str to str
        For ``torch.export`` and ``ONNX``, "yes" or why not.
    """

    name: str
    parameters: int
    receptive_field: tuple[int, int] | None
    halo: int | None
    multiple: int
    frames: int
    conditions: int
    homogeneous: bool
    blind: bool
    macs: int
    exports: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dictionary of JSON types."""
        return asdict(self)


def declarations() -> tuple[Declaration, ...]:
    """Return what every variant declares, in the order of the table.

    Raises
    ------
    ParameterError
        If a variant has not been derived yet; the message says how to do it.
    """
    return tuple(declaration(variant.name) for variant in VARIANTS)


def declaration(name: str) -> Declaration:
    """Return what one variant declares.

    Raises
    ------
    ParameterError
        If there is no such variant, or it has not been derived yet.
    """
    find_variant(name)
    if name not in _derived():
        msg = f"{name} is not in {_FILE}; run docs/network_table.py to derive it."
        raise ParameterError(msg)
    return _derived()[name]


@cache
def _derived() -> dict[str, Declaration]:
    text = resources.files("lowdose").joinpath("data", _FILE).read_text("utf-8")
    return {entry["name"]: from_dict(entry) for entry in json.loads(text)}


def from_dict(entry: dict[str, Any]) -> Declaration:
    """Return the declaration that :meth:`Declaration.to_dict` wrote."""
    field = entry["receptive_field"]
    return Declaration(
        **{**entry, "receptive_field": field and (int(field[0]), int(field[1]))}
    )


def derive(
    variant: Variant, *, exports: Mapping[str, str] | None = None
) -> Declaration:
    """Derive from the network what it declares.

    Parameters
    ----------
    variant : Variant
        Whose network is built.
    exports : mapping, optional
        What is known of its exports, which take longest to try; None: try them.

    Returns
    -------
    Declaration
    """
    from lowdose.networks.exporting import try_exports
    from lowdose.networks.field import measure_field

    parameters, multiple, macs = count(variant)
    narrow = build_twin(variant)
    frames, conditions = inputs(variant)
    channels = frames + conditions
    field = measure_field(narrow, multiple=multiple, channels=channels)
    return Declaration(
        name=variant.name,
        parameters=parameters,
        receptive_field=(field.least, field.greatest) if field else None,
        halo=field.halo if field else None,
        multiple=multiple,
        frames=frames,
        conditions=conditions,
        homogeneous=is_homogeneous(variant),
        blind=_is_blind(narrow, frames, channels),
        macs=macs,
        exports=try_exports(variant) if exports is None else exports,
    )


def build_twin(variant: Variant, **options: Any) -> nn.Module:
    """Return the network of a variant with as few feature maps as it can have.

    Parameters
    ----------
    variant : Variant
        Whose twin is built.
    **options
        Instead of those of the variant.
    """
    from lowdose import networks

    # One map of the mixed-scale network is its published width; others need a few,
    # for those of which a part is worked on, or that a stem of 2 x 2 pixels fills.
    base = min(_TWIN, int(_known(variant)["base"].default))
    return networks.build(
        variant.architecture, **{**variant.options, **options, "base": base}
    )


def _known(variant: Variant) -> Mapping[str, inspect.Parameter]:
    from lowdose.networks import ARCHITECTURES

    module, name = ARCHITECTURES[variant.architecture]
    network = getattr(importlib.import_module(module), name)
    return inspect.signature(network).parameters


def inputs(variant: Variant) -> tuple[int, int]:
    """Return the number of frames and of conditions that a variant takes."""
    known = _known(variant)
    frames, conditions = (
        int(variant.options.get(option, known[option].default))
        for option in ("frames", "conditions")
    )
    return frames, conditions


def is_homogeneous(variant: Variant) -> bool:
    """Measure whether a scaled image gives the scaled result, with any weights.

    Weights and statistics are random, so that a bias that begins at zero, or a
    normalisation that begins as nothing, is not mistaken for none.
    """
    import torch

    frames, conditions = inputs(variant)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_twin(variant).eval()
        with torch.no_grad():
            for name, values in network.state_dict().items():
                if name.endswith("running_var"):
                    values.uniform_(0.5, 1.5)
                elif values.is_floating_point():
                    values.add_(0.1 * torch.randn_like(values))
    image = torch.rand(1, frames, 33, 40, generator=generator)
    constant = torch.rand(1, conditions, 1, 1, generator=generator)
    constant = constant.expand(-1, -1, 33, 40)
    with torch.inference_mode():
        result = network(torch.cat([image, constant], 1))
        # A network that gives nothing would pass for anything.
        if not result.isfinite().all() or result.abs().max() == 0:
            msg = f"{variant.name} gives no result with random weights."
            raise ParameterError(msg)
        for factor in (0.1, 10.0):
            scaled = network(torch.cat([factor * image, constant], 1))
            if (scaled - factor * result).norm() > _SAME * (factor * result).norm():
                return False
    return True


def _is_blind(network: nn.Module, frames: int, channels: int) -> bool:
    import torch

    image = torch.zeros(1, channels, 33, 40)
    image[:, :frames, 17, 22] = torch.nan
    with torch.inference_mode():
        return not bool(torch.isnan(network.eval()(image)[0, 0, 17, 22]))


def count(variant: Variant) -> tuple[int, int, int]:
    """Count what needs the full network, without its memory.

    Parameters
    ----------
    variant : Variant
        Whose network is built of fake tensors, which have a shape only.

    Returns
    -------
    parameters : int
        Trainable ones.
    multiple : int
        Sizes that are multiples of it need no padding [px].
    macs : int
        Multiplications with addition per pixel; see :class:`Declaration`.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from lowdose import networks

    counter = FlopCounterMode(display=False)
    with FakeTensorMode():
        network = networks.build(variant.architecture, **variant.options).eval()
        image = torch.zeros(1, sum(inputs(variant)), _COUNTED, _COUNTED)
        with counter, torch.no_grad():
            network(image)
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    # torch counts a multiplication and an addition as two.
    macs = int(counter.get_total_flops() // 2 // _COUNTED**2)
    return parameters, int(network.multiple), macs  # type: ignore[arg-type]
