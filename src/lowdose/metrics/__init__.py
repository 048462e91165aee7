"""Scores of denoised images, with the truth and without it."""
