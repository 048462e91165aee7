"""The most memory that a piece of work takes, of the process or of the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
#: What makes Linux forget the largest resident size so far.
_FORGET_PEAK: Final = "5"


class PeakMemory:
    """Begins to watch the memory when it is made.

    Parameters
    ----------
    device : str
        A torch device. For a CUDA device its memory is watched, else the resident
        size of this process, where the system is Linux and lets it.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        if device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(device)
            self._before: float | None = torch.cuda.memory_allocated(device) / 2**20
            return
        try:
            _CLEAR.write_text(_FORGET_PEAK, encoding="ascii")
        except OSError:
            self._before = None
        else:
            self._before = _size("VmRSS")

    def peak(self) -> float | None:
        """Return the peak above what was held at the beginning [MiB], if known."""
        if self._before is None:
            return None
        if self._device.startswith("cuda"):
            import torch

            now = torch.cuda.max_memory_allocated(self._device) / 2**20
        else:
            found = _size("VmHWM")
            if found is None:
                return None
            now = found
        return max(0.0, now - self._before)


def peak_of_process() -> float | None:
    """Return the largest resident size of this process so far [MiB], if known."""
    return _size("VmHWM")


def _size(name: str) -> float | None:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    sizes = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(sizes[0]) / 1024 if sizes else None
