"""``lowdose denoise``: files in, denoised files out."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.denoise_status import conclude, show_statuses
from lowdose.cli.reporting import reporting
from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import write
from lowdose.errors import DeviceError, ParameterError

if TYPE_CHECKING:
    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions

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
  lowdose denoise 'day1/*.mrc' -o clean/ --workers 4 --resume
      four files at a time; run it again after a crash, and it goes on
  lowdose denoise movie.mrc -o clean.mrc --cluster tcp://head:8786
      with all workers of a dask cluster
  lowdose denoise scans.h5 -o clean.tif --dataset images/noisy
      one image of a file that holds several

The parameters that --set takes are listed by `lowdose denoisers NAME`. Ctrl-C stops
between two tiles; files that are finished stay, and no half file is left. With
--resume the finished frames of a half file are kept beside the result, under a hidden
name, for the next run with --resume.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose denoise``."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a file, a folder of files, or a quoted pattern such as '*.tif' or "
        "'data/**/*.mrc'",
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
        "--resume",
        action="store_true",
        help="go on where a run was killed or stopped, and skip results that are "
        "there; what is finished is kept when this run is stopped, too",
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

    where.add_argument(
        "--compile",
        action="store_true",
        help="networks through torch.compile: up to minutes to begin, for long movies "
        "on GPUs (see `lowdose bench --compile`)",
    )

    many = parser.add_argument_group("many files, many machines")
    many.add_argument(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="files at a time, each in a process with its share of the cores "
        "(default: 1)",
    )
    many.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="scheduler of a dask cluster, such as tcp://host:8786, whose workers "
        "share the frames; they must see the inputs by the same paths",
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


def _positive(text: str) -> int:
    """Return a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is not a whole number from 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def setting(text: str) -> tuple[str, str]:
    """Return the name and the value of ``--set KEY=VALUE``."""
    key, equals, value = text.partition("=")
    if not (equals and key.strip() and value.strip()):
        msg = f"{text!r} is not of the form KEY=VALUE, such as sigma=1.5"
        raise argparse.ArgumentTypeError(msg)
    return key.strip(), value.strip()


def run(arguments: argparse.Namespace) -> int:
    """Denoise every input; a file that fails does not stop the others."""
    from lowdose.batch import (
        DenoiserSpec,
        FileOptions,
        denoise_files,
        denoise_on_cluster,
        jobs,
    )
    from lowdose.inference import DenoiseOptions

    # Everything that can be wrong with the request itself, before a file is opened.
    options = DenoiseOptions(
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
        batch=arguments.batch,
        keep_mean=not arguments.no_keep_mean,
        compile=arguments.compile,
    )
    if arguments.cluster and arguments.workers > 1:
        msg = "Give --workers or --cluster: a cluster has workers of its own."
        raise ParameterError(msg)
    settings = dict(arguments.settings)
    denoiser = load_denoiser(
        arguments.denoiser, options, preset=arguments.preset, settings=settings
    )
    todo = jobs.plan_jobs(
        jobs.expand(arguments.inputs), arguments.output, arguments.format
    )
    if jobs.names_folder(arguments.output):
        jobs.make_folder(todo[0].target.parent)
    files = FileOptions(
        dataset=arguments.dataset,
        overwrite=arguments.overwrite,
        resume=arguments.resume,
    )
    spec = DenoiserSpec(
        name=arguments.denoiser, preset=arguments.preset, values=settings
    )
    with stop_on_signals() as should_stop:
        common: dict[str, Any] = {
            "options": options,
            "files": files,
            "should_stop": should_stop,
            "denoiser": denoiser,
        }
        statuses = (
            denoise_on_cluster(todo, spec, arguments.cluster, **common)
            if arguments.cluster
            else denoise_files(todo, spec, workers=arguments.workers, **common)
        )
        together = bool(arguments.cluster) or min(arguments.workers, len(todo)) > 1
        outcomes = show_statuses(
            todo,
            statuses,
            together=together,
            quiet=arguments.quiet,
            results=not (arguments.quiet or arguments.json),
            reporting=reporting,
        )
        cancelled = should_stop()

    if arguments.json:
        report = {
            "denoiser": denoiser.describe(),
            "options": options.to_dict(),
            "cancelled": cancelled,
            "files": [outcome.to_dict() for outcome in outcomes],
        }
        write(json.dumps(report, indent=2))
    return conclude(todo, outcomes, cancelled=cancelled)


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
