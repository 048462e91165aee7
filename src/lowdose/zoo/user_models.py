"""The user's own models: added to the folder that is searched, and taken from it."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Final

import tomli_w

from lowdose.errors import (
    OutputError,
    ParameterError,
    UnknownDenoiserError,
    did_you_mean,
)
from lowdose.zoo.cards import CARD, WEIGHTS, ModelCard, check_name, read_card
from lowdose.zoo.shelf import list_models, model_folder, user_models_folder

#: What is copied with a model where it is there.
_BESIDE: Final = ("curve.csv", "validation.png")


def add_model(
    folder: Path, *, name: str | None = None, overwrite: bool = False
) -> ModelCard:
    """Copy a model into the folder of the user's own models.

    Parameters
    ----------
    folder : Path
        A model folder, or the folder of a training.
    name : str, optional
        Name to list it by, instead of that on its card.
    overwrite : bool, optional
        Replace a model of the user's that has the name already.

    Returns
    -------
    ModelCard
        Of the copy.

    Raises
    ------
    WeightsError
        If it is no model folder, or its card or weights are damaged.
    ParameterError
        If the name is taken: by a bundled model, by a filter, or, without
        `overwrite`, by a model of the user's.
    OutputError
        If it cannot be copied; nothing half-copied is left.
    """
    from lowdose import filters
    from lowdose.zoo.weights import load_network

    source = model_folder(folder)
    card = read_card(source)
    load_network(card)
    wanted = name if name is not None else card.name
    check_name(wanted)
    taken = {known.name: known for known in list_models()}.get(wanted)
    if wanted in filters.FILTERS or (taken is not None and taken.group != "yours"):
        what = "a model that comes with lowdose" if taken is not None else "a filter"
        msg = f"{wanted!r} is the name of {what}. Add it under another name."
        raise ParameterError(msg)
    if taken is not None and not overwrite:
        msg = (
            f"You have a model {wanted!r} already, in {taken.folder}. Add this one "
            "under another name, or overwrite that one."
        )
        raise ParameterError(msg)
    shelf = user_models_folder()
    place = taken.folder if taken is not None else shelf / wanted
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shelf, prefix=".adding-") as temporary:
            copied = Path(temporary) / "model"
            copied.mkdir()
            _copy(source, copied, wanted)
            if place.exists():
                os.replace(place, Path(temporary) / "old")
            os.replace(copied, place)
    except OSError as error:
        msg = f"The model cannot be copied to {place}: {error.strerror or error}."
        raise OutputError(msg) from error
    return read_card(place)


def remove_model(name: str) -> Path:
    """Delete a model of the user's own.

    Parameters
    ----------
    name : str
        As it is listed.

    Returns
    -------
    Path
        The folder that was deleted.

    Raises
    ------
    UnknownDenoiserError
        If the user has no such model; the bundled ones are not the user's.
    OutputError
        If it cannot be deleted.
    """
    mine = {card.name: card for card in list_models() if card.group == "yours"}
    if name not in mine:
        msg = f"You have no model {name!r} of your own. {did_you_mean(name, mine)}"
        raise UnknownDenoiserError(msg)
    folder = mine[name].folder
    try:
        # The card first: without it the folder is no model any more.
        (folder / CARD).unlink()
        shutil.rmtree(folder)
    except OSError as error:
        msg = f"{folder} cannot be deleted: {error.strerror or error}."
        raise OutputError(msg) from error
    return folder


def _copy(source: Path, place: Path, name: str) -> None:
    shutil.copyfile(source / WEIGHTS, place / WEIGHTS)
    table = tomllib.loads((source / CARD).read_text(encoding="utf-8"))
    table["name"] = name
    (place / CARD).write_text(tomli_w.dumps(table), encoding="utf-8")
    for beside in _BESIDE:
        if (source / beside).is_file():
            shutil.copyfile(source / beside, place / beside)
