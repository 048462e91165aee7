"""``lowdose train``: a model by a recipe, or from one noisy stack alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, say, write
from lowdose.errors import Cancelled, ParameterError
from lowdose.progress import format_seconds

if TYPE_CHECKING:
    import argparse

    from lowdose.progress import Progress
    from lowdose.training.config import Recipe
    from lowdose.training.result import TrainedModel

NAME: Final = "train"
SUMMARY: Final = "train a network by a recipe, or on your own noisy data"
DESCRIPTION: Final = """\
Train a network by a recipe, a TOML file that says where examples come from, what
network to build and how long to learn; or, with --from-stack, on one noisy file alone,
in the way that suits its noise.

A checkpoint is kept in DIR; --resume goes on from it and ends with the same weights.
The model is in DIR/model: `lowdose denoise --denoiser DIR` takes it, and `lowdose
models add DIR` lists it with the others.
"""
EXAMPLES: Final = """\
examples:
  lowdose train --from-stack noisy.tif -o runs/mine --minutes 10
  lowdose train recipes/general.toml -o runs/general
  lowdose train recipes/general.toml -o runs/general --resume --minutes 30
  lowdose train recipe.toml -o runs/a --set training.steps=2000 --set seed=7
  lowdose train recipe.toml -o runs/a --devices 4 --strategy ddp
"""

#: Time between two lines of progress [s].
_LINE_EVERY: Final = 30.0
#: Time that a training on a stack takes unless another is given [min].
_STACK_MINUTES: Final = 10.0
_ENDINGS: Final = {
    "steps": "All steps are made.",
    "time": "The time is up.",
    "budget": "The time is up; --resume goes on from here.",
    "plateau": "The validation got no better, so that the training ended early.",
    "asked": "The training was ended as asked.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose train``."""
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="a TOML file")
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="folder for the training"
    )
    parser.add_argument(
        "--from-stack",
        metavar="FILE",
        help="train on this noisy image or stack; no recipe is needed",
    )
    parser.add_argument(
        "--way",
        choices=("thinning", "blind-spot", "noise2noise"),
        help="with --from-stack: how to learn; by default what suits the data",
    )
    parser.add_argument(
        "--start",
        metavar="MODEL",
        help="with --from-stack: model to begin with, or 'none' for a fresh network",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a key of the recipe, such as training.steps=2000",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in DIR"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=(
            "stop after M minutes, with a model and a checkpoint to go on from "
            f"(with --from-stack: {_STACK_MINUTES:g})"
        ),
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="kind of device (default: the fastest there is)",
    )
    parser.add_argument(
        "--devices", type=int, metavar="N", default=1, help="how many (default: 1)"
    )
    parser.add_argument(
        "--strategy",
        default="auto",
        help="of Lightning Fabric, such as ddp (default: what suits)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train a network."""
    if arguments.devices < 1:
        msg = f"--devices {arguments.devices} must be at least 1."
        raise ParameterError(msg)
    if arguments.minutes is not None and not arguments.minutes >= 0:
        msg = f"--minutes {arguments.minutes} must be at least 0."
        raise ParameterError(msg)
    recipe, minutes = _recipe(arguments)

    from lowdose.training.hardware import Hardware, is_leader
    from lowdose.training.loop import iter_train

    with stop_on_signals() as should_stop:
        job = iter_train(
            recipe,
            Path(arguments.output),
            resume=arguments.resume,
            minutes=minutes,
            hardware=Hardware(
                device=arguments.device,
                devices=arguments.devices,
                strategy=arguments.strategy,
            ),
            should_stop=should_stop,
        )
        said = 0.0
        while True:
            try:
                progress = next(job)
            except StopIteration as end:
                if is_leader():
                    _report(end.value)
                return DONE
            except Cancelled:
                # Lightning ends the leader, too, where a helper ends with an error.
                if not is_leader():
                    return DONE
                raise
            if not is_leader():
                continue
            if progress.message:
                say(progress.message)
            if progress.seconds - said >= _LINE_EVERY or progress.seconds < said:
                said = progress.seconds
                say(_line(progress))


def _recipe(arguments: argparse.Namespace) -> tuple[Recipe, float | None]:
    """Return the recipe, and the time for this run where it is none of the recipe."""
    if (arguments.recipe is None) == (arguments.from_stack is None):
        msg = "Give either a RECIPE or --from-stack FILE."
        raise ParameterError(msg)
    if arguments.recipe is not None:
        for option in ("way", "start"):
            if getattr(arguments, option) is not None:
                msg = f"--{option} goes with --from-stack; in a recipe, use --set."
                raise ParameterError(msg)
        from lowdose.training.config import read_recipe

        return read_recipe(arguments.recipe, changes=arguments.set), arguments.minutes

    from lowdose.training.hardware import is_leader
    from lowdose.training.stack_recipe import recipe_for_stack

    minutes = arguments.minutes if arguments.minutes is not None else _STACK_MINUTES
    recipe, reason = recipe_for_stack(
        arguments.from_stack,
        minutes=minutes,
        way=arguments.way,
        start=arguments.start,
        changes=arguments.set,
    )
    if is_leader():
        say(reason)
    return recipe, None


def _report(trained: TrainedModel) -> None:
    say(f"{_ENDINGS[trained.ended]} {trained.steps} steps in all.")
    write(f"The model is in {trained.folder}")


def _line(progress: Progress) -> str:
    left = progress.seconds_left
    rest = f", {format_seconds(left)} left" if left is not None else ""
    return f"{progress.stage} {progress.done} of {progress.total}{rest}"
