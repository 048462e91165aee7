"""What of a stack is learnt from, and what is held out for the validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.training.stacks import Stack

#: One frame in so many is held out for the validation, where there are as many; else
#: so much of the height of every frame, as long as crops fit both parts.
_HELD_OUT = 8
#: Keeps the choice of pixels apart from other random numbers under one seed.
_PIXELS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Which frames, or which rows of them, are learnt from, and which are held out.

    Parameters
    ----------
    learnt, held : tuple of int
        Numbers of frames.
    edge : tuple of int
        Of each frame of the stack the row at which the part learnt from ends; the
        validation takes the rows below where the frame is both learnt from and held
        out.
    """

    learnt: tuple[int, ...]
    held: tuple[int, ...]
    edge: tuple[int, ...]

    def rows(self, number: int, height: int, *, held: bool) -> tuple[int, int]:
        """Return the first row and the row after the last of a part of a frame."""
        if number in self.learnt and number in self.held:
            edge = self.edge[number]
            whole = edge == height
            if whole:
                return 0, height
            return (edge, height) if held else (0, edge)
        return 0, height


def hold_out(stack: Stack, patch: int) -> Parts:
    """Divide a stack for learning and validation.

    One frame in eight is held out, from the middle of each eight; with fewer frames
    the lowest eighth of each, or as much as a crop. A frame with no room for that
    serves for both.

    Parameters
    ----------
    stack : Stack
        Frames.
    patch : int
        Side of the crops [px].

    Returns
    -------
    Parts
    """
    every = tuple(range(len(stack)))
    heights = [frame.shape[0] for frame in stack.frames]
    if len(stack) >= _HELD_OUT:
        held = every[_HELD_OUT // 2 :: _HELD_OUT]
        learnt = tuple(n for n in every if n not in held)
        return Parts(learnt=learnt, held=held, edge=tuple(heights))
    edges = []
    for height in heights:
        strip = max(patch, height // _HELD_OUT)
        # What is learnt from must stay larger than what is held out.
        edges.append(height - strip if height - strip >= max(patch, strip) else height)
    return Parts(learnt=every, held=every, edge=tuple(edges))


def whole_frames(stack: Stack) -> Parts:
    """Return parts that are all of every frame, both to learn from and held out."""
    every = tuple(range(len(stack)))
    heights = tuple(frame.shape[0] for frame in stack.frames)
    return Parts(learnt=every, held=every, edge=heights)


def held_pixels(stack: Stack, *, seed: int) -> list[NDArray[np.bool_]]:
    """Choose pixels that are never learnt from as targets: one in eight, at random.

    They may still be seen beside others, of whose noise they tell nothing.

    Parameters
    ----------
    stack : Stack
        Frames.
    seed : int
        Of the recipe.

    Returns
    -------
    list of ndarray, shape (H, W), bool
        For each frame where a pixel is held out.
    """
    return [
        np.random.default_rng([seed, _PIXELS, number]).random(frame.shape)
        < 1 / _HELD_OUT
        for number, frame in enumerate(stack.frames)
    ]


def held_out_crops(
    stack: Stack, parts: Parts, *, size: int, most: int
) -> list[tuple[int, slice, slice]]:
    """Return places of validation crops, spread over what is held out.

    Parameters
    ----------
    stack, parts : Stack, Parts
        Frames, and which are held out.
    size : int
        Side of the crops at most [px]; multiples of 16 are taken.
    most : int
        Number of crops at most.

    Returns
    -------
    list of (frame, rows, columns)
        All of one shape for frames of one shape.
    """
    places: list[tuple[int, slice, slice]] = []
    for number in parts.held:
        height, width = stack.frames[number].shape
        top, bottom = parts.rows(number, height, held=True)
        rows, columns = (
            max(16, min(size, side) // 16 * 16) for side in (bottom - top, width)
        )
        places += [
            (number, slice(y, y + rows), slice(x, x + columns))
            for y in range(top, bottom - rows + 1, rows)
            for x in range(0, width - columns + 1, columns)
        ]
    chosen = np.unique(np.linspace(0, len(places) - 1, most).astype(int))
    return [places[n] for n in chosen]


def random_place(
    rng: Generator, stack: Stack, parts: Parts, patch: int
) -> tuple[int, slice, slice]:
    """Draw a frame and a crop of what is learnt from, each pixel about as often."""
    areas = np.array([stack.frames[n].size for n in parts.learnt], np.float64)
    number = int(rng.choice(parts.learnt, p=areas / areas.sum()))
    height, width = stack.frames[number].shape
    top, bottom = parts.rows(number, height, held=False)
    y = top + int(rng.integers(bottom - top - patch + 1))
    x = int(rng.integers(width - patch + 1))
    return number, slice(y, y + patch), slice(x, x + patch)
