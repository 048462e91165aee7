"""Reading weights: checked before anything is allocated, and never executed."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from lowdose import networks
from lowdose.errors import ParameterError, WeightsError
from lowdose.zoo.cards import WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from lowdose.zoo.cards import ModelCard

#: First bytes of files that execute code when they are loaded: pickles, and the zip
#: archives that torch.save writes.
_PICKLES = (b"\x80", b"PK\x03\x04")


def load_network(card: ModelCard) -> nn.Module:
    """Build the network of a card and load its weights.

    Parameters
    ----------
    card : ModelCard
        Of the model to load.

    Returns
    -------
    torch.nn.Module
        On the CPU, float32, in evaluation mode, without gradients.

    Raises
    ------
    WeightsError
        If the file is missing, is not a safetensors file, is not the file that the
        card names by its sha256, or its tensors do not fit the network.
    """
    path = card.folder / WEIGHTS
    _verify(path, card.sha256)
    try:
        # On "meta" nothing is allocated, whatever sizes the card asks for.
        with torch.device("meta"):
            network = networks.build(card.architecture, **card.options)
    except ParameterError as error:
        msg = f"The card of {card.name!r} asks for a network that cannot be: {error}"
        raise WeightsError(msg) from error
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            _compare(card.name, wanted, found)
            state = {key: _whole(file.get_tensor(key)) for key in wanted}
    except SafetensorError as error:
        msg = f"{path} is not a sound safetensors file: {error}. Get it anew."
        raise WeightsError(msg) from error
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return weights kept in half precision as float32; others as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _verify(path: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head.startswith(_PICKLES):
                msg = (
                    f"{path} is a pickle, which can run any program when it is opened. "
                    "Only safetensors files are loaded; convert it where you trust it."
                )
                raise WeightsError(msg)
            digest.update(head)
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError as error:
        msg = f"The weights are missing: there is no {path}."
        raise WeightsError(msg) from error
    except OSError as error:
        if isinstance(error, WeightsError):
            raise
        msg = f"The weights {path} cannot be read: {error.strerror}."
        raise WeightsError(msg) from error
    if not hmac.compare_digest(digest.hexdigest(), sha256):
        msg = (
            f"{path} is not the file that its card describes (sha256 "
            f"{digest.hexdigest()[:12]}..., the card says {sha256[:12]}...): it is "
            "damaged, cut short or exchanged. Get the model anew."
        )
        raise WeightsError(msg)


def _compare(
    name: str,
    wanted: dict[str, tuple[int, ...]],
    found: dict[str, tuple[int, ...]],
) -> None:
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            msg = (
                f"The weights of {name!r} do not fit its network: {key} has shape "
                f"{found.get(key, 'none')}, the network needs "
                f"{wanted.get(key, 'none')}. The card and the weights are of "
                "different models."
            )
            raise WeightsError(msg)
