"""Recipes: TOML files that rebuild a weight file from nothing."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from lowdose.errors import InputError, ParameterError, did_you_mean
from lowdose.simulation.procedural import GRAIN, KINDS

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """The clean images: drawn by :mod:`lowdose.simulation.procedural`.

    Parameters
    ----------
    kinds : mapping of str to float
        Kind of image to its relative share.
    images : int
        Number of images to draw.
    size : int
        Their height and width [px].
    grain : list of float
        Share of them with fine texture, and its least and largest strength, as a
        multiple of the deviation of the image.
    """

    kinds: Mapping[str, float]
    images: int = 4096
    size: int = 224
    grain: list[float] = field(default_factory=lambda: list(GRAIN))

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(KINDS)
        if unknown:
            name = min(unknown)
            msg = f"data.kinds has no {name!r}. {did_you_mean(name, KINDS)}"
            raise ParameterError(msg)
        shares = list(self.kinds.values())
        if not shares or min(shares) < 0 or sum(shares) <= 0:
            msg = (
                f"data.kinds={dict(self.kinds)} needs shares of at least 0, not all 0."
            )
            raise ParameterError(msg)
        if len(self.grain) != 3 or not 0 < self.grain[1] <= self.grain[2]:
            msg = f"data.grain={self.grain} must be a share and two strengths."
            raise ParameterError(msg)
        _at_least(1, images=self.images)
        _at_least(16, size=self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig:
    """The noise, drawn anew at every step.

    Parameters
    ----------
    dose_min, dose_max : float
        Mean dose of a crop [e-/px], drawn log-uniformly between these.
    contrast_min : float
        Smallest (max - min) / max of the clean rate of an image, drawn
        log-uniformly up to 1.
    full_contrast : float
        Share of crops whose darkest pixel has rate 0.
    read_noise : float
        Share of crops with Gaussian noise of up to the shot noise added.
    gaussian : float
        Share of crops with Gaussian noise only.
    known : float
        Share of crops whose noise is told to the network.
    """

    dose_min: float = 0.2
    dose_max: float = 2000.0
    contrast_min: float = 0.05
    full_contrast: float = 0.4
    read_noise: float = 0.3
    gaussian: float = 0.1
    known: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.dose_min <= self.dose_max:
            msg = (
                f"noise.dose_min={self.dose_min} must be positive and at most "
                f"dose_max={self.dose_max}."
            )
            raise ParameterError(msg)
        for name in ("full_contrast", "read_noise", "gaussian", "known"):
            if not 0 <= getattr(self, name) <= 1:
                msg = f"noise.{name}={getattr(self, name)} must lie between 0 and 1."
                raise ParameterError(msg)
        if not 0 < self.contrast_min <= 1:
            msg = f"noise.contrast_min={self.contrast_min} must lie between 0 and 1."
            raise ParameterError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The network: a name of :data:`lowdose.networks.ARCHITECTURES` and its options."""

    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """How long and how fast to learn.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    batch : int
        Crops per step.
    patch : int
        Height and width of a crop [px].
    learning_rate : float
        Largest rate of Adam, reached after `warmup` steps and lowered to a hundredth
        along a cosine.
    warmup : int
        Steps of linear rise.
    restarts : list of int
        Steps at which the cosine begins anew [1]_, each time at `restart_factor`
        times the rate of the cycle before.
    restart_factor : float
        See `restarts`.
    average : float
        Decay of the exponential moving average of the weights, which is what is
        kept.
    clip : float
        Largest norm of the gradient.
    freeze_norm : int
        Step from which on batch normalisation keeps its statistics as they are, in
        training as in use. Where doses differ by a factor of 10^4 within a batch,
        statistics of a batch are nothing that a single image could be normalised
        by. 0 for all of it (a network that goes on learning), -1 for never.
    validate_every : int
        Steps between validations; a checkpoint is written at each.
    precision : {"bfloat16", "float32"}
        Arithmetic of the forward and backward pass.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
       Restarts", ICLR 2017. arXiv:1608.03983
    """

    steps: int
    batch: int = 16
    patch: int = 96
    learning_rate: float = 1e-3
    warmup: int = 300
    restarts: list[int] = field(default_factory=list)
    restart_factor: float = 0.4
    average: float = 0.999
    clip: float = 1.0
    freeze_norm: int = -1
    validate_every: int = 500
    precision: str = "bfloat16"

    def __post_init__(self) -> None:
        _at_least(1, steps=self.steps, batch=self.batch, warmup=self.warmup)
        _at_least(16, patch=self.patch)
        _at_least(1, validate_every=self.validate_every)
        bounds = [self.warmup, *self.restarts, self.steps]
        if self.restarts and bounds != sorted(set(bounds)):
            msg = (
                f"training.restarts={self.restarts} must rise from warmup="
                f"{self.warmup} to steps={self.steps}."
            )
            raise ParameterError(msg)
        if self.precision not in ("bfloat16", "float32"):
            msg = f"training.precision={self.precision!r}: use 'bfloat16' or 'float32'."
            raise ParameterError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that determines a weight file.

    Parameters
    ----------
    name, title, summary : str
        What the model is called, and what it is for.
    licence : str
        SPDX name of the licence of the weights.
    seed : int
        Seed of everything random.
    reference : str
        Publication of the architecture.
    start : str
        Model to begin with, by name or path; a fresh network where it is empty.
    data, noise, network, training : config
        See their classes.
    card : mapping, optional
        Further entries for the model card.
    """

    name: str
    title: str
    summary: str
    licence: str
    seed: int
    data: DataConfig
    network: NetworkConfig
    training: ScheduleConfig
    reference: str = ""
    start: str = ""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.training.patch > self.data.size:
            msg = (
                f"training.patch={self.training.patch} is larger than "
                f"data.size={self.data.size}; no crop of that size can be cut."
            )
            raise ParameterError(msg)


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : path
        A TOML file.

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
    return recipe_from_dict(table, where=str(path))


def recipe_from_dict(table: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """Build a recipe from nested dictionaries, with the checks of `read_recipe`."""
    return _build(Recipe, table, where)


def _at_least(low: int, **values: int) -> None:
    for name, value in values.items():
        if value < low:
            msg = f"{name}={value} must be at least {low}."
            raise ParameterError(msg)


def _build(cls: type[T], table: Any, where: str) -> T:
    if not isinstance(table, Mapping):
        msg = f"{where} is {table!r}; it must be a table."
        raise ParameterError(msg)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    types = get_type_hints(cls)
    for key in table:
        if key not in fields:
            msg = f"{where} has an unknown key {key!r}. {did_you_mean(key, fields)}"
            raise ParameterError(msg)
    values: dict[str, Any] = {}
    for name, declared in fields.items():
        required = (
            declared.default is dataclasses.MISSING
            and declared.default_factory is dataclasses.MISSING
        )
        if name in table:
            values[name] = _value(types[name], table[name], f"{where}: {name}")
        elif required:
            msg = f"{where} lacks the key {name!r}."
            raise ParameterError(msg)
    return cls(**values)


def _value(wanted: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(wanted):
        return _build(wanted, value, where)  # type: ignore[arg-type]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = getattr(wanted, "__origin__", wanted)
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        msg = f"{where} is {value!r}; it must be a {plain.__name__.lower()}."
        raise ParameterError(msg)
    return value
