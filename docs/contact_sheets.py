"""Draw the contact sheets of ``docs/images/simulation``, and print the SBD statistics.

    python docs/contact_sheets.py sbd=sbd.h5 movie=movies.h5 [-o FOLDER]

The sets are made by ``lowdose simulate``. Of each it draws up to twelve images, every
clean one beside a recording of it by the detector that its preset is meant for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from lowdose.simulation.dataset import Dataset
from lowdose.simulation.detector import record

TILE, ACROSS, GAP = 176, 6, 4


def tile(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return an image as grey values, averaged to about the size of a tile."""
    factor = max(1, round(min(image.shape) / TILE))
    height, width = (side // factor * factor for side in image.shape)
    blocks = image[:height, :width].reshape(
        height // factor, factor, width // factor, factor
    )
    grey = np.clip((blocks.mean((1, 3)) - low) / max(high - low, 1e-9), 0, 1) * 255
    shown = Image.fromarray(grey.astype(np.uint8)).resize((TILE, TILE))
    return np.pad(np.asarray(shown), GAP // 2, constant_values=255)


def sheet(dataset: Dataset) -> Image.Image:
    """Return clean images in odd rows, and the noisy ones below them."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, 2 * ACROSS).astype(int))
    rng = np.random.default_rng(0)
    rows = []
    for start in range(0, len(chosen), ACROSS):
        clean_row, noisy_row = [], []
        for number in chosen[start : start + ACROSS]:
            clean = dataset[int(number)]
            exposure = record(clean, dataset.detector_of(int(number)), rng)
            clean_row.append(tile(clean, *np.percentile(clean, [0.2, 99.8])))
            noisy_row.append(
                tile(exposure.counts, *np.percentile(exposure.counts, [1, 99]))
            )
        blank = [np.full_like(clean_row[0], 255)] * (ACROSS - len(clean_row))
        rows += [np.hstack(clean_row + blank), np.hstack(noisy_row + blank)]
    return Image.fromarray(np.vstack(rows))


def statistics(dataset: Dataset) -> str:
    """Return the table of SBD's quantities as Markdown."""
    images = [dataset[number] for number in range(len(dataset))]
    rng = np.random.default_rng(0)
    psnr = [
        -10 * np.log10(np.mean((rng.poisson(image) - image.astype(float)) ** 2))
        for image in images
    ]
    spread = [image.std() / image.mean() for image in images]
    vacuum = np.concatenate([flat_pixels(image, dataset.vacuum) for image in images])
    classes, counts = np.unique(dataset.parameters["contrast"], return_counts=True)
    shares = ", ".join(
        f"{name} {count / len(images):.0%}"
        for name, count in zip(classes, counts, strict=True)
    )
    rows = [
        ("mean in vacuum [e-/px]", f"{vacuum.mean():.4f}", "0.45"),
        (
            "least and largest pixel [e-/px]",
            f"{min(i.min() for i in images):.3f}, {max(i.max() for i in images):.3f}"
            f" (median of images {np.median([i.min() for i in images]):.3f}, "
            f"{np.median([i.max() for i in images]):.3f})",
            "0.337, 0.634 (4 images)",
        ),
        ("mean [e-/px]", f"{np.mean([i.mean() for i in images]):.3f}", "0.443"),
        (
            "relative standard deviation, 10th, 50th, 90th percentile",
            ", ".join(f"{v:.3f}" for v in np.percentile(spread, [10, 50, 90])),
            "0.075 to 0.18 (9 images)",
        ),
        (
            "raw PSNR, peak 1, unclamped [dB]",
            f"{np.mean(psnr):.2f} ± {np.std(psnr):.2f}",
            "3.56",
        ),
        ("contrast classes", shares, "black 5 %, intermediate 64 %, white 31 %"),
    ]
    lines = [
        f"| {len(images)} images of {len(dataset.specimens)} specimens | ours | SBD |",
        "|---|---|---|",
        *(f"| {name} | {ours} | {theirs} |" for name, ours, theirs in rows),
    ]
    return "\n".join(lines)


def flat_pixels(image: np.ndarray, vacuum: float) -> np.ndarray:
    """Return the pixels of squares of 16 pixels that are flat and near the vacuum."""
    height, width = (side // 16 for side in image.shape)
    squares = image[: height * 16, : width * 16].reshape(height, 16, width, 16)
    flat = (squares.std((1, 3)) < 0.005 * vacuum) & (
        np.abs(squares.mean((1, 3)) / vacuum - 1) < 0.05
    )
    return squares.swapaxes(1, 2)[flat].ravel()


def main() -> None:
    """Draw the sheets that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=FILE")
    parser.add_argument("-o", "--output", default="docs/images/simulation")
    arguments = parser.parse_args()
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    for entry in arguments.sets:
        name, _, file = entry.partition("=")
        with Dataset(file) as dataset:
            sheet(dataset).save(folder / f"{name}.png", optimize=True)
            if name == "sbd":
                print(statistics(dataset))


if __name__ == "__main__":
    main()
