"""What working at one sampling gains: the same networks with and without it.

Two tables in Markdown. The first says how much of clean frames of ``sbd-sharp`` is left
when blocks of pixels are replaced by samples at their centres and interpolated back. In
the second each network learns for the same time, once from counts at the full 0.0061
nm/px and once from sums of about 6 x 6 of them, and then denoises the same whole frames
of specimens that neither has seen.

::

    lowdose simulate sbd-sharp -o runs/sbd-train.h5 --count 2400 --seed 21
    lowdose simulate sbd-sharp -o runs/sbd-test.h5 --count 1600 --seed 77
    python benchmarks/sampling.py runs/sbd-train.h5 runs/sbd-test.h5 -o runs/sampling

Each network learns in the folder given, and goes on there when it was interrupted; one
that is finished is not trained again. With the default of 5 minutes each it takes 25 in
all, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import dctn

from lowdose import catalogue
from lowdose.inference import denoise
from lowdose.micrograph import Calibration, Micrograph
from lowdose.simulation.dataset import Dataset
from lowdose.training.config import recipe_from_dict
from lowdose.training.loop import iter_train

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLING = {"pixel_size_nm": 0.0366, "finest_nm": 0.0275, "coarsest_nm": 0.055}
#: Name -> network, crop and batch at full resolution, crop and batch on sums.
NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, int], tuple[int, int]]] = {
    "ours, spectral mixing": (
        {
            "architecture": "lowdose",
            "options": {
                "base": 36,
                "blocks": [2, 2, 3],
                "stem": 4,
                "mixing": True,
                "residual": False,
                "conditions": 10,
            },
        },
        (256, 4),
        (96, 8),
    ),
    "SBD's UNet, scales 4, base 32": (
        {"architecture": "unet2", "options": {"scales": 4, "base": 32}},
        (256, 4),
        (96, 8),
    ),
}
#: Specimens that are learnt from.
SPECIMENS = 150
#: On sums the network has no need of so coarse a stem.
ON_SUMS = {"lowdose": {"stem": 2, "residual": True}}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0, help="for each training")
    parser.add_argument("--count", type=int, default=16, help="test frames of a class")
    arguments = parser.parse_args()
    with Dataset(arguments.test) as test:
        print(kept(test, arguments.count), end="\n\n", flush=True)
        chosen = one_of_each(test, "white", arguments.count)
        print(
            f"{arguments.minutes:g} minutes of training each; {len(chosen)} white "
            "frames; PSNR [dB] at a peak of 1.\n"
        )
        print("| network | full resolution | summed | gain |\n|---|---:|---:|---:|")
        for name, (network, full, sums) in NETWORKS.items():
            scores = []
            for way, (patch, batch) in (("full", full), ("summed", sums)):
                folder = arguments.output / f"{network['architecture']}-{way}"
                model = train(
                    folder, arguments, network, patch, batch, summed=way == "summed"
                )
                scores.append(psnr(model, test, chosen))
            a, b = scores
            print(f"| {name} | {a:.2f} | {b:.2f} | {b - a:+.2f} |", flush=True)


def kept(test: Dataset, count: int) -> str:
    """Return how much of clean frames each binning keeps, as Markdown."""
    binnings = (5, 6, 8, 10)
    lines = [
        "PSNR [dB] at a peak of 1 of clean frames after sampling and interpolating.\n",
        "| class | " + " | ".join(f"{b} x {b}" for b in binnings) + " |",
        "|---|" + "---:|" * len(binnings),
    ]
    for contrast in ("white", "intermediate", "black"):
        lost = np.zeros(len(binnings))
        chosen = one_of_each(test, contrast, count)
        for number in chosen:
            power = dctn(test[number].astype(np.float64), norm="ortho") ** 2
            for n, binning in enumerate(binnings):
                side = power.shape[0] // binning
                lost[n] += (power.sum() - power[:side, :side].sum()) / power.size
        values = -10 * np.log10(lost / len(chosen))
        lines.append(f"| {contrast} | " + " | ".join(f"{v:.1f}" for v in values) + " |")
    return "\n".join(lines)


def one_of_each(test: Dataset, contrast: str, count: int) -> list[int]:
    """Return frames of a class, at most one of each specimen."""
    classes = np.asarray(test.parameters["contrast"])
    specimens = np.asarray(test.parameters["specimen"])
    first: dict[int, int] = {}
    for number in np.flatnonzero(classes == contrast):
        first.setdefault(int(specimens[number]), int(number))
    return list(first.values())[:count]


def train(
    folder: Path,
    arguments: argparse.Namespace,
    network: dict[str, Any],
    patch: int,
    batch: int,
    *,
    summed: bool,
) -> Path:
    """Train a network, or go on, and return the folder of the model."""
    model = folder / "model"
    if (model / "card.toml").exists():
        return model
    options = dict(network["options"])
    # A part of the set, which is soon in memory: short trainings of either kind would
    # else be told apart by how they read images for the first time.
    data: dict[str, Any] = {
        "way": "simulation",
        "dataset": str(arguments.train),
        "conditions": {"specimen": [0, SPECIMENS - 1]},
    }
    if summed:
        options |= ON_SUMS.get(network["architecture"], {})
        data["sampling"] = SAMPLING
        data["typical"] = 1.0
    else:
        # The magnification varies as it does for typical sums.
        data |= {"scale_min": 0.91, "scale_max": 1.1, "rotation": 0.0}
    recipe = recipe_from_dict(
        {
            "name": folder.name,
            "title": folder.name,
            "summary": "For benchmarks/sampling.py.",
            "licence": "BSD-3-Clause",
            "seed": 1,
            "data": {**data, "dose_min": 0.5, "dose_max": 2.0},
            "network": {**network, "options": options},
            "training": {
                "steps": 1_000_000,
                "minutes": arguments.minutes,
                "batch": batch,
                "patch": patch,
                "loss": "mse",
                "warmup": 50,
                "validate_every": 10_000,
            },
        }
    )
    for _ in iter_train(recipe, folder, resume=folder.exists()):
        pass
    return model


def psnr(model: Path, test: Dataset, chosen: list[int]) -> float:
    """Return the mean PSNR [dB] of a model at a peak of 1."""
    denoiser = catalogue.load(model)
    values = []
    for number in chosen:
        clean = test[number]
        counts = np.random.default_rng([8, number]).poisson(clean).astype(np.float32)
        sizes = (float(test.parameters["pixel_size"][number]),) * 2
        image = Micrograph(counts, Calibration.from_spacing(sizes, ("nm", "nm")))
        result: NDArray[np.float32] = denoise(image, denoiser).data
        values.append(-10 * math.log10(np.mean((result - clean) ** 2)))
    return float(np.mean(values))


if __name__ == "__main__":
    main()
