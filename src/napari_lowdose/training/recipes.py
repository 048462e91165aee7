"""The recipe of a training that was chosen in the widget, and its networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import LowDoseError
from lowdose.networks.variants import find_variant
from lowdose.zoo.shelf import find_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowdose.micrograph import Micrograph
    from lowdose.training.config import Recipe

#: The way that is chosen from the data, and those that learn from a noisy stack alone.
SUITED: Final = "suited"
STACK_WAYS: Final = ("thinning", "blind-spot", "noise2noise")

#: A way -> the keys of its data: what they are, and whether layers can be it.
DATA_KEYS: Final[Mapping[str, tuple[tuple[str, str, bool], ...]]] = MappingProxyType(
    {
        SUITED: (("stack", "Noisy", True),),
        "thinning": (("stack", "Noisy", True),),
        "blind-spot": (("stack", "Noisy", True),),
        "noise2noise": (("stack", "Noisy", True),),
        "pairs": (("noisy", "Noisy", True), ("clean", "Clean", True)),
        "simulation": (("dataset", "Data set", False),),
        "high-dose": (("folder", "Folder", False),),
        "drawings": (),
    }
)

#: Side of images that are larger than any crop [px].
_LARGE: Final = 4096
#: Drawings for a training of minutes; the general model had 4096.
_DRAWINGS: Final[dict[str, Any]] = {
    "images": 256,
    "size": 192,
    "kinds": {"dead-leaves": 3, "lattice": 3, "membranes": 2, "particles": 1},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A network to begin with that knows nothing.

    Parameters
    ----------
    title : str
        What it is called in the menu.
    help : str
        When to take it, in a sentence.
    variant : str
        Its name in :mod:`lowdose.networks.variants`; empty for the small one that
        :mod:`lowdose.training.stack_recipe` takes.
    """

    title: str
    help: str
    variant: str = ""


#: The fresh networks that are offered; what begins with a model has that model's.
FRESH: Final[Mapping[str, Fresh]] = MappingProxyType(
    {
        "small": Fresh(
            title="Fresh: small",
            help="0.3 million parameters: for some minutes without a GPU.",
        ),
        "general": Fresh(
            title="Fresh: as the general model",
            help="1.7 million parameters, for any specimen: for an hour, or a GPU.",
            variant="lowdose-general",
        ),
        "crystals": Fresh(
            title="Fresh: for crystals",
            help="Finds a lattice in the whole frame; 1.9 million parameters. For "
            "crystals alone: it may draw a faint lattice where there is none.",
            variant="lowdose-m",
        ),
        "blind": Fresh(
            title="Fresh: blind by design (UDVD)",
            help="Never sees the pixel that it restores; slow. For blind spot only, "
            "where an invented detail would be worse than a blurred one.",
            variant="blind-spot",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything of a recipe that is chosen in the widget, but the data.

    Parameters
    ----------
    name : str
        Of the model.
    way : str
        Key of :data:`DATA_KEYS`.
    start : str
        Model to begin with.
    fresh : str
        Key of :data:`FRESH`. Where both are empty, what suits the data is taken.
    minutes : float
        Time to learn [min].
    source : str
        What it learns from, in words, for the card.
    data, training : mapping
        Keys of the tables ``[data]`` and ``[training]`` to set.
    seed : int
        Seed of everything random.
    """

    name: str
    way: str
    minutes: float
    start: str = ""
    fresh: str = ""
    source: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


def make_recipe(
    plan: Plan, names: Mapping[str, Sequence[str]], seen: Sequence[Micrograph]
) -> tuple[Recipe, str]:
    """Return the recipe of a plan, and what was chosen in it and why.

    Parameters
    ----------
    plan : Plan
        What the user chose.
    names : mapping of str to sequence of str
        Files, by the key of ``[data]``.
    seen : sequence of Micrograph
        The noisy data, or a part of them, where the way has any: of the first one
        the noise is judged, and the size.

    Raises
    ------
    LowDoseError
        If nothing can be learnt from the data, or a value is not allowed.
    """
    from lowdose.training.config import recipe_from_dict, recipe_to_dict
    from lowdose.training.stack_recipe import FRESH as NO_START
    from lowdose.training.stack_recipe import recipe_for_stack

    learnt = plan.source or plan.way
    if plan.way == SUITED or plan.way in STACK_WAYS:
        made, reason = recipe_for_stack(
            seen[0],
            minutes=plan.minutes,
            way=None if plan.way == SUITED else plan.way,
            start=NO_START if plan.fresh else plan.start or None,
            name=plan.name,
        )
        table = recipe_to_dict(made)
    else:
        start = plan.start or ("" if plan.fresh else _suited_start())
        table = _tables(plan, plan.way, seen, start=start)
        table["data"] = {"way": plan.way}
        begin = f"beginning with the model {start!r}" if start else "a fresh network"
        reason = f"Learning by {plan.way}, {begin}."
    way = table["data"]["way"]
    if plan.fresh:
        _put_network(table, plan, seen)
        reason = reason.replace("a fresh network for crystals", "a fresh network")
    if way == "drawings":
        table["data"] |= _DRAWINGS
    for key, found in names.items():
        alone = key in ("dataset", "folder")
        table["data"][key] = str(found[0]) if alone else [str(path) for path in found]
    table["data"] |= _known_keys(way, plan.data)
    table["training"] |= plan.training
    table["seed"] = plan.seed
    table["title"] = f"Trained on {learnt}"[:80]
    table["summary"] = f"Learnt from {learnt}, by {way}; for images like it."
    return recipe_from_dict(table, where="The training"), _in_words(reason)


def _tables(
    plan: Plan, way: str, seen: Sequence[Micrograph], *, start: str
) -> dict[str, Any]:
    """Return the tables of a recipe, but for its data."""
    from lowdose.training.stack_recipe import quick_tables

    smallest = min((min(m.frame_shape) for m in seen), default=_LARGE)
    return quick_tables(
        name=plan.name,
        label=plan.source or way,
        way=way,
        minutes=plan.minutes,
        start=start,
        patch=max(16, smallest // 16 * 16),
        crystal=plan.fresh == "crystals",
    )


def _suited_start() -> str:
    """Return the general model, or nothing in an installation without it."""
    from lowdose.training.stack_recipe import START

    try:
        return find_model(START).name
    except LowDoseError:
        return ""


def _known_keys(way: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values whose keys this way has."""
    from lowdose.training.ways import config_of

    known = config_of(way).model_fields
    return {key: value for key, value in values.items() if key in known}


def _put_network(table: dict[str, Any], plan: Plan, seen: Sequence[Micrograph]) -> None:
    """Put the network that was chosen in the place of the one that suits the data."""
    frames = table["network"]["options"]["frames"]
    plain = _tables(plan, table["data"]["way"], seen, start="")
    table["training"], table["network"] = plain["training"], plain["network"]
    if variant := FRESH[plan.fresh].variant:
        found = find_variant(variant)
        options = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in found.options.items()
        }
        table["network"] = {"architecture": found.architecture, "options": options}
    if table["network"]["architecture"] == "lowdose":
        # With neighbours the others are too slow.
        table["network"]["options"]["frames"] = frames


def _in_words(reason: str) -> str:
    """Return a reason that does not speak of the command line."""
    return reason.replace("--way noise2noise", "the way noise2noise")
