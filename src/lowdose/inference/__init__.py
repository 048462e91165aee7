"""Run denoisers over micrographs: tiling, devices, memory, streaming, previews."""

from lowdose.inference.engine import denoise, denoise_region, iter_denoise, plan_step
from lowdose.inference.options import DenoiseOptions

__all__ = [
    "DenoiseOptions",
    "denoise",
    "denoise_region",
    "iter_denoise",
    "plan_step",
]
