"""The task of a cluster's worker: some frames of one file, denoised and sent back."""

from __future__ import annotations

import json
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.batch.identity import Identity, check_unchanged
from lowdose.errors import InputError, LowDoseWarning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lowdose.batch.spec import DenoiserSpec
    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions

#: Pixels of a chunk: enough to be worth a task, little enough to be lost.
CHUNK_PIXELS: Final = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Frames to denoise, and all that a worker has to know.

    Parameters
    ----------
    source : str
        The file, by a path that is the same on every machine.
    identity : Identity
        What it must be.
    dataset : str or None
        Which image of it.
    spec : DenoiserSpec
        What denoises.
    description : mapping
        What that must describe itself as.
    options : DenoiseOptions
        Where and in what pieces to compute.
    numbers : tuple of int
        Which frames.
    """

    source: str
    identity: Identity
    dataset: str | None
    spec: DenoiserSpec
    description: Mapping[str, Any]
    options: DenoiseOptions
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkResult:
    """What a worker sends back.

    Parameters
    ----------
    numbers : tuple of int
        Which frames.
    frames : list of ndarray, each of shape (H, W), float32
        Denoised counts.
    any_valid : bool
        Whether any of their pixels is finite.
    warnings : tuple of str
        What the user should know.
    """

    numbers: tuple[int, ...]
    frames: list[NDArray[np.float32]]
    any_valid: bool
    warnings: tuple[str, ...]


def denoise_chunk(chunk: Chunk) -> ChunkResult:
    """Denoise the frames of a chunk, by the denoiser that this process holds.

    The frames round them are read as well where the denoiser sees neighbours, so that
    the pixels are those of a run over the whole file.

    Raises
    ------
    InputError
        If the file is not here, or another one than on the machine that asked.
    LowDoseError
        As :func:`lowdose.inference.denoise` does.
    """
    from lowdose import io
    from lowdose.inference import denoise

    path = Path(chunk.source)
    if not path.exists():
        msg = (
            f"{path} is not on the worker {_host()}. Workers read the files "
            "themselves: give a path that is the same on every machine, such as one "
            "on a shared file system."
        )
        raise InputError(msg)
    check_unchanged(path, chunk.identity)
    # One at a time in a process: a GPU has one user, what is warned of is known to be
    # of this chunk, and a filter uses the other threads for its tiles.
    with _held.lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LowDoseWarning)
        image = io.read(path, dataset=chunk.dataset)
        out = _Frames(image.shape)
        denoiser = _held.get(chunk.spec, chunk.description)
        denoise(image, denoiser, options=chunk.options, out=out, frames=chunk.numbers)
    frames = [out.frames[number] for number in chunk.numbers]
    return ChunkResult(
        numbers=chunk.numbers,
        frames=frames,
        any_valid=any(bool(np.isfinite(frame).any()) for frame in frames),
        warnings=tuple(
            str(w.message) for w in caught if issubclass(w.category, LowDoseWarning)
        ),
    )


class _Held:
    """The denoiser of this process: loaded once, for as long as it is asked for."""

    def __init__(self) -> None:
        #: To be held by who uses it.
        self.lock = threading.Lock()
        #: How many were loaded, for the tests.
        self.loads = 0
        self._key = ""
        self._denoiser: Denoiser | None = None

    def get(self, spec: DenoiserSpec, description: Mapping[str, Any]) -> Denoiser:
        """Return the denoiser of a specification that describes itself so."""
        key = f"{spec.key} {json.dumps(description, sort_keys=True, default=str)}"
        if self._denoiser is None or self._key != key:
            self._denoiser = spec.load(description)
            self._key = key
            self.loads += 1
        return self._denoiser


_held = _Held()


class _Frames:
    """Some frames of a stack, as an array to write into."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.float32)
        self.frames: dict[int, NDArray[np.float32]] = {}

    def __setitem__(self, index: Any, pixels: NDArray[np.float32]) -> None:
        frame, rows = self._at(index)
        frame[rows] = pixels

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        frame, rows = self._at(index)
        part: NDArray[np.float32] = frame[rows]
        return part

    def _at(self, index: Any) -> tuple[NDArray[np.float32], Any]:
        lead = len(self.shape) - 2
        whole = index if isinstance(index, tuple) else ()
        number = int(np.ravel_multi_index(whole[:lead], self.shape[:-2])) if lead else 0
        if number not in self.frames:
            self.frames[number] = np.zeros(self.shape[-2:], np.float32)
        return self.frames[number], whole[lead:] or ...


def _host() -> str:
    import socket

    return socket.gethostname()
