"""The ways to learn, one per module, and the explicit table that names them.

Each module has a ``Config``, the ``[data]`` table of a recipe, and ``iter_open``, which
makes a :class:`lowdose.training.examples.Way` of it. None of them imports torch when
it is imported.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from lowdose.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lowdose.progress import Progress
    from lowdose.training.examples import Setting, Way
    from lowdose.training.tables import Table

#: Way -> when to use it, in one honest sentence.
WAYS: Mapping[str, str] = MappingProxyType(
    {
        "drawings": (
            "For a general model: clean images are drawn by formulas; the network "
            "knows shapes and no physics."
        ),
        "simulation": (
            "When you can simulate your specimen: the best there is on what was "
            "simulated, and misleading on what was not."
        ),
        "high-dose": (
            "When you have clean micrographs of similar specimens, of a few thousand "
            "counts per pixel: noise is added to them."
        ),
        "pairs": ("When every noisy image has a clean one of exactly the same place."),
        "noise2noise": (
            "When successive frames show the same, unmoving specimen: one noisy frame "
            "predicts the next; any noise that differs between frames will do."
        ),
        "blind-spot": (
            "For one noisy stack that is not counted: each pixel is predicted from "
            "its neighbours; the noise must differ from pixel to pixel."
        ),
        "thinning": (
            "For one noisy stack of counted electrons: the electrons are split in "
            "two, and one part predicts the other. Nothing else is assumed."
        ),
    }
)


def config_of(way: str) -> type[Table]:
    """Return the model of the ``[data]`` table of a way.

    Raises
    ------
    ParameterError
        If there is no such way; the message has the nearest names.
    """
    return cast("type[Table]", _module(way).Config)


def iter_open(config: Table, setting: Setting) -> Generator[Progress, None, Way]:
    """Open the data of a way, or make it.

    Parameters
    ----------
    config : Table
        The ``[data]`` table of a recipe.
    setting : Setting
        What the training asks for.

    Yields
    ------
    Progress
        While it takes long.

    Returns
    -------
    Way

    Raises
    ------
    InputError, FormatError, InvalidImageError, ParameterError
        If a file cannot be read, or its data cannot be learnt from in this way.
    """
    module = _module(str(getattr(config, "way")))  # noqa: B009 (each config has it)
    way: Way = yield from module.iter_open(config, setting)
    return way


def _module(way: str) -> Any:
    if way not in WAYS:
        msg = f"There is no way to learn {way!r}. {did_you_mean(way, WAYS)}"
        raise ParameterError(msg)
    return importlib.import_module(f"lowdose.training.ways.{way.replace('-', '_')}")
