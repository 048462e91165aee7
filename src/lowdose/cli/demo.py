"""``lowdose demo``: the whole way once, on a bundled movie."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.cli.denoise import (
    add_denoiser_argument,
    add_device_argument,
    load_denoiser,
)
from lowdose.cli.reporting import reporting, took
from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, write
from lowdose.progress import Clock

if TYPE_CHECKING:
    import argparse

NAME: Final = "demo"
SUMMARY: Final = "denoise a bundled movie, to see that everything works"
DESCRIPTION: Final = """\
Denoise a small simulated low-dose movie that comes with the package, with the network
that comes with it, and write the noisy and the denoised movie as TIFF and a picture of
before and after. Needs no network connection, no screen and no GPU. Results of an
earlier demo in the same folder are replaced.
"""
EXAMPLES: Final = """\
examples:
  lowdose demo
  lowdose demo -o here --denoiser wiener
"""

_INSTALL: Final = """\
  {python} -m pip install -c constraints.txt ".[all]"   (in the clone)
"""
_PLUGIN: Final = """\

To do the same in napari:
{install}  {python} -m napari {noisy}
  then Plugins > Low-dose denoising > Denoise, choose a denoiser, and Run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose demo``."""
    parser.add_argument(
        "-o",
        "--output",
        default="lowdose-demo",
        metavar="DIR",
        help="folder for the results (default: lowdose-demo)",
    )
    add_denoiser_argument(parser)
    add_device_argument(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Denoise the bundled movie, and say where the results lie."""
    from lowdose import io
    from lowdose.batch import jobs
    from lowdose.cli.picture import write_before_after
    from lowdose.inference import DenoiseOptions, denoise
    from lowdose.simulation.samples import sample_movie

    options = DenoiseOptions(device=arguments.device)
    denoiser = load_denoiser(arguments.denoiser, options)
    noisy = sample_movie()
    folder = Path(arguments.output)
    jobs.make_folder(folder)
    clock = Clock()
    with (
        stop_on_signals() as should_stop,
        reporting("bundled movie", quiet=arguments.quiet) as report,
    ):
        clean = denoise(
            noisy,
            denoiser,
            options=options,
            should_stop=should_stop,
            on_progress=report,
        )
    seconds = clock.seconds
    before = io.write(folder / "demo-noisy.tif", noisy, overwrite=True)
    after = io.write(folder / "demo-denoised.tif", clean, overwrite=True)
    picture = folder / "demo-before-after.png"
    middle = noisy.n_frames // 2
    write_before_after(
        picture,
        noisy.frame(middle),
        clean.frame(middle),
        noisy.calibration,
        title=denoiser.name,
    )
    frames, (height, width) = noisy.n_frames, noisy.frame_shape
    write(
        f"Denoised {frames} frames of {height} x {width} px with {denoiser.name!r} "
        f"in {took(seconds)}.\n"
    )
    for label, path in (
        ("noisy movie", before),
        ("denoised movie", after),
        ("before and after", picture),
    ):
        write(f"  {label:<17} {path.resolve()}")
    has_napari = importlib.util.find_spec("napari") is not None
    python = sys.executable
    install = "" if has_napari else _INSTALL.format(python=python)
    write(_PLUGIN.format(install=install, python=python, noisy=before))
    return DONE
