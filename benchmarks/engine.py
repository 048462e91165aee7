"""Speed and memory of the engine, as a Markdown table.

Two questions, each of which has a limit in the project's requirements:

* How much slower is a tiled run than one forward pass over the whole frame, and how
  far do the two differ? (At most 1.15 times, and 1e-4 of the range.)
* Does the peak memory grow with the number of frames? (It must not.)

Run it from the root of the repository, on an otherwise idle machine::

    python benchmarks/engine.py
    python benchmarks/engine.py --denoiser gaussian --size 1024 --frames 2 4

Memory is measured in a fresh process per stack, which reads a memory-mapped file of
uint16 frames and streams float32 TIFF.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowdose import catalogue, io
from lowdose.inference import DenoiseOptions, denoise, plan_step
from lowdose.inference.device import resolve_place
from lowdose.inference.tiling import plan_tiles
from lowdose.micrograph import Calibration, Micrograph

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parse()
    if arguments.stack is not None:
        print(peak_of_run(arguments))
        return
    command = f"python {Path(sys.argv[0]).as_posix()} {' '.join(sys.argv[1:])}".strip()
    print(f"Command: `{command}`\n\nMachine: {machine()}\n")
    if not arguments.memory_only:
        print(speed_table(arguments))
    if not arguments.speed_only:
        print(memory_table(arguments))


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--denoiser", default="general", help="name in the catalogue")
    parser.add_argument("--size", type=int, default=4096, help="side of the frame [px]")
    parser.add_argument("--tile", type=int, help="tile [px]; the engine's choice")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeats", type=int, default=3, help="the best one counts")
    parser.add_argument(
        "--frames", type=int, nargs="+", default=[8, 64, 256], help="frames per stack"
    )
    parser.add_argument("--frame-size", type=int, default=1024, help="side [px]")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--speed-only", action="store_true")
    only.add_argument("--memory-only", action="store_true")
    parser.add_argument("--stack", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def speed_table(arguments: argparse.Namespace) -> str:
    """Compare a tiled run with untiled passes over the same frame."""
    options = options_of(arguments)
    denoiser = catalogue.load(arguments.denoiser)
    needs = denoiser.needs
    place = resolve_place(options, needs)
    denoiser.place(place.device, place.precision)
    frame = noisy_frame(arguments.size)
    measures = [denoiser.measure(frame)]
    # A plan of one tile is the padded frame; see lowdose.inference.tiling.
    whole = plan_tiles(frame.shape, needs)
    padded = np.ascontiguousarray(whole.cut(frame, 0))
    side = arguments.size // needs.multiple * needs.multiple
    bare = np.ascontiguousarray(frame[:side, :side])

    def forward(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return denoiser.denoise_patches(pixels[np.newaxis, np.newaxis], measures)[0]

    def tiled() -> NDArray[np.float32]:
        return denoise(frame, denoiser, options=options).data

    clean_padded, clean_tiled = forward(padded), tiled()  # warm up, and compare
    untiled = np.zeros_like(frame)
    whole.paste(untiled, clean_padded, 0)
    difference = np.abs(clean_tiled - untiled).max() / np.ptp(untiled)
    seconds = best_of(
        arguments.repeats, lambda: forward(bare), lambda: forward(padded), tiled
    )
    tile = plan_step(Micrograph(frame), denoiser, options=options).details["tile"]
    megapixels = frame.size / 1e6
    rows = [
        ("one pass over the frame", bare.shape, seconds[0]),
        ("one pass over the padded frame", padded.shape, seconds[1]),
        ("the engine, tiled", tuple(tile), seconds[2]),
    ]
    lines = [
        f"`{denoiser.name}`, {arguments.size} x {arguments.size} px, {place}, halo "
        f"{needs.halo} px, border {needs.border} px:",
        "",
        "| | patch [px] | time [s] | rate [Mpx/s] | ratio to one pass |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {height} x {width} | {time_:.2f} | {megapixels / time_:.2f} "
            f"| {time_ / seconds[0]:.3f} |"
            for name, (height, width), time_ in rows
        ),
        "",
        "Largest difference between the tiled run and the pass over the padded frame: "
        f"{difference:.1e} of the range of the result.",
        "",
    ]
    return "\n".join(lines)


def best_of(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Return the shortest time of each function [s]; they take turns."""
    seconds = [float("inf")] * len(functions)
    for _ in range(repeats):
        for number, function in enumerate(functions):
            start = time.perf_counter()
            function()
            seconds[number] = min(seconds[number], time.perf_counter() - start)
    return seconds


def memory_table(arguments: argparse.Namespace) -> str:
    """Measure the peak memory of runs over stacks of several lengths."""
    side = arguments.frame_size
    lines = [
        f"`{arguments.denoiser}`, frames of {side} x {side} px, uint16 memory map in, "
        "float32 TIFF out:",
        "",
        "| frames | input [MiB] | result [MiB] | peak memory [MiB] |",
        "|---|---|---|---|",
    ]
    for count in arguments.frames:
        with tempfile.TemporaryDirectory() as folder:
            stack = Path(folder) / "stack.npy"
            write_stack(stack, count, side)
            child = [sys.executable, __file__, "--stack", str(stack)]
            for name in ("denoiser", "device", "precision", "tile"):
                if getattr(arguments, name) is not None:
                    child += [f"--{name}", str(getattr(arguments, name))]
            done = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True)
        pixels = count * side**2
        lines.append(
            f"| {count} | {2 * pixels / 2**20:.0f} | {4 * pixels / 2**20:.0f} "
            f"| {float(done.stdout):.0f} |"
        )
    return "\n".join([*lines, ""])


def write_stack(path: Path, count: int, side: int) -> None:
    """Write a stack of noisy frames, one frame in memory at a time."""
    stack = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint16, shape=(count, side, side)
    )
    frame = noisy_frame(side)
    for number in range(count):
        stack[number] = np.roll(frame, number, axis=0)
        stack.flush()


def peak_of_run(arguments: argparse.Namespace) -> float:
    """Denoise a stack and return the peak memory of this process [MiB]."""
    data = np.load(arguments.stack, mmap_mode="r")
    image = Micrograph(data, Calibration.unknown(data.ndim), arguments.stack.name)
    denoiser: Denoiser = catalogue.load(arguments.denoiser)
    options = options_of(arguments)
    step = plan_step(image, denoiser, options=options)
    sink = io.create(
        arguments.stack.with_name("clean.tif"),
        image.shape,
        image.calibration.with_step(step),
    )
    denoise(image, denoiser, options=options, out=sink)
    return peak_memory()


def peak_memory() -> float:
    """Return the largest resident size of this process so far [MiB]."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux a process inherits from its parent.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def options_of(arguments: argparse.Namespace) -> DenoiseOptions:
    """Return the engine's options."""
    return DenoiseOptions(
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
        keep_mean=False,
    )


def noisy_frame(side: int) -> NDArray[np.float32]:
    """Return a lattice of blurred columns at 5 e-/px, with shot noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] * (2 * np.pi / 17)
    dose = 5 * (1 + 0.5 * np.cos(x) * np.cos(y))
    return rng.poisson(dose).astype(np.float32)


def machine() -> str:
    """Return what was measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return (
        f"{platform.machine()}, {cores or os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
