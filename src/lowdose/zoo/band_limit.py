"""How finely a frame of unknown pixel size is sampled, by its power spectrum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.zoo.sampling import MOST_BINNING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.zoo.sampling import Sampling

#: Largest side of the part of a frame that is looked at [px].
_SIDE: Final = 2048
#: Frequencies from which on the spectrum is taken for noise alone [1/px].
_NOISE_FROM: Final = 0.42
#: Chance that noise alone shows a reflection.
_CHANCE: Final = 1e-3
#: The lattice planes that show most [nm]: {111} and {200} of metals, 0.19 to 0.24 nm,
#: of oxides up to 0.31 nm; {220} of metals, 0.14 nm, near focus.
_PLANES: Final = 0.2
#: Frequencies below which no reflection is looked for, in cycles per frame: specimens
#: have slow changes of every kind.
_LEAST: Final = 6
#: Width of the annuli in whose median the strength of reflections is measured [px].
_ANNULUS: Final = 2


def strongest_reflection(frame: NDArray[np.float32]) -> float | None:
    """Return the spatial frequency of the most prominent lattice planes [1/px].

    Noise is white, so its periodogram is exponentially distributed about one level;
    that is taken from the highest frequencies. What exceeds what its largest value
    would be in 999 of 1000 frames of noise is a reflection, and the most prominent is
    the one that exceeds the median of all coefficients of about its frequency most.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float32
        Counts, finite.

    Returns
    -------
    float or None
        None where nothing stands above the noise.
    """
    rows, columns = (slice((n - min(n, _SIDE)) // 2, None) for n in frame.shape)
    part = frame[rows, columns][:_SIDE, :_SIDE].astype(np.float64)
    taper = np.outer(*(np.hanning(n + 2)[1:-1] for n in part.shape))
    part = (part - part.mean()) * taper
    power = np.abs(np.fft.rfft2(part)) ** 2
    radius = np.hypot(
        np.fft.fftfreq(part.shape[0])[:, None], np.fft.rfftfreq(part.shape[1])
    )
    quiet = power[radius >= _NOISE_FROM]
    if not quiet.size or not quiet.any():
        return None
    # The median of an exponential distribution is log(2) of its mean, and reflections
    # do not shift it.
    level = float(np.median(quiet)) / math.log(2)
    side = min(part.shape)
    inside = (radius >= _LEAST / side) & (radius < _NOISE_FROM)
    found = inside & (power > level * math.log(power.size / _CHANCE))
    if not found.any():
        return None
    ring = (radius * side / _ANNULUS).astype(int)
    prominence = power[found] / _ring_medians(power, ring)[ring[found]]
    return float(radius[found][prominence.argmax()])


def _ring_medians(power: NDArray[np.float64], ring: NDArray[np.int_]) -> NDArray[Any]:
    """Return the median power of every ring, by its number."""
    order = np.lexsort((power.ravel(), ring.ravel()))
    counts = np.bincount(ring.ravel())
    starts = np.cumsum(counts) - counts
    return np.asarray(power.ravel()[order][starts + counts // 2])


def binning_by_spectrum(frame: NDArray[np.float32], sampling: Sampling) -> int:
    """Choose a binning for a frame of unknown pixel size.

    The strongest reflections that it shows are taken for lattice planes of 0.2 nm,
    about those of most metals and oxides; they need not be, so a known pixel size is
    better.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float32
        Counts, finite.
    sampling : Sampling
        Where to get to.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        If no reflection is found.
    """
    frequency = strongest_reflection(frame)
    if frequency is None:
        msg = (
            "The pixel size of this micrograph is not known, and its spectrum shows no "
            "lattice to tell it by. Set the pixel size of the file or layer, or give "
            "binning: that many pixels together should measure about "
            f"{sampling.pixel_size:g} nm."
        )
        raise ParameterError(msg)
    return min(MOST_BINNING, sampling.binning_for(_PLANES * frequency))
