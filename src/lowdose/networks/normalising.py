"""How counts become the input of a network, the same in training and in use.

A network sees ``z = (counts - mean) / sigma``, so that gain and offset drop out. Where
the noise of the detector is known, `sigma` is the noise expected at the mean, and
two constants tell the network so. Otherwise `sigma` is measured on the finest detail,
and the network must judge for itself how much of it is specimen. Further constants
tell how the power of the whole frame is spread over spatial frequencies, which no
single place of it shows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lowdose.networks.spectrum import BANDS, band_powers
from lowdose.noise import noise_sigma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.noise import NoiseModel

#: Constants given to a network beside the image: whether the noise is known, by how
#: much its variance grows with z, and log10 of the power of z in bands of frequency,
#: from low to high. White noise alone has the power 1 in all of them, log10 of it 0.
CONDITIONS = ("known", "growth", *(f"power{n}" for n in range(len(BANDS) - 1)))

#: Range of log10 of the powers, and largest growth: what drawings at 0.2 to 2000 e-/px
#: show (from the lowest to the 99.9th percentile of 3000). A network told more
#: would have to extrapolate, and a frame without noise would come out as nonsense.
LEAST_POWER = -0.3
MOST_POWERS = np.array([4.0, 3.4, 3.0, 2.6, 2.1, 1.9, 1.6, 1.6])
MOST_GROWTH = 2.25

#: Noise of a constant frame, as a share of its level: nothing but rounding.
NO_NOISE = 1e-6

#: Largest deviation of a frame in units of its noise that is believed where the noise
#: is measured and not known: that of 10^4 electrons per pixel at full contrast.
MOST_CONTRAST = 100.0


def measure(frame: NDArray[np.float32], noise: NoiseModel | None) -> Measures:
    """Measure on a frame what its patches are normalised by.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
        Counts, finite.
    noise : NoiseModel or None
        The noise, where it is known.

    Returns
    -------
    mapping of str to float
        ``mean`` and ``sigma`` [counts], and the :data:`CONDITIONS`. At z the noise
        has the variance ``1 + growth * z``.
    """
    mean = float(frame.mean(dtype=np.float64))
    known = noise is not None and float(noise.variance(mean)) > 0
    if noise is not None and known:
        sigma = math.sqrt(float(noise.variance(mean)))
        growth = noise.gain / sigma
    else:
        # A smooth frame has no noise to measure; a network never learned what is a
        # thousand times above it.
        least = float(frame.std(dtype=np.float64)) / MOST_CONTRAST
        sigma, growth = max(noise_sigma(frame), least), 0.0
        # Nor has a constant one, of which nothing is to be changed.
        if not (sigma > 0 and math.isfinite(sigma)):
            sigma = NO_NOISE * (1 + abs(mean))
    powers = told_powers(band_powers(frame) / sigma**2)
    return {
        "mean": mean,
        "sigma": sigma,
        "known": float(known),
        "growth": told_growth(growth),
        **{f"power{n}": float(power) for n, power in enumerate(powers)},
    }


def told_growth(growth: float) -> float:
    """Return what a network is told of the growth of the variance with z."""
    return min(growth, MOST_GROWTH)


def told_powers(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a network is told of the powers of z: log10, within what it knows."""
    exponents = np.log10(np.maximum(powers, np.finfo(np.float64).tiny))
    return np.asarray(np.clip(exponents, LEAST_POWER, MOST_POWERS), np.float64)


def normalised(measures: Measures, frame: NDArray[np.float32], kind: str) -> Measures:
    """Return measures for a network that sees counts normalised otherwise.

    Parameters
    ----------
    measures : mapping of str to float
        Of :func:`measure`.
    frame : ndarray, shape (H, W)
        The counts they are of.
    kind : {"mean-and-noise", "min-max", "counts"}
        What the network sees: z as :func:`measure` has it; counts between 0 and 1,
        whose answer is matched to the mean alone, as in Ede's network; or counts
        as they are.

    Returns
    -------
    mapping of str to float
        With ``mean`` and ``sigma`` of what is seen, and, where they differ,
        ``out_mean`` and ``out_sigma`` of what is answered [counts].
    """
    if kind == "counts":
        return {**measures, "mean": 0.0, "sigma": 1.0, "growth": 0.0}
    if kind == "min-max":
        low, high = float(frame.min()), float(frame.max())
        span = high - low if high > low else 1.0
        seen_mean = (measures["mean"] - low) / span
        scale = measures["mean"] / seen_mean if seen_mean > 0 else 1.0
        return {
            **measures,
            "mean": low,
            "sigma": span,
            "growth": 0.0,
            "out_mean": 0.0,
            "out_sigma": scale,
        }
    return measures


def column(measures: Sequence[Measures], key: str) -> NDArray[np.float64]:
    """Return one of the measures of each patch, shaped (N, 1, 1) to act on images."""
    return np.array([m[key] for m in measures], np.float64)[:, None, None]


def constants(measures: Sequence[Measures], count: int) -> NDArray[np.float32]:
    """Return the first `count` of the :data:`CONDITIONS` of each patch, (N, count)."""
    keys = CONDITIONS[:count]
    return np.array([[m[key] for key in keys] for m in measures], np.float32)
