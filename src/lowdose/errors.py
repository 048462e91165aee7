"""The exceptions and warnings of :mod:`lowdose`.

Every error that a user can cause or mend derives from :class:`LowDoseError`, and
says what was wrong, with which value, and what to do. Each child also derives from
the built-in that a generic handler would look for.

None of them is a :class:`RuntimeError`: napari's generator workers swallow those.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class LowDoseError(Exception):
    """Base class of every error raised on purpose by this package."""


class InvalidImageError(LowDoseError, ValueError):
    """The image cannot be denoised or analysed (shape, dtype or content)."""


class ParameterError(LowDoseError, ValueError):
    """A parameter is unknown, of the wrong type, or out of its range."""


class UnknownDenoiserError(LowDoseError, LookupError):
    """No denoiser or model has the name that was asked for."""


class FormatError(LowDoseError, ValueError):
    """A file is of a kind that cannot be read, is damaged, or lies about itself."""


class MissingExtraError(LowDoseError, ImportError):
    """An optional dependency is needed; the message names the extra to install."""


class InputError(LowDoseError, OSError):
    """A file cannot be opened: it is missing, a folder, or not readable."""


class OutputError(LowDoseError, OSError):
    """A result cannot be written where it was asked to go."""


class WeightsError(LowDoseError, OSError):
    """A weight file or its card is missing, damaged, unsafe, or does not fit."""


class DeviceError(LowDoseError):
    """The device asked for does not exist here, or failed while computing."""


class OutOfMemoryError(LowDoseError, MemoryError):
    """The work does not fit the memory of the device, even in the smallest pieces."""


class TrainingError(LowDoseError):
    """A training diverged, or its checkpoint does not fit."""


class Cancelled(LowDoseError):  # noqa: N818  (a decision of the user, not a fault)
    """The work was stopped because the caller asked for it."""


class LowDoseWarning(UserWarning):
    """Base class of the warnings of this package."""


class CalibrationWarning(LowDoseWarning):
    """The calibration in a file is missing, absurd or contradictory; it is ignored."""


class MemoryWarning(LowDoseWarning):
    """The work did not fit and was cut into smaller pieces or moved to the CPU."""


class SamplingWarning(LowDoseWarning):
    """A simulation is sampled too coarsely, or cut off too closely, to be right."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the sentence that helps after a misspelt name.

    Parameters
    ----------
    name : str
        What was asked for.
    known : iterable of str
        Every valid name.

    Returns
    -------
    str
        ``"Did you mean 'a' or 'b'?"`` with up to three near names, or, where none
        is near, the list of all valid names.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(repr(n) for n in near)}?"
    return f"Known names: {', '.join(names)}." if names else "There is none here."


#: What allocators say when memory runs out and the exception's type does not.
_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, MPS, XPU
    "can't allocate memory",  # torch on the CPU: Linux, macOS
    "cannot allocate memory",
    "not enough memory",  # torch on the CPU: Windows
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "bad allocation",
    "std::bad_alloc",
    "invalid buffer size",  # MPS: one buffer larger than Metal allows
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that memory ran out, on any device.

    Parameters
    ----------
    error : BaseException
        Anything raised by numpy, scipy or torch.

    Returns
    -------
    bool
        True for :class:`MemoryError` (numpy's and this package's derive from it),
        ``torch.OutOfMemoryError``, and the :class:`RuntimeError` by which torch's
        CPU and MPS allocators, cuBLAS and cuDNN say the same.
    """
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    # By name, so that torch need not be loaded; its place in torch has changed.
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    text = str(error).lower()
    return any(phrase in text for phrase in _OUT_OF_MEMORY)
