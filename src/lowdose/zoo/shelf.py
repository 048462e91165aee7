"""Finding models, those that came with the package and the user's own."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from lowdose.errors import (
    LowDoseWarning,
    UnknownDenoiserError,
    WeightsError,
    did_you_mean,
)
from lowdose.zoo.cards import CARD, ModelCard, read_card

if TYPE_CHECKING:
    from lowdose.denoiser import Denoiser

#: Name of the model folder in the folder of a training.
TRAINED = "model"

#: Models that came with the package, by their group.
_BUNDLED = {
    "pretrained": Path(__file__).parent / "models",
    "baseline": Path(__file__).parent / "baselines",
}


def user_models_folder() -> Path:
    """Return the folder of the user's own models.

    Each folder in it is a model. The environment variable ``LOWDOSE_MODELS`` names
    another one. It need not exist.
    """
    named = os.environ.get("LOWDOSE_MODELS")
    return Path(named) if named else platformdirs.user_data_path("lowdose") / "models"


def list_models() -> list[ModelCard]:
    """Return the cards of all models, the bundled ones first, each in name order.

    A folder among the user's models whose card is damaged is left out with a
    warning, and so is one with the name of a model that is already there.
    """
    cards = {
        card.name: card
        for card in (
            read_card(folder, group=group)
            for group, shelf in _BUNDLED.items()
            for folder in _folders(shelf)
        )
    }
    for folder in _folders(user_models_folder()):
        try:
            card = read_card(folder)
        except WeightsError as error:
            warnings.warn(f"Model left out: {error}", LowDoseWarning, stacklevel=2)
            continue
        if card.name in cards:
            msg = (
                f"The model in {folder} is left out: {cards[card.name].folder} has "
                f"the name {card.name!r} already. Change the name on its card."
            )
            warnings.warn(msg, LowDoseWarning, stacklevel=2)
            continue
        cards[card.name] = card
    return list(cards.values())


def find_model(name: str | Path) -> ModelCard:
    """Return the card of a model by its name, or by the path of its folder.

    Raises
    ------
    UnknownDenoiserError
        If there is no such model; the message has the nearest names.
    WeightsError
        If the path is a folder whose card is damaged.
    """
    cards = {card.name: card for card in list_models()}
    if str(name) in cards:
        return cards[str(name)]
    if (model_folder(name) / CARD).is_file():
        return read_card(model_folder(name))
    msg = f"There is no model {str(name)!r}. {did_you_mean(str(name), cards)}"
    raise UnknownDenoiserError(msg)


def model_folder(path: str | Path) -> Path:
    """Return the model folder in the folder of a training; else the path itself."""
    inner = Path(path) / TRAINED
    if not (Path(path) / CARD).is_file() and (inner / CARD).is_file():
        return inner
    return Path(path)


def load_model(name: str | Path, **values: Any) -> Denoiser:
    """Load a model, verified, ready to denoise on the CPU.

    Parameters
    ----------
    name : str or Path
        Name of a model, or the path of a model folder.
    **values
        Values of its parameters (see :attr:`ModelCard.parameters`).

    Returns
    -------
    Denoiser

    Raises
    ------
    UnknownDenoiserError
        If there is no such model.
    WeightsError
        If the weights are missing, damaged, unsafe or do not fit the network.
    ParameterError
        If a value is not allowed.
    """
    from lowdose.zoo.network_denoiser import NetworkDenoiser

    return NetworkDenoiser.from_card(find_model(name), values)


def _folders(shelf: Path) -> list[Path]:
    try:
        return sorted(path.parent for path in shelf.glob(f"*/{CARD}"))
    except OSError:  # a shelf that cannot be listed is an empty one
        return []
