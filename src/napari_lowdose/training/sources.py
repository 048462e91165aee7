"""What a training learns from: layers, which are copied, or files, which are named."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose import io
from lowdose.errors import CalibrationWarning, Cancelled
from lowdose.micrograph import Calibration, Micrograph
from lowdose.progress import Progress, ShouldStop
from napari_lowdose._layers import LayerSnapshot, to_micrograph

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

#: Types that are copied as they are; others are learnt from as float32 anyway.
_KEPT_TYPES: Final = ("uint8", "int8", "uint16", "int16", "float16", "float32")
#: Keys of data that are micrographs.
_IMAGES: Final = ("stack", "noisy", "clean")
#: Frames of a stack that are looked at before a training, and their longest side [px].
_LOOKED_AT, _LONGEST = 8, 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """Data under one key of a recipe's table ``[data]``.

    Parameters
    ----------
    key : str
        Such as ``"stack"``.
    layers : tuple of LayerSnapshot
        Layers as they are now; nothing that happens to them later matters.
    paths : tuple of str
        Files or a folder, where it is not layers.
    """

    key: str
    layers: tuple[LayerSnapshot, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def is_image(self) -> bool:
        """Whether it is micrographs; the other ways open their data themselves."""
        return self.key in _IMAGES

    @property
    def words(self) -> str:
        """What it is, for people."""
        names = [layer.name for layer in self.layers] or list(self.paths)
        shown = ", ".join(names[:2])
        return shown if len(names) <= 2 else f"{shown} and {len(names) - 2} more"

    def open(self) -> list[Micrograph]:
        """Return its micrographs; no pixel is read.

        Raises
        ------
        InputError, FormatError, InvalidImageError
            If one cannot be read, or is no image.
        """
        if self.layers:
            return [to_micrograph(layer) for layer in self.layers]
        found = []
        for path in self.paths:
            micrograph = io.read(path)
            named = micrograph if micrograph.name else micrograph.replace(name=path)
            found.append(named)
        return found


def iter_copy(
    sources: Sequence[Source], folder: Path, should_stop: ShouldStop
) -> Generator[Progress, None, dict[str, list[str]]]:
    """Copy layers to files, so that a training can go on when napari was closed.

    Parameters
    ----------
    sources : sequence of Source
        Files among them stay where they are.
    folder : Path
        Where the copies go.
    should_stop : callable
        Asked before every frame.

    Yields
    ------
    Progress
        Stage "copy", per frame.

    Returns
    -------
    dict of str to list of str
        Paths by key.

    Raises
    ------
    OutputError
        If a copy cannot be written.
    Cancelled
        If told to stop.
    """
    names: dict[str, list[str]] = {}
    taken: set[str] = set()
    total = sum(
        to_micrograph(layer).n_frames for source in sources for layer in source.layers
    )
    done = 0
    for source in sources:
        names[source.key] = list(source.paths)
        for layer in source.layers:
            micrograph = to_micrograph(layer)
            path = folder / f"{_free(file_name(layer.name), taken)}.npy"
            dtype = np.dtype(micrograph.data.dtype)
            kept = dtype if dtype.name in _KEPT_TYPES else np.dtype(np.float32)
            with (
                warnings.catch_warnings(),
                io.create(
                    path,
                    micrograph.shape,
                    Calibration.unknown(micrograph.ndim),
                    dtype=kept,
                ) as sink,
            ):
                warnings.simplefilter("ignore", CalibrationWarning)
                for number, frame in enumerate(micrograph.frames()):
                    if should_stop():
                        msg = "The training was stopped before its first step."
                        raise Cancelled(msg)
                    sink.write_frame(number, np.asarray(frame).astype(kept))
                    done += 1
                    yield Progress(stage="copy", done=done, total=total)
            names[source.key].append(str(path))
    return names


def glance(micrograph: Micrograph) -> Micrograph:
    """Return successive frames from the middle of a stack, and the middle of these.

    It is enough to tell of what kind the noise is, and soon read.
    """
    count = min(_LOOKED_AT, micrograph.n_frames)
    first = (micrograph.n_frames - count) // 2
    cut = tuple(
        slice(max(0, (side - _LONGEST) // 2), max(0, (side - _LONGEST) // 2) + _LONGEST)
        for side in micrograph.frame_shape
    )
    frames = [np.asarray(micrograph.frame(n))[cut] for n in range(first, first + count)]
    return Micrograph(np.stack(frames), name=micrograph.name)


def file_name(text: str) -> str:
    """Return a text as a name that is allowed for files and models."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:48] or "mine"


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 2
    while free.casefold() in taken:
        free, number = f"{name}-{number}", number + 1
    taken.add(free.casefold())
    return free
