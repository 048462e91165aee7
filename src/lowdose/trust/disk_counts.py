"""Electrons in the disk round every pixel, and how far from expected they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.special import gammainc, gammaincc, ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.trust.counting import Counted

#: Expected electrons in a disk below which nothing can be said of it.
_FEWEST: Final = 0.5
_LARGEST_SCORE: Final = 37.0
#: By how much the rough score may mistake which of two pixels has the larger one.
_ROUGHNESS: Final = 1.5


def standard_score(
    counted: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the normal deviate of the mid-p-value of Poisson counts.

    Parameters
    ----------
    counted : ndarray
        Electrons N, at least 0.
    expected : ndarray
        Their mean M under the hypothesis, above 0.

    Returns
    -------
    ndarray
        Standard normal under the hypothesis, up to the steps of the counts; above 0
        where more were counted. Limited to ±37, where float64 ends.
    """
    more = np.where(counted > 0, gammainc(np.maximum(counted, 1e-9), expected), 1.0)
    beyond = gammainc(counted + 1, expected)
    fewer = gammaincc(counted + 1, expected)
    less = np.where(counted > 0, gammaincc(np.maximum(counted, 1e-9), expected), 0.0)
    upper, lower = (more + beyond) / 2, (fewer + less) / 2
    tiny = np.finfo(np.float64).tiny
    # Each tail from its own side, so that neither is lost in 1 - p.
    score = np.where(
        upper < lower,
        -ndtri(np.maximum(upper, tiny)),
        ndtri(np.maximum(lower, tiny)),
    )
    limited: NDArray[np.float64] = np.clip(score, -_LARGEST_SCORE, _LARGEST_SCORE)
    return limited


class Disks:
    """Sums over the disk round every pixel, of the valid pixels inside the image."""

    def __init__(self, counted: Counted, diameter: float) -> None:
        self.valid = counted.valid
        self.noise = counted.read_noise**2
        radius = diameter / 2
        reach = int(np.floor(radius))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        kernel = (np.hypot(y, x) <= radius).astype(np.float64)
        self.reach = reach
        self.padded = tuple(
            next_fast_len(side + 2 * reach, real=True) for side in self.valid.shape
        )
        self.kernel = rfft2(kernel, self.padded)
        self.pixels = np.rint(self.sum(self.valid.astype(np.float64)))
        rate = np.maximum(counted.rate, 0.0) * self.valid
        self.expected = self.sum(rate) + self.noise * self.pixels
        self.known = self.valid & (self.expected >= _FEWEST)

    def sum(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of an image over every disk."""
        full = irfft2(rfft2(image, self.padded) * self.kernel, self.padded)
        r, (height, width) = self.reach, image.shape
        return np.asarray(full[r : r + height, r : r + width], np.float64)

    def score(self, electrons: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the standard score at every pixel; NaN where there is none."""
        score = np.full(self.valid.shape, np.nan, np.float32)
        known = self.known
        score[known] = standard_score(
            self.count(electrons)[known], self.expected[known]
        )
        return score

    def largest(self, electrons: NDArray[np.float64]) -> float:
        """Return the largest absolute score of a map."""
        counted, expected = self.count(electrons)[self.known], self.expected[self.known]
        if not counted.size:
            return 0.0
        # Exact tails cost much more than Anscombe's root, and few pixels can win.
        rough = 2 * np.abs(np.sqrt(counted + 3 / 8) - np.sqrt(expected + 3 / 8))
        near = rough >= rough.max() - _ROUGHNESS
        return float(np.abs(standard_score(counted[near], expected[near])).max())

    def count(self, electrons: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the electrons in every disk, read noise counted as some more."""
        counted = self.sum(np.where(self.valid, electrons, 0.0))
        if not self.noise:
            # Whole electrons, without the rounding of the Fourier transform.
            near = np.rint(counted)
            counted = np.where(np.abs(counted - near) < 1e-6, near, counted)
        return np.maximum(counted + self.noise * self.pixels, 0.0)
