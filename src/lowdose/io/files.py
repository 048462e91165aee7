"""Reading and writing: the way in and out of the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.io import paths, registry
from lowdose.io.sinks import Layout, Sink
from lowdose.micrograph import Micrograph

if TYPE_CHECKING:
    import os

    from numpy.typing import DTypeLike, NDArray

    from lowdose.io.contents import Contents
    from lowdose.micrograph import Calibration

#: Room for headers when the space on the disk is checked [B].
_HEADERS: Final = 2**20


def read(path: str | os.PathLike[str], *, dataset: str | None = None) -> Micrograph:
    """Read a micrograph or a stack of them, with its calibration.

    Uncompressed TIFF, MRC, NPY and NPZ are memory-mapped; Zarr, HDF5, compressed TIFF
    and the instruments' formats are read frame by frame when frames are asked for. A
    file that is mapped or open must not be changed in place meanwhile; replacing it, as
    :func:`write` does, is safe.

    Parameters
    ----------
    path : path-like
        A TIFF, MRC, NPY, NPZ or HDF5 file, a Zarr folder, or, with the extra "formats"
        installed, a file of an instrument maker (DM3, DM4, EMD, SER, EMI and more).
    dataset : str, optional
        Which image, where the file holds several: the path of an array (HDF5, NPZ,
        Zarr), ``"series=1"`` (TIFF), ``"c=0"`` for a channel (TIFF, OME-Zarr), number
        or title (instruments' formats).

    Returns
    -------
    Micrograph
        In the stored type and detector counts, named after the file.

    Raises
    ------
    InputError
        If the file is missing, a folder, or not readable.
    FormatError
        If it is damaged, truncated, mislabelled, of no known kind, or it is not clear
        which of its images is meant.
    InvalidImageError
        If it is complex, in colour, or no image.
    MissingExtraError
        If reading it needs an optional dependency.

    Warns
    -----
    CalibrationWarning
        If its calibration cannot be true and is left out.
    LowDoseWarning
        If it holds more images than the one that is read.
    """
    source = Path(path)
    return as_micrograph(open_contents(source, dataset), source)


def write(
    path: str | os.PathLike[str], micrograph: Micrograph, *, overwrite: bool = False
) -> Path:
    """Write a micrograph, frame by frame, with its calibration and provenance.

    The file appears under its name when it is complete, not before.

    Parameters
    ----------
    path : path-like
        Where to write. The suffix says the format: ``.tif``, ``.ome.tif``, ``.mrc``,
        ``.npy``, ``.npz``, ``.zarr`` or ``.h5``.
    micrograph : Micrograph
        What to write, in its own type.
    overwrite : bool, optional
        Whether a file of that name may be replaced, even the one that `micrograph` is
        read from.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    OutputError
        If it cannot be written there, or not in that format.
    """
    with create(
        path,
        micrograph.shape,
        micrograph.calibration,
        dtype=micrograph.dtype,
        name=micrograph.name,
        overwrite=overwrite,
    ) as sink:
        for number, frame in enumerate(micrograph.frames()):
            sink.write_frame(number, frame)
    return sink.path


def create(
    path: str | os.PathLike[str],
    shape: tuple[int, ...],
    calibration: Calibration,
    *,
    dtype: DTypeLike = np.float32,
    name: str = "",
    overwrite: bool = False,
    part: Path | None = None,
) -> Sink:
    """Begin a file that is written frame by frame, in any order.

    Parameters
    ----------
    path : path-like
        Where to write; see :func:`write`.
    shape : tuple of int
        Shape of the whole, ``([T,] [Z,] H, W)``.
    calibration : Calibration
        One axis per axis of `shape`; with the provenance.
    dtype : dtype, optional
        Type of the samples. Stored little-endian; as the next larger type where the
        format has no other (MRC: uint8 as uint16).
    name : str, optional
        Title of the image, for formats that keep one.
    overwrite : bool, optional
        Whether a file of that name may be replaced.
    part : Path, optional
        Temporary name, for who must know it before there is such a file: from
        :func:`lowdose.io.paths.temporary_name`.

    Returns
    -------
    Sink
        Takes the frames. Its `commit`, or the end of its ``with`` block, gives the
        complete file its name.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, the name is that of a folder or of a
        file that may not be replaced, the disk is full, or the format cannot hold the
        image.
    InvalidImageError
        If shape, type and calibration do not make an image.
    """
    target = Path(path)
    form = registry.format_to_write(target)
    layout = _layout(shape, calibration, np.dtype(dtype), name)
    stored = np.dtype(form.stored_dtype(layout.dtype, target))
    layout = replace(layout, dtype=stored)
    part = part or paths.temporary_name(target)
    try:
        with paths.in_words(target):
            paths.check_output(target, overwrite=overwrite)
            _check_space(form, target, layout)
            if form is not registry.ZARR:
                paths.reserve(part)
            backend = form.create(part, target, layout)
    except BaseException:
        paths.remove(part)
        raise
    return Sink(target, part, backend, layout, overwrite=overwrite)


def reopen(
    path: str | os.PathLike[str],
    part: Path,
    shape: tuple[int, ...],
    calibration: Calibration,
    *,
    token: dict[str, Any],
    dtype: DTypeLike = np.float32,
    name: str = "",
    overwrite: bool = False,
    written: NDArray[np.bool_] | None = None,
) -> Sink:
    """Go on with a file that :func:`create` began and a killed program left.

    Parameters
    ----------
    path : path-like
        Its final name.
    part : Path
        Its temporary name, from :attr:`Sink.part`.
    shape, calibration, dtype, name, overwrite
        As they were given to :func:`create`.
    token : dict
        From :meth:`Sink.token`.
    written : ndarray of bool, shape (frames,), optional
        Frames that it holds already; none by default.

    Returns
    -------
    Sink
        Takes the frames that are missing. Whether what it holds is what was written
        is for the caller to check, by :meth:`Sink.read_rows`.

    Raises
    ------
    OutputError
        If the temporary file is gone, damaged, or of a format that cannot be gone on
        with; or the final name may not be replaced.
    """
    target = Path(path)
    form = registry.format_to_write(target)
    layout = _layout(shape, calibration, np.dtype(dtype), name)
    stored = np.dtype(form.stored_dtype(layout.dtype, target))
    layout = replace(layout, dtype=stored)
    with paths.in_words(target):
        paths.check_output(target, overwrite=overwrite)
        backend = form.reopen(part, target, layout, token)
    return Sink(target, part, backend, layout, overwrite=overwrite, written=written)


def open_contents(path: Path, dataset: str | None) -> Contents:
    """Return what a file holds, unread."""
    paths.check_input(path)
    return registry.format_to_read(path).open(path, dataset)


def as_micrograph(contents: Contents, path: Path) -> Micrograph:
    """Return the micrograph in the contents of a file."""
    return Micrograph(contents.data, contents.calibration, path.name)


def _layout(
    shape: tuple[int, ...], calibration: Calibration, dtype: np.dtype[Any], name: str
) -> Layout:
    plain = tuple(int(n) for n in shape)
    # What a micrograph must be, and its errors, are said in one place.
    probe = np.broadcast_to(np.zeros((), dtype), plain)
    Micrograph(probe, calibration, name)
    return Layout(
        shape=plain,
        dtype=dtype.newbyteorder("="),
        calibration=calibration,
        name=name,
    )


def _check_space(form: registry.Format, path: Path, layout: Layout) -> None:
    if form is registry.ZARR:  # compressed: nobody knows how far
        return
    copies = 2 if form is registry.NPZ else 1
    paths.check_space(path, copies * layout.nbytes + _HEADERS)
