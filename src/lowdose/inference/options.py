"""The options of a run: where and in what pieces to compute."""

from __future__ import annotations

import operator
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from lowdose.errors import ParameterError

#: Precisions that may be asked for; "auto" is resolved per device.
PRECISIONS: Final = ("auto", "float32", "bfloat16", "float16")

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiseOptions:
    """Where and in what pieces to compute. The defaults suit nearly every case.

    Parameters
    ----------
    device : str, optional
        ``"auto"`` (a CUDA GPU, else an Apple GPU, else the CPU), ``"cpu"``,
        ``"cuda"``, ``"cuda:1"`` or ``"mps"``. Denoisers that cannot use a GPU run on
        the CPU whatever is asked for.
    precision : {"auto", "float32", "bfloat16", "float16"}, optional
        Arithmetic of networks. ``"auto"``: bfloat16 where the device computes it
        natively (recent NVIDIA GPUs, CPUs with AMX), else float32.
    tile : int, optional
        Longest side of the patches given to the denoiser, halo included [px]. None:
        chosen from free memory and the halo.
    batch : int, optional
        Patches denoised at a time. None: chosen from free memory.
    keep_mean : bool, optional
        Add a constant to each frame so that its mean is the one of the noisy frame.
    compile : bool, optional
        Compute networks through ``torch.compile``, on CUDA devices with CUDA graphs.
        It takes up to minutes to begin, so it pays for long movies on GPUs only.

    Raises
    ------
    ParameterError
        If a value is not allowed.
    """

    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    batch: int | None = None
    keep_mean: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(str(self.device)):
            msg = (
                f"device={self.device!r} is not a device. Give 'auto', 'cpu', "
                "'cuda', 'cuda:N' with the number of a GPU, or 'mps'."
            )
            raise ParameterError(msg)
        if self.precision not in PRECISIONS:
            msg = (
                f"precision={self.precision!r} is not one of "
                f"{', '.join(repr(p) for p in PRECISIONS)}."
            )
            raise ParameterError(msg)
        for name, value in (("tile", self.tile), ("batch", self.batch)):
            if value is not None:
                object.__setattr__(self, name, _positive_whole(name, value))
        for name, flag in (("keep_mean", self.keep_mean), ("compile", self.compile)):
            if flag not in (True, False):
                msg = f"{name}={flag!r} must be True or False."
                raise ParameterError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dictionary of JSON types."""
        return asdict(self)


def _positive_whole(name: str, value: Any) -> int:
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        msg = f"{name}={value!r} must be a positive whole number, or None."
        raise ParameterError(msg)
    return number
