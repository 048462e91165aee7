"""``lowdose models``: the networks that are here, and the user's own among them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.cli.terminal import DONE, columns, say, write

if TYPE_CHECKING:
    import argparse

NAME: Final = "models"
SUMMARY: Final = "list the networks; add or remove your own"
DESCRIPTION: Final = """\
List the networks, those that came with lowdose and your own; add one that you trained,
so that `lowdose denoise --denoiser NAME` and the widget list it by its name; or remove
it again.
"""
EXAMPLES: Final = """\
examples:
  lowdose models
  lowdose models add runs/mine
  lowdose models add runs/mine --name ceria-300kV
  lowdose models remove ceria-300kV
  lowdose models folder
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose models``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="list them (what happens without an action)")
    add = actions.add_parser("add", help="copy a model among your own")
    add.add_argument("model", metavar="DIR", help="folder of a training, or a model")
    add.add_argument("--name", help="name to list it by, instead of that on its card")
    add.add_argument(
        "--overwrite", action="store_true", help="replace your model of that name"
    )
    remove = actions.add_parser("remove", help="delete a model of your own")
    remove.add_argument("name", metavar="NAME")
    actions.add_parser("folder", help="print the folder of your own models")


def run(arguments: argparse.Namespace) -> int:
    """List, add or remove models."""
    from lowdose.zoo.shelf import user_models_folder
    from lowdose.zoo.user_models import add_model, remove_model

    if arguments.action == "add":
        card = add_model(
            Path(arguments.model), name=arguments.name, overwrite=arguments.overwrite
        )
        say(f"Added to {card.folder}")
        write(card.name)
    elif arguments.action == "remove":
        say(f"Deleted {remove_model(arguments.name)}")
    elif arguments.action == "folder":
        write(str(user_models_folder()))
    else:
        _list()
    return DONE


def _list() -> None:
    from lowdose.zoo import list_models

    rows = [
        (card.name, "yours" if card.group == "yours" else "bundled", card.summary)
        for card in list_models()
    ]
    write(columns(rows))
