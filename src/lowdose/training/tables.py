"""Tables of a recipe: pydantic models whose errors name the key and what to do."""

from __future__ import annotations

import typing
from types import UnionType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lowdose.errors import ParameterError, did_you_mean

if typing.TYPE_CHECKING:
    from collections.abc import Mapping


class Table(BaseModel):
    """A table of a recipe; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T", bound=Table)


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Check a table and return it as a model.

    Parameters
    ----------
    cls : type
        Its model.
    values : mapping
        What TOML gave.
    where : str
        What the table is called in messages.

    Returns
    -------
    cls

    Raises
    ------
    ParameterError
        If a key is unknown or missing, or a value is of a wrong type or out of its
        range; the first fault is named with its value.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise ParameterError(_sentence(cls, error, where)) from error


def _sentence(cls: type[Table], error: ValidationError, where: str) -> str:
    # A misspelt key explains a missing one, so that it is said first.
    faults = sorted(error.errors(), key=lambda f: f["type"] != "extra_forbidden")
    fault = faults[0]
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path)
    if fault["type"] == "extra_forbidden":
        table = ": ".join([where, *path[:-1]])
        near = did_you_mean(path[-1], _keys(cls, path[:-1]))
        return f"{table} has an unknown key {path[-1]!r}. {near}"
    if fault["type"] == "missing":
        return f"{': '.join([where, *path[:-1]])} lacks the key {path[-1]!r}."
    if fault["type"] == "value_error":
        # Our own validators say all of it.
        text = str(fault["ctx"]["error"])
        return f"{where}: {key}: {text}" if key else f"{where}: {text}"
    text = fault["msg"].removeprefix("Input ")
    return f"{where}: {key} is {fault['input']!r}; it {text}."


def _keys(cls: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the table that a path of keys leads to."""
    for part in path:
        found = cls.model_fields.get(part)
        inner = _model(found.annotation) if found is not None else None
        if inner is None:
            return []
        cls = inner
    return list(cls.model_fields)


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the one model that an annotation names, such as ``Noise | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, UnionType) or typing.get_origin(annotation):
        models = [_model(part) for part in typing.get_args(annotation)]
        found = [model for model in models if model is not None]
        return found[0] if len(found) == 1 else None
    return None
