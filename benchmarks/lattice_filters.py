"""How well filters do on lattices at low dose, at their best: what a network must beat.

Images of a simulated set (of the preset ``sbd-sharp``: Pt on ceria, 0.45 e-/px in
vacuum) get Poisson noise. Every filter is tuned on some images by the truth, over all
binnings and with and without variance stabilisation, and scored on others, of specimens
it was not tuned on, as a Markdown table.

::

    lowdose simulate sbd-sharp -o runs/sbd.h5 --count 1000 --seed 4
    python benchmarks/lattice_filters.py runs/sbd.h5
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose import metrics
from lowdose.filters import FILTERS
from lowdose.filters.binning import bin_sum, interpolate
from lowdose.filters.tuning import denoise_frames, tune_to_truth
from lowdose.simulation.dataset import Dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Images = NDArray[np.float32]

SEED = 8


def main() -> None:
    """Tune, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a simulated data set, in e-/px")
    parser.add_argument("--filters", nargs="+", default=list(FILTERS), metavar="NAME")
    parser.add_argument("--count", type=int, default=16, help="images to score on")
    parser.add_argument("--tuned-on", type=int, default=3, help="images to tune on")
    parser.add_argument(
        "--binnings", type=int, nargs="+", default=[1, 4, 6, 8, 10], metavar="N"
    )
    arguments = parser.parse_args()
    tuned_on, test = load(arguments.data, arguments.tuned_on, arguments.count)
    for factor in arguments.binnings:
        kept = [back(image, factor) for image in test]
        print(f"clean images binned {factor} and back: {np.mean(kept):.1f} dB")
    print("\n| filter | PSNR, peak 1 [dB] | SSIM | s/image | tuned to |")
    print("|---|---:|---:|---:|---|", flush=True)
    first = counts(tuned_on, 0)
    noisy = counts(test, len(tuned_on))
    print(f"| (noisy) | {row(noisy, test)} | | |")
    for name in arguments.filters:
        values = tune_to_truth(
            name, first, tuned_on, first=2, binnings=arguments.binnings
        )
        began = time.process_time()
        result = np.concatenate(
            [denoise_frames(name, frame[None], values) for frame in noisy]
        )
        seconds = (time.process_time() - began) / len(noisy)
        print(
            f"| {name} | {row(result, test)} | {seconds:.1f} | {told(values)} |",
            flush=True,
        )


def load(path: Path, tuned_on: int, count: int) -> tuple[Images, Images]:
    """Return images to tune on and to score on, of different specimens, in e-/px."""
    with Dataset(path) as dataset:
        parts = dataset.split({"train": 0.9, "test": 0.1}, seed=1)
        return spread(parts["train"], tuned_on), spread(parts["test"], count)


def spread(images: Any, count: int) -> Images:
    """Return some images, evenly spread."""
    chosen = np.linspace(0, len(images) - 1, count).astype(int)
    return np.stack([np.asarray(images[int(n)], np.float32) for n in chosen])


def counts(clean: Images, first: int) -> Images:
    """Draw the counts of every image, each with its own seed."""
    drawn = [
        np.random.default_rng([SEED, first + number]).poisson(image)
        for number, image in enumerate(clean)
    ]
    return np.stack(drawn).astype(np.float32)


def back(clean: Images, factor: int) -> float:
    """Return what binning alone loses of a clean image, as PSNR at a peak of 1."""
    image = clean.astype(np.float64)
    means = bin_sum(image, factor) / factor**2
    error = interpolate(means, factor, image.shape) - image
    return float(-10 * np.log10(max(np.mean(np.square(error)), 1e-30)))


def row(result: Images, clean: Images) -> str:
    """Return PSNR and SSIM for a table."""
    pairs = list(zip(result, clean, strict=True))
    psnr = np.mean([-10 * np.log10(np.mean((x - y) ** 2)) for x, y in pairs])
    return f"{psnr:.2f} | {np.mean([metrics.ssim(x, y) for x, y in pairs]):.3f}"


def told(values: dict[str, Any]) -> str:
    """Return the values in words."""
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )


if __name__ == "__main__":
    sys.exit(main())
