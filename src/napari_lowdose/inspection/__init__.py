"""Inspecting a denoised layer: the jobs, what they found, and how it is shown."""
