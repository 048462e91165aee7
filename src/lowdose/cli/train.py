"""``lowdose train``: rebuild a model from its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, say, write
from lowdose.progress import format_seconds

if TYPE_CHECKING:
    import argparse

    from lowdose.progress import Progress

NAME: Final = "train"
SUMMARY: Final = "train a network by a recipe"
DESCRIPTION: Final = """\
Train a network by a recipe: a TOML file that says what to draw, how to make it noisy,
what network to build and how long to learn. The recipes of the models that come with
the package are in the folder recipes/ of its source.

A checkpoint is kept in DIR; --resume goes on from it and ends with the same weights.
The model is in DIR/model, which `lowdose denoise --denoiser DIR/model` takes.
"""
EXAMPLES: Final = """\
examples:
  lowdose train recipes/general.toml -o runs/general
  lowdose train recipes/general.toml -o runs/general --resume --minutes 30
"""

#: Time between two lines of progress [s].
_LINE_EVERY: Final = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose train``."""
    parser.add_argument("recipe", metavar="RECIPE", help="a TOML file")
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="folder for the training"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in DIR"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="stop after M minutes and keep a checkpoint",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train a network."""
    from lowdose.training.config import read_recipe

    recipe = read_recipe(arguments.recipe)

    from lowdose.training.loop import iter_train

    with stop_on_signals() as should_stop:
        job = iter_train(
            recipe,
            Path(arguments.output),
            resume=arguments.resume,
            minutes=arguments.minutes,
            should_stop=should_stop,
        )
        said = 0.0
        while True:
            try:
                progress = next(job)
            except StopIteration as end:
                write(f"The model is in {end.value}")
                return DONE
            if progress.message:
                say(progress.message)
            if progress.seconds - said >= _LINE_EVERY or progress.seconds < said:
                said = progress.seconds
                say(_line(progress))


def _line(progress: Progress) -> str:
    left = progress.seconds_left
    rest = f", {format_seconds(left)} left" if left is not None else ""
    return f"{progress.stage} {progress.done} of {progress.total}{rest}"
