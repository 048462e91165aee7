"""How large a tile and a batch may be, and what to try when they were too large."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lowdose.inference.device import CPU, Place, free_memory
from lowdose.inference.rates import seconds_per_pixel
from lowdose.inference.spans import padded_length, smallest_tile
from lowdose.inference.tiling import Plan, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowdose.denoiser import Needs
    from lowdose.inference.options import DenoiseOptions
    from lowdose.inference.rates import Rate

#: Share of the free memory that one batch may take. On a CPU the rest is for the
#: frames themselves and for other programs; on a GPU for fragmentation.
MEMORY_SHARE: Final = {"cpu": 0.4, "cuda": 0.7, "mps": 0.5}

#: Largest patch chosen unasked [px along a side]. A larger one would compute no
#: faster, and progress and cancelling wait for one patch.
LARGEST_TILE: Final = {"cpu": 2560, "cuda": 4096, "mps": 2560}

#: Pixels of a batch chosen unasked: enough to fill the device.
BATCH_PIXELS: Final = {"cpu": 2**20, "cuda": 2**23, "mps": 2**22}

#: Smallest patch chosen unasked where memory does not force a smaller one [px].
SMALLEST_TILE: Final = 512

#: Computing that cutting may add to an untiled pass, where memory allows it.
_MOST_WASTE: Final = 1.125


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Where, and in what pieces, to compute.

    Parameters
    ----------
    place : Place
        Device and precision.
    tile : int or None
        Longest wanted side of a patch, halo included [px]. None for whole frames.
    batch : int
        Patches at a time.
    """

    place: Place
    tile: int | None
    batch: int


def choose_work(
    frame_shape: tuple[int, int],
    needs: Needs,
    *,
    options: DenoiseOptions,
    place: Place,
    threads: int = 1,
    rates: Sequence[Rate] = (),
) -> Work:
    """Choose tile and batch from the options, the free memory and the halo.

    Parameters
    ----------
    frame_shape : tuple of int
        Height and width of a frame [px].
    needs : Needs
        What the denoiser asks for.
    options : DenoiseOptions
        Its `tile` and `batch` are taken where they are given.
    place : Place
        Device and precision.
    threads : int, optional
        Patches that are denoised at the same time, each in a thread.
    rates : sequence of Rate, optional
        What was measured of the denoiser on this machine.

    Returns
    -------
    Work
        With a finite halo, the tile and batch that take the least time by the
        `rates`, where there are any; else the smallest tile that is at least
        :data:`SMALLEST_TILE`, adds at most an eighth of computing, and fits both
        :data:`MEMORY_SHARE` of the free memory and :data:`LARGEST_TILE`. For a
        global operator the tile it wants, else the whole frame where that fits.
    """
    kind = place.device.partition(":")[0]
    fitting = _pixels_that_fit(needs, place)
    tile: int | None
    if rates and options.tile is None and needs.halo is not None:
        fastest = _fastest_work(frame_shape, needs, rates, fitting=fitting)
        if fastest is not None:
            tile, batch = fastest
            height, width = plan_tiles(frame_shape, needs, tile=tile).tile_shape
            room = fitting // (height * width)
            batch = options.batch or max(batch, min(threads, room))
            return Work(place=place, tile=tile, batch=batch)
    if options.tile is not None:
        tile = options.tile
    elif needs.halo is None:
        tile = _global_tile(frame_shape, needs, fitting)
    else:
        most = min(fitting, LARGEST_TILE[kind] ** 2)
        tile = _economical_tile(frame_shape, needs, most)
    height, width = plan_tiles(frame_shape, needs, tile=tile).tile_shape
    pixels = min(fitting, BATCH_PIXELS[kind])
    batch = options.batch or max(1, pixels // (height * width))
    if options.batch is None and threads > batch:
        # Every thread has a patch, where that is not at the cost of much memory.
        room = min(fitting, threads * BATCH_PIXELS[kind]) // (height * width)
        batch = max(batch, min(threads, room))
    return Work(place=place, tile=tile, batch=batch)


def smaller_work(
    work: Work, plan: Plan, needs: Needs, *, patches: int, options: DenoiseOptions
) -> tuple[Work, str] | None:
    """Return what to try after memory ran out, and a sentence that says so.

    First half the batch, then half the tile down to
    :func:`~lowdose.inference.spans.smallest_tile`, then the CPU with tile and batch
    chosen anew. None where nothing is left to try.

    Parameters
    ----------
    work : Work
        What did not fit.
    plan : Plan
        The tiles it was cut into.
    needs : Needs
        What the denoiser asks for.
    patches : int
        How many patches did not fit; less than the batch where there were no more.
    options : DenoiseOptions
        What was asked for.
    """
    side = max(plan.tile_shape)
    size = f"{plan.tile_shape[0]} × {plan.tile_shape[1]} px"
    lack = f"Memory ran out on {work.place.device}"
    if patches > 1:
        batch = patches // 2
        text = f"{lack} with {patches} patches of {size}: continuing with {batch}."
        return replace(work, batch=batch), text
    tile = max(smallest_tile(needs), side // 2)
    if tile < side:
        text = f"{lack} with patches of {size}: continuing with at most {tile} px."
        return replace(work, tile=tile, batch=1), text
    if work.place.device == CPU.device:
        return None
    return work_on_cpu(work, plan, needs, options=options)


def work_on_cpu(
    work: Work, plan: Plan, needs: Needs, *, options: DenoiseOptions
) -> tuple[Work, str]:
    """Return work moved to the CPU, cut anew, and a sentence that says so.

    Parameters
    ----------
    work : Work
        What did not fit.
    plan : Plan
        The tiles it was cut into.
    needs : Needs
        What the denoiser asks for.
    options : DenoiseOptions
        What was asked for.
    """
    text = f"Memory ran out on {work.place.device}: continuing on the CPU, more slowly."
    return choose_work(plan.frame_shape, needs, options=options, place=CPU), text


def _pixels_that_fit(needs: Needs, place: Place) -> int:
    share = MEMORY_SHARE[place.device.partition(":")[0]]
    per_pixel = max(1.0, needs.bytes_per_pixel * needs.frames)
    return max(1, int(share * free_memory(place.device) / per_pixel))


def _global_tile(
    frame_shape: tuple[int, int], needs: Needs, fitting: int
) -> int | None:
    side = math.isqrt(fitting)
    if needs.tile is not None:
        return min(needs.tile, max(side, smallest_tile(needs)))
    height, width = (padded_length(length, needs) for length in frame_shape)
    return None if height * width <= fitting else max(side, smallest_tile(needs))


def _fastest_work(
    frame_shape: tuple[int, int], needs: Needs, rates: Sequence[Rate], *, fitting: int
) -> tuple[int, int] | None:
    """Return the tile and batch that take a frame in the least measured time."""
    best: tuple[float, int, int] | None = None
    for side in sorted({rate.side for rate in rates}):
        plan = plan_tiles(frame_shape, needs, tile=side)
        height, width = plan.tile_shape
        found = seconds_per_pixel(rates, math.isqrt(height * width))
        if found is None or height * width > fitting:
            continue
        seconds, batch = found
        batch = max(1, min(batch, len(plan), fitting // (height * width)))
        total = len(plan) * height * width * seconds
        if best is None or total < best[0]:
            best = total, side, batch
    return None if best is None else best[1:]


def _economical_tile(
    frame_shape: tuple[int, int], needs: Needs, most_pixels: int
) -> int:
    floor = smallest_tile(needs)
    whole = plan_tiles(frame_shape, needs)
    side = max(whole.tile_shape)
    halos = 2 * (needs.halo or 0)
    chosen = side
    for count in range(2, side // SMALLEST_TILE + 2):
        finer = plan_tiles(frame_shape, needs, tile=-(-side // count) + halos)
        if max(finer.tile_shape) < max(SMALLEST_TILE, floor):
            break
        if len(finer) * math.prod(finer.tile_shape) > _MOST_WASTE * math.prod(
            whole.tile_shape
        ):
            break
        chosen = max(finer.tile_shape)
    return min(chosen, max(floor, math.isqrt(most_pixels)))
