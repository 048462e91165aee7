"""Views of a frame, whose denoised images are averaged.

A network makes other errors on a mirrored or turned frame, and these average out.
Where pixels are summed to blocks there is more to be had at no cost: each view is
summed on a grid of blocks of its own, half a block displaced. The network sees other
sums of the same counts then, and what it gets wrong between two samples in one view is
at a sample of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from lowdose.zoo.spreading import displaced, held, kept_spreading

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

#: Where the grids of blocks of successive views begin, in halves of a block.
GRIDS: tuple[tuple[int, int], ...] = ((0, 0), (1, 1), (0, -1), (-1, 0))
#: Whether rows and columns are exchanged, and the axes that are mirrored then: two are
#: half a turn apart, four are the quarter turns.
_TURNS: Final[tuple[tuple[bool, tuple[int, ...]], ...]] = (
    (False, ()),
    (False, (-2, -1)),
    (True, (-2,)),
    (True, (-1,)),
    (False, (-2,)),
    (False, (-1,)),
    (True, ()),
    (True, (-2, -1)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One of the views.

    Parameters
    ----------
    standing : bool
        Whether rows and columns are exchanged.
    mirrored : tuple of int
        Axes that are mirrored then.
    down, right : int
        Where the first block begins in the frame [px].
    """

    standing: bool
    mirrored: tuple[int, ...]
    down: int = 0
    right: int = 0

    def window(self, frames: Tensor) -> Tensor:
        """Return frames, (..., H, W), as the grid of blocks lies on them."""
        return displaced(frames, self.down, self.right)

    def turn(self, images: Tensor) -> Tensor:
        """Exchange and mirror axes of images, (..., H, W)."""
        images = images.mT if self.standing else images
        return images.flip(self.mirrored) if self.mirrored else images

    def back(self, images: Tensor) -> Tensor:
        """Undo :meth:`turn`."""
        images = images.flip(self.mirrored) if self.mirrored else images
        return images.mT if self.standing else images


class Views:
    """The views that are averaged; the first one is the frame as it is.

    Parameters
    ----------
    count : {1, 2, 4, 8}
        How many.
    binning : int, optional
        Edge of the blocks that pixels are summed to [px].
    means : bool, optional
        Whether the network answers with means over blocks; see
        :func:`lowdose.zoo.spreading.spreading`.
    """

    def __init__(self, count: int, binning: int = 1, *, means: bool = False) -> None:
        half = binning // 2
        self.binning, self.means = binning, means
        self.all = tuple(
            View(standing=standing, mirrored=axes, down=half * down, right=half * right)
            for (standing, axes), (down, right) in zip(
                _TURNS[:count], (GRIDS * 2)[:count], strict=True
            )
        )

    def holding(self, rows: int, columns: int) -> Tensor:
        """Return how many of the views hold each pixel of so many blocks.

        Returns
        -------
        Tensor, shape (rows * binning, columns * binning), float32
        """
        each = [
            held(rows, self.binning, view.down)[:, None]
            * held(columns, self.binning, view.right)
            for view in self.all
        ]
        return torch.stack(each).sum(0)


def averaged(
    views: Views,
    see: Callable[[View], Tensor],
    forward: Callable[[Tensor], Tensor],
    *,
    spreads: bool,
    pixel: tuple[int, int] | None = None,
) -> Tensor:
    """Average what a network makes of the views.

    Parameters
    ----------
    views : Views
        Which.
    see : callable
        Returns what a view has for the network, (N, F, rows, columns), unturned.
    forward : callable
        The network.
    spreads : bool
        Whether its answer is interpolated to the full grid.
    pixel : (int, int), optional
        The only pixel that is wanted; it becomes the whole image.

    Returns
    -------
    Tensor, shape (N, 1, H, W)
    """
    total: Tensor | None = None
    shape = (0, 0)
    for view in views.all:
        y = view.back(forward(view.turn(see(view))))
        shape = (y.shape[-2], y.shape[-1])
        if spreads:
            rows, columns = (
                kept_spreading(length, views.binning, moved, means=views.means)
                for length, moved in zip(shape, (view.down, view.right), strict=True)
            )
            if pixel is not None:
                rows, columns = rows[pixel[0], None], columns[pixel[1], None]
            y = rows.to(y.device) @ y @ columns.to(y.device).mT
        elif pixel is not None:
            y = y[..., pixel[0], pixel[1], None, None]
        total = y if total is None else total + y
    assert total is not None
    if not spreads or not any(view.down or view.right for view in views.all):
        return total / len(views.all)  # every pixel is held by all
    number = views.holding(*shape)
    if pixel is not None:
        number = number[pixel]
    return total / number.to(total.device)
