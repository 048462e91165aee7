"""Opening the file of a data set, and saying what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from lowdose.errors import FormatError, InputError
from lowdose.io import paths
from lowdose.simulation import store, tables

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSet:
    """An open file of a simulated data set.

    Parameters
    ----------
    file : h5py.File
        The file.
    images : h5py.Dataset, shape (N, H, W), float32
        Its images.
    parameters, events : ndarray, structured
        Its tables.
    plan : Plan
        What the set is made of.
    about : dict
        Title, detector, vacuum, units.
    """

    file: h5py.File
    images: h5py.Dataset
    parameters: NDArray[np.void]
    events: NDArray[np.void]
    plan: store.Plan
    about: dict[str, Any]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of an image [px]."""
        return int(self.images.shape[1]), int(self.images.shape[2])


def open_set(path: Path) -> OpenSet:
    """Open a simulated data set.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    OpenSet

    Raises
    ------
    InputError
        If the file is missing, not complete yet, or not readable.
    FormatError
        If it is truncated, damaged, being written, of another version, or of another
        kind.
    """
    if not path.exists():
        _explain_missing(path)
    paths.check_input(path)
    file = open_hdf5(path)
    try:
        _check_kind(file, path)
        plan = store.parse_plan(file.attrs["plan"])
        about = json.loads(file.attrs["about"])
        images = file["images"]
        parameters = tables.read_table(file["parameters"])
        empty = np.zeros(0, [("specimen", np.int64)])
        events = tables.read_table(file["events"]) if "events" in file else empty
        if images.ndim != 3 or len(images) != len(parameters):
            msg = (
                f"{path} is damaged: {len(parameters)} rows of parameters for images "
                f"of shape {images.shape}. Simulate it again."
            )
            raise FormatError(msg)
    except (OSError, KeyError, ValueError, TypeError) as error:
        file.close()
        if isinstance(error, FormatError):
            raise
        msg = f"{path} is damaged ({error}). Copy it again, or simulate it again."
        raise FormatError(msg) from error
    return OpenSet(
        file=file,
        images=images,
        parameters=parameters,
        events=events,
        plan=plan,
        about=about,
    )


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    FormatError
        If it is none, truncated, damaged, or being written.
    """
    try:
        return h5py.File(path, "r")
    except BlockingIOError as error:
        msg = f"{path} is being written by another program. Wait until it is closed."
        raise FormatError(msg) from error
    except OSError as error:
        if not h5py.is_hdf5(path):
            msg = f"{path} is no HDF5 file. A data set is made by `lowdose simulate`."
        elif "truncated" in str(error):
            msg = (
                f"{path} is truncated: only {path.stat().st_size} bytes are there. "
                "Copy it again from its source, or simulate it again."
            )
        elif "already open" in str(error) or "lock" in str(error):
            msg = f"{path} is being written. Wait until it is closed."
        else:
            msg = f"{path} is damaged ({error}). Copy it again from its source."
        raise FormatError(msg) from error


def _check_kind(file: h5py.File, path: Path) -> None:
    if file.attrs.get("format") != store.FORMAT:
        if "records" in file.attrs:
            msg = (
                f"{path} is one specimen of a set that is being made. Open the set "
                "when it is complete."
            )
        elif "complete" in file.attrs or set(file) <= {"images", "parameters"}:
            msg = (
                f"{path} is no simulated data set, or was not finished. The `images` "
                "of em_graphene_sim are opened by "
                "lowdose.simulation.layouts.open_pairs."
            )
        else:
            msg = f"{path} is no simulated data set, but holds {', '.join(file)}."
        raise FormatError(msg)
    version = int(file.attrs["format_version"])
    if version != store.FORMAT_VERSION:
        newer = version > store.FORMAT_VERSION
        advice = "Update napari-lowdose" if newer else "Simulate it again"
        msg = (
            f"{path} is of version {version} of the format; this program reads version "
            f"{store.FORMAT_VERSION}. {advice}."
        )
        raise FormatError(msg)
    if not file.attrs.get("complete", False):
        msg = f"{path} was not written to its end. Simulate it again."
        raise FormatError(msg)


def _explain_missing(path: Path) -> None:
    """Raise InputError if the set is only partly there."""
    folder = store.making(path)
    if not (folder / store.PLAN).exists():
        return
    done = len(list(folder.glob("specimen-*.h5")))
    holder = store.maker(folder)
    msg = (
        f"{path} is being made by process {holder['pid']}: {done} specimens so far."
        if holder
        else f"{path} is not complete: the work was ended with {done} specimens made. "
        "Go on with `lowdose simulate ... --resume`."
    )
    raise InputError(msg)
