"""Draw what a training on one noisy image made of it, beside the best filter.

    python docs/training_pictures.py graphene-stem-grain-boundary.tif \
        --filter bm3d:binning=4 --model runs/graphene --field 6 \
        -o docs/images/training/graphene.png

Two rows: the whole image, and a part of it three times as large. All panels of a row
have the same grey levels, but the noisy one, whose noise would leave nothing of them.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import lowdose
from lowdose import catalogue

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Frame = NDArray[np.float32]

#: Quantiles that are black and white.
RANGE = (0.005, 0.995)


def denoised(frame: Frame, text: str) -> Frame:
    """Denoise by a denoiser such as ``bm3d:binning=4`` or the folder of a model."""
    name, _, settings = text.partition(":")
    values: dict[str, Any] = dict(p.split("=", 1) for p in settings.split(",") if p)
    return np.asarray(lowdose.denoise(frame, catalogue.load(name, **values)))


def scale_bar(
    axes: Axes, length: float, nm_per_px: float, shape: tuple[int, ...]
) -> None:
    """Draw a bar of a length [nm] at the upper left, black on white on anything."""
    height, width = shape
    start, y = 0.04 * width, 0.06 * height
    outline = [mpl.patheffects.withStroke(linewidth=7, foreground="black")]
    end = start + length / nm_per_px
    axes.plot(
        [start, end],
        [y, y],
        color="white",
        lw=4,
        solid_capstyle="butt",
        path_effects=outline,
    )
    outline = [mpl.patheffects.withStroke(linewidth=3, foreground="black")]
    axes.text(
        (start + end) / 2,
        y + 0.02 * height,
        f"{length:g} nm",
        color="white",
        ha="center",
        va="top",
        fontsize=12,
        weight="bold",
        path_effects=outline,
    )


def main() -> None:
    """Draw the picture; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--filter", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--field", type=float, required=True, help="width [nm]")
    parser.add_argument("--levels-to", type=int, help="grey levels of rows above")
    parser.add_argument("--part", type=int, nargs=3, default=(110, 230, 170))
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    frame = np.asarray(lowdose.read(given.file).frame(0), np.float32)
    panels = {
        "as recorded": frame,
        f"best filter ({given.filter.replace(':', ', ').replace('=', ' ')})": denoised(
            frame, given.filter
        ),
        "learnt from this image alone": denoised(frame, given.model),
    }
    nm_per_px = given.field / frame.shape[1]
    top, left, side = given.part
    part = (slice(top, top + side), slice(left, left + side))
    rows = {"whole": (slice(None), slice(None)), "part": part}
    figure, grid = plt.subplots(2, 3, figsize=(13.5, 9.3), layout="constrained")
    ours = list(panels.values())[-1][: given.levels_to]
    for line, (name, cut) in enumerate(rows.items()):
        low, high = np.quantile(ours if name == "whole" else ours[cut], RANGE)
        for axes, (title, image) in zip(grid[line], panels.items(), strict=True):
            levels = (low, high)
            if image is frame:
                levels = tuple(np.quantile(frame[: given.levels_to], RANGE))
            axes.imshow(image[cut], cmap="gray", vmin=levels[0], vmax=levels[1])
            axes.set_axis_off()
            if line == 0:
                axes.set_title(title, fontsize=12)
            length = 1.0 if name == "whole" else 0.5
            scale_bar(axes, length, nm_per_px, image[cut].shape)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90)
    Image.open(drawn).convert("L").save(given.output, optimize=True)


if __name__ == "__main__":
    main()
