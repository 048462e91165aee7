"""Noisy stacks to learn from: read, checked, cropped, and partly held out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowdose import io
from lowdose.errors import InvalidImageError, ParameterError
from lowdose.inference.spans import reflected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph

    Image = NDArray[np.float32]

#: Memory for the frames to learn from [B]; of a larger stack some are chosen.
_MEMORY = 2 << 30
#: Share of the pixels at the largest value from which on an image is saturated, and
#: from which on that is worth a warning.
_SATURATED, _CLIPPED = 0.05, 0.002
#: Fewer values than these are no grey levels, but single electrons.
_GREY_LEVELS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Frames in memory.

    Parameters
    ----------
    frames : sequence of ndarray, shape (H, W), float32
        Counts, finite, none constant; those of one series are of one shape.
    names : sequence of str
        File and number of each.
    series : sequence of int
        Number of the series that each belongs to, rising; frames of a series are
        successive.
    warnings : tuple of str
        What the user should know of the data.
    """

    frames: Sequence[Image]
    names: Sequence[str]
    series: Sequence[int]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def window(self, number: int, frames: int) -> list[int]:
        """Return the numbers of a frame and its neighbours, `frames` in all.

        At the ends of a series it is reflected, as in use. Where that would show the
        frame itself once more, and with it what is to be predicted, there is the one
        next to it instead.

        Parameters
        ----------
        number : int
            Of the frame in the middle.
        frames : int
            How many, odd; its series has more than one frame if this is above 1.
        """
        half, mine = frames // 2, self.series[number]
        low, high = bisect_left(self.series, mine), bisect_right(self.series, mine) - 1
        place, length = number - low, high - low + 1
        window = low + reflected(place - half, place + half + 1, length)
        again = window == number
        again[half] = False
        window[again] = number + 1 if number < high else number - 1
        numbers: list[int] = window.tolist()
        return numbers


def open_stack(
    sources: str | Sequence[str],
    *,
    patch: int,
    frames: int = 1,
    key: str = "stack",
    given: Mapping[str, Micrograph] | None = None,
) -> Stack:
    """Read and check stacks.

    Parameters
    ----------
    sources : str or sequence of str
        Files, each one series.
    patch : int
        Side of the crops that will be cut [px].
    frames : int, optional
        How many frames the network sees.
    key : str, optional
        Key of the recipe that names the files, for messages and `given`.
    given : mapping, optional
        Data in memory; under `key` it takes the place of the files.

    Returns
    -------
    Stack

    Raises
    ------
    InputError, FormatError
        If a file cannot be read.
    InvalidImageError
        If a frame is smaller than a crop, has NaN or Inf, is constant or saturated,
        or is no real image.
    ParameterError
        If a network that sees several frames is given a single one.
    """
    given = given or {}
    if key in given:
        micrographs = [_named(given[key], key)]
    else:
        files = [sources] if isinstance(sources, str) else list(sources)
        if not files:
            msg = f"data.{key} names no file. Give one noisy image or stack at least."
            raise InvalidImageError(msg)
        micrographs = [_named(io.read(Path(file)), Path(file).name) for file in files]
    images: list[Image] = []
    names: list[str] = []
    series: list[int] = []
    warnings: list[str] = []
    room = _MEMORY // len(micrographs)
    for number, micrograph in enumerate(micrographs):
        check_size(micrograph, patch)
        fitting = max(1, room // (4 * int(np.prod(micrograph.frame_shape))))
        count = micrograph.n_frames
        if fitting < count:
            warnings.append(
                f"{micrograph.name} is too large for the memory; the training uses the "
                f"{fitting} frames in the middle of its {count}."
            )
        used = min(count, fitting)
        if frames > 1 and used == 1:
            msg = (
                f"The network sees {frames} frames, but of {micrograph.name} there is "
                f"{'one' if count == 1 else 'memory for one'}. Leave that file out, or "
                "set the network's option frames=1."
            )
            raise ParameterError(msg)
        first = (count - used) // 2
        for index in range(first, first + used):
            name = f"{micrograph.name}, frame {index}"
            frame, warning = checked(micrograph.frame(index), name)
            images.append(frame)
            names.append(name)
            series.append(number)
            warnings += [warning] if warning else []
    return Stack(
        frames=images, names=names, series=series, warnings=_shortened(warnings)
    )


def check_size(micrograph: Micrograph, patch: int) -> None:
    """Refuse images smaller than a crop.

    Raises
    ------
    InvalidImageError
        With what to do.
    """
    smallest = min(micrograph.frame_shape)
    if smallest < patch:
        height, width = micrograph.frame_shape
        msg = (
            f"{micrograph.name} has {height} x {width} px, less than a crop of "
            f"{patch} px. Set training.patch to {smallest} or less"
            + (", which is at least 16." if smallest >= 16 else "; it must be 16.")
        )
        if smallest < 16:
            msg = (
                f"{micrograph.name} has {height} x {width} px; a network needs at "
                "least 16 x 16 px to learn from. Use a larger image."
            )
        raise InvalidImageError(msg)


def checked(frame: NDArray[np.generic], name: str) -> tuple[Image, str]:
    """Refuse a frame that nothing can be learnt from.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
        As stored.
    name : str
        For messages.

    Returns
    -------
    frame : ndarray, shape (H, W), float32
    warning : str
        Empty, or what is doubtful.

    Raises
    ------
    InvalidImageError
        If it has NaN or Inf, is constant, or is saturated.
    """
    image = np.asarray(frame, np.float32)
    bad = int((~np.isfinite(image)).sum())
    if bad:
        msg = (
            f"{name} has {bad} pixels that are NaN or Inf. Replace them, for instance "
            "by the median of their neighbours, or leave the frame out."
        )
        raise InvalidImageError(msg)
    high = float(image.max())
    if high == float(image.min()):
        msg = (
            f"{name} is constant ({high:g}); there is nothing to learn from it. Leave "
            "the frame out."
        )
        raise InvalidImageError(msg)
    share = float((image == high).mean())
    if share < _CLIPPED or len(np.unique(image[::2, ::2])) < _GREY_LEVELS:
        return image, ""
    below = float((image >= high - 0.02 * (high - float(image.min()))).mean()) - share
    if below > share:  # bright, but not piled up at the top
        return image, ""
    text = f"{share:.1%} of the pixels of {name} are at the largest value, {high:g}"
    if share > _SATURATED:
        msg = (
            f"{text}: it is saturated, and its noise is cut off there. Use an exposure "
            "that is not, or crop the bright part away."
        )
        raise InvalidImageError(msg)
    return image, f"{text}: where the detector saturates, the model learns too little."


def _named(micrograph: Micrograph, name: str) -> Micrograph:
    return micrograph if micrograph.name else micrograph.replace(name=name)


def _shortened(warnings: list[str]) -> tuple[str, ...]:
    """Keep a stack of a thousand clipped frames from a thousand warnings."""
    if len(warnings) <= 3:
        return tuple(warnings)
    return (*warnings[:2], f"... and {len(warnings) - 2} more warnings of this kind.")
