"""Reader of microscope formats: the calibration in the file becomes the layer's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from napari_lowdose._layers import (
    LayerData,
    micrograph_to_layer,
)

#: Formats that napari does not read itself; those of ``napari.yaml``.
SUFFIXES: Final = frozenset({".dm3", ".dm4", ".emd", ".ser", ".mrc", ".mrcs"})

Reader = Callable[[str], list[LayerData]]


def get_reader(path: str | list[str]) -> Reader | None:
    """Return what reads `path`, or None where this plugin does not.

    Neither opens the file nor raises: napari asks every plugin.

    Parameters
    ----------
    path : str or list of str
        A file, or files to be stacked; those are left to others.
    """
    if isinstance(path, str) and Path(path).suffix.lower() in SUFFIXES:
        return read_layers
    return None


def read_layers(path: str) -> list[LayerData]:
    """Return the micrograph in a file as one image layer.

    Raises
    ------
    FormatError, InputError
        If the file is damaged or cannot be opened.
    MissingExtraError
        If the format needs the extra ``formats``.
    """
    from lowdose.io import read

    data, state, kind = micrograph_to_layer(read(path))
    # As napari names what its own readers open: without the suffix.
    return [(data, {**state, "name": Path(path).stem}, kind)]
