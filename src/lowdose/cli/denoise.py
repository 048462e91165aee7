"""``lowdose denoise``: files in, denoised files out."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli import jobs
from lowdose.cli.reporting import reporting, took
from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import (
    DONE,
    FAILED,
    about_file,
    report_error,
    say,
    write,
)
from lowdose.errors import Cancelled, DeviceError, LowDoseError, ParameterError
from lowdose.progress import Clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.progress import ShouldStop

NAME: Final = "denoise"
SUMMARY: Final = "denoise files with a network or a filter"
DESCRIPTION: Final = """\
Denoise micrographs and stacks of any number of frames.

Stacks are read, denoised and written frame by frame: memory does not grow with their
length. A result appears under its name only when it is complete, as float32, in the
counts of the input, with its calibration and a record of what was done.
"""
EXAMPLES: Final = """\
examples:
  lowdose denoise stack.tif -o clean.tif
      with the pretrained network "general"
  lowdose denoise stack.tif -o clean.tif --denoiser gaussian --set sigma=1.5
      with a filter and a value of its own
  lowdose denoise movie.mrc -o clean.zarr --device cuda --precision bfloat16
      on a GPU, into OME-Zarr
  lowdose denoise 'day1/*.dm4' 'day2/*.dm4' -o clean/ --format .mrc
      many files into a folder, as clean/NAME-denoised.mrc
  lowdose denoise scans.h5 -o clean.tif --dataset images/noisy
      one image of a file that holds several

The parameters that --set takes are listed by `lowdose denoisers NAME`. Ctrl-C stops
between two tiles; files that are finished stay, and no half file is left.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file; `error` is empty where it was denoised."""

    job: jobs.Job
    error: str = ""
    shape: tuple[int, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a dictionary of JSON types."""
        record: dict[str, Any] = {"input": str(self.job.source)}
        if self.error:
            return {**record, "output": None, "error": self.error}
        return {
            **record,
            "output": str(self.job.target),
            "shape": list(self.shape),
            "seconds": round(self.seconds, 3),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose denoise``."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a file, or a quoted pattern such as '*.tif' or 'data/**/*.mrc'",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="the result, its format chosen by its suffix; or a folder for results "
        "(it is made where needed), which several inputs need",
    )
    parser.add_argument(
        "--format",
        default=".tif",
        metavar="SUFFIX",
        help="format of the results in a folder: .tif (default), .mrc, .zarr ...",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results that are there"
    )
    parser.add_argument(
        "--dataset", metavar="PATH", help="which image, where a file holds several"
    )

    method = parser.add_argument_group("denoiser")
    add_denoiser_argument(method)
    method.add_argument("--preset", metavar="P", help="a named set of its values")
    method.add_argument(
        "--set",
        action="append",
        type=setting,
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="one of its parameters; may be given several times",
    )
    method.add_argument(
        "--no-keep-mean",
        action="store_true",
        help="do not shift each frame to the mean of the noisy frame",
    )

    where = parser.add_argument_group("where and in what pieces")
    add_device_argument(where)
    where.add_argument(
        "--precision",
        default="auto",
        metavar="P",
        help="auto (default), float32, bfloat16 or float16; networks only",
    )
    where.add_argument(
        "--tile",
        type=int,
        metavar="N",
        help="longest side of a tile [px]; chosen from free memory by default",
    )
    where.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="tiles at a time; chosen from free memory by default",
    )

    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--quiet", action="store_true", help="show warnings and errors only"
    )
    shown.add_argument(
        "--json",
        action="store_true",
        help="write what was done to stdout, as JSON; progress stays on stderr",
    )


def add_denoiser_argument(parser: argparse._ActionsContainer) -> None:
    """Declare ``--denoiser``, for every command that denoises."""
    parser.add_argument(
        "-d",
        "--denoiser",
        default="general",
        metavar="NAME",
        help="a name from `lowdose denoisers`, or the path of a model folder "
        "(default: general)",
    )


def add_device_argument(parser: argparse._ActionsContainer) -> None:
    """Declare ``--device``, for every command that denoises."""
    parser.add_argument(
        "--device",
        default="auto",
        metavar="D",
        help="auto (default), cpu, cuda, cuda:N or mps",
    )


def setting(text: str) -> tuple[str, str]:
    """Return the name and the value of ``--set KEY=VALUE``."""
    key, equals, value = text.partition("=")
    if not (equals and key.strip() and value.strip()):
        msg = f"{text!r} is not of the form KEY=VALUE, such as sigma=1.5"
        raise argparse.ArgumentTypeError(msg)
    return key.strip(), value.strip()


def run(arguments: argparse.Namespace) -> int:
    """Denoise every input; a file that fails does not stop the others."""
    from lowdose.inference import DenoiseOptions

    # Everything that can be wrong with the request itself, before a file is opened.
    options = DenoiseOptions(
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
        batch=arguments.batch,
        keep_mean=not arguments.no_keep_mean,
    )
    denoiser = load_denoiser(
        arguments.denoiser,
        options,
        preset=arguments.preset,
        settings=dict(arguments.settings),
    )
    todo = jobs.plan_jobs(
        jobs.expand(arguments.inputs), arguments.output, arguments.format
    )
    if jobs.names_folder(arguments.output):
        jobs.make_folder(todo[0].target.parent)

    outcomes: list[Outcome] = []
    with stop_on_signals() as should_stop:
        for number, job in enumerate(todo, start=1):
            if should_stop():
                break
            count = f"{number}/{len(todo)} " if len(todo) > 1 else ""
            try:
                outcome = denoise_file(
                    job,
                    denoiser,
                    options=options,
                    dataset=arguments.dataset,
                    overwrite=arguments.overwrite,
                    should_stop=should_stop,
                    title=f"{count}{job.source.name}",
                    quiet=arguments.quiet,
                )
            except Cancelled:
                break
            except LowDoseError as error:
                outcome = Outcome(job=job, error=str(error))
                report_error(error, about=str(job.source))
            outcomes.append(outcome)
            if not (outcome.error or arguments.quiet or arguments.json):
                write(_line(outcome))
        cancelled = should_stop()

    if arguments.json:
        report = {
            "denoiser": denoiser.describe(),
            "options": options.to_dict(),
            "cancelled": cancelled,
            "files": [outcome.to_dict() for outcome in outcomes],
        }
        write(json.dumps(report, indent=2))
    return _conclude(todo, outcomes, cancelled=cancelled)


def load_denoiser(
    name: str,
    options: DenoiseOptions,
    *,
    preset: str | None = None,
    settings: dict[str, str] | None = None,
) -> Denoiser:
    """Make a denoiser, after checking all that can be checked without its weights.

    Raises
    ------
    UnknownDenoiserError, ParameterError, WeightsError
        If it cannot be made, or not run where it was asked to.
    """
    from lowdose import catalogue
    from lowdose.inference.device import resolve_place
    from lowdose.parameters import resolve

    info = catalogue.describe(name)
    resolve(info.parameters, settings or {}, owner=info.name)
    denoiser = catalogue.load(name, preset=preset, **(settings or {}))
    try:
        resolve_place(options, denoiser.needs)
    except DeviceError as error:  # asked for by name: an option that is wrong here
        raise ParameterError(str(error)) from error
    return denoiser


def denoise_file(
    job: jobs.Job,
    denoiser: Denoiser,
    *,
    options: DenoiseOptions,
    dataset: str | None = None,
    overwrite: bool = False,
    should_stop: ShouldStop,
    title: str,
    quiet: bool = False,
) -> Outcome:
    """Denoise one file, frame by frame, into another.

    Raises
    ------
    LowDoseError
        If it cannot be read, denoised or written, or was cancelled. Nothing is left
        of the result then.
    """
    from lowdose import io
    from lowdose.inference import iter_denoise, plan_step

    clock = Clock()
    image = io.read(job.source, dataset=dataset)
    step = plan_step(image, denoiser, options=options)
    sink = io.create(
        job.target,
        image.shape,
        image.calibration.with_step(step),
        name=image.name,
        overwrite=overwrite,
    )
    steps = iter_denoise(
        image, denoiser, options=options, out=sink, should_stop=should_stop
    )
    try:
        with reporting(title, quiet=quiet) as report, closing(steps):
            for progress in steps:
                report(progress)
    except BaseException:
        # The engine does so too, but not where it never began.
        sink.abort()
        raise
    return Outcome(job=job, shape=image.shape, seconds=clock.seconds)


def _line(outcome: Outcome) -> str:
    """Return the line that says what was made."""
    size = " x ".join(map(str, outcome.shape))
    seconds = took(outcome.seconds)
    return f"{outcome.job.target}  ({size} px in {seconds}, from {outcome.job.source})"


def _conclude(
    todo: Sequence[jobs.Job], outcomes: Sequence[Outcome], *, cancelled: bool
) -> int:
    """Say how a batch went, and return the exit code."""
    failed = [outcome for outcome in outcomes if outcome.error]
    done = len(outcomes) - len(failed)
    if cancelled and len(outcomes) < len(todo):
        rest = [str(job.source) for job in todo[len(outcomes) :]]
        say(
            f"Cancelled: {done} of {len(todo)} files are done. Not done: "
            f"{_listed(rest)}."
        )
    if failed and len(todo) > 1:
        say(f"{len(failed)} of {len(todo)} files failed:")
        for outcome in failed:
            say(f"  {about_file(outcome.error, str(outcome.job.source))}")
    return DONE if done == len(todo) else FAILED


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
