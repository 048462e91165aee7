"""The kinds of data sets that can be simulated, by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lowdose.errors import ParameterError, did_you_mean
from lowdose.simulation import drawn
from lowdose.simulation.crystal_presets import (
    crystals_preset,
    graphene_preset,
    graphene_quick_preset,
)
from lowdose.simulation.movie_presets import movie_preset
from lowdose.simulation.particle_presets import (
    metals_preset,
    sbd_preset,
    sbd_sharp_preset,
)
from lowdose.simulation.stem_presets import stem_crystals_preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.simulation.rendering import Preset

#: Name to preset.
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            sbd_preset(),
            sbd_sharp_preset(),
            metals_preset(),
            graphene_preset(),
            graphene_quick_preset(),
            crystals_preset(),
            stem_crystals_preset(),
            movie_preset(),
            drawn.preset(),
        )
    }
)

#: Those that take a structure of one's own.
_OF_ANY_STRUCTURE: Final = {
    "crystals": crystals_preset,
    "stem-crystals": stem_crystals_preset,
}


def preset(name: str, *, structure: str | None = None) -> Preset:
    """Return a preset of :data:`PRESETS`.

    Parameters
    ----------
    name : str
        Such as ``"sbd"``.
    structure : str, optional
        For ``"crystals"`` and ``"stem-crystals"``: a CIF or another file that ase
        reads, or the name of a structure.

    Returns
    -------
    Preset

    Raises
    ------
    ParameterError
        If there is none of that name, or it takes no structure.
    InputError, FormatError
        If the structure cannot be read.
    MissingExtraError
        If ase is needed to read it and not installed.
    """
    if name not in PRESETS:
        msg = f"There is no preset {name!r}. {did_you_mean(name, PRESETS)}"
        raise ParameterError(msg)
    if structure is None:
        return PRESETS[name]
    if name not in _OF_ANY_STRUCTURE:
        takers = " and ".join(_OF_ANY_STRUCTURE)
        msg = f"The preset {name!r} has its own specimens; only {takers} take others."
        raise ParameterError(msg)
    return _OF_ANY_STRUCTURE[name](structure=structure)
