"""Which device computes, in what arithmetic, and how much memory it has free.

torch is imported only where a network is to run, or a GPU is asked for by name: a
filter runs in a process that never loads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from lowdose.errors import DeviceError

if TYPE_CHECKING:
    from lowdose.denoiser import Needs
    from lowdose.inference.options import DenoiseOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to compute.

    Parameters
    ----------
    device : str
        A torch device: ``"cpu"``, ``"cuda:0"`` or ``"mps"``.
    precision : {"float32", "bfloat16", "float16"}
        Arithmetic of networks.
    """

    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.device} ({self.precision})"


#: Where everything can run.
CPU: Final = Place(device="cpu", precision="float32")


def resolve_place(options: DenoiseOptions, needs: Needs) -> Place:
    """Return the device and precision that options mean on this machine.

    Parameters
    ----------
    options : DenoiseOptions
        What was asked for.
    needs : Needs
        What the denoiser asks for; without `needs.device` it runs on the CPU.

    Returns
    -------
    Place
        A device that exists.

    Raises
    ------
    DeviceError
        If the device or precision that was asked for is not there; the message
        names what is.
    """
    if not needs.device:
        if options.device not in ("auto", "cpu"):
            resolve_device(options.device)  # a device that is not there is an error
        return CPU
    device = resolve_device(options.device)
    return Place(device=device, precision=resolve_precision(options.precision, device))


def resolve_device(name: str) -> str:
    """Return the torch device that a name means here.

    Parameters
    ----------
    name : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    Returns
    -------
    str
        ``"cpu"``, ``"cuda:N"`` or ``"mps"``.

    Raises
    ------
    DeviceError
        If there is no such device.
    """
    if name == "cpu":
        return name
    there = available_devices()
    if name == "auto":
        return there[0]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        msg = (
            f"There is no device {name!r} here; there is {', '.join(there)}. Use "
            "one of these, or 'auto'."
        )
        raise DeviceError(msg)
    return wanted


def available_devices() -> tuple[str, ...]:
    """Return the torch devices of this machine, the fastest first.

    Returns
    -------
    tuple of str
        ``"cuda:0"``, ``"cuda:1"`` and so on, ``"mps"``, and always ``"cpu"``.
    """
    import torch

    cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return (*(cuda if torch.cuda.is_available() else ()), *mps, "cpu")


def resolve_precision(name: str, device: str) -> str:
    """Return the precision that a name means on a device.

    Parameters
    ----------
    name : {"auto", "float32", "bfloat16", "float16"}
        What was asked for.
    device : str
        A torch device that exists.

    Returns
    -------
    {"float32", "bfloat16", "float16"}
        For ``"auto"`` bfloat16 where the device has units for it: on CUDA from
        compute capability 8.0, on the CPU with AMX (emulated, it is slower than
        float32). Else float32.

    Raises
    ------
    DeviceError
        If the device cannot compute in the precision that was asked for.
    """
    import torch

    native = False
    if device.startswith("cuda"):
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    elif device == "cpu":
        # Not public in torch 2; without it, assume a CPU that has no AMX.
        has_amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
        native = has_amx is not None and bool(has_amx())
    if name == "auto":
        return "bfloat16" if native else "float32"
    if name == "bfloat16" and device.startswith("cuda") and not native:
        msg = (
            f"{torch.cuda.get_device_name(device)} ({device}) does not compute in "
            "bfloat16. Use precision 'float16', 'float32' or 'auto'."
        )
        raise DeviceError(msg)
    return name


def free_memory(device: str) -> int:
    """Return how much memory new work on a device may take [B].

    On the CPU what the system can give without swapping, or what is left under the
    limit of the control group (container, batch job) where that is less.

    Parameters
    ----------
    device : str
        A torch device that exists.

    Returns
    -------
    int
        Free memory [B].
    """
    if device.startswith("cuda"):
        import torch

        free, _total = torch.cuda.mem_get_info(device)
        # What torch's allocator holds but does not use is free to us.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    if device == "mps":
        import torch

        # New in torch 2.5. The memory is the system's, so that its free memory is a
        # limit too, and the only one known before.
        limit = getattr(torch.mps, "recommended_max_memory", None)
        if limit is not None:
            left = int(limit() - torch.mps.current_allocated_memory())
            return max(0, min(left, int(psutil.virtual_memory().available)))
    system = int(psutil.virtual_memory().available)
    return min([system, *_left_in_control_groups(Path("/sys/fs/cgroup"))])


def release_memory(device: str) -> None:
    """Free what is held in vain, and give it back to the device.

    Parameters
    ----------
    device : str
        A torch device that exists.
    """
    import gc

    gc.collect()  # an error of a denoiser may hold its arrays in a cycle
    if device == "cpu":
        return
    import torch

    if device.startswith("cuda"):
        with torch.cuda.device(device):
            torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


def _left_in_control_groups(root: Path) -> list[int]:
    """Return what is left under each memory limit this process is under [B]."""
    left = []
    for group in _control_groups(root):
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file "),  # version 2
            (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file ",
            ),
        ):
            try:
                limit = int((group / limit_name).read_text())
                used = int((group / used_name).read_text())
                stat = (group / "memory.stat").read_text()
            except (OSError, ValueError):  # no such group, or "max": no limit
                continue
            # Cached file pages count as used but are given up when needed.
            cache = [
                int(line.split()[1])
                for line in stat.splitlines()
                if line.startswith(cache_name)
            ]
            left.append(max(0, limit - used + sum(cache)))
    return left


def _control_groups(root: Path) -> list[Path]:
    """Return the folders of this process's control groups and all their parents."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    folders: list[Path] = []
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        base = root / controllers if controllers else root
        group = base / path.lstrip("/")
        folders += [base, *(p for p in (group, *group.parents) if base in p.parents)]
    return folders
