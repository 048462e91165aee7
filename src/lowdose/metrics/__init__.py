"""Scores of denoised images, with the truth and without it."""

from lowdose.metrics.fidelity import Convention, mse, psnr, rmse, ssim
from lowdose.metrics.intervals import Estimate, mean_interval
from lowdose.metrics.ring_correlation import RingCorrelation, fourier_ring_correlation
from lowdose.metrics.thinned import (
    full_dose_error_terms,
    held_out_deviance_terms,
    thinned_error_terms,
)
from lowdose.metrics.unsupervised import umse, umse_terms, upsnr

__all__ = [
    "Convention",
    "Estimate",
    "RingCorrelation",
    "fourier_ring_correlation",
    "full_dose_error_terms",
    "held_out_deviance_terms",
    "mean_interval",
    "mse",
    "psnr",
    "rmse",
    "ssim",
    "thinned_error_terms",
    "umse",
    "umse_terms",
    "upsnr",
]
