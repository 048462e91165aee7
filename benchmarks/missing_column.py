"""Whether PSNR and SSIM see that one atomic column is missing.

Simulated Pt particles on ceria (``lowdose simulate sbd-sharp``), 0.45 electrons per
pixel in vacuum. One column at the surface of the particle is taken out of the denoised
image, of every frame many times over, one at a time. Reported are

* by how much that changes PSNR and SSIM, beside by how much another exposure does;
* PSNR and SSIM of the *clean* image without one column: an image that is right but for
  the one thing that the microscopist asks about;
* what the counts say at that place: the score of the local deviance.

    lowdose simulate sbd-sharp -o sbd.h5 --count 32 --seed 606
    python benchmarks/missing_column.py sbd.h5 --picture missing-column.png

The picture needs matplotlib, which comes with the extra ``simulate``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from evidence import SEED, Frame, frames
from scipy.spatial import cKDTree

from lowdose import catalogue
from lowdose.inference.engine import denoise
from lowdose.metrics import psnr, ssim
from lowdose.trust.columns import Columns, find_columns
from lowdose.trust.deviance import DevianceOptions, LocalDeviance, local_deviance
from lowdose.trust.surface import surface_columns

if TYPE_CHECKING:
    from lowdose.micrograph import Micrograph

#: Columns taken out of every frame, at most, one at a time.
EACH = 12
#: Exposures of every frame, for the scatter of the scores.
EXPOSURES = 4


def without(image: np.ndarray, columns: Columns, number: int) -> np.ndarray:
    """Return an image with one column taken out, its mean kept."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    row, column = columns.positions[number]
    square = (y - row) ** 2 + (x - column) ** 2
    spot = np.exp(-square / (2 * columns.sigma[number] ** 2))
    # Down to the level round it: what the rings of the neighbours leave is no column.
    changed = image - spot * (image - columns.background[number])
    return np.asarray(changed + image.mean() - changed.mean())


def surface(frame: Frame, columns: Columns) -> list[int]:
    """Return shown columns that are columns of the surface of the clean image."""
    truth = frame.truth
    outer = truth.positions[surface_columns(truth)]
    inside = np.minimum(
        columns.positions, np.array(truth.shape) - columns.positions
    ).min(1)
    near = cKDTree(outer).query(columns.positions)[0] < 0.3 * truth.spacing
    usable = np.flatnonzero(near & columns.fitted & (inside > truth.spacing))
    rng = np.random.default_rng([SEED, frame.number, 9])
    return [int(n) for n in rng.permutation(usable)[:EACH]]


def deviance_of(frame: Frame, image: np.ndarray) -> LocalDeviance:
    """Compare the counts with an image at the scale of its columns."""
    return local_deviance(
        frame.noisy,
        frame.clean.replace(data=image.astype(np.float32)),
        options=DevianceOptions(diameter_px=2.5 * frame.truth.scale, draws=20),
    )


def score(frame: Frame, denoiser: Any) -> dict[str, list[float]]:
    """Take columns out of one frame, one at a time."""
    clean, denoised = np.asarray(frame.clean), np.asarray(frame.denoised, np.float64)
    found: dict[str, list[float]] = {
        "psnr": [psnr(denoised, clean)],
        "ssim": [ssim(denoised, clean)],
    }
    for _ in range(EXPOSURES - 1):
        rng = np.random.default_rng([SEED, frame.number, 10 + len(found["psnr"])])
        noisy = frame.noisy.replace(data=rng.poisson(clean).astype(np.float32))
        again = np.asarray(denoise(noisy, denoiser))
        found["psnr"].append(psnr(again, clean))
        found["ssim"].append(ssim(again, clean))
    shown = find_columns(frame.denoised, scale_px=frame.truth.scale, polarity="bright")
    found["psnr lost"], found["ssim lost"] = [], []
    for number in surface(frame, shown):
        edited = without(denoised, shown, number)
        found["psnr lost"].append(found["psnr"][0] - psnr(edited, clean))
        found["ssim lost"].append(found["ssim"][0] - ssim(edited, clean))
    exact = np.asarray(frame.clean, np.float64)
    found["psnr right but for one"], found["ssim right but for one"] = [], []
    found["deviance"], found["deviance of others"] = [], []
    true = frame.truth
    kept = np.rint(true.positions).astype(int)
    chosen = surface(frame, true)
    everything = exact
    for number in chosen:
        edited = without(exact, true, number)
        found["psnr right but for one"].append(psnr(edited, clean))
        found["ssim right but for one"].append(ssim(edited, clean))
        everything = without(everything, true, number)
    # The counts at all of these places in one map: the disks do not overlap.
    scores = deviance_of(frame, everything).score
    found["deviance"] = [float(scores[tuple(kept[n])]) for n in chosen]
    found["deviance of others"] = [
        float(scores[tuple(kept[n])]) for n in range(len(true)) if n not in chosen
    ]
    return found


def summary(rows: list[dict[str, list[float]]]) -> dict[str, float]:
    """Return the numbers of the table."""

    def every(name: str) -> np.ndarray:
        return np.concatenate([row[name] for row in rows])

    gone, there = every("deviance"), every("deviance of others")
    above = (gone[:, None] > there).mean() + (gone[:, None] == there).mean() / 2
    return {
        "frames": len(rows),
        "columns": len(every("psnr lost")),
        "psnr": float(every("psnr").mean()),
        "ssim": float(every("ssim").mean()),
        "psnr of exposures": float(np.mean([np.std(r["psnr"], ddof=1) for r in rows])),
        "ssim of exposures": float(np.mean([np.std(r["ssim"], ddof=1) for r in rows])),
        "psnr lost": float(np.median(every("psnr lost"))),
        "psnr lost at most": float(every("psnr lost").max()),
        "psnr gained": float((every("psnr lost") < 0).mean()),
        "ssim lost": float(np.median(every("ssim lost"))),
        "psnr right but for one": float(np.median(every("psnr right but for one"))),
        "ssim right but for one": float(np.median(every("ssim right but for one"))),
        "deviance": float(np.median(gone)),
        "deviance of others": float(np.median(there)),
        "roc": float(above),
    }


def markdown(name: str, n: dict[str, float]) -> str:
    """Return the table."""
    lines = [
        "| image | PSNR [dB] | SSIM |",
        "|---|---:|---:|",
        f"| {name} | {n['psnr']:.2f} | {n['ssim']:.4f} |",
        f"| change by another exposure (standard deviation) | "
        f"{n['psnr of exposures']:.3f} | {n['ssim of exposures']:.5f} |",
        f"| change by taking out one surface column (median) | "
        f"{-n['psnr lost']:+.4f} | {-n['ssim lost']:+.6f} |",
        f"| the same, at most | {-n['psnr lost at most']:+.4f} | |",
        f"| clean image without one surface column | "
        f"{n['psnr right but for one']:.2f} | {n['ssim right but for one']:.4f} |",
        "",
        f"{n['columns']:.0f} columns of {n['frames']:.0f} images; PSNR even rose for "
        f"{n['psnr gained']:.0%} of them. The counts at the places of columns that the "
        f"clean image was robbed of score {n['deviance']:.1f} σ (median; the others "
        f"{n['deviance of others']:.1f}), area under the ROC curve {n['roc']:.3f}.",
    ]
    return "\n".join(lines) + "\n"


def draw(path: Path, frame: Frame, name: str) -> None:
    """Show a denoised image beside one that is right but for a column."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    clean = np.asarray(frame.clean, np.float64)
    reach = 5 * frame.truth.spacing
    away = np.minimum(
        frame.truth.positions, np.array(clean.shape) - frame.truth.positions
    ).min(1)
    inside = [n for n in surface(frame, frame.truth) if away[n] > reach]
    heights = sorted(inside, key=lambda n: frame.truth.height[n])
    number = heights[len(heights) // 2]
    edited = without(clean, frame.truth, number)
    deviance = deviance_of(frame, edited)
    row, column = frame.truth.positions[number]
    low, high = np.quantile(clean, [0.001, 0.999])

    def titled(what: str, image: Micrograph | np.ndarray) -> str:
        values = np.asarray(image, np.float64)
        return (
            f"{what}\nPSNR {psnr(values, clean):.1f} dB, SSIM {ssim(values, clean):.3f}"
        )

    denoised = np.asarray(frame.denoised)
    pictures = [
        ("truth", clean),
        (titled(f"denoised ({name})", denoised), denoised),
        (titled("right but for one column", edited), edited),
    ]
    figure, axes = plt.subplots(1, 4, figsize=(15, 4.3), layout="constrained")
    for place, (title, image) in zip(axes, pictures, strict=False):
        place.imshow(image, cmap="gray", vmin=low, vmax=high)
        place.set_title(title)
    shown = axes[3].imshow(deviance.score, cmap="RdBu_r", vmin=-6, vmax=6)
    there = float(deviance.score[round(row), round(column)])
    axes[3].set_title(f"what the counts say of it\nlocal deviance {there:+.1f} σ there")
    figure.colorbar(shown, ax=axes[3], label="σ", fraction=0.046)
    for place in axes:
        place.set_xlim(column - reach, column + reach)
        place.set_ylim(row + reach, row - reach)
        place.set_xticks([])
        place.set_yticks([])
        ring = mpl.patches.Circle(
            (column, row), 0.5 * frame.truth.spacing, fill=False, color="#e69f00", lw=2
        )
        place.add_patch(ring)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="made by lowdose simulate sbd")
    parser.add_argument("--denoiser", default="general", help="name or model folder")
    parser.add_argument("--frames", type=int, help="how many frames at most")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    denoiser = catalogue.load(arguments.denoiser)
    chosen = frames(arguments.dataset, denoiser, arguments.frames)
    rows = []
    for frame in chosen:
        rows.append(score(frame, denoiser))
        print(f"{frame.clean.name}: {len(rows[-1]['psnr lost'])}", file=sys.stderr)
    numbers = summary(rows)
    text = markdown(arguments.denoiser, numbers)
    print(text, end="")
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(text)
    if arguments.picture:
        draw(arguments.picture, chosen[min(1, len(chosen) - 1)], arguments.denoiser)


if __name__ == "__main__":
    main()
