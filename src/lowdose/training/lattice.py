"""Whether frames show a crystal: Bragg peaks that stand out of the spectrum."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.training.assumptions import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: A peak has so many times the median power of its ring. Of noise, and of specimens
#: without a lattice, the powers in a ring are exponentially distributed: the largest
#: of the 10^5 to 10^6 of a frame has 17 to 20 times the median.
_PEAK: Final = 40.0
#: Rings from so many periods per frame on; below, shapes have peaks of their own.
_FIRST_RING: Final = 6


def shows_lattice(frames: Sequence[Image]) -> bool:
    """Return whether most of the frames show a lattice.

    Parameters
    ----------
    frames : sequence of ndarray, shape (H, W)
        Counts, finite.

    Returns
    -------
    bool
        After the majority of up to eight frames that are looked at.
    """
    votes = [bragg_contrast(frame) > _PEAK for frame in spread(frames)]
    return 2 * sum(votes) > len(votes)


def bragg_contrast(frame: Image) -> float:
    """Return how far the highest peak of the spectrum stands out of its ring.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
        Counts, finite.

    Returns
    -------
    float
        Power of the peak over the median power at its distance from the origin, the
        most of all rings; about 17 where there is no lattice, 0 for frames too small.
    """
    side = min(frame.shape)
    top, left = ((length - side) // 2 for length in frame.shape)
    square = frame[top : top + side, left : left + side].astype(np.float64)
    # Without a window the borders would make a cross of peaks of their own.
    window = np.hanning(side)
    spectrum = np.fft.rfft2((square - square.mean()) * window[:, None] * window)
    power = np.abs(spectrum) ** 2
    down, along = np.fft.fftfreq(side) * side, np.arange(power.shape[1])
    rings = np.hypot(down[:, None], along).round().astype(int)
    order = np.argsort(rings, axis=None)
    sorted_rings = rings.ravel()[order]
    bounds = np.searchsorted(sorted_rings, np.arange(_FIRST_RING, side // 2 + 1))
    values = power.ravel()[order]
    contrasts = [
        float(ring.max() / middle)
        for start, stop in itertools.pairwise(bounds)
        if (ring := values[start:stop]).size and (middle := float(np.median(ring))) > 0
    ]
    return max(contrasts, default=0.0)
