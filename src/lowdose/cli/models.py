"""``lowdose models``: the networks that are here, and the user's own among them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.cli.denoise import setting
from lowdose.cli.model_check import add_check, check
from lowdose.cli.terminal import DONE, columns, say, write

if TYPE_CHECKING:
    import argparse

NAME: Final = "models"
SUMMARY: Final = "list the networks; add, remove or export one"
DESCRIPTION: Final = """\
List the networks, those that came with lowdose and your own; add one that you trained,
so that `lowdose denoise --denoiser NAME` and the widget list it by its name; or remove
it again. Export one for programs that have no lowdose: as ONNX, for torch.export.load,
or as a package for bioimage.io. Check what one makes of images that hold nothing for
it to find.
"""
EXAMPLES: Final = """\
examples:
  lowdose models
  lowdose models add runs/mine
  lowdose models add runs/mine --name ceria-300kV
  lowdose models remove ceria-300kV
  lowdose models folder
  lowdose models check runs/mine
  lowdose models export general --format onnx
  lowdose models export general --format bioimageio -o general.zip
  lowdose models export tem-nanoparticle --format torch-export --set binning=6
"""


#: What a model is exported as (:data:`lowdose.zoo.exporting.FORMATS`, whose module
#: takes long to load).
FORMATS: Final = ("onnx", "torch-export", "bioimageio")


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
    _add_export(actions)
    add_check(actions)


def _add_export(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = actions.add_parser(
        "export", help="write a model for programs without lowdose"
    )
    export.add_argument("name", metavar="NAME", help="of a model, or its folder")
    export.add_argument(
        "--format",
        required=True,
        metavar="FORMAT",
        help=f"one of {', '.join(FORMATS)}",
    )
    export.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="folder to write, or zip file for bioimageio (named after the model)",
    )
    export.add_argument(
        "--set",
        dest="values",
        type=setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="build in this value of a parameter, instead of its default",
    )
    export.add_argument(
        "--overwrite", action="store_true", help="replace what has that name"
    )


def run(arguments: argparse.Namespace) -> int:
    """List, add, remove or export models."""
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
    elif arguments.action == "export":
        write(str(_export(arguments)))
    elif arguments.action == "check":
        return check(arguments)
    elif arguments.action == "folder":
        write(str(user_models_folder()))
    else:
        _list()
    return DONE


def _export(arguments: argparse.Namespace) -> Path:
    from lowdose.zoo.exporting import export_model

    say(f"Exporting {arguments.name}; this takes some seconds")
    return export_model(
        arguments.name,
        arguments.format,
        None if arguments.output is None else Path(arguments.output),
        values=dict(arguments.values),
        overwrite=arguments.overwrite,
    )


def _list() -> None:
    from lowdose.zoo import list_models

    rows = [
        (card.name, "yours" if card.group == "yours" else "bundled", card.summary)
        for card in list_models()
    ]
    write(columns(rows))
