"""Where to cut a frame into tiles, and how to put the tiles together again.

Pure plans made of integers: nothing here computes an image, and nothing needs torch.

The *padded frame* is the frame with ``needs.border`` reflected pixels round it and,
below and to the right, as many more as make its sides multiples of
``needs.multiple``. Coordinates in it are called padded coordinates; pixel (0, 0) of
the frame is pixel (border, border) of the padded frame. It is never made in memory:
:meth:`Plan.cut` takes tiles from the frame and reflects where they reach outside.

Two kinds of plan share one form:

* An operator with a finite **halo** gets tiles that overlap by twice the halo. Of
  each tile only the *core* is kept, which is at least a halo away from every edge of
  the tile that is not an edge of the padded frame. The cores partition the frame, so
  the result is the one an untiled pass over the padded frame gives.
* A **global** operator, whose every output depends on the whole patch, has no such
  core. Its tiles overlap by ``needs.overlap`` and are blended there by raised cosine
  ramps whose weights sum to one.

In both all tiles are of one size, at multiples of ``needs.multiple`` from the corner
of the padded frame: tiles at the far edges are moved inward instead of padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import ParameterError
from lowdose.inference.spans import Span, blended_spans, halo_spans, reflected

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.denoiser import Needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One rectangle of a plan.

    Parameters
    ----------
    rows, columns : slice
        What the tile takes from the padded frame, in padded coordinates [px].
    core_rows, core_columns : slice
        The part of the tile that is kept, in coordinates of the tile [px].
    target_rows, target_columns : slice
        Where that part goes, in coordinates of the planned region [px].
    """

    rows: slice
    columns: slice
    core_rows: slice
    core_columns: slice
    target_rows: slice
    target_columns: slice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """How one frame, or a region of it, is cut and put together.

    Parameters
    ----------
    frame_shape : tuple of int
        Height and width of the frame [px].
    border : int
        Reflected pixels round the frame [px].
    rows, columns : tuple of Span
        The tiles along each axis; every pair of them is a tile.
    region : tuple of slice
        Rows and columns of the frame that are planned.
    """

    frame_shape: tuple[int, int]
    border: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    region: tuple[slice, slice]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width of every tile [px]."""
        row, column = self.rows[0], self.columns[0]
        return row.stop - row.start, column.stop - column.start

    @property
    def region_shape(self) -> tuple[int, int]:
        """Height and width of the planned region [px]."""
        rows, columns = self.region
        return rows.stop - rows.start, columns.stop - columns.start

    def tile(self, number: int) -> Tile:
        """Return tile `number`, counted row by row."""
        row, column = divmod(number, len(self.columns))
        rows, columns = self.rows[row], self.columns[column]
        return Tile(
            rows=slice(rows.start, rows.stop),
            columns=slice(columns.start, columns.stop),
            core_rows=_shifted(rows, self.border - rows.start),
            core_columns=_shifted(columns, self.border - columns.start),
            target_rows=_shifted(rows, -self.region[0].start),
            target_columns=_shifted(columns, -self.region[1].start),
        )

    def cut(self, frame: NDArray[np.float32], number: int) -> NDArray[np.float32]:
        """Return the input of tile `number`.

        Parameters
        ----------
        frame : ndarray, shape `frame_shape`, float32
            The frame, without padding.
        number : int
            Number of the tile.

        Returns
        -------
        ndarray, shape `tile_shape`, float32
            A view of the frame where the tile lies inside it, else a new array.
        """
        tile = self.tile(number)
        top, left = tile.rows.start - self.border, tile.columns.start - self.border
        bottom, right = tile.rows.stop - self.border, tile.columns.stop - self.border
        height, width = self.frame_shape
        inside = top >= 0 and left >= 0 and bottom <= height and right <= width
        if inside:
            return frame[top:bottom, left:right]
        rows = reflected(top, bottom, height)
        columns = reflected(left, right, width)
        return frame[np.ix_(rows, columns)]

    def paste(
        self, canvas: NDArray[np.float32], clean: NDArray[np.float32], number: int
    ) -> None:
        """Put the denoised tile `number` into its place.

        Parameters
        ----------
        canvas : ndarray, shape `region_shape`, float32
            The region. It must be zero before the first tile of a blended plan.
        clean : ndarray, shape `tile_shape`, float32
            The denoised tile.
        number : int
            Number of the tile.
        """
        tile = self.tile(number)
        row, column = divmod(number, len(self.columns))
        core = clean[tile.core_rows, tile.core_columns]
        vertical, horizontal = self.rows[row].weights, self.columns[column].weights
        if vertical is None or horizontal is None:
            canvas[tile.target_rows, tile.target_columns] = core
        else:
            canvas[tile.target_rows, tile.target_columns] += (
                core * vertical[:, np.newaxis] * horizontal
            )


def plan_tiles(
    frame_shape: tuple[int, int],
    needs: Needs,
    *,
    tile: int | None = None,
    region: tuple[slice, slice] | None = None,
) -> Plan:
    """Plan the tiles of a frame, or of a region of it.

    Parameters
    ----------
    frame_shape : tuple of int
        Height and width of the frame [px].
    needs : Needs
        What the denoiser asks for.
    tile : int, optional
        Longest wanted side of a tile, halo included [px]; raised to
        :func:`~lowdose.inference.spans.smallest_tile` where it is less. None for one
        tile.
    region : tuple of slice, optional
        Rows and columns of the frame that are wanted; all of it by default. With a
        finite halo only the region and its halo are cut; of a global operator those
        tiles of the whole frame that touch the region.

    Returns
    -------
    Plan
        Tiles of one size. With a finite halo there are as few as `tile` allows, and
        they are as small as that number allows.

    Raises
    ------
    ParameterError
        If the region is empty or not inside the frame.
    """
    wanted = region or (slice(0, frame_shape[0]), slice(0, frame_shape[1]))
    spans = []
    for length, window in zip(frame_shape, wanted, strict=True):
        if not 0 <= window.start < window.stop <= length:
            msg = (
                f"The region {window.start} to {window.stop} px is empty or outside "
                f"the frame, which has {length} px along this axis."
            )
            raise ParameterError(msg)
        axis_plan = halo_spans if needs.halo is not None else blended_spans
        spans.append(axis_plan(length, window, needs, tile))
    return Plan(
        frame_shape=frame_shape,
        border=needs.border,
        rows=spans[0],
        columns=spans[1],
        region=wanted,
    )


def _shifted(span: Span, by: int) -> slice:
    return slice(span.core_start + by, span.core_stop + by)
