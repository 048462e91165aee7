"""The parameters of a training, declared once, as those of a denoiser are."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lowdose.parameters import Parameter
from napari_lowdose.training.recipes import SUITED
from napari_lowdose.widgets.options import DEVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.parameters import Value

#: What is seen at once.
TIME: Final = (
    Parameter(
        name="minutes",
        kind="float",
        default=10.0,
        minimum=0.02,
        maximum=100_000,
        unit="min",
        help="Time to learn, not counting pauses and previews. More is better.",
    ),
)

#: Of every way; 0 stands for what suits the data.
TRAINING: Final = (
    DEVICE,
    Parameter(
        name="batch",
        kind="int",
        default=0,
        minimum=0,
        maximum=512,
        help="Crops per step. More is steadier and slower, and needs more memory. 0: "
        "what suits the network.",
    ),
    Parameter(
        name="patch",
        kind="int",
        default=0,
        minimum=0,
        maximum=1024,
        unit="px",
        help="Side of a crop, at least 16. 0: what suits network and images.",
    ),
    Parameter(
        name="learning_rate",
        kind="float",
        default=0.0,
        minimum=0.0,
        maximum=1.0,
        help="Largest rate of Adam. 0: 0.001, and 0.0002 for fine-tuning.",
    ),
    Parameter(
        name="validate_every",
        kind="int",
        default=100,
        minimum=1,
        maximum=100_000,
        unit="steps",
        help="Steps between validations; at each there is a checkpoint, too.",
    ),
    Parameter(
        name="seed",
        kind="int",
        default=0,
        minimum=0,
        maximum=2**31 - 1,
        help="Seed of all that is random.",
    ),
)

_GAIN: Final = (
    Parameter(
        name="gain",
        kind="float",
        default=0.0,
        minimum=0.0,
        unit="counts/e-",
        help="Counts that one electron makes. 0: the greatest common divisor of all.",
    ),
    Parameter(
        name="offset",
        kind="float",
        default=0.0,
        unit="counts",
        help="Reading without electrons.",
    ),
)
_BLIND: Final = (
    Parameter(
        name="blind",
        kind="choice",
        default="auto",
        choices=("auto", "pixel", "neighbours", "row", "column"),
        help="What is hidden with each pixel, where its noise is like its neighbours'.",
    ),
)

#: Way -> what is special to it, under its keys of the recipe.
OF_WAY: Final[Mapping[str, tuple[Parameter, ...]]] = MappingProxyType(
    {
        SUITED: (*_GAIN, *_BLIND),
        "thinning": _GAIN,
        "blind-spot": _BLIND,
        "noise2noise": (
            Parameter(
                name="pairs",
                kind="choice",
                default="successive",
                choices=("successive", "even-odd"),
                help="One frame predicts the next, or the even frames the odd ones.",
            ),
            Parameter(
                name="register_drift",
                kind="bool",
                default=True,
                help="Take out the drift between the two frames, in whole pixels.",
            ),
        ),
        "pairs": (),
        "simulation": (
            Parameter(
                name="dose_min",
                kind="float",
                default=1.0,
                minimum=1e-4,
                help="Least dose, as a multiple of that of the set.",
            ),
            Parameter(
                name="dose_max",
                kind="float",
                default=1.0,
                minimum=1e-4,
                help="Largest dose, as a multiple of that of the set.",
            ),
        ),
        "high-dose": (
            Parameter(
                name="regime",
                kind="choice",
                default="low",
                choices=("low", "ordinary"),
                help="Doses to learn: 25 and more, or 200 to 2500 e-/px at the "
                "brightest.",
            ),
            Parameter(
                name="binning",
                kind="int",
                default=2,
                minimum=1,
                maximum=16,
                help="Pixels that are averaged into one along each axis.",
            ),
        ),
        "drawings": (
            Parameter(
                name="images",
                kind="int",
                default=256,
                minimum=2,
                maximum=100_000,
                help="Images to draw before the first step; more take longer.",
            ),
        ),
    }
)

#: Where 0 stands for "not set".
_UNSET: Final = ("batch", "patch", "learning_rate", "gain")
#: Keys that belong elsewhere than into the table [training].
_ELSEWHERE: Final = ("device", "seed")


def given_values(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return what is to be set in a recipe, without what is left to be chosen."""
    return {
        key: value
        for key, value in values.items()
        if key not in _ELSEWHERE and not (key in _UNSET and not value)
    }
