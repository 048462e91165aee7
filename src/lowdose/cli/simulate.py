"""``lowdose simulate``: make a data set of clean images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.cli.reporting import reporting
from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, say, write
from lowdose.errors import Cancelled

if TYPE_CHECKING:
    import argparse

NAME: Final = "simulate"
SUMMARY: Final = "simulate clean images to learn from"
DESCRIPTION: Final = """\
Simulate a data set: clean images of random specimens, with everything that was drawn
about each, in one HDF5 file. Noise is added when the set is used.

presets:
  sbd            platinum nanoparticles on ceria, HRTEM defocus series
  sbd-sharp      the same with less vibration: sharper columns
  metals         as sbd, with gold, silver and five other metals in place of platinum
  graphene       graphene with defects, TEM and ADF-STEM
  graphene-quick the same, ADF-STEM by the linear model: seconds instead of minutes
  crystals       any crystal at any zone axis, slabs and wedges, amorphous carbon
  stem-crystals  the same, sheets and graphene by ADF-STEM, with errors of the scan
  movie          a nanoparticle that drifts and turns while its surface atoms move
  drawn          shapes and textures without physics; needs no extra

The set depends on preset, count and seed alone, not on the number of workers. Until
it is complete its parts are in the folder FILE.making; --resume goes on from there,
however the work ended.
"""
EXAMPLES: Final = """\
examples:
  lowdose simulate sbd -o sbd.h5 --count 1000 --seed 1 --workers 4
  lowdose simulate sbd -o sbd.h5 --count 1000 --seed 1 --workers 4 --resume
  lowdose simulate movie -o movies.h5 --count 4
  lowdose simulate crystals -o mine.h5 --structure mine.cif
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose simulate``."""
    parser.add_argument("preset", metavar="PRESET", help="what to simulate")
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="an .h5 file to make"
    )
    parser.add_argument(
        "--count",
        type=int,
        default=64,
        metavar="N",
        help="images, or movies, to make (default: 64)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed (default: 0)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="W",
        help="processes to work with (default: 1)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a set that is not complete"
    )
    parser.add_argument(
        "--structure",
        metavar="FILE",
        help="crystals and stem-crystals: a CIF or other file that ase reads",
    )
    parser.add_argument(
        "--cache", metavar="DIR", help="folder to keep exit waves in, for later sets"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Simulate a data set."""
    from lowdose.simulation.generation import iter_simulate
    from lowdose.simulation.presets import preset

    chosen = preset(arguments.preset, structure=arguments.structure)
    with (
        stop_on_signals("Stopping; once more to stop at once.") as should_stop,
        reporting(arguments.preset, unit="images", quiet=arguments.quiet) as report,
    ):
        job = iter_simulate(
            chosen,
            arguments.output,
            count=arguments.count,
            seed=arguments.seed,
            workers=arguments.workers,
            resume=arguments.resume,
            cache=Path(arguments.cache) if arguments.cache else None,
            should_stop=should_stop,
        )
        while True:
            try:
                progress = next(job)
            except StopIteration as end:
                path: Path = end.value
                break
            except Cancelled as decision:
                msg = f"{decision} (Repeat the command with --resume.)"
                raise Cancelled(msg) from None
            if progress.message and not arguments.quiet:
                say(progress.message)
            report(progress)
    count = chosen.images(arguments.count)
    write(f"{path}: {count} images, {path.stat().st_size / 1e6:.3g} MB")
    return DONE
