"""Two noisy frames of one place, made comparable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from lowdose.training.examples import measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.denoiser import Measures

    Image = NDArray[np.float32]

#: The frames of a pair may differ so much in the mean, relative to it.
_MEANS = 0.05
#: Pairs that are looked at for whether they show the same, how they are blurred [px],
#: and how far beyond chance they must correlate.
_LOOKED_AT, _BLUR, _SIGNIFICANT = 16, 2.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Two noisy images of the same place, pixel on pixel.

    Parameters
    ----------
    images : tuple of ndarray, shape (H, W)
        The two, of the same mean.
    measures : tuple of mapping
        Of the two.
    name : str
        Which frames they are.
    """

    images: tuple[Image, Image]
    measures: tuple[Measures, Measures]
    name: str


def make_twins(a: Image, b: Image, name: str, normalisation: str) -> Twins:
    """Return twins of one mean, so that a drift of the beam is not learnt.

    Parameters
    ----------
    a, b : ndarray, shape (H, W)
        Two frames of one place [counts].
    name : str
        Which frames they are.
    normalisation : str
        Of the network.
    """
    middle = (float(a.mean()) + float(b.mean())) / 2
    measures = measured(a, normalisation), measured(b, normalisation)
    # The measures are of the counts as they are; only the targets are levelled, each
    # to the mean of what is seen beside it, which half the difference does for both.
    levelled = tuple(
        np.asarray(image - image.mean() + middle, np.float32) for image in (a, b)
    )
    moved = tuple(
        {**m, "mean": m["mean"] + middle - float(image.mean())}
        for m, image in zip(measures, (a, b), strict=True)
    )
    return Twins(
        images=(levelled[0], levelled[1]), measures=(moved[0], moved[1]), name=name
    )


def doubts_of_pair(a: Image, b: Image, name: str) -> list[str]:
    """Say so where two frames differ in the mean."""
    doubts = []
    means = float(a.mean()), float(b.mean())
    if abs(means[0] - means[1]) > _MEANS * max(map(abs, means)):
        doubts.append(
            f"{name}: the means differ ({means[0]:g} and {means[1]:g} counts), so the "
            "dose or the specimen changed between the frames; the means were levelled."
        )
    return doubts


def doubts_of_likeness(twins: Sequence[Twins]) -> list[str]:
    """Say so where all pairs together are no more alike than noise would be."""
    chosen = [twins[n] for n in np.linspace(0, len(twins) - 1, _LOOKED_AT).astype(int)]
    alike, pixels = [], 0.0
    for pair in chosen:
        a, b = (gaussian_filter(i.astype(np.float64), _BLUR) for i in pair.images)
        alike.append(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))
        # A blur of s leaves as many independent pixels as areas of 4 pi s^2.
        pixels += a.size / (4 * np.pi * _BLUR**2)
    mean, chance = float(np.mean(alike)), pixels**-0.5
    if mean > _SIGNIFICANT * chance:
        return []
    return [
        f"The frames of the pairs have no specimen in common that could be told from "
        f"noise (correlation {mean:.3f} after blurring, {chance:.3f} by chance). If "
        "they show different places, or nothing, the result will be flat."
    ]
