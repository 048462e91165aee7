"""Which design wins on crystals: networks trained for equal time, as a Markdown table.

Frames of the preset ``sbd-sharp`` (Pt on ceria, 0.45 e-/px in vacuum), Poisson counts
drawn anew at each step. Every design has the same minutes on the same machine, its own
batch and crop (as large a field of view as it can use), Adam with a warm start and a
cosine over its time, averaged weights. Test images are of specimens that no design has
seen.

::

    lowdose simulate sbd-sharp -o runs/sbd.h5 --count 1200 --seed 4
    python benchmarks/designs.py runs/sbd.h5 -o runs/designs --minutes 6

Each row is kept as a JSON file in the folder as soon as it is measured, and a design
that has one is not trained again. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from torch import nn

from lowdose import networks
from lowdose.networks.normalising import CONDITIONS, column, constants, measure
from lowdose.noise import NoiseModel
from lowdose.simulation.dataset import Dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Test images, of specimens that are kept apart.
TEST_IMAGES = 8


@dataclass(frozen=True)
class Design:
    """One row of the table."""

    name: str
    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    batch: int = 8
    crop: int = 384
    rate: float = 1e-3


_TOLD: dict[str, Any] = {"conditions": len(CONDITIONS)}
_OURS: dict[str, Any] = {
    "stem": 4,
    "blocks": [2, 2, 3],
    "residual": False,
    "mixing": True,
    **_TOLD,
}

DESIGNS = [
    Design("ours", "lowdose", {"base": 36, **_OURS}, batch=4, crop=256),
    Design(
        "SBD's UNet, scales 4, base 32",
        "unet2",
        {"scales": 4, "base": 32},
        batch=4,
        crop=256,
    ),
    Design("DnCNN-20", "dncnn", {"depth": 20}, batch=4, crop=128),
    Design("ours with an 8 x 8 stem", "lowdose", {"base": 36, **_OURS, "stem": 8}),
    Design(
        "8 x 8 stem, without spectral mixing",
        "lowdose",
        {"base": 40, **_OURS, "stem": 8, "mixing": False},
    ),
    Design(
        "8 x 8 stem, not told the spectrum",
        "lowdose",
        {"base": 36, **_OURS, "stem": 8, "conditions": 2},
    ),
    Design(
        "2 x 2 stem, residual, without mixing",
        "lowdose",
        {"base": 36, "stem": 2, "blocks": [1, 2, 4], **_TOLD},
        batch=4,
        crop=192,
    ),
    Design(
        "8 x 8 stem, two wide levels",
        "lowdose",
        {"base": 60, **_OURS, "stem": 8, "blocks": [3, 3]},
    ),
]


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a data set of the preset sbd")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0, help="for each design")
    parser.add_argument("--only", help="designs whose name holds this text")
    parser.add_argument("--table", action="store_true", help="print the rows there are")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        train, test = load(arguments.data)
        for design in DESIGNS:
            path = arguments.output / f"{design.name.replace(' ', '-')}.json"
            if path.exists() or (arguments.only and arguments.only not in design.name):
                continue
            row = measured(design, train, test, arguments.minutes, path)
            path.write_text(json.dumps(row, indent=1), encoding="utf-8")
            print(f"{design.name}: {row}", flush=True)
        reference = arguments.output / "filter.json"
        if not reference.exists():
            reference.write_text(json.dumps(filtered(test), indent=1), encoding="utf-8")
    print(table(arguments.output, arguments.minutes))


def load(path: Path) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Return training and test images, (N, H, W), in e-/px."""
    with Dataset(path) as dataset:
        parts = dataset.split({"train": 0.9, "test": 0.1}, seed=1)
        train = np.stack([image.astype(np.float16) for image in parts["train"]])
        chosen = np.linspace(0, len(parts["test"]) - 1, TEST_IMAGES).astype(int)
        test = np.stack([parts["test"][int(number)] for number in chosen])
        return train, test


def measured(
    design: Design,
    train: NDArray[np.float16],
    test: NDArray[np.float32],
    minutes: float,
    path: Path,
) -> dict[str, Any]:
    """Train a design for some minutes, keep its weights beside `path`, measure it."""
    torch.manual_seed(0)
    network = networks.build(design.architecture, **design.options)
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.Adam(network.parameters(), lr=design.rate)
    told = int(design.options.get("conditions", 0))
    started, step = time.perf_counter(), 0
    while (share := (time.perf_counter() - started) / (60 * minutes)) < 1:
        rng = np.random.default_rng([7, step])
        for group in optimiser.param_groups:
            group["lr"] = design.rate * min(
                (step + 1) / 50, 0.01 + 0.99 * math.cos(0.5 * math.pi * share)
            )
        crops = np.stack([crop(train, design.crop, rng) for _ in range(design.batch)])
        seen, measures = observed(crops, rng, told)
        target = (crops - column(measures, "mean")) / column(measures, "sigma")
        with torch.autocast("cpu", torch.bfloat16):
            y = network(tensor(seen))
        error = y.float()[:, 0] - torch.from_numpy(target.astype(np.float32))
        loss = (error**2).mean((1, 2)).sqrt().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        weight = 1 - min(0.995, step / (step + 10))
        for mean, now in zip(
            average.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(now, weight)
    seconds = time.perf_counter() - started
    average.eval()
    state = {key: value.contiguous() for key, value in average.state_dict().items()}
    save_file(state, path.with_suffix(".safetensors"))
    return {
        **asdict(design),
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": step,
        "ms_per_step": round(1000 * seconds / step, 1),
        **tested(average, test, told),
    }


@torch.inference_mode()
def tested(
    network: nn.Module, test: NDArray[np.float32], told: int
) -> dict[str, float]:
    """Return the scores of a network, once as it is and averaged over eight views."""
    single, views, seconds = [], [], math.inf
    for number, clean in enumerate(test):
        seen, measures = observed(clean[None], np.random.default_rng([8, number]), told)
        x = tensor(np.pad(seen, ((0, 0), (0, 0), (32, 32), (32, 32)), mode="reflect"))
        outputs = []
        for view in range(8):
            turned = torch.rot90(x.flip(-1) if view >= 4 else x, view % 4, (-2, -1))
            started = time.perf_counter()
            y = network(turned)
            seconds = min(seconds, time.perf_counter() - started)
            y = torch.rot90(y, -(view % 4), (-2, -1))
            outputs.append((y.flip(-1) if view >= 4 else y)[0, 0, 32:-32, 32:-32])
        sigma, mean = measures[0]["sigma"], measures[0]["mean"]
        single.append(scores(outputs[0].numpy() * sigma + mean, clean))
        views.append(scores(torch.stack(outputs).mean(0).numpy() * sigma + mean, clean))
    pixels = (test.shape[1] + 64) * (test.shape[2] + 64)
    return {
        "psnr": round(float(np.mean([s[0] for s in single])), 2),
        "ssim": round(float(np.mean([s[1] for s in single])), 4),
        "psnr_8_views": round(float(np.mean([s[0] for s in views])), 2),
        "ms_per_megapixel": round(1e9 * seconds / pixels, 1),
    }


def filtered(test: NDArray[np.float32]) -> dict[str, Any]:
    """Return the scores of a Gaussian filter, tuned on the truth image by image."""
    best = []
    for number, clean in enumerate(test):
        rng = np.random.default_rng([8, number])
        counts = rng.poisson(clean).astype(np.float32)
        best.append(
            max(
                scores(gaussian_filter(counts, s), clean) for s in np.arange(3, 14, 0.5)
            )
        )
    psnr, ssim = np.mean(best, 0)
    return {"psnr": round(float(psnr), 2), "ssim": round(float(ssim), 4)}


def scores(
    denoised: NDArray[np.float32], clean: NDArray[np.float32]
) -> tuple[float, float]:
    """Return PSNR [dB] at a peak of 1, as SBD's, and SSIM over the truth's range."""
    mse = float(np.mean((denoised - clean) ** 2))
    ssim = structural_similarity(clean, denoised, data_range=float(np.ptp(clean)))
    return -10 * math.log10(mse), float(ssim)


def observed(
    clean: NDArray[np.float32], rng: np.random.Generator, told: int
) -> tuple[NDArray[np.float32], list[Any]]:
    """Draw counts, and return what a network sees of them, with the measures."""
    counts = rng.poisson(clean).astype(np.float32)
    measures = [measure(frame, NoiseModel()) for frame in counts]
    z = (counts - column(measures, "mean")) / column(measures, "sigma")
    told_so = constants(measures, told)[:, :, None, None]
    told_so = np.broadcast_to(told_so, (*told_so.shape[:2], *counts.shape[1:]))
    return np.concatenate([z[:, None], told_so], 1, dtype=np.float32), measures


def crop(
    images: NDArray[np.float16], size: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a random crop, turned and mirrored at random."""
    top, left = rng.integers(0, images.shape[1] - size + 1, 2)
    image = images[rng.integers(len(images)), top : top + size, left : left + size]
    image = np.rot90(image, int(rng.integers(4)))
    return (image[::-1] if rng.uniform() < 0.5 else image).astype(np.float32)


def tensor(images: NDArray[np.float32]) -> torch.Tensor:
    """Return a tensor with channels last."""
    images = np.ascontiguousarray(images, np.float32)
    return torch.from_numpy(images).contiguous(memory_format=torch.channels_last)


def table(folder: Path, minutes: float) -> str:
    """Return the rows of a folder as Markdown, best first."""
    rows = []
    for design in DESIGNS:
        path = folder / f"{design.name.replace(' ', '-')}.json"
        if path.exists():
            rows.append(json.loads(path.read_text(encoding="utf-8")))
    lines = [
        f"Equal time: {minutes:g} minutes of training each.",
        "",
        "| design | parameters | steps | PSNR [dB] | 8 views [dB] | SSIM | ms/Mpx |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {r['name']} | {r['parameters']:,} | {r['steps']} | {r['psnr']:.2f} | "
            f"{r['psnr_8_views']:.2f} | {r['ssim']:.3f} | {r['ms_per_megapixel']:.0f} |"
            for r in sorted(rows, key=lambda row: -row["psnr"])
        ),
    ]
    reference = folder / "filter.json"
    if reference.exists():
        f = json.loads(reference.read_text(encoding="utf-8"))
        lines.append(
            f"| Gaussian, tuned on each truth | | | {f['psnr']:.2f} | | "
            f"{f['ssim']:.3f} | |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
