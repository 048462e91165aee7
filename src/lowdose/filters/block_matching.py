"""Finding, for patches on a grid, the patches around them that look alike.

Shared by the filters that denoise groups of like patches. Distances come from one
matrix product for a block of the grid at a time, so that numpy does the work, and are
compared to a fixed precision with ties going to the nearer patch: equal patches, of
which sparse counts have many, are so chosen alike in every tile of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lowdose.filters.spec import Frame

#: Reference patches in a block, along either axis.
_BLOCK: Final = 8
#: Steps to which distances are rounded, per unit.
_STEPS: Final = 2.0**16
#: Largest distance that is told apart from others: beyond it all are alike.
_FARTHEST: Final = 2.0**33
#: Room for the number of a shift in the low bits of a key.
_SHIFT_BITS: Final = 13
#: Largest search radius whose shifts have room there.
MOST_SEARCH: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Groups of like patches, for a block of reference patches.

    Parameters
    ----------
    rows, columns : ndarray, shape (R, K), int
        Top left pixel of the patches of every group; the reference is the first.
    counts : ndarray, shape (R,), int
        How many of the K there are, at least one; fewer than K only in frames that
        hardly have so many patches. The others are to be ignored.
    top, left, height, width : int
        Region of the frame in which all these patches lie [px].
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    counts: NDArray[np.intp]
    top: int
    left: int
    height: int
    width: int


def reference_runs(size: int, patch: int, step: int) -> list[tuple[int, int]]:
    """Return where reference patches lie along an axis, as (start, number) runs.

    Multiples of `step`, in runs of at most eight, and one more patch that ends at the
    border where these leave pixels over.

    Parameters
    ----------
    size : int
        Pixels along the axis, at least `patch`.
    patch : int
        Edge of a patch [px].
    step : int
        Distance of the references [px], at most `patch`.
    """
    number = (size - patch) // step + 1
    runs = [
        (step * first, min(_BLOCK, number - first))
        for first in range(0, number, _BLOCK)
    ]
    if (number - 1) * step + patch < size:
        runs.append((size - patch, 1))
    return runs


def find_matches(
    frame: Frame, *, patch: int, step: int, search: int, most: int
) -> Iterator[Matches]:
    """Find the patches nearest to every reference patch, block by block.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float64
        Values in units of the noise, at least `patch` along either axis.
    patch : int
        Edge of a patch [px].
    step : int
        Distance of the reference patches [px].
    search : int
        How far along either axis like patches are sought [px], at most 40.
    most : int
        Size K of the largest group.

    Yields
    ------
    Matches
        The nearest first.
    """
    patches = sliding_window_view(frame, (patch, patch))
    rows_there, columns_there = patches.shape[:2]
    most = min(most, (2 * search + 1) ** 2)
    for top, down in reference_runs(frame.shape[0], patch, step):
        for left, across in reference_runs(frame.shape[1], patch, step):
            low_y, high_y = top - search, top + step * (down - 1) + search + 1
            low_x, high_x = left - search, left + step * (across - 1) + search + 1
            y0, y1 = max(low_y, 0), min(high_y, rows_there)
            x0, x1 = max(low_x, 0), min(high_x, columns_there)
            candidates = patches[y0:y1, x0:x1].reshape(-1, patch * patch)
            references = patches[
                top : top + step * down : step, left : left + step * across : step
            ].reshape(-1, patch * patch)
            # What lies beyond the frame is farther than anything.
            distances = np.full(
                (down, across, high_y - low_y, high_x - low_x), 1.5 * _FARTHEST
            )
            distances[:, :, y0 - low_y : y1 - low_y, x0 - low_x : x1 - low_x] = (
                _distances(references, candidates).reshape(
                    down, across, y1 - y0, x1 - x0
                )
            )
            numbers, counts = _nearest(distances, step=step, search=search, most=most)
            shift_y, shift_x = np.divmod(numbers, 2 * search + 1)
            first_y = top + step * np.repeat(np.arange(down), across)[:, None]
            first_x = left + step * np.tile(np.arange(across), down)[:, None]
            yield Matches(
                rows=first_y + shift_y - search,
                columns=first_x + shift_x - search,
                counts=counts,
                top=y0,
                left=x0,
                height=y1 - y0 + patch - 1,
                width=x1 - x0 + patch - 1,
            )


def _distances(
    references: NDArray[np.float64], candidates: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the square difference of every reference from every candidate."""
    # About a value near all of them, squares keep their digits.
    middle = references.mean()
    references, candidates = references - middle, candidates - middle
    product = references @ candidates.T
    product *= -2
    product += np.einsum("ij,ij->i", references, references)[:, None]
    product += np.einsum("ij,ij->i", candidates, candidates)
    return np.clip(product, 0.0, _FARTHEST, out=product)


def _nearest(
    distances: NDArray[np.float64],
    *,
    step: int,
    search: int,
    most: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the nearest shifts of every reference, and how many there are."""
    down, across = distances.shape[:2]
    size = 2 * search + 1
    a, b, c, d = distances.strides
    # The window of each reference, which moves along with it.
    windows = as_strided(
        distances, (down, across, size, size), (a + step * c, b + step * d, c, d)
    ).reshape(down * across, size * size)
    order, place = _order_of_shifts(search)
    keys = (windows * _STEPS).astype(np.int64)
    keys <<= _SHIFT_BITS
    keys += place
    if most < keys.shape[1]:
        keys = np.partition(keys, most - 1, axis=1)[:, :most]
    keys.sort(axis=1)
    numbers = order[keys & ((1 << _SHIFT_BITS) - 1)]
    beyond = keys >> _SHIFT_BITS > _FARTHEST * _STEPS
    return numbers, most - beyond.sum(axis=1)


@lru_cache(maxsize=16)
def _order_of_shifts(search: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the shifts of a window from the nearest on, and the place of each."""
    y, x = np.mgrid[-search : search + 1, -search : search + 1]
    order = np.argsort((y**2 + x**2).ravel(), kind="stable")
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    for array in (order, place):
        array.setflags(write=False)
    return order, place
