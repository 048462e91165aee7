"""How every network trains and what it costs, as a Markdown table.

Each variant of ``lowdose networks`` is trained for the same steps on the same data, in
the same order: drawings of :mod:`lowdose.simulation.procedural` with Poisson noise at
doses from 0.5 to 50 e-/px, scaled as its publication does it. The loss is the mean
squared error in units of the variance of the noise, so that an image left as it is has
the loss 1, and networks with different scalings can be compared::

    python benchmarks/networks.py
    python benchmarks/networks.py --steps 20 --only durr-unet ede-code -o trial.json

Each network has a process of its own, whose peak memory is given. A row is kept in the
JSON file as soon as it is measured, and what is in the file is not measured again. All
together do 7e13 multiplications, which two idle cores need 15 to 30 minutes for;
twice the patch takes four times as long. A network that has not done its steps after
``--minutes`` is stopped, and its row says how many it has done.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lowdose import networks
from lowdose.networks.declared import declaration, inputs
from lowdose.networks.normalising import CONDITIONS, measure
from lowdose.networks.scaling import SCALINGS
from lowdose.networks.variants import VARIANTS, Variant, find_variant
from lowdose.noise import NoiseModel
from lowdose.simulation.procedural import draw

#: Steps at either end of a training whose losses are averaged.
MEANED = 20

#: Least and greatest dose [e-/px].
DOSES = (0.5, 50.0)

HEADS = (
    "network",
    "parameters",
    "steps",
    "first loss",
    "last loss",
    "fall",
    "ms/step",
    "ms/Mpx",
    "training memory [MB]",
)


def main() -> None:
    """Measure the networks that are not in the file yet, and print the table."""
    arguments = parse()
    if arguments.worker is not None:
        print(json.dumps(bench(find_variant(arguments.worker), arguments)))
        return
    names = arguments.only or [variant.name for variant in VARIANTS]
    path = arguments.output
    settings = {
        "steps": arguments.steps,
        "batch": arguments.batch,
        "patch": arguments.patch,
        "size": arguments.size,
        "minutes": arguments.minutes,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if kept and kept["settings"] != settings:
        msg = f"{path} has other settings: {kept['settings']}; give another file."
        raise SystemExit(msg)
    rows: dict[str, Any] = kept.get("rows", {})
    for name in names:
        find_variant(name)
        if name not in rows:
            command = [sys.executable, __file__, "--worker", name]
            done = subprocess.run(
                [*command, *sys.argv[1:]], check=True, stdout=subprocess.PIPE, text=True
            )
            rows[name] = json.loads(done.stdout.splitlines()[-1])
            print(f"{name}: {rows[name]}", file=sys.stderr, flush=True)
            text = json.dumps({"settings": settings, "rows": rows}, indent=1)
            path.write_text(f"{text}\n", "utf-8")
    print(f"{settings}\n\n{table([rows[name] for name in names])}")


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("networks.json"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=32, help="side [px]")
    parser.add_argument("--size", type=int, default=512, help="of the timed image [px]")
    parser.add_argument("--minutes", type=float, default=10.0, help="at most, each")
    parser.add_argument("--worker", metavar="NAME", help=argparse.SUPPRESS)
    return parser.parse_args()


def bench(variant: Variant, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one network and time it."""
    torch.manual_seed(0)
    network = networks.build(variant.architecture, **variant.options)
    losses, seconds = train(network, variant, arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kilobytes, macOS in bytes.
    peak_mb = peak / (1024**2 if sys.platform == "darwin" else 1024)
    meaned = min(MEANED, max(1, len(losses) // 2))
    return {
        "name": variant.name,
        "steps": len(losses),
        "first": float(np.mean(losses[:meaned])),
        "last": float(np.mean(losses[-meaned:])),
        "ms_per_step": 1000 * seconds / len(losses),
        "ms_per_megapixel": time_inference(network, variant, arguments.size),
        "peak_mb": peak_mb,
    }


def train(
    network: torch.nn.Module, variant: Variant, arguments: argparse.Namespace
) -> tuple[list[float], float]:
    """Return the losses and the seconds that the steps took, without the drawing."""
    rng = np.random.default_rng(0)
    clean = [draw("any", rng, 2 * arguments.patch) for _ in range(64)]
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-4)
    losses: list[float] = []
    begin, seconds = time.monotonic(), 0.0
    while len(losses) < arguments.steps:
        if time.monotonic() - begin > 60 * arguments.minutes and len(losses) > 1:
            break
        noisy, target, weight = batch(variant, clean, rng, arguments)
        start = time.perf_counter()
        network.train()
        optimiser.zero_grad()
        error = (network(noisy) - target) * weight
        loss = error.square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        seconds += time.perf_counter() - start
    return losses, seconds


def batch(
    variant: Variant,
    clean: list[np.ndarray],
    rng: np.random.Generator,
    arguments: argparse.Namespace,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return noisy images, clean ones in the same scale, and noise units per unit."""
    frames, conditions = inputs(variant)
    noisy, target, weight = [], [], []
    for _ in range(arguments.batch):
        image = clean[int(rng.integers(len(clean)))]
        top, left = rng.integers(image.shape[0] - arguments.patch, size=2)
        patch = image[top : top + arguments.patch, left : left + arguments.patch]
        dose = float(np.exp(rng.uniform(*np.log(DOSES))))
        rate = dose * (0.5 + patch)
        # Five frames whatever the network takes, so that all draw the same noise.
        movie = rng.poisson(rate, (5, *rate.shape)).astype(np.float32)
        middle = movie[2]
        measures = measure(middle, NoiseModel())
        scaling = SCALINGS[variant.scaling]
        if variant.scaling == "mean-and-noise":
            offset, unit = measures["mean"], measures["sigma"]
        else:
            _, offset, unit = scaling.apply(middle)
        sigma = float(np.sqrt(rate.mean()))
        first = 2 - frames // 2
        constants = told(variant, measures, conditions, sigma / unit)
        noisy.append(
            np.concatenate(
                [
                    (movie[first : first + frames] - offset) / unit,
                    np.broadcast_to(
                        constants[:, None, None], (conditions, *rate.shape)
                    ),
                ]
            )
        )
        target.append(((rate - offset) / unit)[None])
        weight.append(unit / sigma)
    return (
        torch.from_numpy(np.stack(noisy).astype(np.float32)),
        torch.from_numpy(np.stack(target).astype(np.float32)),
        torch.tensor(weight, dtype=torch.float32)[:, None, None, None],
    )


def told(variant: Variant, measures: Any, conditions: int, level: float) -> np.ndarray:
    """Return the constants: the noise level for a map, else what we measure."""
    if variant.options.get("level") == "map":
        return np.array([level], np.float32)
    keys = CONDITIONS[:conditions]
    return np.array([measures[key] for key in keys], np.float32)


def time_inference(network: torch.nn.Module, variant: Variant, size: int) -> float:
    """Return milliseconds per million pixels, the better of two runs."""
    network.eval()
    image = torch.rand(1, sum(inputs(variant)), size, size)
    best = float("inf")
    with torch.inference_mode():
        network(image[..., :64, :64])
        for _ in range(2):
            start = time.perf_counter()
            network(image)
            best = min(best, time.perf_counter() - start)
    return 1000 * best * 1e6 / size**2


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows in Markdown."""
    lines = [HEADS, ("---", *["---:"] * (len(HEADS) - 1))]
    lines += [
        (
            row["name"],
            f"{declaration(row['name']).parameters:,}",
            str(row["steps"]),
            f"{row['first']:.3g}",
            f"{row['last']:.3g}",
            f"{1 - row['last'] / row['first']:.0%}",
            f"{row['ms_per_step']:.0f}",
            f"{row['ms_per_megapixel']:.0f}",
            f"{row['peak_mb']:.0f}",
        )
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
