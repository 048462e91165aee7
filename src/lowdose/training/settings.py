"""What a recipe says of the network, for whoever opens its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowdose.errors import ParameterError
from lowdose.training.examples import Setting
from lowdose.training.plan import NetworkConfig
from lowdose.zoo.shelf import find_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lowdose.micrograph import Micrograph
    from lowdose.training.config import Recipe


def network_of(recipe: Recipe) -> NetworkConfig:
    """Return the network of a recipe: its own, or that of the model to start from.

    Raises
    ------
    UnknownDenoiserError
        If there is no model of that name.
    ParameterError
        If the two see counts in different ways.
    """
    card = find_model(recipe.start) if recipe.start else None
    network = recipe.network
    if network is not None:
        if card is not None and card.normalisation != network.normalisation:
            msg = (
                f"start={recipe.start!r} sees counts by {card.normalisation!r}. Set "
                "network.normalisation to it, or leave out [network]."
            )
            raise ParameterError(msg)
        return network
    assert card is not None  # a recipe has a network or a start
    return NetworkConfig(
        architecture=card.architecture,
        options=dict(card.options),
        normalisation=card.normalisation,
    )


def setting_of(
    recipe: Recipe, folder: Path, given: Mapping[str, Micrograph]
) -> Setting:
    """Return what the way of a recipe must know of the training that it feeds.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    folder : Path
        Of the training.
    given : mapping of str to Micrograph
        Data in memory, instead of the files that the recipe names under that key.

    Raises
    ------
    UnknownDenoiserError, ParameterError
        As :func:`network_of` does.
    """
    network = network_of(recipe)
    return Setting(
        seed=recipe.seed,
        folder=folder,
        patch=recipe.training.patch,
        frames=int(network.options.get("frames", 1)),
        blind=network.architecture == "blind_spot",
        normalisation=network.normalisation,
        given=given,
    )
