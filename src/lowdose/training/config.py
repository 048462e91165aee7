"""Recipes: TOML files that rebuild a model, or train one on your data."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from lowdose.errors import InputError, ParameterError, did_you_mean
from lowdose.training.tables import Table, build
from lowdose.training.ways import config_of

LossName = Literal["auto", "rmse", "mse", "huber", "poisson"]


class NetworkConfig(Table):
    """The network: a name of :data:`lowdose.networks.ARCHITECTURES` and its options.

    Parameters
    ----------
    architecture : str
        Its name.
    options : mapping
        Keyword arguments of its class.
    normalisation : {"mean-and-noise", "min-max", "counts"}
        What the network sees: counts less their mean over their noise, counts between
        0 and 1 of each image, or counts as they are.
    """

    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    normalisation: Literal["mean-and-noise", "min-max", "counts"] = "mean-and-noise"


class TrainingConfig(Table):
    """How long and how fast to learn.

    Parameters
    ----------
    steps : int
        Optimiser steps at most.
    minutes : float, optional
        Time at most [min]; the schedule then ends with the time where that is
        sooner than the steps.
    batch : int
        Crops per step and device.
    patch : int
        Height and width of a crop [px].
    loss : {"auto", "rmse", "mse", "huber", "poisson"}
        See :mod:`lowdose.training.losses`. "auto" takes what suits the way to learn.
    learning_rate : float, optional
        Largest rate of Adam. By default 1e-3, and 2e-4 where `start` is given.
    schedule : {"cosine", "plateau", "stepped", "constant"}
        Cosine: down to a hundredth, with `restarts`. Plateau: times `factor`
        whenever `patience` validations brought nothing better. Stepped: `rates`
        from the steps `boundaries` on.
    warmup : int
        Steps of linear rise, in every schedule.
    restarts : list of int
        Steps at which the cosine begins anew [1]_, each time at `restart_factor`
        times the rate of the cycle before.
    restart_factor : float
        See `restarts`.
    factor, patience : float, int
        See `schedule`; the defaults are SBD's [2]_.
    boundaries, rates : list
        See `schedule`: one rate more than boundaries; `learning_rate` is not used.
    beta1, beta2 : float
        Of Adam.
    l2 : float
        Weight of half the sum of all squared parameters, added to the loss.
    average : float
        Decay of the exponential moving average of the weights, which is what is
        kept. 0 keeps the weights themselves.
    clip : float
        Largest norm of the gradient; 0 for any.
    freeze_norm : int, optional
        Step from which on batch normalisation keeps its statistics as they are, in
        training as in use. Where doses differ by a factor of 10^4 within a batch,
        statistics of a batch are nothing that a single image could be normalised
        by. 0 for all of it, which is the default where `start` is given; -1 for
        never, the default otherwise.
    validate_every : int
        Steps between validations.
    checkpoint_every : int
        Steps between checkpoints; at each validation there is one, too.
    patience_to_stop : int
        Stop early when so many validations brought nothing better; 0 for never.
    keep : {"last", "best"}
        Whether the model is the average of the last step or of the best validation.
    precision : {"bfloat16", "float32"}
        Arithmetic of the forward and backward pass.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
       Restarts", ICLR 2017. arXiv:1608.03983
    .. [2] S. Mohan et al., IEEE Trans. Comput. Imaging 8, 585 (2022).
       doi:10.1109/TCI.2022.3176536
    """

    steps: int = Field(ge=1)
    minutes: float | None = Field(default=None, gt=0)
    batch: int = Field(default=16, ge=1)
    patch: int = Field(default=96, ge=16)
    loss: LossName = "auto"
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: Literal["cosine", "plateau", "stepped", "constant"] = "cosine"
    warmup: int = Field(default=300, ge=0)
    restarts: list[int] = Field(default_factory=list)
    restart_factor: float = Field(default=0.4, gt=0)
    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=3, ge=1)
    boundaries: list[int] = Field(default_factory=list)
    rates: list[float] = Field(default_factory=list)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)
    average: float = Field(default=0.999, ge=0, lt=1)
    clip: float = Field(default=1.0, ge=0)
    freeze_norm: int | None = Field(default=None, ge=-1)
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    patience_to_stop: int = Field(default=0, ge=0)
    keep: Literal["last", "best"] = "last"
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        bounds = [self.warmup, *self.restarts, self.steps]
        if self.restarts and bounds != sorted(set(bounds)):
            msg = (
                f"restarts={self.restarts} must rise from warmup={self.warmup} to "
                f"steps={self.steps}."
            )
            raise ValueError(msg)
        stepped = self.schedule == "stepped"
        if stepped and len(self.rates) != len(self.boundaries) + 1:
            msg = (
                f"schedule='stepped' needs one rate more than boundaries; there are "
                f"{len(self.rates)} and {len(self.boundaries)}."
            )
            raise ValueError(msg)
        if not stepped and (self.rates or self.boundaries):
            msg = "boundaries and rates are of schedule='stepped' only."
            raise ValueError(msg)
        if self.boundaries != sorted(set(self.boundaries)):
            msg = f"boundaries={self.boundaries} must rise."
            raise ValueError(msg)
        return self


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
