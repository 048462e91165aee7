"""``lowdose benchmark``: compare denoisers with the truth, by a protocol."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.reporting import reporting
from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, say, write
from lowdose.errors import Cancelled, ParameterError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Mapping

    from lowdose.benchmark import Options
    from lowdose.cli.reporting import Report
    from lowdose.progress import Progress

NAME: Final = "benchmark"
SUMMARY: Final = "compare denoisers with the truth, by a published protocol"
DESCRIPTION: Final = """\
Denoise images whose truth is known and score the results, by the protocols of the
literature: tables as CSV and Markdown, and one page of HTML with plots and pictures.

protocols:
  sbd         platinum on ceria at 0.45 e-/px: PSNR, SSIM, atoms, vacuum, field of view
  ede2018     Poisson instances of 512 px crops at two ranges of dose: MSE and SSIM,
              their distributions, maps of the mean error
  dose        every denoiser from 0.05 to 2500 e-/px
  em-denoise  graphene with an uneven beam and dead pixels, also images per second
  movie       frame by frame, and whether an atom that hops does so in the right frame

Without --dataset or --images, what is needed is simulated (extra 'simulate'); where
that is not installed, the small set that comes with the package is taken.

Every result is kept as it is made. --resume goes on from there, also with more
denoisers or a higher count; anything else that differs is refused.

denoisers:
  NAME              by its name in the catalogue, or the path of a model folder
  NAME:key=value    with parameters; preset=NAME takes a preset
  tuned:NAME        a filter, tuned on separate images with the truth, for each dose
  thinned:NAME      a filter, tuned on each noisy image alone
"""
EXAMPLES: Final = """\
examples:
  lowdose benchmark sbd --dataset sbd-test.h5 --count 100 --workers 4 -o sbd/
  lowdose benchmark sbd --dataset sbd-test.h5 --denoisers general tuned:bm3d -o sbd/
  lowdose benchmark ede2018 --images micrographs/ --block 2 --count 20000 -o ede/
  lowdose benchmark dose --denoisers general bm3d tuned:bm3d --count 10 -o dose/
  lowdose benchmark sbd --count 3 --dataset sample -o try/
"""

#: What is left out of the command in the report, because it is the default.
_DEFAULTS: Final[Mapping[str, object]] = {
    "--seed": 0,
    "--device": "auto",
    "--precision": "float32",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose benchmark``."""
    parser.add_argument("protocol", metavar="PROTOCOL", help="which, see above")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="folder for results and report",
    )
    parser.add_argument(
        "-d",
        "--denoisers",
        nargs="+",
        metavar="D",
        help="what is compared (default: depends on the protocol)",
    )
    parser.add_argument(
        "--count",
        type=int,
        metavar="N",
        help="images, of each class or dose where there are several",
    )
    parser.add_argument(
        "--dataset",
        nargs="+",
        default=[],
        metavar="FILE",
        help="simulated sets, or 'sample' for the one of the package",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        default=[],
        metavar="PATH",
        help="micrographs of your own, or folders of them, taken as the truth",
    )
    parser.add_argument(
        "--block",
        type=int,
        metavar="N",
        help="average --images over N x N px first, so that their own noise is small",
    )
    parser.add_argument("--size", type=int, metavar="N", help="side of the crops [px]")
    parser.add_argument(
        "--doses", type=float, nargs="+", metavar="X", help="doses, see docs"
    )
    parser.add_argument(
        "--contrast",
        nargs="+",
        metavar="C",
        help="sbd only, that of the headline first (default: white intermediate black)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed (default: 0)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="W",
        help="processes, with one thread each (default: 1, with all threads)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with what is in the folder"
    )
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto (default), cpu, cuda ..."
    )
    parser.add_argument(
        "--precision", default="float32", metavar="P", help="default: float32"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run a protocol and write its report."""
    from lowdose.benchmark import Run, build, iter_benchmark
    from lowdose.benchmark.methods import parse_methods
    from lowdose.benchmark.protocols import find
    from lowdose.inference import DenoiseOptions

    if arguments.workers < 1:
        msg = f"--workers {arguments.workers} must be a whole number from 1."
        raise ParameterError(msg)
    entry = find(arguments.protocol)
    methods = parse_methods(arguments.denoisers or entry.denoisers())
    folder = Path(arguments.output)
    computing = Run(
        methods=methods,
        options=DenoiseOptions(device=arguments.device, precision=arguments.precision),
        workers=arguments.workers,
        resume=arguments.resume,
        command=_command(arguments),
    )
    with (
        stop_on_signals("Stopping; once more to stop at once.") as should_stop,
        reporting(entry.name, unit="results", quiet=arguments.quiet) as report,
    ):
        study = _followed(
            build(
                entry.name,
                _options(arguments),
                folder.with_name(f"{folder.name}-images"),
                workers=arguments.workers,
                should_stop=should_stop,
            ),
            report,
            quiet=arguments.quiet,
        )
        done = _followed(
            iter_benchmark(study, folder, computing, should_stop=should_stop),
            report,
            quiet=arguments.quiet,
        )
    written = done.write(folder)
    for table in done.tables[:1]:
        write(table.to_markdown())
    write(f"{written[0]}: {len(done.tables)} tables")
    return DONE


def _command(arguments: argparse.Namespace) -> str:
    """Return the command that makes the same results, for the report."""
    words: list[str] = ["lowdose", "benchmark", arguments.protocol]
    for flag, given in (
        ("--dataset", arguments.dataset),
        ("--images", arguments.images),
        ("--block", arguments.block),
        ("--size", arguments.size),
        ("--doses", arguments.doses),
        ("--contrast", arguments.contrast),
        ("--count", arguments.count),
        ("--seed", arguments.seed),
        ("--device", arguments.device),
        ("--precision", arguments.precision),
        ("--denoisers", arguments.denoisers),
        ("--output", arguments.output),
    ):
        values = given if isinstance(given, list) else [given]
        if given not in (None, [], _DEFAULTS.get(flag)):
            words += [flag, *(_text(value) for value in values)]
    return shlex.join(words)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _options(arguments: argparse.Namespace) -> Options:
    from lowdose.benchmark import Options

    return Options(
        count=arguments.count,
        seed=arguments.seed,
        datasets=tuple(arguments.dataset),
        images=tuple(Path(place) for place in arguments.images),
        block=arguments.block,
        size=arguments.size,
        doses=tuple(arguments.doses) if arguments.doses else None,
        contrasts=tuple(arguments.contrast) if arguments.contrast else None,
    )


def _followed(
    job: Generator[Progress, None, Any], report: Report, *, quiet: bool
) -> Any:
    """Run a job to its end, showing its progress, and return its result."""
    while True:
        try:
            progress = next(job)
        except StopIteration as end:
            return end.value
        except Cancelled as decision:
            msg = f"{decision} (Repeat the command with --resume.)"
            raise Cancelled(msg) from None
        if progress.message and not quiet:
            say(progress.message)
        report(progress)
