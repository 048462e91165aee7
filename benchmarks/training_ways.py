"""The six ways to learn, for the same time, on the same simulated stack.

A platinum nanoparticle on ceria (the preset ``sbd-sharp``, 0.45 e-/px in vacuum) is
counted in 32 frames. Each way learns for the same time with the same fresh network, and
then denoises every frame by itself:

* ``thinning``, ``blind-spot`` and ``noise2noise`` learn from the 32 frames alone;
* ``simulation``, ``high-dose`` and ``pairs`` learn from clean images of *other*
  specimens of the same set;
* ``supervised bound`` learns by ``pairs`` from the 32 frames and *their own truth*:
  what the other three could reach if their targets had no noise.

Beside them are the noisy counts, the average of all 32 frames (possible because the
specimen does not move), filters with the parameters that are best for the truth itself
(:func:`lowdose.filters.tuning.tune_to_truth`), the general model as it is, and, with
``--from-general``, thinning that begins with it. PSNR and SSIM are means over frames.

    lowdose simulate sbd-sharp --count 1000 --seed 4 -o runs/sbd.h5
    python benchmarks/training_ways.py --set runs/sbd.h5 --image 10 --minutes 4 \
        -o runs/ways --markdown runs/ways/table.md

Each row is kept as a JSON file in the folder as soon as it is measured, and is not
measured again; a training that was interrupted goes on. ``--pinned 1`` runs all of it
on core 1 alone and counts the time of the processor instead of that of the clock, so
that minutes mean the same whatever else the machine does.
Without ``--set`` the 16 images that come with the package are used.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

import lowdose
from lowdose import metrics
from lowdose.errors import LowDoseWarning
from lowdose.filters.tuning import denoise_frames, tune_to_truth
from lowdose.progress import format_seconds
from lowdose.simulation.dataset import Dataset, open_sample
from lowdose.training.config import Recipe, recipe_from_dict
from lowdose.training.loop import iter_train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Images = NDArray[np.float32]

SEED = 20250
FRAMES = 32
#: The same for every way: `lowdose-m` of docs/networks.md, narrower, for minutes on
#: one core.
NETWORK = {
    "architecture": "lowdose",
    "options": {
        "base": 24,
        "blocks": [2, 2, 3],
        "stem": 4,
        "conditions": 10,
        "mixing": True,
        "residual": False,
    },
}
#: Frames of each other specimen for the ways that learn from clean images, and the
#: dose at which a clean micrograph is recorded, as a multiple of that of the set.
PAIRED_FRAMES, HIGH_DOSE = 4, 10_000
#: Images of other specimens that are written for these ways, at most.
OTHER_IMAGES = 64
#: Names of rows that are no way to learn.
NOISY, AVERAGE = "noisy", f"average of {FRAMES} frames"
BOUND, FROM_GENERAL = "supervised bound", "thinning, from general"
FEW_ASKED = "blind-spot, 2 % asked"
ALONE = ("thinning", "blind-spot", FEW_ASKED, "noise2noise", FROM_GENERAL)
OTHERS = "other specimens, clean"
LEARNT_FROM = {BOUND: "the stack and its truth"}
#: Frames that filters are tuned on, of which some first.
TUNED_ON, TUNED_FIRST = 8, 3
FILTERS = ("gaussian", "butterworth", "wavelet", "nl-means", "bm3d")
#: Filters too slow for that, of which these values are tried with the other defaults.
SLOW = ("bm3d", "nl-means", "pca")
SLOW_GRID = [{"vst": v, "binning": b} for v in ("none", "counts") for b in (4, 6, 8)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One denoiser."""

    denoiser: str
    learnt_from: str
    psnr_range: float
    psnr_sbd: float
    ssim: float
    steps: int = 0
    minutes: float = 0.0
    note: str = ""
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The stack to denoise, and what there is to learn from."""

    truth: Images
    counts: Images
    vacuum: float
    stack: Path
    noisy: Path
    clean: Path
    own_truth: Path
    high_dose: Path
    dataset: str
    specimen: int
    others: list[int]


def make_scene(
    dataset: Dataset, number: int, size: int, folder: Path, name: str
) -> Scene:
    """Count frames of the middle of an image, and write all that the ways read."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    top, left = (max(0, side - size) // 2 for side in dataset.frame_shape)
    truth = dataset[number][top : top + size, left : left + size]
    specimen = int(dataset.record(number)["specimen"])
    counts = rng.poisson(np.repeat(truth[None], FRAMES, 0)).astype(np.uint8)
    rows = dataset.parameters["specimen"]
    other_rows = np.flatnonzero(rows != specimen)
    chosen = rng.permutation(other_rows)[:OTHER_IMAGES]
    other = [dataset[int(n)] for n in np.sort(chosen)]
    clean = np.repeat(np.stack(other), PAIRED_FRAMES, 0)
    keys = ("stack", "noisy", "clean", "own_truth")
    paths = {key: folder / f"{key}.tif" for key in keys}
    stacks = {
        "stack": counts,
        "noisy": rng.poisson(clean).astype(np.uint8),
        "clean": clean.astype(np.float32),
        "own_truth": np.repeat(truth[None], FRAMES, 0).astype(np.float32),
    }
    # What is there may be in use by another run, and is the same.
    for key, stack in stacks.items():
        if not paths[key].exists():
            tifffile.imwrite(paths[key], stack, photometric="minisblack")
    high = folder / "high-dose"
    high.mkdir(exist_ok=True)
    for index, image in enumerate(other):
        recorded = rng.poisson(HIGH_DOSE * image).astype(np.uint16)
        path = high / f"{index:04}.tif"
        if not path.exists():
            tifffile.imwrite(path, recorded)
    return Scene(
        truth=truth,
        counts=counts.astype(np.float32),
        vacuum=dataset.vacuum,
        high_dose=high,
        dataset=name,
        specimen=specimen,
        others=[int(n) for n in dataset.specimens if n != specimen],
        **paths,
    )


def recipes(scene: Scene, minutes: float, patch: int, batch: int) -> dict[str, Recipe]:
    """Return a recipe for each way."""
    # Largest expected count of a crop, for the way that asks for that of Ede.
    brightest = float(np.percentile(scene.truth, 99.9))
    data: dict[str, dict[str, Any]] = {
        "thinning": {"way": "thinning", "stack": str(scene.stack)},
        # As `lowdose train --from-stack` does, and as Noise2Void is used.
        "blind-spot": {
            "way": "blind-spot",
            "stack": str(scene.stack),
            "blind": "pixel",
            "share": 0.06,
        },
        FEW_ASKED: {
            "way": "blind-spot",
            "stack": str(scene.stack),
            "blind": "pixel",
            "share": 0.02,
        },
        "noise2noise": {"way": "noise2noise", "stack": str(scene.stack)},
        "simulation": {
            "way": "simulation",
            "dataset": scene.dataset,
            "conditions": {"specimen": scene.others},
            # As the frames are: their pixel size is that of the set.
            "scale_min": 1.0,
            "scale_max": 1.0,
            "rotation": 0.0,
        },
        "high-dose": {
            "way": "high-dose",
            "folder": str(scene.high_dose),
            "binning": 1,
            "regime": "ordinary",
            "ordinary_min": 0.9 * brightest,
            "ordinary_max": 1.1 * brightest,
        },
        "pairs": {
            "way": "pairs",
            "noisy": str(scene.noisy),
            "clean": str(scene.clean),
        },
        BOUND: {
            "way": "pairs",
            "noisy": str(scene.stack),
            "clean": str(scene.own_truth),
        },
    }
    training = {
        "steps": 1_000_000,
        "minutes": minutes,
        "batch": batch,
        "patch": patch,
        # Ede's loss is for his normalisation; one loss makes the ways comparable.
        "loss": "mse",
        "warmup": 50,
        "average": 0.99,
        "validate_every": 100,
        "checkpoint_every": 100,
        "keep": "best",
        "precision": "float32",
    }
    made = {
        name: _recipe(name, table, training, {"network": NETWORK})
        for name, table in data.items()
    }
    made[FROM_GENERAL] = _recipe(
        FROM_GENERAL, data["thinning"], training, {"start": "general"}
    )
    return made


def _recipe(
    name: str, data: dict[str, Any], training: dict[str, Any], top: dict[str, Any]
) -> Recipe:
    return recipe_from_dict(
        {
            "name": _file_name(name),
            "title": name,
            "summary": "Made by benchmarks/training_ways.py.",
            "licence": "BSD-3-Clause",
            "seed": SEED,
            "data": data,
            "training": training,
            **top,
        }
    )


def train_row(name: str, recipe: Recipe, scene: Scene, folder: Path) -> Row:
    """Train in one way and score the model."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LowDoseWarning)
        job = iter_train(recipe, folder / recipe.name, resume=True)
        while True:
            try:
                next(job)
            except StopIteration as end:
                trained = end.value
                break
    own = name in ALONE
    return Row(
        denoiser=name,
        learnt_from="the stack" if own else LEARNT_FROM.get(name, OTHERS),
        steps=trained.steps,
        minutes=float(trained.card.details["training"]["minutes"]),
        note="; ".join(str(warning.message) for warning in caught),
        **scores(_denoised(scene, str(trained.folder)), scene),
    )


def _denoised(scene: Scene, denoiser: str) -> Images:
    return np.asarray(lowdose.denoise(scene.counts, denoiser))


def scores(images: Images, scene: Scene) -> dict[str, float]:
    """Return mean PSNR in both conventions, and SSIM, over frames."""
    truth = scene.truth
    return {
        "psnr_range": float(np.mean([metrics.psnr(x, truth) for x in images])),
        "psnr_sbd": float(
            np.mean([metrics.psnr(x, truth, convention="sbd") for x in images])
        ),
        "ssim": float(np.mean([metrics.ssim(x, truth) for x in images])),
    }


def filter_row(name: str, scene: Scene) -> Row:
    """Tune a filter on the truth, and score it."""
    counts = scene.counts[:TUNED_ON]
    truth = np.repeat(scene.truth[None], len(counts), 0)
    if name in SLOW:
        values = min(SLOW_GRID, key=lambda v: _cost(name, counts, truth, v))
    else:
        values = tune_to_truth(name, counts, truth, first=TUNED_FIRST)
    settings = ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in values.items()
    )
    return Row(
        denoiser=name,
        learnt_from="tuned on the truth",
        settings=settings,
        **scores(denoise_frames(name, scene.counts, values), scene),
    )


def _cost(name: str, counts: Images, truth: Images, values: dict[str, Any]) -> float:
    """Return the mean square error of a slow filter on the first frames."""
    few = slice(TUNED_FIRST)
    return float(np.mean((denoise_frames(name, counts[few], values) - truth[few]) ** 2))


def plain_row(name: str, scene: Scene) -> Row:
    """Score what is neither trained nor tuned here."""
    if name == "general":
        return Row(
            denoiser=name,
            learnt_from="drawings",
            **scores(_denoised(scene, "general"), scene),
        )
    images = scene.counts
    if name != NOISY:
        images = images.mean(0, keepdims=True)
    return Row(denoiser=name, learnt_from="nothing", **scores(images, scene))


def to_markdown(rows: Sequence[Row], minutes: float) -> str:
    """Return the table, the best first."""
    lines = [
        f"{FRAMES} simulated frames at 0.45 e-/px, each way for "
        f"{format_seconds(60 * minutes)}; means over the frames.",
        "",
        "| denoiser | learnt from | PSNR, range [dB] | PSNR, SBD [dB] | SSIM | steps |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.denoiser}{f' ({row.settings})' if row.settings else ''} | "
        f"{row.learnt_from} | {row.psnr_range:.2f} | {row.psnr_sbd:.2f} | "
        f"{row.ssim:.3f} | {row.steps or ''} |"
        for row in sorted(rows, key=lambda row: -row.psnr_range)
    ]
    notes = [f"- {row.denoiser}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")


def _kept_row(path: Path, make: Callable[[], Row]) -> Row:
    """Return the row of a file, or make it and write the file."""
    if path.exists():
        return Row(**json.loads(path.read_text(encoding="utf-8")))
    row = make()
    path.write_text(json.dumps(asdict(row), indent=1), encoding="utf-8")
    print(f"{row.denoiser}: {row.psnr_range:.2f} dB, {row.steps} steps", flush=True)
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", metavar="FILE", help="simulated set of preset sbd")
    parser.add_argument("--image", type=int, default=0, help="which one to count")
    parser.add_argument("--size", type=int, default=512, help="of the frames [px]")
    parser.add_argument("--minutes", type=float, default=4.0, help="for each way")
    parser.add_argument("--patch", type=int, default=256, help="crops [px]")
    parser.add_argument("--batch", type=int, default=4, help="crops per step")
    parser.add_argument("--ways", nargs="*", help="only these")
    parser.add_argument("--from-general", action="store_true", help="see above")
    parser.add_argument("--filters", nargs="*", default=FILTERS)
    parser.add_argument("--pinned", type=int, metavar="CORE", help="run there alone")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ways"))
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args(arguments)
    if given.pinned is None:
        return run(given)
    os.sched_setaffinity(0, {given.pinned})
    torch.set_num_threads(1)
    with mock.patch("time.perf_counter", time.process_time):
        return run(given)


def run(given: argparse.Namespace) -> int:
    """Measure the rows that are asked for, and print the table."""
    dataset = Dataset(given.set) if given.set else open_sample()
    folder: Path = given.output
    scene = make_scene(
        dataset, given.image, given.size, folder / "data", given.set or "sample"
    )
    jobs: dict[str, Callable[[], Row]] = {}
    for name in (NOISY, AVERAGE, "general"):
        jobs[name] = functools.partial(plain_row, name, scene)
    for name, recipe in recipes(scene, given.minutes, given.patch, given.batch).items():
        wanted = name in given.ways if given.ways else name != FROM_GENERAL
        if wanted or (name == FROM_GENERAL and given.from_general):
            jobs[name] = functools.partial(train_row, name, recipe, scene, folder)
    for name in given.filters:
        jobs[name] = functools.partial(filter_row, name, scene)
    rows = [
        _kept_row(folder / f"{_file_name(name)}.json", job)
        for name, job in jobs.items()
    ]
    table = to_markdown(rows, given.minutes)
    print(table)
    if given.markdown:
        given.markdown.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
