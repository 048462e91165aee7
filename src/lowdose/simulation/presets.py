"""The kinds of data sets that can be simulated, by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lowdose.errors import ParameterError, did_you_mean
from lowdose.simulation import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.simulation.rendering import Preset

#: Name to preset.
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {preset.name: preset for preset in (drawn.preset(),)}
)


def preset(name: str, *, structure: str | None = None) -> Preset:
    """Return a preset of :data:`PRESETS`.

    Parameters
    ----------
    name : str
        Such as ``"sbd"``.

    Returns
    -------
    Preset

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        msg = f"There is no preset {name!r}. {did_you_mean(name, PRESETS)}"
        raise ParameterError(msg) from None
