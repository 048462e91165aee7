"""A recipe for one noisy stack, chosen from its data: nothing need be configured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose import io
from lowdose.errors import InvalidImageError, LowDoseError
from lowdose.training.assumptions import Counting, counting
from lowdose.training.config import Recipe, changed, recipe_from_dict
from lowdose.training.stacks import check_size, checked
from lowdose.zoo.shelf import find_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowdose.micrograph import Micrograph

#: Model that a training begins with unless another is asked for.
START: Final = "general"
#: What asks for a fresh network.
FRESH: Final = "none"
#: The fresh network: about 0.35 million parameters, for minutes on two cores.
_NETWORK: Final[dict[str, Any]] = {
    "architecture": "lowdose",
    "options": {"base": 16, "blocks": [1, 2, 2], "stem": 2, "conditions": 10},
}
#: Frames that the network sees of a movie, and how many a movie has at least.
_SEEN, _ENOUGH_FRAMES = 5, 8
#: Frames that are looked at, side of the crops [px], and crops in a batch.
_LOOKED_AT, _PATCH, _BATCH = 8, 96, 8
#: More steps than are made in any time that one would wait: the time ends it.
_STEPS: Final = 1_000_000


def recipe_for_stack(
    stack: str | Path | Micrograph,
    *,
    minutes: float,
    way: str | None = None,
    start: str | None = None,
    name: str | None = None,
    changes: Sequence[str] = (),
) -> tuple[Recipe, str]:
    """Return a recipe that learns from a noisy stack alone.

    Parameters
    ----------
    stack : path or Micrograph
        The data. A micrograph in memory has to be given to
        :func:`~lowdose.training.loop.iter_train`, too, as ``{"stack": micrograph}``.
    minutes : float
        Time to learn [min].
    way : {"thinning", "blind-spot", "noise2noise"}, optional
        By default thinning where electrons are counted, and the blind spot elsewhere.
        Noise2Noise is never chosen by itself: nothing in the data says that the
        specimen does not move.
    start : str, optional
        Model to begin with; by default the general-purpose one, where it is there.
        "none" for a fresh network.
    name : str, optional
        Of the model; by default that of the file.
    changes : sequence of str, optional
        Keys to set, as for :func:`~lowdose.training.config.read_recipe`.

    Returns
    -------
    recipe : Recipe
        To train.
    reason : str
        What was chosen, and why, in a sentence or two.

    Raises
    ------
    InputError, FormatError
        If the file cannot be read.
    InvalidImageError
        If nothing can be learnt from it.
    ParameterError
        If a change is not known.
    """
    if isinstance(stack, (str, Path)):
        path = str(stack)
        micrograph = io.read(Path(stack))
        label = Path(stack).stem
    else:
        micrograph, path, label = stack, "", Path(stack.name).stem
    patch = min(_PATCH, min(micrograph.frame_shape) // 16 * 16)
    check_size(micrograph, 16)
    found = _counting(micrograph)
    chosen = way or ("thinning" if found.whole and found.poisson else "blind-spot")
    begin = _start(start)
    data: dict[str, Any] = {
        "way": chosen,
        "stack": path or (micrograph.name or "stack"),
    }
    table = quick_tables(
        name=name or label,
        label=label,
        way=chosen,
        minutes=minutes,
        start=begin,
        patch=patch,
    )
    table["data"] = data
    table["card"] = {
        "limits": [
            "Trained on one stack, for that stack and images of the same kind, dose "
            "and pixel size."
        ]
    }
    frames = _frames(micrograph, chosen)
    if begin:
        card = find_model(begin)
        if frames > 1 and card.architecture == "lowdose":
            # The same network, which learns to look at the neighbours, too.
            options = {**card.options, "frames": frames}
            table["network"] = {"architecture": "lowdose", "options": options}
    else:
        table["network"]["options"]["frames"] = frames
    table = changed(table, changes)
    return recipe_from_dict(table), _reason(found, chosen, begin, asked=way is not None)


def quick_tables(
    *,
    name: str,
    label: str,
    way: str,
    minutes: float,
    start: str,
    patch: int = _PATCH,
) -> dict[str, Any]:
    """Return the tables of a recipe for some minutes, but for its ``[data]``.

    Parameters
    ----------
    name : str
        Of the model; what cannot be in a name is replaced.
    label : str
        What it learns from, in words.
    way : str
        How it learns.
    minutes : float
        Time to learn [min].
    start : str
        Model to begin with; empty for a fresh network, of one frame.
    patch : int, optional
        Side of the crops [px].

    Returns
    -------
    dict
        For :func:`~lowdose.training.config.recipe_from_dict`.
    """
    model_name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "mine"
    table: dict[str, Any] = {
        "name": model_name[:64],
        "title": f"Trained on {label}"[:80],
        "summary": f"Learnt from {label} alone, by {way}; for images like it.",
        "licence": "unlicensed",
        "seed": 0,
        "training": {
            "steps": _STEPS,
            "minutes": float(minutes) if minutes > 0 else 1e-6,
            "batch": _BATCH,
            "patch": patch,
            "warmup": 50,
            "average": 0.995,
            "validate_every": 100,
            "checkpoint_every": 100,
            "keep": "best",
            "precision": "float32",
        },
    }
    if start:
        table["start"] = start
    else:
        options = {**_NETWORK["options"], "frames": 1}
        table["network"] = {**_NETWORK, "options": options}
    return table


def _counting(micrograph: Micrograph) -> Counting:
    numbers = np.unique(np.linspace(0, micrograph.n_frames - 1, _LOOKED_AT).astype(int))
    frames = [
        checked(micrograph.frame(int(n)), f"{micrograph.name}, frame {n}")[0]
        for n in numbers
    ]
    if not frames:
        msg = f"{micrograph.name} has no frames."
        raise InvalidImageError(msg)
    return counting(frames)


def _frames(micrograph: Micrograph, way: str) -> int:
    """Return how many successive frames the network is to see."""
    enough = micrograph.n_frames >= _ENOUGH_FRAMES
    return _SEEN if enough and way in ("thinning", "blind-spot") else 1


def _start(start: str | None) -> str:
    """Return the model to begin with, or nothing for a fresh network."""
    if start == FRESH:
        return ""
    if start is not None:
        find_model(start)
        return start
    try:
        find_model(START)
    except LowDoseError:  # an installation without the bundled models
        return ""
    return START


def _reason(found: Counting, way: str, begin: str, *, asked: bool) -> str:
    network = f"beginning with the model {begin!r}" if begin else "a fresh network"
    if asked:
        return f"Learning by {way}, as asked, {network}."
    if way == "thinning":
        gain = f" of {found.gain:g} counts each" if found.gain != 1 else ""
        return f"The data are counted electrons{gain}: learning by thinning, {network}."
    why = (
        "whole numbers, but not with the noise of counted electrons"
        if found.whole
        else "not whole numbers"
    )
    return (
        f"The data are {why}: learning by blind spot, {network}. If they are frames of "
        "one unmoving specimen, --way noise2noise does better."
    )
