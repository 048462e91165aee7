"""Counting statistics: noise models, dose, sampling, variance stabilisation, thinning.

Everything here is numpy and scipy, pure and safe to call from several threads.
"""

from lowdose.noise.anscombe import expected_gat, gat, inverse_gat
from lowdose.noise.counts import looks_like_counts
from lowdose.noise.estimate import estimate_noise
from lowdose.noise.highpass import noise_sigma
from lowdose.noise.model import NoiseModel, dose, electrons
from lowdose.noise.sampling import sample_poisson, sample_poisson_gauss, thin
from lowdose.noise.verdict import NoiseEstimate

__all__ = [
    "NoiseEstimate",
    "NoiseModel",
    "dose",
    "electrons",
    "estimate_noise",
    "expected_gat",
    "gat",
    "inverse_gat",
    "looks_like_counts",
    "noise_sigma",
    "sample_poisson",
    "sample_poisson_gauss",
    "thin",
]
