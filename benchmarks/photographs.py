"""BM3D on photographs with Gaussian noise, beside the filters it should be better than.

The two grey photographs that come with scikit-image, with noise of 25 of 255, as
papers on denoising have it. The others are tuned on the truth.

::

    python benchmarks/photographs.py
"""

from __future__ import annotations

import itertools
import time

import numpy as np
from skimage import color, data

from lowdose.filters import bm3d, nl_means, pca_denoise, tv_chambolle, wavelet_shrink

SIGMA = 25.0
FILTERS = {
    "bm3d": [lambda noisy: bm3d(noisy, sigma=SIGMA)],
    "bm3d, first stage": [lambda noisy: bm3d(noisy, sigma=SIGMA, stages=1)],
    "pca": [
        lambda noisy, window=window: pca_denoise(noisy, sigma=SIGMA, window=window)
        for window in (24, 32)
    ],
    "nl-means": [
        lambda noisy, h=h, expected=expected: nl_means(
            noisy, h=h * SIGMA, expected=expected * SIGMA, distance=10
        )
        for h, expected in itertools.product((0.4, 0.55, 0.7), (0.5, 1.0))
    ],
    "wavelet": [
        lambda noisy, shifts=shifts: wavelet_shrink(noisy, sigma=SIGMA, shifts=shifts)
        for shifts in (4, 8)
    ],
    "tv-chambolle": [
        lambda noisy, weight=weight: tv_chambolle(noisy, weight=weight * SIGMA)
        for weight in (0.7, 1.0, 1.4)
    ],
}


def main() -> None:
    """Print a Markdown table."""
    photographs = {
        "camera": data.camera().astype(float),
        "astronaut": 255 * color.rgb2gray(data.astronaut()),
    }
    print(f"| filter | {' | '.join(photographs)} | CPU s |")
    print("|---|---:|---:|---:|")
    for name, variants in FILTERS.items():
        cells, seconds = [], np.inf
        for image in photographs.values():
            noise = np.random.default_rng(0).standard_normal(image.shape)
            best = -np.inf
            for variant in variants:
                began = time.process_time()
                result = variant(image + SIGMA * noise)
                seconds = min(seconds, time.process_time() - began)
                error = np.mean((result - image) ** 2)
                best = max(best, float(10 * np.log10(255**2 / error)))
            cells.append(f"{best:.2f}")
        print(f"| {name} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
