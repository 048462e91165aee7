"""Exit waves on disk: a defocus series costs one multislice, also tomorrow."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import OutputError
from lowdose.simulation.imaging.abtem_library import versions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.simulation.imaging.beam import Beam
    from lowdose.simulation.specimens.specimen import Specimen

#: Counted up whenever the same specimen and beam would give another wave.
_VERSION: Final = 1
#: What reading a file can raise that is cut off, damaged or not ours.
_DAMAGED: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def cache_key(specimen: Specimen, beam: Beam) -> str:
    """Return what an exit wave depends on, as a sha256.

    Parameters
    ----------
    specimen : Specimen
        Its atoms, cell and field count, whatever they were built from; its seed only
        where the beam has frozen phonons.
    beam : Beam
        All of it counts.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    atoms = specimen.atoms
    settings = {
        "version": _VERSION,
        "software": versions(),
        "beam": asdict(beam),
        "field": asdict(specimen.field),
        "seed": specimen.seed if beam.phonons else None,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(atoms.numbers, "<i8").tobytes())
    digest.update(np.ascontiguousarray(atoms.positions, "<f8").tobytes())
    digest.update(np.ascontiguousarray(atoms.cell.array, "<f8").tobytes())
    return digest.hexdigest()


def load_wave(folder: Path, key: str) -> NDArray[np.complex64] | None:
    """Return a wave from the cache.

    Parameters
    ----------
    folder : Path
        The cache.
    key : str
        From :func:`cache_key`.

    Returns
    -------
    ndarray of complex64, or None
        None if there is no such wave or its file is damaged, which a checksum tells;
        it is then calculated and stored anew.
    """
    try:
        # Opened here, so that it is closed also where numpy finds it damaged.
        with _path(folder, key).open("rb") as file:
            array = np.load(file, allow_pickle=False)["wave"]
    except _DAMAGED:
        return None
    return array if array.dtype == np.complex64 else None


def store_wave(folder: Path, key: str, array: NDArray[np.complex64]) -> None:
    """Put a wave into the cache, at once or not at all.

    Parameters
    ----------
    folder : Path
        The cache; made where it does not exist.
    key : str
        From :func:`cache_key`.
    array : ndarray of complex64
        The wave.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = _path(folder, key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                np.savez(file, wave=array)
            Path(name).replace(path)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        msg = (
            f"The exit wave cannot be kept in {folder}: {error}. Choose another folder "
            "for the cache, or none."
        )
        raise OutputError(msg) from error


def _path(folder: Path, key: str) -> Path:
    """Return the file of a wave; spread over folders, as there may be thousands."""
    return folder / key[:2] / f"{key}.npz"
