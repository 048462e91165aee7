from .catalogue import DenoiserInfo, list_denoisers, load
from .errors import LowDoseError
from .inference import DenoiseOptions, denoise, iter_denoise
from .io import read, write
from .micrograph import Axis, Calibration, Micrograph
from .progress import Progress

__version__: str

__all__ = [
    "Axis",
    "Calibration",
    "DenoiseOptions",
    "DenoiserInfo",
    "LowDoseError",
    "Micrograph",
    "Progress",
    "__version__",
    "denoise",
    "iter_denoise",
    "list_denoisers",
    "load",
    "read",
    "write",
]
