"""What the user set in napari's Preferences, or the defaults.

The settings are declared in ``napari.yaml`` under ``configurations``; napari checks,
shows and saves them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from napari.settings import get_plugin_settings

PLUGIN: Final = "napari-lowdose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The plugin's preferences; the defaults are those of ``napari.yaml``.

    Parameters
    ----------
    denoiser : str
        Name of the denoiser that a new widget offers first.
    device, precision : str
        As in :class:`lowdose.inference.DenoiseOptions`.
    tile : int
        Longest side of a tile [px]; 0 lets the program choose.
    models_folder : str
        Folder of the user's own models; empty for the standard one.
    """

    denoiser: str = "general"
    device: str = "auto"
    precision: str = "auto"
    tile: int = 0
    models_folder: str = ""


def read_settings() -> Settings:
    """Return the present preferences, or the defaults where napari knows none."""
    try:
        section = get_plugin_settings(PLUGIN).denoising
    except KeyError:  # the plugin is disabled, or runs without being installed
        return Settings()
    return Settings(
        denoiser=section.denoiser,
        device=section.device,
        precision=section.precision,
        tile=section.tile,
        models_folder=section.models_folder,
    )


def use_models_folder(settings: Settings) -> None:
    """Let the catalogue look for the user's models where the preferences say.

    The environment variable is how :mod:`lowdose.zoo` is told; with an empty
    preference it stays as it is.
    """
    if settings.models_folder:
        os.environ["LOWDOSE_MODELS"] = settings.models_folder
