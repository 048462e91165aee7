"""Every denoiser by name: classical filters, pretrained networks, and your own.

Listing and describing loads no network and no torch; :func:`load` does where the
name is that of a network.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lowdose import filters, zoo
from lowdose.errors import (
    LowDoseWarning,
    ParameterError,
    UnknownDenoiserError,
    did_you_mean,
)
from lowdose.zoo.shelf import model_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.denoiser import Denoiser
    from lowdose.parameters import Parameter, Value
    from lowdose.zoo import ModelCard

Group = Literal["pretrained", "classical", "baseline", "yours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserInfo:
    """What a user wants to know of a denoiser before choosing it.

    Parameters
    ----------
    name : str
        Name to load it by.
    title : str
        Name for people, such as ``"Gaussian blur"``.
    group : {"pretrained", "classical", "baseline", "yours"}
        Network that came with the package, filter, network of a publication to compare
        with, or model of the user's own.
    summary : str
        One sentence: what it does and when to take it.
    reference : str
        Publication that describes it.
    parameters : tuple of Parameter
        What can be set.
    presets : mapping of str to mapping, optional
        Named sets of values.
    card : mapping, optional
        The whole model card of a network, as JSON types. None for a filter.
    """

    name: str
    title: str
    group: Group
    summary: str
    reference: str
    parameters: tuple[Parameter, ...] = ()
    presets: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    card: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the description as a dictionary of JSON types."""
        return {
            "name": self.name,
            "title": self.title,
            "group": self.group,
            "summary": self.summary,
            "reference": self.reference,
            "parameters": [parameter.to_dict() for parameter in self.parameters],
            "presets": {name: dict(values) for name, values in self.presets.items()},
            "card": None if self.card is None else dict(self.card),
        }


def list_denoisers() -> list[DenoiserInfo]:
    """Return every denoiser: pretrained networks, filters, then the user's models.

    Returns
    -------
    list of DenoiserInfo
        Each name once.

    Warns
    -----
    LowDoseWarning
        If a model of the user's has the name of a filter. It is left out.
    """
    models = [_of_card(card) for card in zoo.list_models()]
    classical = [_of_filter(name) for name in filters.FILTERS]
    taken = {info.name for info in classical}
    for info in models:
        if info.name in taken:
            msg = (
                f"Your model {info.name!r} is left out: it has the name of a filter. "
                "Change the name on its card."
            )
            warnings.warn(msg, LowDoseWarning, stacklevel=2)
    return [
        *(info for info in models if info.group == "pretrained"),
        *classical,
        *(info for info in models if info.group == "baseline"),
        *(info for info in models if info.group == "yours" and info.name not in taken),
    ]


def describe(name: str | Path) -> DenoiserInfo:
    """Return the description of one denoiser.

    Parameters
    ----------
    name : str or Path
        A name of :func:`list_denoisers`, or the path of a model folder.

    Returns
    -------
    DenoiserInfo
        Its description.

    Raises
    ------
    UnknownDenoiserError
        If there is none; the message has the nearest names.
    WeightsError
        If the path is that of a model folder whose card is damaged.
    """
    known = {info.name: info for info in list_denoisers()}
    if str(name) in known:
        return known[str(name)]
    if _is_folder(name):
        return _of_card(zoo.read_card(model_folder(name)))
    msg = (
        f"There is no denoiser {str(name)!r}. {did_you_mean(str(name), known)} "
        "The path of a model folder will do too."
    )
    raise UnknownDenoiserError(msg)


def load(name: str | Path, *, preset: str | None = None, **values: Any) -> Denoiser:
    """Make a denoiser.

    Parameters
    ----------
    name : str or Path
        A name of :func:`list_denoisers`, or the path of a model folder.
    preset : str, optional
        One of its presets, whose values are taken where `values` has none.
    **values
        Values of its parameters, in the declared type or as text.

    Returns
    -------
    Denoiser
        Ready to denoise on the CPU.

    Raises
    ------
    UnknownDenoiserError
        If there is none; the message has the nearest names.
    ParameterError
        If a parameter or the preset is unknown, or a value is not allowed.
    WeightsError
        If the weights of a network are missing, damaged, unsafe or do not fit.
    """
    info = describe(name)
    if info.group == "classical":
        return filters.make(info.name, preset=preset, **values)
    if preset is not None:
        msg = (
            f"{info.name} has no preset {preset!r}: networks have none. Set its "
            f"parameters instead ({', '.join(p.name for p in info.parameters)})."
        )
        raise ParameterError(msg)
    return zoo.load_model(name, **values)


def _is_folder(name: str | Path) -> bool:
    try:
        return bool(str(name)) and Path(name).is_dir()
    except (OSError, ValueError):  # too long, or no text that a path can be
        return False


def _of_card(card: ModelCard) -> DenoiserInfo:
    return DenoiserInfo(
        name=card.name,
        title=card.title,
        group=_group(card),
        summary=card.summary,
        reference=card.reference,
        parameters=card.parameters,
        card=card.to_dict(),
    )


def _group(card: ModelCard) -> Group:
    if card.group == "pretrained":
        return "pretrained"
    return "baseline" if card.group == "baseline" else "yours"


def _of_filter(name: str) -> DenoiserInfo:
    entry = filters.FILTERS[name]
    return DenoiserInfo(
        name=name,
        title=entry.title,
        group="classical",
        summary=entry.summary,
        reference=entry.reference,
        parameters=entry.parameters,
        presets=entry.presets,
    )
