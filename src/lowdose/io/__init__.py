"""Files in and out: TIFF, MRC, NPY, NPZ, Zarr, HDF5, and the formats of instruments.

:func:`read` gives a lazy :class:`~lowdose.micrograph.Micrograph`, :func:`write` and
:func:`create` write one, and :func:`describe` says what a file is. The reader of a
format is imported when a file of it is met.
"""

from lowdose.io.files import create, read, reopen, write
from lowdose.io.inspection import describe
from lowdose.io.registry import readable_suffixes, writable_suffixes
from lowdose.io.sinks import Sink

__all__ = [
    "Sink",
    "create",
    "describe",
    "read",
    "readable_suffixes",
    "reopen",
    "writable_suffixes",
    "write",
]
