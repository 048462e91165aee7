"""Cost of simulating, and how near the SBD preset comes to SBD, as Markdown tables.

Seconds per image and peak memory of each preset, each in a fresh process with one
thread, and the statistics of clean images of Pt on ceria beside those published with
SBD::

    python benchmarks/simulation.py
    python benchmarks/simulation.py --cost-only --presets graphene
    python benchmarks/simulation.py --statistics-only --count 16

Of each preset specimens are rendered until `--seconds` have passed, so the cost of all
seven takes about as many times that, and a minute for loading and compiling. Progress
goes to the standard error, so that the tables can be sent to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.simulation import drawn
from lowdose.simulation.crystal_presets import crystals_preset, graphene_preset
from lowdose.simulation.movie_presets import movie_preset
from lowdose.simulation.particle_presets import (
    sbd_preset,
    sbd_sharp_preset,
)
from lowdose.simulation.presets import PRESETS
from lowdose.simulation.stem_presets import stem_crystals_preset

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lowdose.simulation.rendering import Preset

#: Each preset at a small size: it loads the libraries and compiles what the whole one
#: needs.
WARMING: dict[str, Callable[[], Preset]] = {
    "sbd": lambda: sbd_preset(pixel_size=0.04, size=100),
    "sbd-sharp": lambda: sbd_sharp_preset(pixel_size=0.04, size=100),
    "graphene": lambda: graphene_preset(pixel_size=0.04, size=12),
    "crystals": lambda: crystals_preset(pixel_size=0.04, size=48),
    "stem-crystals": lambda: stem_crystals_preset(pixel_size=0.04, size=48),
    "movie": lambda: movie_preset(pixel_size=0.044, size=100, frames=2),
    "drawn": lambda: drawn.preset(size=32),
}
#: One thread, as the processes of `lowdose simulate` have.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: Time between two messages [s].
PAUSE = 5.0
#: What is known of SBD's clean images: nine public ones, and the raw PSNR (peak 1,
#: unclamped) after Poisson noise of a whole test set.
PUBLISHED = {
    "vacuum [e-/px]": "0.45",
    "mean [e-/px]": "0.443",
    "lowest": "0.337",
    "highest": "0.634",
    "relative standard deviation": "0.075 to 0.18",
    "PSNR after Poisson noise [dB]": "3.56",
}


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parse()
    if arguments.child is not None:
        print(json.dumps(measure(arguments.child, arguments.seconds, arguments.seed)))
        return
    command = f"python {Path(sys.argv[0]).as_posix()} {' '.join(sys.argv[1:])}".strip()
    cores = os.cpu_count()
    print(
        f"Command: `{command}`\n\nMachine: {platform.machine()}, {cores} cores, "
        f"{platform.system()}, Python {platform.python_version()}\n"
    )
    if not arguments.statistics_only:
        print_cost(arguments)
    if not arguments.cost_only and "sbd" in PRESETS:
        print(statistics_table(arguments))


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--presets", nargs="+", default=sorted(PRESETS), choices=sorted(PRESETS)
    )
    parser.add_argument(
        "--seconds", type=float, default=50, help="time for each preset (default: 50)"
    )
    parser.add_argument(
        "--count", type=int, default=8, help="specimens of the statistics (default: 8)"
    )
    parser.add_argument("--seed", type=int, default=1)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--statistics-only", action="store_true")
    only.add_argument("--cost-only", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(name: str, seconds: float, seed: int) -> dict[str, Any]:
    """Render specimens for some time, at least one, and return what each image cost."""
    preset = PRESETS[name]
    tell(f"{name}: loading and compiling")
    WARMING[name]().render(seed, 0, None)
    images = specimens = 0
    told = -PAUSE
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        rendering = preset.render(seed, specimens, None)
        specimens += 1
        images += len(rendering.images)
        spent = time.perf_counter() - wall
        # One more is begun only if it is likely to end in time.
        if spent * (specimens + 1) / specimens > seconds:
            break
        if spent > told + PAUSE:
            told = spent
            tell(f"{name}: {images} images after {spent:.0f} s")
    tell(f"{name}: done, {images} images in {spent:.0f} s")
    return {
        "images": images,
        "specimens": specimens,
        "shape": rendering.images.shape[1:],
        "wall": spent / images,
        "cpu": (time.process_time() - cpu) / images,
        "memory": peak_memory(),
    }


def tell(message: str) -> None:
    """Say on the standard error how far it is."""
    print(message, file=sys.stderr, flush=True)


def print_cost(arguments: argparse.Namespace) -> None:
    """Measure every preset in a process of its own, and print its row at once."""
    print(
        "| preset | images (specimens) | size [px] | s per image | CPU s per image "
        "| peak memory [MiB] |\n|---|---|---|---|---|---|",
        flush=True,
    )
    single = {**os.environ, **dict.fromkeys(THREADS, "1")}
    for name in arguments.presets:
        child = [sys.executable, __file__, "--child", name]
        child += ["--seconds", str(arguments.seconds), "--seed", str(arguments.seed)]
        done = subprocess.run(
            child, check=True, stdout=subprocess.PIPE, text=True, env=single
        )
        cost = json.loads(done.stdout.splitlines()[-1])
        height, width = cost["shape"]
        print(
            f"| {name} | {cost['images']} ({cost['specimens']}) | {height} x {width} "
            f"| {cost['wall']:.2f} | {cost['cpu']:.2f} | {cost['memory']:.0f} |",
            flush=True,
        )
    print()


def statistics_table(arguments: argparse.Namespace) -> str:
    """Compare the clean images of the preset ``sbd`` with SBD's."""
    rng = np.random.default_rng(arguments.seed)
    preset = PRESETS["sbd"]
    tell(f"sbd: {arguments.count} specimens for the statistics")
    rows: list[list[float]] = []
    for number in range(arguments.count):
        images = preset.render(arguments.seed, number, None).images
        rows += [statistics(image, preset.vacuum, rng) for image in images]
    table = np.array(rows)
    lines = [
        f"{len(rows)} images of {arguments.count} specimens:",
        "",
        "| | SBD | 5 % | median | 95 % |",
        "|---|---|---|---|---|",
    ]
    for (name, published), column in zip(PUBLISHED.items(), table.T, strict=True):
        low, middle, high = np.nanquantile(column, [0.05, 0.5, 0.95])
        lines.append(
            f"| {name} | {published} | {low:.3f} | {middle:.3f} | {high:.3f} |"
        )
    return "\n".join([*lines, ""])


def statistics(
    image: NDArray[np.float32], vacuum: float, rng: np.random.Generator
) -> list[float]:
    """Return the numbers of one clean image, in the order of :data:`PUBLISHED`."""
    noisy = rng.poisson(image)
    error = float(((noisy - image) ** 2).mean())
    return [
        vacuum_level(image, vacuum),
        float(image.mean()),
        float(image.min()),
        float(image.max()),
        float(image.std() / image.mean()),
        -10 * np.log10(error),
    ]


def vacuum_level(image: NDArray[np.float32], vacuum: float) -> float:
    """Return the mean over the flattest square of 40 px; NaN where none is flat.

    Found by its standard deviation, not by its value, which is what is to be measured.
    """
    side = 40
    height, width = (length // side * side for length in image.shape)
    blocks = image[:height, :width].reshape(height // side, side, width // side, side)
    spread = blocks.std(axis=(1, 3))
    place = np.unravel_index(spread.argmin(), spread.shape)
    flat = bool(spread[place] < 0.01 * vacuum)
    return float(blocks.mean(axis=(1, 3))[place]) if flat else float("nan")


def peak_memory() -> float:
    """Return the largest resident size of this process so far [MiB]."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux a process inherits from its parent.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
