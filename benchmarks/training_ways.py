"""The six ways to learn, for the same time, on the same simulated stack.

A platinum nanoparticle on ceria (the preset ``sbd``, 0.45 e-/px in vacuum) is counted
in 32 frames. Each way learns for the same time with the same fresh network, and then
denoises every frame by itself:

* ``thinning``, ``blind-spot`` and ``noise2noise`` learn from the 32 frames alone;
* ``simulation``, ``high-dose`` and ``pairs`` learn from clean images of *other*
  specimens of the same set, which is the supervised bound.

Beside them are the noisy counts, the average of all 32 frames (possible because the
specimen does not move), every filter with the parameters that are best for the truth
itself (see ``filter_quality.py``), the general model as it is, and thinning that
begins with it, also with five frames at a time. PSNR and SSIM are means over frames.

    lowdose simulate sbd --count 200 -o sbd.h5
    python benchmarks/training_ways.py --set sbd.h5 --image 3 --minutes 10 \
        -o runs/ways --markdown docs/training_ways.md

Without ``--set`` the 16 images that come with the package are used.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filter_quality
import numpy as np
import tifffile
from numpy.typing import NDArray

import lowdose
from lowdose import filters, metrics
from lowdose.errors import LowDoseWarning
from lowdose.progress import format_seconds
from lowdose.simulation.dataset import Dataset, open_sample
from lowdose.training.config import Recipe, recipe_from_dict
from lowdose.training.loop import iter_train
from lowdose.zoo.shelf import find_model

if TYPE_CHECKING:
    from collections.abc import Sequence

Images = NDArray[np.float32]

SEED = 20250
FRAMES = 32
#: The same for every way: the fresh network of `lowdose train --from-stack`.
NETWORK = {
    "architecture": "lowdose",
    "options": {"base": 16, "blocks": [1, 2, 2], "stem": 2, "conditions": 10},
}
#: Frames of each other specimen for the ways that learn from clean images, and the
#: dose at which a clean micrograph is recorded, as a multiple of that of the set.
PAIRED_FRAMES, HIGH_DOSE = 4, 10_000
#: Images of other specimens that are written for these ways, at most.
OTHER_IMAGES = 64


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The stack to denoise, and what there is to learn from."""

    truth: Images
    counts: Images
    vacuum: float
    stack: Path
    noisy: Path
    clean: Path
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
    paths = {key: folder / f"{key}.tif" for key in ("stack", "noisy", "clean")}
    tifffile.imwrite(paths["stack"], counts, photometric="minisblack")
    tifffile.imwrite(
        paths["noisy"], rng.poisson(clean).astype(np.uint8), photometric="minisblack"
    )
    tifffile.imwrite(paths["clean"], clean.astype(np.float32), photometric="minisblack")
    high = folder / "high-dose"
    high.mkdir(exist_ok=True)
    for index, image in enumerate(other):
        recorded = rng.poisson(HIGH_DOSE * image).astype(np.uint16)
        tifffile.imwrite(high / f"{index:04}.tif", recorded)
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


def recipes(scene: Scene, minutes: float, patch: int) -> dict[str, Recipe]:
    """Return a recipe for each way."""
    # Largest expected count of a crop, for the way that asks for that of Ede.
    brightest = float(np.percentile(scene.truth, 99.9))
    data: dict[str, dict[str, Any]] = {
        "thinning": {"way": "thinning", "stack": str(scene.stack)},
        "blind-spot": {
            "way": "blind-spot",
            "stack": str(scene.stack),
            "blind": "pixel",
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
    }
    training = {
        "steps": 1_000_000,
        "minutes": minutes,
        "batch": 8,
        "patch": patch,
        # Ede's loss is for his normalisation; one loss makes the ways comparable.
        "loss": "mse",
        "warmup": 50,
        "average": 0.995,
        "validate_every": 200,
        "checkpoint_every": 200,
        "keep": "best",
        "precision": "float32",
    }
    made = {}
    for name, table in data.items():
        made[name] = _recipe(name, table, training, {"network": NETWORK})
    made["thinning, from general"] = _recipe(
        "thinning-from-general", data["thinning"], training, {"start": "general"}
    )
    # What `lowdose train --from-stack` does with a movie.
    several = {**find_model("general").options, "frames": 5}
    network = {"architecture": "lowdose", "options": several}
    made["thinning, from general, five frames"] = _recipe(
        "thinning-five-frames",
        data["thinning"],
        training,
        {"start": "general", "network": network},
    )
    return made


def _recipe(
    name: str, data: dict[str, Any], training: dict[str, Any], top: dict[str, Any]
) -> Recipe:
    return recipe_from_dict(
        {
            "name": name,
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
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LowDoseWarning)
        job = iter_train(recipe, folder / recipe.name, resume=True)
        while True:
            try:
                next(job)
            except StopIteration as end:
                trained = end.value
                break
    minutes = (time.perf_counter() - began) / 60
    clean = np.asarray(lowdose.denoise(scene.counts, str(trained.folder)))
    alone = recipe.way in ("thinning", "blind-spot", "noise2noise")
    return Row(
        denoiser=name,
        learnt_from="the stack" if alone else "other specimens, clean",
        steps=trained.steps,
        minutes=minutes,
        note="; ".join(str(warning.message) for warning in caught),
        **scores(clean, scene),
    )


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


def plain_rows(scene: Scene, names: Sequence[str], sections: int) -> list[Row]:
    """Score what is not trained here."""
    nothing = "nothing"
    average = scene.counts.mean(0, keepdims=True)
    rows = [
        Row(denoiser="(noisy)", learnt_from=nothing, **scores(scene.counts, scene)),
        Row(
            denoiser=f"(average of {FRAMES} frames)",
            learnt_from=nothing,
            **scores(average, scene),
        ),
        Row(
            denoiser="general",
            learnt_from="drawings",
            **scores(np.asarray(lowdose.denoise(scene.counts, "general")), scene),
        ),
    ]
    truth = np.repeat(scene.truth[None], FRAMES, 0)
    for name in names:
        values = filter_quality.tune(name, scene.counts, truth, 1.0, sections=sections)
        clean = filter_quality.apply_filter(name, scene.counts, values)
        settings = ", ".join(
            f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
            for k, v in values.items()
        )
        rows.append(
            Row(
                denoiser=name,
                learnt_from="the truth (tuned)",
                note=settings,
                **scores(clean, scene),
            )
        )
        print(rows[-1].denoiser, f"{rows[-1].psnr_range:.2f} dB", flush=True)
    return rows


def to_markdown(rows: Sequence[Row], minutes: float) -> str:
    """Return the table, the best first."""
    lines = [
        f"{FRAMES} simulated frames at 0.45 e-/px, each way for "
        f"{format_seconds(60 * minutes)}; means over the frames.",
        "",
        "| Denoiser | Learnt from | PSNR, range [dB] | PSNR, SBD [dB] | SSIM | Steps | "
        "Note |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    lines += [
        f"| {row.denoiser} | {row.learnt_from} | {row.psnr_range:.2f} | "
        f"{row.psnr_sbd:.2f} | {row.ssim:.3f} | {row.steps or ''} | {row.note} |"
        for row in sorted(rows, key=lambda row: -row.psnr_range)
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", metavar="FILE", help="simulated set of preset sbd")
    parser.add_argument("--image", type=int, default=0, help="which one to count")
    parser.add_argument("--size", type=int, default=360, help="of the frames [px]")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each way")
    parser.add_argument("--patch", type=int, default=96, help="crops [px]")
    parser.add_argument("--ways", nargs="*", help="only these")
    parser.add_argument("--filters", nargs="*", default=list(filters.FILTERS))
    parser.add_argument("--sections", type=int, default=3, help="to tune filters on")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ways"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args(arguments)

    dataset = Dataset(given.set) if given.set else open_sample()
    scene = make_scene(
        dataset, given.image, given.size, given.output / "data", given.set or "sample"
    )
    rows = plain_rows(scene, given.filters, given.sections)
    for name, recipe in recipes(scene, given.minutes, given.patch).items():
        if given.ways and name not in given.ways:
            continue
        rows.append(train_row(name, recipe, scene, given.output))
        print(name, f"{rows[-1].psnr_range:.2f} dB, {rows[-1].steps} steps", flush=True)
    table = to_markdown(rows, given.minutes)
    print(table)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if given.markdown:
        given.markdown.write_text(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
