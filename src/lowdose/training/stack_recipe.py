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
from lowdose.training.lattice import shows_lattice
from lowdose.training.stacks import check_size, checked
from lowdose.zoo.shelf import find_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph

#: Model that a training begins with unless another is asked for, or a crystal is seen.
START: Final = "general"
#: What asks for a fresh network.
FRESH: Final = "none"
#: The fresh networks, for minutes on two cores: that for crystals mixes the spectrum
#: of all it sees and has 0.43 million parameters, that for all else 0.29 million.
_FOR_CRYSTALS: Final[dict[str, Any]] = {
    "base": 16,
    "blocks": [2, 2, 3],
    "stem": 4,
    "conditions": 10,
    "mixing": True,
    "residual": False,
}
_FOR_ALL_ELSE: Final[dict[str, Any]] = {
    "base": 16,
    "blocks": [1, 2, 2],
    "stem": 2,
    "conditions": 10,
}
#: Frames that the network sees of a movie, and how many a movie has at least.
_SEEN, _ENOUGH_FRAMES = 5, 8
#: Frames that are looked at.
_LOOKED_AT: Final = 8
#: Side of the crops [px], and crops in a batch. Of crystals as large as can be, since a
#: lattice is the surer the more of it is seen.
_PATCH, _BATCH = 96, 8
_CRYSTAL_PATCH, _CRYSTAL_BATCH = 256, 2
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
        Model to begin with, or "none" for a fresh network. By default the
        general-purpose one, where it is there, but a fresh one where the frames show
        a lattice: one that mixes the spectrum, which learns it sooner.
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
    check_size(micrograph, 16)
    frames = _some_frames(micrograph)
    found, crystal = counting(frames), shows_lattice(frames)
    chosen = way or ("thinning" if found.whole and found.poisson else "blind-spot")
    begin = _start(FRESH if start is None and crystal else start)
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
        patch=min(micrograph.frame_shape) // 16 * 16,
        crystal=crystal,
    )
    table["data"] = data
    table["card"] = {
        "limits": [
            "Trained on one stack, for that stack and images of the same kind, dose "
            "and pixel size."
        ]
    }
    seen = _frames_seen(micrograph, chosen)
    if begin:
        card = find_model(begin)
        if seen > 1 and card.architecture == "lowdose":
            # The same network, which learns to look at the neighbours, too.
            options = {**card.options, "frames": seen}
            table["network"] = {"architecture": "lowdose", "options": options}
    else:
        table["network"]["options"]["frames"] = seen
    network = _in_words(begin, crystal=crystal)
    reason = _reason(found, chosen, network, asked=way is not None)
    return recipe_from_dict(changed(table, changes)), reason


def quick_tables(
    *,
    name: str,
    label: str,
    way: str,
    minutes: float,
    start: str,
    patch: int = _CRYSTAL_PATCH,
    crystal: bool = False,
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
        Side of the crops at most [px].
    crystal : bool, optional
        Whether they show a lattice, for the choice of a fresh network.

    Returns
    -------
    dict
        For :func:`~lowdose.training.config.recipe_from_dict`.
    """
    mixing = crystal and not start
    side, batch = (_CRYSTAL_PATCH, _CRYSTAL_BATCH) if mixing else (_PATCH, _BATCH)
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
            "batch": batch,
            "patch": min(patch, side),
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
        options = {**(_FOR_CRYSTALS if mixing else _FOR_ALL_ELSE), "frames": 1}
        table["network"] = {"architecture": "lowdose", "options": options}
    return table


def _some_frames(micrograph: Micrograph) -> list[NDArray[np.float32]]:
    numbers = np.unique(np.linspace(0, micrograph.n_frames - 1, _LOOKED_AT).astype(int))
    frames = [
        checked(micrograph.frame(int(n)), f"{micrograph.name}, frame {n}")[0]
        for n in numbers
    ]
    if not frames:
        msg = f"{micrograph.name} has no frames."
        raise InvalidImageError(msg)
    return frames


def _frames_seen(micrograph: Micrograph, way: str) -> int:
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


def _in_words(begin: str, *, crystal: bool) -> str:
    """Return which network is trained."""
    if begin:
        return f"beginning with the model {begin!r}"
    return "a fresh network for crystals" if crystal else "a fresh network"


def _reason(found: Counting, way: str, network: str, *, asked: bool) -> str:
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
