"""Where a training runs: device, precision and processes, by Lightning Fabric."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lowdose.errors import DeviceError, OutOfMemoryError, is_out_of_memory
from lowdose.inference.device import resolve_precision

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from lightning_fabric import Fabric

#: Kinds of devices that can be asked for.
DEVICES: Final = ("auto", "cpu", "cuda", "mps")
_PRECISIONS: Final = {"float32": "32-true", "bfloat16": "bf16-mixed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What to train on.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        Kind of device; "auto" takes the fastest there is.
    devices : int
        How many of them, each with a process of its own and a batch of the recipe's
        size; for "cpu" so many processes.
    strategy : str
        Of Lightning Fabric: "auto", or "ddp" for several devices.
    """

    device: str = "auto"
    devices: int = 1
    strategy: str = "auto"


def make_fabric(hardware: Hardware, precision: str) -> Fabric:
    """Return the Fabric of a training, not launched yet.

    Parameters
    ----------
    hardware : Hardware
        What to train on.
    precision : {"auto", "bfloat16", "float32"}
        Arithmetic of the forward and backward pass; ``"auto"`` as
        :func:`lowdose.inference.device.resolve_precision` has it.

    Returns
    -------
    lightning_fabric.Fabric

    Raises
    ------
    DeviceError
        If there is no such device, not so many, it does not compute in the precision,
        or the strategy is not known.
    """
    from lightning_fabric import Fabric

    resolved = resolve_precision(precision, _kind(hardware.device))
    strategy = hardware.strategy
    if strategy == "auto" and hardware.devices > 1:
        strategy = "ddp"
    # It logs advice at every start, about settings that are none of the user's.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Fabric(
                accelerator=hardware.device,
                devices=hardware.devices,
                strategy=strategy,
                precision=_PRECISIONS[resolved],  # type: ignore[arg-type]
            )
    except (RuntimeError, ValueError) as error:
        # Fabric's MisconfigurationException is a ValueError or a plain Exception by
        # version; both name what is wrong.
        msg = (
            f"{hardware.devices} x {hardware.device!r} with strategy "
            f"{hardware.strategy!r} cannot be had: {error}. Use devices=1 and "
            "device='auto', or 'cpu'."
        )
        raise DeviceError(msg) from error


def _kind(device: str) -> str:
    """Return the kind of device that Fabric will take, of those that are there."""
    import torch

    cuda = torch.cuda.is_available()
    if device == "auto":
        mps = torch.backends.mps.is_available()
        return "cuda" if cuda else "mps" if mps else "cpu"
    # Of one that is not there nothing can be asked; Fabric refuses it.
    return "cpu" if device == "cuda" and not cuda else device


def is_leader() -> bool:
    """Return whether this process reports and writes; False for helper processes."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


@contextmanager
def translated(device: torch.device, kept: str) -> Iterator[None]:
    """Turn torch's errors into ours, and say what is kept of the training.

    Parameters
    ----------
    device : torch.device
        Where it runs.
    kept : str
        A sentence about the last checkpoint.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            msg = (
                f"The memory of {device} is full. Use a smaller training.batch or "
                f"training.patch, or a narrower network. {kept}"
            )
            raise OutOfMemoryError(msg) from error
        text = str(error)
        first = text.splitlines()[0] if text else repr(error)
        msg = f"{device} failed in the middle of the training: {first}. {kept}"
        raise DeviceError(msg) from error
