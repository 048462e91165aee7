"""Denoise low-dose electron micrographs, and know how far to believe the result.

Examples
--------
>>> import lowdose
>>> micrograph = lowdose.read("stack.tif")  # doctest: +SKIP
>>> clean = lowdose.denoise(micrograph, "general")  # doctest: +SKIP
>>> lowdose.write("stack-denoised.tif", clean)  # doctest: +SKIP

The names of this module are loaded on first use, so that importing it costs
nothing: neither torch nor any reader is imported before it is needed.
"""

import os
from importlib.metadata import PackageNotFoundError, version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("napari-lowdose")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

# torch reads this when it makes its first tensor, which may be anywhere behind here. In
# pages of 4 kB the system spends longer to hand out the feature maps of a large tile
# than the processor to fill them: docs/scaling.md has the numbers. Linux only; a choice
# that was made before stays.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
