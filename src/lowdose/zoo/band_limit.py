"""How finely a frame is sampled, by its power spectrum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import fft, special

from lowdose.errors import ParameterError
from lowdose.noise import looks_like_counts
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
#: Largest side of the part by which pixels are summed [px]: the power of a quarter of
#: the waves is known to 0.3 % of the noise, and previews do not wait for it.
_SUMMED_SIDE: Final = 1024
#: Most pixels along the edge of a block for networks that take any pixels.
_MOST_SUMMED: Final = 8
#: Sums along each side of a frame at least: of fewer a network tells neither structure
#: nor the spectrum.
_LEAST_SUMS: Final = 64
#: What must be noise alone where pixels are summed: frequencies from this share on of
#: those that the sums can carry. So a wave that shows keeps four samples in a period.
_GUARD: Final = 0.5
#: Power beyond them that may be lost, as a share of that of the noise: a tenth of the
#: error that a network leaves.
_LOST: Final = 3e-3
#: Where structure that goes on beyond them is strongest, in units of their limit.
_NEAR: Final = 1.5
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
    part = _middle(frame, _SIDE)
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


def binning_by_band(frame: NDArray[np.float32]) -> int:
    """Choose a binning for a network that takes any pixels.

    The largest by which no more of the image is lost than a small share of the noise,
    as far as the spectrum shows: beyond half of the frequencies that sums can carry,
    its power is that of the noise, and no single wave stands out. So it is less for an
    image of a higher dose, whose fine detail can be seen. The level of the noise is
    that of the highest frequencies, or of the counts where that is less.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float32
        Counts, finite.

    Returns
    -------
    int
        1 to 8, but 64 sums along each side are left; 1 for a frame in which the noise
        cannot be told.
    """
    part = _middle(frame, _SUMMED_SIDE)
    mean = float(part.mean())
    # Cosines see no seam at the borders, as the interpolation of the answer does not.
    power = fft.dctn(part - mean, norm="ortho") ** 2
    along = [np.arange(n) / (2 * n) for n in part.shape]
    quiet = power[np.hypot(along[0][:, None], along[1]) >= _NOISE_FROM]
    level = float(quiet.mean()) if quiet.size else 0.0
    if looks_like_counts(part):
        level = min(level, mean)
    if not level > 0:
        return 1
    frequency = np.maximum(along[0][:, None], along[1])
    chosen = 1
    most = min(_MOST_SUMMED, min(frame.shape) // _LEAST_SUMS)
    for binning in range(2, most + 1):
        if not _is_noise(power, frequency, _GUARD / (2 * binning), level):
            break
        chosen = binning
    return chosen


def _is_noise(
    power: NDArray[np.float64],
    frequency: NDArray[np.float64],
    limit: float,
    level: float,
) -> bool:
    """Tell whether what lies beyond a frequency is noise of a level, and no more."""
    beyond = power[frequency >= limit]
    if beyond.max() > level * float(special.chdtri(1, _CHANCE / beyond.size)):
        return False
    near = frequency < _NEAR * limit
    for where, errors in (((frequency >= limit) & near, 1.0), (~near, 3.0)):
        some = power[where]
        excess = float(some.sum()) / level - some.size
        # The power of a wave of noise has a relative variance of 2.
        if excess - errors * math.sqrt(2 * some.size) > _LOST * power.size:
            return False
    return True


def _middle(frame: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    rows, columns = (slice((n - min(n, side)) // 2, None) for n in frame.shape)
    return frame[rows, columns][:side, :side].astype(np.float64)
