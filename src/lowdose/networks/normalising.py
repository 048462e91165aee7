"""How counts become the input of a network, the same in training and in use.

A network sees ``z = (counts - mean) / sigma``, so that gain and offset drop out. Where
the noise of the detector is known, `sigma` is the noise expected at the mean, and
two constants tell the network so. Otherwise `sigma` is measured on the finest detail,
and the network must judge for itself how much of it is specimen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lowdose.noise import noise_sigma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.noise import NoiseModel

#: Constants given to a network beside the image: whether the noise is known, and by
#: how much its variance grows with z.
CONDITIONS = ("known", "growth")


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
    if noise is not None:
        variance = float(noise.variance(mean))
        if variance > 0:
            sigma = math.sqrt(variance)
            growth = noise.gain / sigma
            return {"mean": mean, "sigma": sigma, "known": 1.0, "growth": growth}
    # A constant frame has no noise to measure, and any level will do.
    sigma = noise_sigma(frame)
    usable = sigma > 0 and math.isfinite(sigma)
    sigma = sigma if usable else 1.0
    return {"mean": mean, "sigma": sigma, "known": 0.0, "growth": 0.0}


def column(measures: Sequence[Measures], key: str) -> NDArray[np.float64]:
    """Return one of the measures of each patch, shaped (N, 1, 1) to act on images."""
    return np.array([m[key] for m in measures], np.float64)[:, None, None]


def conditions(measures: Sequence[Measures]) -> NDArray[np.float32]:
    """Return the constants of each patch, shape (N, len(CONDITIONS))."""
    return np.array([[m[key] for key in CONDITIONS] for m in measures], np.float32)
