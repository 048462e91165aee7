"""Writing a model folder: weights, checksum and card."""

from __future__ import annotations

import hashlib
import math
import os
from typing import TYPE_CHECKING, Any

import tomli_w
import torch
from safetensors.torch import save_file

from lowdose import networks
from lowdose.errors import ParameterError
from lowdose.networks.footprint import working_memory
from lowdose.networks.reach import measure_halo
from lowdose.zoo.cards import CARD, FORMAT, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

#: Width of a narrow twin, where the stem does not ask for more.
_NARROW = 4

#: Reflected pixels laid round a frame by default [px]. A network learns from crops,
#: beyond which there is nothing; a mirrored lattice is what it has never seen.
_BORDER = 0


def save_model(
    folder: Path,
    network: nn.Module,
    *,
    name: str,
    title: str,
    summary: str,
    licence: str,
    reference: str = "",
    architecture: str,
    options: Mapping[str, Any],
    training: Mapping[str, Any],
    normalisation: str = "mean-and-noise",
    extra: Mapping[str, Any] | None = None,
    halved: bool = False,
) -> Path:
    """Write a model folder that :func:`lowdose.zoo.load_model` takes.

    Parameters
    ----------
    folder : Path
        Made if needed; a model in it is replaced.
    network : torch.nn.Module
        As built by :func:`lowdose.networks.build`, with the weights to keep.
    name, title, summary, licence, reference, architecture, options
        See :class:`lowdose.zoo.cards.ModelCard`.
    training : mapping
        How it was trained: recipe, seed, steps, hours, hardware, curve.
    normalisation : str, optional
        What the network sees.
    extra : mapping, optional
        Further tables of the card. What its table ``input`` says goes before what is
        measured of the network: such as ``tile``, ``overlap`` and ``views``.
    halved : bool, optional
        Keep the weights as float16: half of the file, at an error of 2^-11 of each.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ParameterError
        If the weights are to be float16 but one of them is too large for that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / WEIGHTS
    part = folder / f".{WEIGHTS}.part"
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    if halved:
        state = {key: _half(key, value) for key, value in state.items()}
    save_file(state, part)
    # It leaves a file that its owner alone can read; models are there to be shared.
    part.chmod(0o644)
    sha256 = hashlib.sha256(part.read_bytes()).hexdigest()
    extra = dict(extra or {})
    input_ = {
        **describe_input(architecture, options),
        "normalisation": normalisation,
        **extra.pop("input", {}),
    }
    card = {
        "format": FORMAT,
        "name": name,
        "title": title,
        "summary": summary,
        "licence": licence,
        "reference": reference,
        "architecture": architecture,
        "options": dict(options),
        "weights": {
            "sha256": sha256,
            "parameters": sum(p.numel() for p in network.parameters()),
        },
        "input": input_,
        "training": dict(training),
        **extra,
    }
    card_part = folder / f".{CARD}.part"
    card_part.write_text(tomli_w.dumps(card), encoding="utf-8")
    os.replace(part, weights)
    os.replace(card_part, folder / CARD)
    return folder


def _half(key: str, value: torch.Tensor) -> torch.Tensor:
    """Return weights in half precision; whole numbers as they are."""
    if not value.is_floating_point():
        return value
    half = value.half()
    if not torch.isfinite(half).all():
        msg = (
            f"{key} has weights of up to {value.abs().max():.3g}, which float16 cannot "
            "hold. Keep this model as float32: training.weights='float32'."
        )
        raise ParameterError(msg)
    return half


def describe_input(architecture: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Measure what a network needs of its input.

    Parameters
    ----------
    architecture : str
        Key of :data:`lowdose.networks.ARCHITECTURES`.
    options : mapping
        Its options.

    Returns
    -------
    dict
        ``multiple``, ``border``, ``frames`` and ``bytes_per_pixel``, and ``halo``
        where the network has a finite reach; the ``input`` table of a card.
    """
    # The reach does not depend on the width, and a narrow network is measured fast.
    width = max(_NARROW, int(options.get("stem", 1)) ** 2)
    narrow = {"base": width} if options.get("base", 0) > width else {}
    twin = networks.build(architecture, **{**options, **narrow})
    multiple = int(twin.multiple)  # type: ignore[arg-type]
    frames = int(options.get("frames", 1))
    channels = frames + int(options.get("conditions", 0))
    halo = measure_halo(twin, multiple=multiple, channels=channels)
    described: dict[str, Any] = {
        "normalisation": "mean-and-noise",
        "multiple": multiple,
        "border": _BORDER,
        "frames": frames,
        # Half as much again for what convolutions need beside their results.
        "bytes_per_pixel": math.ceil(1.5 * working_memory(architecture, options)),
    }
    return described if halo is None else {**described, "halo": halo}
