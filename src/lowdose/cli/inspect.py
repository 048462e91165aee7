"""``lowdose inspect``: how far a denoised image may be believed."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.denoise import add_device_argument, load_denoiser, setting
from lowdose.cli.noise_options import add_noise_arguments, given_noise
from lowdose.cli.reporting import reporting
from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, columns, say, write
from lowdose.errors import LowDoseError, ParameterError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.progress import Progress
    from lowdose.trust.exporting import Exported
    from lowdose.trust.inspection import Inspection

NAME: Final = "inspect"
SUMMARY: Final = "map the errors of a denoised image, without the truth"
DESCRIPTION: Final = """\
Say how far a denoised image may be believed: maps of the error to expect in each pixel,
the evidence of the counts for every atomic column, checks of what was taken away, and a
verdict on each in words. Nothing but the noisy
and the denoised image is needed; with the denoiser that made it, found in the history
of the denoised file or named, more can be said.

The folder gets every map as TIFF with its calibration, columns.csv, panel.png,
index.html (one page with pictures, numbers and provenance) and inspection.json.
"""
EXAMPLES: Final = """\
examples:
  lowdose denoise image.tif -o clean.tif
  lowdose inspect image.tif clean.tif -o inspection/
  lowdose inspect image.tif mine.tif -o inspection/ --denoiser gaussian --set sigma=2
  lowdose inspect movie.mrc clean.mrc -o frame7/ --frame 7
  lowdose inspect image.tif clean.tif -o inspection/ --vacuum 0:128,0:512 --diameter 0.2
  lowdose inspect image.dm4 clean.tif -o inspection/ --gain 3.2 --offset 100
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose inspect``."""
    parser.add_argument("noisy", metavar="NOISY", help="the image as it was recorded")
    parser.add_argument("denoised", metavar="DENOISED", help="the same, denoised")
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder for the results"
    )
    parser.add_argument(
        "--frame", type=int, metavar="N", help="frame of a stack, from 0 (default: 0)"
    )
    parser.add_argument(
        "--dataset", metavar="PATH", help="which image, where NOISY holds several"
    )
    parser.add_argument(
        "--map",
        action="append",
        metavar="NAME",
        dest="maps",
        help="make only this: bootstrap, evidence, deviance, residuals, risk or "
        "halves; may be given several times",
    )
    parser.add_argument(
        "--vacuum",
        type=region,
        metavar="Y0:Y1,X0:X1",
        help="rows and columns [px] without specimen, for the evidence of columns "
        "(default: found where there are some)",
    )
    parser.add_argument(
        "--diameter",
        type=float,
        metavar="NM",
        help="diameter of the disks of the local deviance in nm (default: such that "
        "one holds about 100 electrons)",
    )
    parser.add_argument(
        "--truth",
        metavar="FILE",
        help="expected counts, where they are known: true errors beside the others",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=16,
        metavar="N",
        help="how often new noise is drawn and denoised (default: 16)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed (default: 0)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results that are there"
    )
    method = parser.add_argument_group("denoiser that made the denoised image")
    method.add_argument(
        "-d",
        "--denoiser",
        metavar="NAME",
        help="its name, or the path of a model folder; by default as the history of "
        "the denoised file says",
    )
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
    add_device_argument(method)
    add_noise_arguments(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--json", action="store_true", help="write numbers and verdicts as JSON"
    )


def run(arguments: argparse.Namespace) -> int:
    """Inspect one frame."""
    from lowdose import io
    from lowdose.inference import DenoiseOptions
    from lowdose.trust.exporting import export, record
    from lowdose.trust.inspection import iter_inspect

    noise = given_noise(arguments)
    noisy = frame_of(
        io.read(arguments.noisy, dataset=arguments.dataset),
        arguments.frame,
        Path(arguments.noisy),
    )
    denoised = frame_of(
        io.read(arguments.denoised), arguments.frame, Path(arguments.denoised)
    )
    made = _history(denoised)
    options = DenoiseOptions(device=arguments.device, keep_mean=bool(_keep_mean(made)))
    denoiser = _denoiser(arguments, made, options)
    with (
        stop_on_signals() as should_stop,
        reporting(denoised.name, unit="runs", quiet=arguments.quiet) as report,
    ):
        job = iter_inspect(
            noisy,
            denoised,
            denoiser,
            noise=noise,
            maps=arguments.maps,
            vacuum=_drawn(arguments.vacuum, noisy),
            truth=None
            if arguments.truth is None
            else frame_of(
                io.read(arguments.truth), arguments.frame, Path(arguments.truth)
            ),
            diameter_nm=arguments.diameter,
            repeats=arguments.repeats,
            seed=arguments.seed,
            options=options,
            should_stop=should_stop,
        )
        found = followed(job, report)
    files = export(found, Path(arguments.output), overwrite=arguments.overwrite)
    if arguments.json:
        paths = {
            "maps": [str(path) for path in files.maps],
            "page": str(files.page),
            "columns": None if files.columns is None else str(files.columns),
        }
        write(json.dumps({**record(found), "files": paths}, indent=2))
    else:
        _tell(found, files)
    return DONE


def region(text: str) -> tuple[slice, slice]:
    """Return rows and columns as they are written on the command line.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is not ``Y0:Y1,X0:X1``.
    """
    from argparse import ArgumentTypeError

    found = re.fullmatch(r"(\d*):(\d*),(\d*):(\d*)", text.replace(" ", ""))
    if found is None:
        msg = f"{text!r} is no region; write Y0:Y1,X0:X1, such as 0:128,0:512."
        raise ArgumentTypeError(msg)
    y0, y1, x0, x1 = (int(n) if n else None for n in found.groups())
    return slice(y0, y1), slice(x0, x1)


def _drawn(
    where: tuple[slice, slice] | None, noisy: Micrograph
) -> NDArray[np.bool_] | None:
    """Return the region of vacuum as a mask."""
    if where is None:
        return None
    import numpy as np

    mask = np.zeros(noisy.frame_shape, dtype=bool)
    mask[where] = True
    return mask


def frame_of(image: Micrograph, number: int | None, path: Path) -> Micrograph:
    """Return one frame of an image, named by its file.

    Raises
    ------
    ParameterError
        If there is no such frame.
    """
    if number is None and image.n_frames > 1:
        say(f"{path} has {image.n_frames} frames; frame 0 is taken (see --frame).")
    from lowdose.micrograph import Micrograph

    calibration = image.calibration.last(2)
    return Micrograph(image.frame(number or 0), calibration, path.name)


def followed(job: Generator[Progress, None, Any], report: Any) -> Any:
    """Run a job to its end, report its progress, and return its result."""
    with closing(job):
        while True:
            try:
                progress = next(job)
            except StopIteration as end:
                return end.value
            report(progress)


def _history(denoised: Micrograph) -> Mapping[str, Any]:
    """Return what the history says of the last denoising; empty where nothing."""
    for step in reversed(denoised.calibration.provenance):
        if step.action == "denoise":
            return step.details
    return {}


def _keep_mean(made: Mapping[str, Any]) -> bool:
    options = made.get("options")
    return options.get("keep_mean", True) if isinstance(options, dict) else True


def _denoiser(
    arguments: argparse.Namespace, made: Mapping[str, Any], options: DenoiseOptions
) -> Denoiser | None:
    """Return the denoiser that was named, or that the history names."""
    if arguments.denoiser is not None:
        return load_denoiser(
            arguments.denoiser,
            options,
            preset=arguments.preset,
            settings=dict(arguments.settings),
        )
    if arguments.preset is not None or arguments.settings:
        msg = "--preset and --set belong to a denoiser; give --denoiser too."
        raise ParameterError(msg)
    recorded = made.get("denoiser")
    if not isinstance(recorded, dict) or not recorded.get("name"):
        say(
            "The history of the denoised file does not name a denoiser; only maps that "
            "need none are made. Give --denoiser for the others."
        )
        return None
    from lowdose import catalogue

    try:
        return catalogue.load(recorded["name"], **recorded.get("parameters", {}))
    except LowDoseError as error:
        say(
            f"The denoiser of the history cannot be made again: {error} Only maps that "
            "need none are made."
        )
        return None


def _tell(found: Inspection, files: Exported) -> None:
    """Write the verdicts and where the maps are."""
    for caveat in found.caveats:
        write(f"note: {caveat}")
    rows = [(one.check, one.level, one.sentence) for one in found.verdicts]
    if rows:
        write(columns(rows))
    shown = [
        (one.name, str(path), one.meaning)
        for one, path in zip(found.maps, files.maps, strict=True)
    ]
    write(columns(shown))
    for name, why in found.left_out.items():
        write(f"not made: {name}. {why}")
    if files.columns is not None:
        write(f"columns: {files.columns}")
    write(f"page: {files.page}")
