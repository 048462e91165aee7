"""The checks that readers share: which image is meant, and can it be in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import FormatError, InvalidImageError, did_you_mean
from lowdose.io.frame_array import hold_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Names under which the images of a file with several arrays are looked for first.
_USUAL_NAMES: Final = ("images", "data", "image")

#: No codec for images makes its data this many times larger.
_LARGEST_EXPANSION: Final = 50_000

#: Frames below this size [B] are not worth a suspicion.
_HARMLESS: Final = 2**28

#: Edge [px] from which a last axis of three or four samples is taken for a colour.
_COLOUR_FROM: Final = 32


def choose(
    names: Sequence[str], wanted: str | None, *, source: str, what: str = "arrays"
) -> str:
    """Return which of the images in a file to read.

    Parameters
    ----------
    names : sequence of str
        Every array in the file that can be an image.
    wanted : str or None
        What the caller asked for.
    source : str
        Name of the file, for messages.
    what : str, optional
        What the names are, in the plural.

    Returns
    -------
    str
        `wanted`; the only name; or, of several, the one called ``"images"``,
        ``"data"`` or ``"image"``.

    Raises
    ------
    FormatError
        If there is no image, none of the name, or several and none is usual.
    """
    if not names:
        msg = f"{source} holds no image: there is no numeric array of two or more axes."
        raise FormatError(msg)
    if wanted is not None:
        plain = {name.strip("/"): name for name in names}
        if wanted.strip("/") in plain:
            return plain[wanted.strip("/")]
        msg = f"{source} has no image {wanted!r}. {did_you_mean(wanted, names)}"
        raise FormatError(msg)
    if len(names) == 1:
        return names[0]
    for usual in _USUAL_NAMES:
        matches = [name for name in names if name.strip("/") == usual]
        if matches:
            return matches[0]
    listed = ", ".join(repr(name) for name in sorted(names)[:20])
    msg = (
        f"{source} holds {len(names)} {what} that can be images: {listed}. Say which "
        f"with dataset={min(names)!r}."
    )
    raise FormatError(msg)


def check_promise(
    promised: int, available: int, *, source: str, shape: Sequence[int], dtype: Any
) -> None:
    """Refuse a file whose header promises more data than the file holds.

    Parameters
    ----------
    promised : int
        Where the data would end [B].
    available : int
        Size of the file [B].
    source : str
        Name of the file.
    shape, dtype
        What the header says, for the message.

    Raises
    ------
    FormatError
        If the file is too short.
    """
    if promised > available:
        size = "x".join(str(n) for n in shape)
        msg = (
            f"{source} is truncated or damaged: its header promises {size} samples of "
            f"{np.dtype(dtype)}, which end at byte {promised:,}, but the file has "
            f"{available:,} bytes. Copy it again from its source."
        )
        raise FormatError(msg)


def check_expansion(
    frame_bytes: int, stored_bytes: int, *, source: str, shape: Sequence[int]
) -> None:
    """Refuse a compressed image that cannot come out of so few bytes.

    Parameters
    ----------
    frame_bytes : int
        Size of one frame after decompression [B].
    stored_bytes : int
        Size of its compressed data in the file [B].
    source : str
        Name of the file.
    shape : sequence of int
        What the header says, for the message.

    Raises
    ------
    FormatError
        If the header is absurd.
    """
    if frame_bytes > _HARMLESS and frame_bytes > stored_bytes * _LARGEST_EXPANSION:
        size = "x".join(str(n) for n in shape)
        msg = (
            f"{source} is damaged: its header promises an image of {size} samples, but "
            f"holds only {stored_bytes:,} bytes of data for it."
        )
        raise FormatError(msg)


def drop_channel_axis(data: Any, *, source: str) -> Any:
    """Return arrays of layout (N, H, W, 1) as (N, H, W); refuse colour.

    Machine-learning data sets keep a last axis for channels. It is dropped where it has
    length one. Integers of 8 or 16 bits with three or four channels are colours.

    Parameters
    ----------
    data : array_like
        An array from a file that names no axes.
    source : str
        Name of the file, for messages.

    Raises
    ------
    InvalidImageError
        If the image is in colour.
    """
    shape = tuple(int(n) for n in data.shape)
    if len(shape) == 4 and shape[-1] == 1:
        return hold_axes(data, {3: 0})
    if (
        len(shape) >= 3
        and shape[-1] in (3, 4)
        and np.dtype(data.dtype).kind == "u"
        and np.dtype(data.dtype).itemsize <= 2
        and min(shape[-3:-1]) >= _COLOUR_FROM
    ):
        raise colour_error(source, shape)
    return data


def colour_error(source: str, shape: Sequence[int]) -> InvalidImageError:
    """Return the error for a colour image."""
    return InvalidImageError(
        f"{source} is a colour image (shape {tuple(shape)}). Detector counts have one "
        "channel: convert the image to grey, or go back to the recorded data."
    )


def parse_selection(
    text: str | None, allowed: Sequence[str], *, source: str
) -> dict[str, str]:
    """Return the parts of a text such as ``"series=1,c=0"`` by name.

    Parameters
    ----------
    text : str or None
        What the caller gave as `dataset`.
    allowed : sequence of str
        Names that mean something in this format.
    source : str
        Name of the file, for messages.

    Raises
    ------
    FormatError
        If a part is not of the form ``name=number``, or its name is not allowed.
    """
    parts: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, _, number = part.strip().lower().partition("=")
        if name not in allowed or not number.isdigit():
            forms = " or ".join(f"dataset='{name}=0'" for name in allowed)
            msg = f"dataset={text!r} means nothing in {source}; use {forms}."
            raise FormatError(msg)
        parts[name] = number
    return parts


def check_channel(number: str | None, length: int, *, source: str) -> int:
    """Return the channel to read.

    Parameters
    ----------
    number : str or None
        What the caller asked for with ``dataset="c=1"``.
    length : int
        Number of channels in the file, more than one.
    source : str
        Name of the file, for messages.

    Raises
    ------
    InvalidImageError
        If no channel, or one that is not there, was asked for.
    """
    if number is not None and int(number) < length:
        return int(number)
    asked = f"there is no channel {number}; " if number else ""
    msg = (
        f"{source} has {length} channels, and a micrograph has one: {asked}pick one "
        f"with dataset='c=0' to dataset='c={length - 1}'."
    )
    raise InvalidImageError(msg)
