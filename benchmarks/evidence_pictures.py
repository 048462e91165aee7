"""The figures of ``benchmarks/evidence.py``: likelihood maps and equivalent filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from lowdose import catalogue
from lowdose.trust.deviance import DevianceOptions, local_deviance
from lowdose.trust.equivalent import FilterOptions, equivalent_filter
from lowdose.trust.evidence import column_evidence

if TYPE_CHECKING:
    from pathlib import Path

    from lowdose.micrograph import Micrograph
    from lowdose.trust.columns import Columns

#: Half the side of the window round the pixel of an equivalent filter [px].
WINDOW = 80
#: Limits of a diverging map, as a share of its largest absolute value, as SBD's.
CLIPPED = 0.9


def draw(
    folder: Path,
    frame: Any,
    denoised: Micrograph,
    columns: Columns,
    labels: np.ndarray,
    removed: np.ndarray,
    denoiser: Any,
) -> None:
    """Draw the figures.

    Parameters
    ----------
    folder : Path
        Where to.
    frame : Frame
        The frame that they show.
    denoised : Micrograph
        Its denoised image with columns added and taken out.
    columns, labels
        The columns of that image, and what each is.
    removed : ndarray, shape (N, 2)
        Where columns were taken out.
    denoiser : Denoiser
        What denoised it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    likelihood(folder / "likelihood.png", frame, denoised, columns, labels, removed)
    gradients(folder / "equivalent-filter.png", frame, denoiser)


def likelihood(
    path: Path,
    frame: Any,
    denoised: Micrograph,
    columns: Columns,
    labels: np.ndarray,
    removed: np.ndarray,
) -> None:
    """Draw SBD's likelihood figure, and our evidence beside it."""
    found = column_evidence(frame.noisy, denoised, columns=columns)
    maps = {m.name: m for m in found.maps}
    deviance = local_deviance(
        frame.noisy,
        denoised,
        options=DevianceOptions(diameter_px=2.5 * columns.scale, draws=20),
    ).maps[0]
    figure, axes = plt.subplots(2, 3, figsize=(15, 10.6), layout="constrained")
    clean = np.asarray(frame.clean)
    low, high = np.percentile(clean, [0.5, 99.5])
    for axis, image, title in (
        (axes[0, 0], np.asarray(frame.noisy), "noisy, 0.45 e-/px in vacuum"),
        (axes[0, 1], clean, "clean"),
        (axes[0, 2], np.asarray(denoised), "denoised, columns added and removed"),
    ):
        noisy = title.startswith("noisy")
        axis.imshow(
            image, cmap="gray", vmin=0 if noisy else low, vmax=3 if noisy else high
        )
        axis.set_title(title)
    invented = ~np.isin(labels, ("real", "unclear"))
    for axis, trust_map in (
        (axes[1, 0], maps["likelihood (SBD)"]),
        (axes[1, 1], maps["evidence"]),
        (axes[1, 2], deviance),
    ):
        values = np.asarray(trust_map.image)
        limit = CLIPPED * np.nanmax(np.abs(values))
        if trust_map.name == "evidence":  # the strongest columns would hide the others
            limit = np.nanpercentile(np.abs(values), 80)
        shown = axis.imshow(values, cmap="coolwarm", vmin=-limit, vmax=limit)
        figure.colorbar(shown, ax=axis, label=trust_map.unit, shrink=0.8)
        axis.set_title(trust_map.name)
    for axis in (axes[0, 2], *axes[1]):
        mark(axis, columns.positions[invented], "o")
    for axis in (axes[0, 2], axes[1, 2]):
        mark(axis, removed, "s")
    figure.suptitle("circles: columns added by hand; squares: columns taken out")
    finish(figure, axes, path)


def gradients(path: Path, frame: Any, denoiser: Any) -> None:
    """Draw SBD's gradient figure: filters of a network, beside that of a Gaussian."""
    spacing = frame.truth.spacing
    size = np.array(frame.truth.shape)
    inner = (np.minimum(frame.truth.positions, size - frame.truth.positions)).min(1)
    usable = frame.truth.positions[inner > WINDOW].round().astype(int)
    # The column that the denoised image shows most clearly.
    column = usable[np.asarray(frame.denoised)[tuple(usable.T)].argmax()]
    scale = frame.truth.scale
    # A pixel of vacuum: as far from any column as the image allows.
    rows, cols = np.mgrid[WINDOW : size[0] - WINDOW : 8, WINDOW : size[1] - WINDOW : 8]
    grid = np.stack([rows.ravel(), cols.ravel()], 1)
    distance = np.hypot(*(grid[:, None] - frame.truth.positions).transpose(2, 0, 1))
    empty = grid[distance.min(1).argmax()]
    blur = catalogue.load("gaussian", sigma=scale / 1.5)
    cases = [
        ("on a column", column, denoiser, FilterOptions()),
        ("in vacuum", empty, denoiser, FilterOptions()),
        ("on a column, guided", column, denoiser, FilterOptions(guided=True)),
        ("Gaussian filter", column, blur, FilterOptions(reach=25)),
    ]
    figure, axes = plt.subplots(2, 4, figsize=(18, 9), layout="constrained")
    for (above, below), (title, (row, col), used, options) in zip(
        axes.T, cases, strict=True
    ):
        found = equivalent_filter(
            frame.noisy, used, int(row), int(col), spacing_px=spacing, options=options
        )
        view = (
            slice(max(0, row - WINDOW), row + WINDOW),
            slice(max(0, col - WINDOW), col + WINDOW),
        )
        extent = (view[1].start, view[1].stop, view[0].stop, view[0].start)
        above.imshow(np.asarray(frame.denoised)[view], cmap="gray", extent=extent)
        above.plot(col, row, "r+", ms=14)
        above.set_title(f"{title}\nf = {found.value:.3f}, bias {found.net_bias:+.3f}")
        weights = np.nan_to_num(found.weights[0])[view]
        # The pixel itself outshines the rest of a network's filter.
        limit = np.quantile(np.abs(weights), 0.998)
        shown = below.imshow(
            weights, cmap="coolwarm", vmin=-limit, vmax=limit, extent=extent
        )
        figure.colorbar(shown, ax=below, shrink=0.8)
        share = ", ".join(f"{s:.0%} > {n}" for n, s in found.beyond.items())
        radius = f"{found.radius_nm:.3f} nm" if found.radius_nm else ""
        below.set_title(f"radius {radius}\n{share} spacings")
    finish(figure, axes, path)


def mark(axis: Any, at: np.ndarray, symbol: str) -> None:
    """Draw rings that show on dark and on bright ground."""
    for colour, width in (("k", 1.8), ("w", 0.8)):
        axis.scatter(
            at[:, 1],
            at[:, 0],
            s=170,
            marker=symbol,
            facecolors="none",
            edgecolors=colour,
            linewidths=width,
        )


def finish(figure: Any, axes: Any, path: Path) -> None:
    """Write a figure, without ticks."""
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(path, dpi=70)
    plt.close(figure)
