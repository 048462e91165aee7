"""What the presets that take a structure of the user's own have in common."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from lowdose.simulation.specimens import CrystalParameters, unit_cell

if TYPE_CHECKING:
    from numpy.random import Generator


def structure_options(
    structure: str | None, *, pixel_size: float, size: int
) -> dict[str, Any]:
    """Return the options of a preset, by which a set that is resumed is known.

    Parameters
    ----------
    structure : str or None
        A file that ase reads, or the name of a structure; None for any.
    pixel_size : float
        [nm/px].
    size : int
        Height and width [px].

    Raises
    ------
    ParameterError, InputError, FormatError
        If the structure is unknown or cannot be read.
    MissingExtraError
        If ase is needed and not installed.
    """
    options: dict[str, Any] = {"pixel_size": pixel_size, "size": size}
    if structure is not None:
        formula = str(unit_cell(structure).symbols)
        options |= {"structure": structure, "formula": formula}
    return options


def of_structure(
    drawn: CrystalParameters, structure: str | None, rng: Generator
) -> CrystalParameters:
    """Return a crystal of a structure at a random low-index zone axis.

    As it was drawn where the structure is None.
    """
    if structure is None:
        return drawn
    axis = tuple(int(index) for index in rng.integers(0, 2, 3))
    zone = (axis[0], axis[1], axis[2]) if any(axis) else (0, 0, 1)
    return dataclasses.replace(drawn, structure=structure, zone_axis=zone)
