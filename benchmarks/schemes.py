"""Our engine beside the tiling of other programs, with one network and machine.

Each scheme cuts the frame as the named program does by default, calls the same network
of ours on the patches, and puts them together in its way; so that only the tiling
differs. (What they compute on each patch beside that, such as a normalisation by its
own statistics, is left out, in their favour.) The schemes:

* Ede: 512 px tiles at a stride of 462 px, one at a time, overlaps averaged.
* tk_r_em: 256 px tiles at a stride of 128 px, 16 at a time, blended by a window.
* topaz: 1024 px cores with 500 px of padding each way, one at a time.
* CAREamics: 256 px tiles that overlap by 48 px, cropped in the middle of the overlap.

Run it from the root of the repository, on an otherwise idle machine::

    python benchmarks/schemes.py --size 4096            # about 2 min on two cores
    python benchmarks/schemes.py --size 4096 --device cuda --precision bfloat16
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from lowdose import catalogue
from lowdose.inference import DenoiseOptions, denoise
from lowdose.inference.device import resolve_place
from lowdose.inference.rates import machine_name
from lowdose.inference.tiling import plan_tiles
from lowdose.speed.cases import lattice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


#: What is left out of the second difference: others do not extend a frame [px].
BORDER = 128


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--denoiser", default="general")
    parser.add_argument("--size", type=int, default=4096, help="side of the frame [px]")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeats", type=int, default=2, help="the best one counts")
    arguments = parser.parse_args()
    denoiser = catalogue.load(arguments.denoiser)
    options = DenoiseOptions(
        device=arguments.device, precision=arguments.precision, keep_mean=False
    )
    place = resolve_place(options, denoiser.needs)
    denoiser.place(place.device, place.precision)
    clean = lattice(arguments.size)
    frame = np.random.default_rng(0).poisson(clean).astype(np.float32)
    measures = denoiser.measure(frame)

    def network(patches: NDArray[np.float32]) -> NDArray[np.float32]:
        patches = np.repeat(patches[:, np.newaxis], denoiser.needs.frames, 1)
        return denoiser.denoise_patches(patches, [measures] * len(patches))

    whole = plan_tiles(frame.shape, denoiser.needs)

    def untiled() -> NDArray[np.float32]:
        result = np.zeros_like(frame)
        whole.paste(result, network(whole.cut(frame, 0)[np.newaxis])[0], 0)
        return result

    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        "one pass, untiled": untiled,
        "lowdose": lambda: denoise(frame, denoiser, options=options).data,
        "Ede: 512, stride 462": lambda: averaged(frame, network, 512, 462),
        "tk_r_em: 256, half overlap": lambda: windowed(frame, network, 256, 128, 16),
        "topaz: 1024 + 2 x 500": lambda: padded(frame, network, 1024, 500),
        "CAREamics: 256, overlap 48": lambda: cropped(frame, network, 256, 48),
    }
    seconds, results = {}, {}
    for name, way in ways.items():
        results[name] = way()
        seconds[name] = min(timed(way) for _ in range(arguments.repeats))
    print(
        f"`{denoiser.name}`, {arguments.size} x {arguments.size} px, {place}, "
        f"{machine_name(place.device)}:\n\n"
        "| tiling | time [s] | rate [Mpx/s] | ratio to one pass | largest difference "
        f"from it, of the range | the same, {BORDER} px from the border on |\n"
        "|---|---|---|---|---|---|"
    )
    base = results["one pass, untiled"]
    inner = (slice(BORDER, -BORDER),) * 2
    for name, time_ in seconds.items():
        difference = np.abs(results[name] - base) / np.ptp(base)
        print(
            f"| {name} | {time_:.2f} | {frame.size / time_ / 1e6:.3g} | "
            f"{time_ / seconds['one pass, untiled']:.3f} | {difference.max():.1e} | "
            f"{difference[inner].max():.1e} |"
        )


def timed(way: Callable[[], object]) -> float:
    """Return how long a call takes [s]."""
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def starts(length: int, tile: int, stride: int) -> list[int]:
    """Return where tiles begin; the last one is moved inward."""
    last = max(0, length - tile)
    return sorted({*range(0, last, stride), last})


def places(
    frame: NDArray[np.float32], tile: int, stride: int
) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of every tile."""
    for row in starts(frame.shape[0], tile, stride):
        for column in starts(frame.shape[1], tile, stride):
            yield slice(row, row + tile), slice(column, column + tile)


def averaged(
    frame: NDArray[np.float32], network: Network, tile: int, stride: int
) -> NDArray[np.float32]:
    """Average the tiles where they overlap."""
    total, count = np.zeros_like(frame), np.zeros_like(frame)
    for place in places(frame, tile, stride):
        total[place] += network(frame[place][np.newaxis])[0]
        count[place] += 1
    return total / count


def windowed(
    frame: NDArray[np.float32], network: Network, tile: int, stride: int, batch: int
) -> NDArray[np.float32]:
    """Blend the tiles by a window that falls off to their edges."""
    r = np.abs(np.linspace(-1, 1, tile, dtype=np.float32))
    one = 1 / (1 + (r / 0.5) ** 8)
    window = np.outer(one, one) + np.float32(1e-6)
    total, weights = np.zeros_like(frame), np.zeros_like(frame)
    todo = list(places(frame, tile, stride))
    for start in range(0, len(todo), batch):
        chosen = todo[start : start + batch]
        clean = network(np.stack([frame[place] for place in chosen]))
        for place, pixels in zip(chosen, clean, strict=True):
            total[place] += window * pixels
            weights[place] += window
    return total / weights


def padded(
    frame: NDArray[np.float32], network: Network, tile: int, padding: int
) -> NDArray[np.float32]:
    """Give each tile a wide padding, and keep the tile."""
    result = np.zeros_like(frame)
    height, width = frame.shape
    multiple = 32  # that the networks at hand can take
    for row in range(0, height, tile):
        for column in range(0, width, tile):
            top, left = max(0, row - padding), max(0, column - padding)
            top, left = (n // multiple * multiple for n in (top, left))
            bottom, right = row + tile + padding, column + tile + padding
            bottom, right = (-(-n // multiple) * multiple for n in (bottom, right))
            part = frame[top : min(bottom, height), left : min(right, width)]
            clean = network(np.ascontiguousarray(part)[np.newaxis])[0]
            core = clean[row - top :, column - left :][:tile, :tile]
            result[row : row + tile, column : column + tile] = core
    return result


def cropped(
    frame: NDArray[np.float32], network: Network, tile: int, overlap: int
) -> NDArray[np.float32]:
    """Cut the tiles in the middle of their overlap."""
    result = np.zeros_like(frame)
    half = overlap // 2
    for rows, columns in places(frame, tile, tile - overlap):
        clean = network(frame[rows, columns][np.newaxis])[0]
        inner = tuple(
            slice(
                0 if part.start == 0 else half, tile if part.stop == n else tile - half
            )
            for part, n in zip((rows, columns), frame.shape, strict=True)
        )
        target = tuple(
            slice(part.start + cut.start, part.start + cut.stop)
            for part, cut in zip((rows, columns), inner, strict=True)
        )
        result[target] = clean[inner]
    return result


if __name__ == "__main__":
    main()
