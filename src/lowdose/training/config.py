"""Recipes: TOML files that rebuild a model, or train one on your data."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SerializeAsAny, model_validator

from lowdose.errors import InputError, ParameterError, did_you_mean
from lowdose.training.plan import NetworkConfig, TrainingConfig
from lowdose.training.tables import Table, build
from lowdose.training.ways import config_of


class Recipe(Table):
    """Everything that determines a weight file.

    Parameters
    ----------
    name, title, summary : str
        What the model is called, and what it is for.
    licence : str
        SPDX name of the licence of the weights.
    seed : int
        Seed of everything random.
    data : table
        Where examples come from: the ``Config`` of a module of
        :mod:`lowdose.training.ways`, named by its key ``way``.
    network : NetworkConfig, optional
        By default that of `start`.
    training : TrainingConfig
        How long and how fast.
    reference : str
        Publication of the architecture.
    start : str
        Model to begin with, by name or path; a fresh network where it is empty.
    card : mapping, optional
        Further entries for the model card.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str
    summary: str
    licence: str
    seed: int = Field(ge=0)
    data: SerializeAsAny[Table]
    training: TrainingConfig
    network: NetworkConfig | None = None
    reference: str = ""
    start: str = ""
    card: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _some_network(self) -> Self:
        if self.network is None and not self.start:
            msg = (
                "there is neither a table [network] nor a model to start from. Give "
                "network.architecture, or start."
            )
            raise ValueError(msg)
        return self

    @property
    def way(self) -> str:
        """The way to learn."""
        return str(getattr(self.data, "way"))  # noqa: B009 (each config has it)

    @property
    def learning_rate(self) -> float:
        """Largest rate of Adam; lower by default for a network that knows something."""
        given = self.training.learning_rate
        return given if given is not None else (2e-4 if self.start else 1e-3)

    @property
    def freeze_norm(self) -> int:
        """Step from which on batch normalisation is frozen; -1 for never."""
        given = self.training.freeze_norm
        return given if given is not None else (0 if self.start else -1)


def read_recipe(path: str | Path, *, changes: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : path
        A TOML file.
    changes : sequence of str, optional
        Such as ``"training.steps=2000"``: keys to set, over what the file says. The
        value is read as TOML, or as text where it is none.

    Returns
    -------
    Recipe

    Raises
    ------
    InputError
        If the file cannot be read.
    ParameterError
        If it is not TOML, a key is missing or unknown, or a value is of the wrong
        type.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"The recipe {path} cannot be read: {error.strerror}."
        raise InputError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not a TOML file: {error}."
        raise ParameterError(msg) from error
    return recipe_from_dict(changed(table, changes), where=str(path))


def recipe_from_dict(table: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """Build a recipe from nested dictionaries, with the checks of `read_recipe`."""
    values: dict[str, Any] = dict(table)
    unknown = sorted(set(values) - {*Recipe.model_fields, "noise"})
    if unknown:
        near = did_you_mean(unknown[0], [*Recipe.model_fields, "noise"])
        msg = f"{where} has an unknown key {unknown[0]!r}. {near}"
        raise ParameterError(msg)
    data: Any = values.get("data")
    if isinstance(data, Mapping):
        data = dict(data)
        way = data.setdefault("way", "drawings")
        noise = values.pop("noise", None)
        if noise is not None and way != "drawings":
            msg = (
                f"{where}: the table [noise] is of way='drawings'; with way={way!r} "
                "the noise is set in [data]."
            )
            raise ParameterError(msg)
        if noise is not None:
            data["noise"] = noise
        values["data"] = build(config_of(str(way)), data, f"{where}: data")
    elif data is not None and not isinstance(data, Table):
        msg = f"{where}: data is {data!r}; it must be a table."
        raise ParameterError(msg)
    return build(Recipe, values, where)


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a dictionary of JSON types, without what is not set."""
    return recipe.model_dump(exclude_none=True)


def changed(table: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return a recipe's tables with keys set, such as ``"training.steps=2000"``.

    Raises
    ------
    ParameterError
        If a change is not of that form.
    """
    copied = copy.deepcopy(dict(table))
    for change in changes:
        _set(copied, change)
    return copied


def _set(table: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path):
        msg = f"--set {change!r} must look like training.steps=2000."
        raise ParameterError(msg)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for part in path[:-1]:
        inner: Any = table.setdefault(part, {})
        if not isinstance(inner, dict):
            msg = f"--set {change!r}: {part} is no table."
            raise ParameterError(msg)
        table = inner
    table[path[-1]] = value
