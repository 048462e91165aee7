"""Which images are tested and which are set aside to tune on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowdose.benchmark.study import Scene
    from lowdose.micrograph import Micrograph

#: Share of the specimens that is set aside to tune on.
SHARE: Final = 0.1
#: Largest side of the images that filters are tuned on [px], and how many.
TUNING_SIDE: Final = 360
TUNING_IMAGES: Final = 6


def divide(
    records: Sequence[Mapping[str, Any]], seed: int
) -> tuple[list[int], list[int]]:
    """Divide images so that no specimen is both tested and tuned on.

    Parameters
    ----------
    records : sequence of mapping
        Of every image, with ``specimen``.
    seed : int
        Of the order.

    Returns
    -------
    tested, aside : list of int
        Numbers of images: one of every specimen in random order, then another one of
        each, and so on; of several sets (``set``) in turns. Where all of a set are of
        one specimen, such as the frames of one stack, single images are set aside; of
        a single image nothing is.
    """
    sets: dict[Any, dict[Any, list[int]]] = {}
    for number, record in enumerate(records):
        specimens = sets.setdefault(record.get("set"), {})
        specimens.setdefault(record["specimen"], []).append(number)
    divided = [_divide_set(list(parts.values()), seed) for parts in sets.values()]
    tested, aside = zip(*divided, strict=True) if divided else ((), ())
    return _in_turns(tested), _in_turns(aside)


def _divide_set(parts: list[list[int]], seed: int) -> tuple[list[int], list[int]]:
    if len(parts) == 1:
        parts = [[number] for number in parts[0]]
    if len(parts) == 1:
        return parts[0], []
    rng = np.random.default_rng([seed, len(parts)])
    shuffled = [parts[n] for n in rng.permutation(len(parts))]
    mixed = [[part[n] for n in rng.permutation(len(part))] for part in shuffled]
    share = max(1, round(SHARE * len(mixed)))
    return _in_turns(mixed[:-share]), _in_turns(mixed[-share:])


def _in_turns(parts: Sequence[Sequence[int]]) -> list[int]:
    """Return the first of every part, then the second of every part, and so on."""
    rounds = itertools.zip_longest(*parts)
    return [number for one in rounds for number in one if number is not None]


def tuning_numbers(
    records: Sequence[Mapping[str, Any]], aside: Sequence[int]
) -> list[int]:
    """Return some images to tune on, of as many specimens as possible.

    Raises
    ------
    ParameterError
        If none are set aside.
    """
    if not aside:
        msg = "Filters cannot be tuned: one image alone cannot be tuned on and tested."
        raise ParameterError(msg)
    used: dict[Any, int] = {}
    for number in aside:
        used.setdefault(records[number]["specimen"], number)
    chosen = [*used.values(), *(n for n in aside if n not in used.values())]
    return chosen[:TUNING_IMAGES]


def middle(scene: Scene, side: int = TUNING_SIDE) -> Scene:
    """Return the middle of a scene, a square of this side [px] at most."""
    rows, columns = (
        slice(max(0, (n - side) // 2), max(0, (n - side) // 2) + side)
        for n in scene.truth.shape[-2:]
    )
    counts = np.asarray(scene.counts)[..., rows, columns]
    return replace(
        scene,
        counts=scene.counts.replace(data=counts),
        truth=scene.truth[..., rows, columns],
        more={},
    )


def square(image: Micrograph, side: int, rng: np.random.Generator) -> Micrograph:
    """Return a random crop of an image, of this side [px] where it is large enough."""
    height, width = image.frame_shape
    rows, columns = min(side, height), min(side, width)
    top = int(rng.integers(height - rows + 1))
    left = int(rng.integers(width - columns + 1))
    pixels = np.asarray(image)[top : top + rows, left : left + columns]
    return image.replace(data=np.ascontiguousarray(pixels, dtype=np.float32))
