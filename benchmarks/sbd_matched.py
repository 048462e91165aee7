"""How near frames of the preset ``sbd`` are to SBD's own, and denoisers on them.

The first table compares the frames of a set, as they are, with what was measured on the
few images of SBD that are public; the second has denoisers on them::

    lowdose simulate sbd -o sbd-test.h5 --count 800 --seed 77 --workers 2
    python benchmarks/sbd_matched.py sbd-test.h5 --count 20 \
        --denoisers tem-nanoparticle general bm3d:preset=atoms bm3d:binning=8

Columns of the preset ``sbd-sharp`` are sharper. Vibration is a Gaussian blur of the
image, so more of it can be added to the frames of such a set, and contrast about the
vacuum changed. ``--sharp`` does so, in several ways, and denoises those that match. In
this way the further vibration of the preset ``sbd`` was found. The frames are those of
``sbd`` then, but for what is reflected at their borders and for which of them count as
white::

    lowdose simulate sbd-sharp -o sharp-test.h5 --count 1600 --seed 77 --workers 2
    python benchmarks/sbd_matched.py sharp-test.h5 --sharp --count 20

``--one-grid`` sums the pixels of all views of a network on the same grid of blocks.
``--border 32`` lays so many reflected pixels round what networks see. PSNR is SBD's: a
peak of 1 e-/px, both images clipped to 0 to 1. Of each specimen one image of white
contrast is taken at most.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from lowdose import denoise
from lowdose.benchmark.methods import parse_method
from lowdose.micrograph import Calibration, Micrograph
from lowdose.simulation.dataset import Dataset
from lowdose.zoo import views
from lowdose.zoo.network_denoiser import NetworkDenoiser

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float64]

#: Further vibration [nm] and factor of the contrast: frames as they are.
AS_IT_IS = (0.0, 1.0)
#: Those that are tried on sharp frames.
TRIED = ((0.0, 1.0), (0.03, 1.0), (0.03, 1.3), (0.034, 1.1), (0.04, 1.5))
#: Those with which sharp frames match.
MATCHED = (0.034, 1.1)
#: Standard deviations of the Gaussian filters, and what they reach on SBD's images.
SIGMAS = (2, 3, 4, 5, 6, 7, 8)
THEIRS = (
    "SBD's",
    "0.075 to 0.18",
    "0.337, 0.634",
    "20.5 24.0 26.4 28.0 29.1 29.6 29.6",
    "63",
    "54",
)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--count", type=int, default=20, help="frames")
    parser.add_argument("--denoisers", nargs="*", default=["tem-nanoparticle"])
    parser.add_argument(
        "--sharp", action="store_true", help="the set is of sbd-sharp: blur its frames"
    )
    parser.add_argument("--border", type=int, help="of networks [px of their sampling]")
    parser.add_argument(
        "--one-grid", action="store_true", help="for all views of a network"
    )
    arguments = parser.parse_args()
    if arguments.one_grid:
        views.GRIDS = ((0, 0),) * len(views.GRIDS)
    tried, matched = (TRIED, MATCHED) if arguments.sharp else ((AS_IT_IS,), AS_IT_IS)
    with Dataset(arguments.dataset) as dataset:
        numbers = white_images(dataset, arguments.count)
        print(
            "| vibration [nm], contrast | relative deviation | least, largest pixel "
            "| Gaussian, sigma 2 to 8 [dB] | 8 x 8 keeps [dB] | 10 x 10 [dB] |\n"
            "|---|---|---|---|---|---|"
        )
        for vibration, contrast in tried:
            frames = [changed(dataset, n, vibration, contrast) for n in numbers[:9]]
            print(row([f"{vibration:g}, {contrast:g}", *statistics(frames)]))
        print(row(THEIRS))
        print("\n| denoiser | PSNR [dB] | least, largest |\n|---|---|---|")
        frames = [changed(dataset, n, *matched) for n in numbers]
        size = float(dataset.parameters["pixel_size"][0])
    calibration = Calibration.from_spacing((size, size), ("nm", "nm"))
    noisy = [
        np.random.default_rng([5, n]).poisson(frame).astype(np.float32)
        for n, frame in zip(numbers, frames, strict=True)
    ]
    best = [
        max(psnr(gaussian_filter(y, s), x) for s in SIGMAS)
        for y, x in zip(noisy, frames, strict=True)
    ]
    print(row(["gaussian, tuned on each truth", *spread(best)]), flush=True)
    for text in arguments.denoisers:
        found = [
            psnr(denoised(text, Micrograph(y, calibration), arguments.border), x)
            for y, x in zip(noisy, frames, strict=True)
        ]
        print(row([f"`{text}`", *spread(found)]), flush=True)


def white_images(dataset: Dataset, count: int) -> list[int]:
    """Return images of white contrast, no two of one specimen."""
    white = np.flatnonzero(dataset.parameters["contrast"].astype(str) == "white")
    _, first = np.unique(dataset.parameters["specimen"][white], return_index=True)
    chosen = np.random.default_rng(0).permutation(white[first])[:count]
    return [int(number) for number in chosen]


def changed(dataset: Dataset, number: int, vibration: float, contrast: float) -> Image:
    """Return a clean image with more vibration and another contrast."""
    image = dataset[number].astype(np.float64)
    pixels = vibration / float(dataset.parameters["pixel_size"][number])
    if pixels:
        image = gaussian_filter(image, pixels)
    vacuum = dataset.vacuum
    return np.maximum(vacuum + contrast * (image - vacuum), 0)


def statistics(frames: list[Image]) -> list[str]:
    """Return the cells of one row of the first table."""
    rng = np.random.default_rng(0)
    deviation = [frame.std() / frame.mean() for frame in frames]
    extremes = np.median([(frame.min(), frame.max()) for frame in frames], axis=0)
    curves = []
    for frame in frames:
        noisy = rng.poisson(frame).astype(float)
        curves.append([psnr(gaussian_filter(noisy, s), frame) for s in SIGMAS])
    return [
        f"{min(deviation):.3f} to {max(deviation):.3f}",
        f"{extremes[0]:.3f}, {extremes[1]:.3f}",
        " ".join(f"{value:.1f}" for value in np.mean(curves, axis=0)),
        *(
            f"{np.mean([psnr(band_limited(f, n), f) for f in frames]):.0f}"
            for n in (8, 10)
        ),
    ]


def band_limited(frame: Image, binning: int) -> Image:
    """Return what the samples of blocks hold of a frame."""
    spectrum = dctn(frame, norm="ortho")
    kept = tuple(slice(side // binning) for side in frame.shape)
    limited = np.zeros_like(spectrum)
    limited[kept] = spectrum[kept]
    return np.asarray(idctn(limited, norm="ortho"))


def psnr(estimate: Image, truth: Image) -> float:
    """Return SBD's PSNR [dB]."""
    difference = np.clip(estimate, 0, 1) - np.clip(truth, 0, 1)
    return float(-10 * np.log10(np.mean(difference**2)))


def denoised(text: str, noisy: Micrograph, border: int | None) -> Image:
    """Denoise a frame by what the command line calls so."""
    method = parse_method(text)
    assert method.spec is not None
    denoiser = method.spec.load()
    if border is not None and isinstance(denoiser, NetworkDenoiser):
        card = dataclasses.replace(denoiser.card, border=border)
        denoiser = NetworkDenoiser.from_card(card, denoiser.values)
    return np.asarray(denoise(noisy, denoiser), np.float64)


def spread(values: list[float]) -> tuple[str, str]:
    """Return mean, and least and largest."""
    return f"{np.mean(values):.2f}", f"{min(values):.2f}, {max(values):.2f}"


def row(cells: Any) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
