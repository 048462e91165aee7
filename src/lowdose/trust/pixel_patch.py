"""The patch that a denoiser needs for one pixel, cut as the engine cuts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowdose.inference.spans import halo_spans, reflected

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.denoiser import Needs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelPatch:
    """A patch round one pixel, and where its pixels come from.

    Parameters
    ----------
    data : ndarray, shape (F, h, w), float32
        Counts.
    rows, columns : ndarray of int, shape (h,) and (w,)
        Row and column of the frame that stand at each of the patch: mirrored at the
        borders.
    row, column : int
        The pixel, in the patch.
    shape : tuple of int
        Height and width of the frame [px].
    """

    data: NDArray[np.float32]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    row: int
    column: int
    shape: tuple[int, int]

    def gathered(self, slopes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add up derivatives by the patch over the pixels of the frame.

        Parameters
        ----------
        slopes : ndarray, shape (F, h, w)
            Derivatives by the pixels of the patch.

        Returns
        -------
        ndarray, shape (F, H, W), float32
            0 outside the patch.
        """
        height, width = self.shape
        place = (self.rows[:, None] * width + self.columns[None]).ravel()
        summed = [np.bincount(place, part.ravel(), height * width) for part in slopes]
        return np.stack(summed).reshape(-1, height, width).astype(np.float32)


def cut_patch(
    frames: NDArray[np.float32],
    needs: Needs,
    row: int,
    column: int,
    *,
    context: int | None = None,
) -> PixelPatch:
    """Cut the patch that supplies one pixel.

    Parameters
    ----------
    frames : ndarray, shape (F, H, W), float32
        What the denoiser sees.
    needs : Needs
        What it asks for.
    row, column : int
        The pixel.
    context : int, optional
        For a denoiser without a halo: distance [px] that it is shown. The whole frame
        by default.

    Returns
    -------
    PixelPatch
    """
    height, width = frames.shape[1:]
    if needs.halo is None:
        reach = max(height, width) + needs.border if context is None else context
        needs = replace(needs, halo=reach)
    places = []
    for at, length in ((row, height), (column, width)):
        (span,) = halo_spans(length, slice(at, at + 1), needs, None)
        start, stop = span.start - needs.border, span.stop - needs.border
        places.append((reflected(start, stop, length), at - start))
    (rows, inner_row), (columns, inner_column) = places
    return PixelPatch(
        data=np.ascontiguousarray(frames[:, rows[:, None], columns[None]]),
        rows=rows,
        columns=columns,
        row=inner_row,
        column=inner_column,
        shape=(height, width),
    )
