"""Tiles along one axis: where each begins and ends, and which pixels it supplies.

See :mod:`lowdose.inference.tiling` for the two kinds of plan and for the coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.denoiser import Needs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Span:
    """One tile along one axis.

    Parameters
    ----------
    start, stop : int
        What the tile takes from the padded frame, in padded coordinates [px].
    core_start, core_stop : int
        Which pixels of the frame it supplies, in frame coordinates [px].
    weights : ndarray, shape (core_stop - core_start,), float32, or None
        Weight of each pixel of the core. None where the cores do not overlap and
        every weight is one.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int
    weights: NDArray[np.float32] | None = None


def smallest_tile(needs: Needs) -> int:
    """Return the smallest side of a tile worth cutting [px].

    At least 64 px, and with a finite halo the two halos and as much again as one of
    them: then nine pixels are computed for every one that is kept, and with smaller
    tiles soon hundreds.
    """
    halo, multiple = needs.halo or 0, needs.multiple
    kept = max(halo, 64 - 2 * halo, 1)
    return _ceil_to(2 * halo, multiple) + _ceil_to(kept, multiple)


def padded_length(length: int, needs: Needs) -> int:
    """Return the length [px] of an axis of the padded frame."""
    return _ceil_to(length + 2 * needs.border, needs.multiple)


def reflected(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """Return which pixels of an axis stand at positions that reach outside it.

    Reflection without repeating the edge pixel, repeated as often as needed:
    positions -2 to 5 of an axis of three pixels are 2 1 0 1 2 1 0 1. An axis of one
    pixel repeats it.

    Parameters
    ----------
    start, stop : int
        First position and the one after the last.
    length : int
        Pixels of the axis.

    Returns
    -------
    ndarray of int, shape (stop - start,)
        Indices from 0 to `length` - 1.
    """
    positions = np.arange(start, stop)
    if length == 1:
        return np.zeros_like(positions)
    period = 2 * (length - 1)
    folded = positions % period
    return np.minimum(folded, period - folded)


def halo_spans(
    length: int, window: slice, needs: Needs, tile: int | None
) -> tuple[Span, ...]:
    """Return the tiles of an operator with a finite halo along one axis.

    Parameters
    ----------
    length : int
        Pixels of the axis.
    window : slice
        Which of them are wanted; only these and their halo are cut.
    needs : Needs
        What the denoiser asks for.
    tile : int or None
        Longest wanted tile [px]. None for one tile.

    Returns
    -------
    tuple of Span
        As few tiles as `tile` allows, as small as that number allows, whose cores
        partition the window and lie a halo away from every end of their tile that
        is no end of the padded axis.
    """
    halo, multiple, border = needs.halo or 0, needs.multiple, needs.border
    first, last = window.start + border, window.stop + border
    # The part of the padded frame that the window can depend on.
    start = _floor_to(max(0, first - halo), multiple)
    stop = min(padded_length(length, needs), _ceil_to(last + halo, multiple))
    # From here to `starts` in units of the multiple.
    total = (stop - start) // multiple
    overlap = _ceil_to(2 * halo, multiple) // multiple
    size = total if tile is None else max(tile, smallest_tile(needs)) // multiple
    count = 1 if total <= size else _ceil_div(total - overlap, size - overlap)
    size = _ceil_div(total + overlap * (count - 1), count)
    starts = [start + s * multiple for s in _spread(total - size, count)]
    ends = [s + size * multiple for s in starts]
    # Between two cores: the middle of the overlap, a halo away from both tiles' ends.
    middles = [(s + e) // 2 for s, e in zip(starts[1:], ends[:-1], strict=True)]
    cuts = [first, *middles, last]
    return tuple(
        Span(
            start=starts[n],
            stop=ends[n],
            core_start=cuts[n] - border,
            core_stop=cuts[n + 1] - border,
        )
        for n in range(count)
    )


def blended_spans(
    length: int, window: slice, needs: Needs, tile: int | None
) -> tuple[Span, ...]:
    """Return the tiles of a global operator along one axis.

    Parameters
    ----------
    length : int
        Pixels of the axis.
    window : slice
        Which of them are wanted; tiles that do not touch it are left out.
    needs : Needs
        What the denoiser asks for.
    tile : int or None
        Side of a tile [px]; less only where the padded axis is shorter. None for
        one tile.

    Returns
    -------
    tuple of Span
        Tiles that overlap by `needs.overlap` or more, with weights that sum to one
        at every pixel.
    """
    multiple, border = needs.multiple, needs.border
    total = padded_length(length, needs) // multiple
    size = total if tile is None else max(tile, smallest_tile(needs)) // multiple
    size = min(size, total)
    # Over half a tile, more than two would be blended at most pixels.
    overlap = min(_ceil_div(needs.overlap, multiple), size // 2)
    count = 1 if total == size else _ceil_div(total - overlap, size - overlap)
    starts = [s * multiple for s in _spread(total - size, count)]
    weights = _partition_of_unity(starts, size * multiple, total * multiple)
    spans = []
    for start, weight in zip(starts, weights, strict=True):
        core_start = max(window.start, start - border)
        core_stop = min(window.stop, start + size * multiple - border)
        if core_start < core_stop:
            inside = slice(core_start + border - start, core_stop + border - start)
            spans.append(
                Span(
                    start=start,
                    stop=start + size * multiple,
                    core_start=core_start,
                    core_stop=core_stop,
                    weights=weight[inside],
                )
            )
    return tuple(spans)


def _partition_of_unity(
    starts: list[int], size: int, total: int
) -> list[NDArray[np.float32]]:
    """Return for each tile the weights of its pixels; over all tiles they sum to 1."""
    raw = []
    for number, start in enumerate(starts):
        weight = np.ones(size)
        if number > 0:
            ramp = _ramp(starts[number - 1] + size - start)
            weight[: ramp.size] *= ramp
        if number + 1 < len(starts):
            ramp = _ramp(start + size - starts[number + 1])
            weight[size - ramp.size :] *= ramp[::-1]
        raw.append(weight)
    # Two neighbours sum to 1 already; where a third reaches in, this makes it so.
    totals = np.zeros(total)
    for start, weight in zip(starts, raw, strict=True):
        totals[start : start + size] += weight
    return [
        (weight / totals[start : start + size]).astype(np.float32)
        for start, weight in zip(starts, raw, strict=True)
    ]


def _ramp(length: int) -> NDArray[np.float64]:
    """Return a raised cosine that rises from 0 to 1, both excluded."""
    rising: NDArray[np.float64] = (
        np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / max(length, 1)) ** 2
    )
    return rising


def _spread(room: int, count: int) -> list[int]:
    """Return `count` evenly spread integers, from 0 to `room`."""
    return [n * room // (count - 1) for n in range(count)] if count > 1 else [0]


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _ceil_to(number: int, multiple: int) -> int:
    return _ceil_div(number, multiple) * multiple


def _floor_to(number: int, multiple: int) -> int:
    return number // multiple * multiple
