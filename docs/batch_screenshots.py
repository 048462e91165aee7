"""Make the pictures of the Batch widget in docs/images/batch, by driving it.

Everything in them is real: the files, the run, a damaged file and its reason. Needs
napari, Qt and OpenGL; without a screen, Xvfb will do:

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/batch_screenshots.py

It cuts the movie that the package comes with, or the stack that is named, into files.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

# Neither the settings nor the window positions of whoever runs this.
os.environ["NAPARI_CONFIG"] = ""

from typing import TYPE_CHECKING

import napari
from qtpy.QtWidgets import QApplication

from lowdose.io import read, write
from lowdose.micrograph import Calibration, Micrograph
from lowdose.simulation.samples import sample_movie

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (1400, 960)
#: Files that the movie is cut into, and the number of the one that is damaged.
FILES, DAMAGED = 8, 5


def main() -> None:
    """Parse the command line and make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stack", nargs="?", type=Path, help="a stack of micrographs")
    parser.add_argument("--denoiser", default="general")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "images" / "batch"
    )
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    movie = read(arguments.stack) if arguments.stack else sample_movie()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)  # so that no picture shows where it was made
        folder = Path("day1")
        make_files(movie, folder)
        make_pictures(arguments, folder)


def make_files(movie: Micrograph, folder: Path) -> None:
    """Write pieces of the movie, one of them cut short."""
    folder.mkdir()
    axes = movie.calibration.axes[-2:]
    for number in range(FILES):
        frame = movie.frame(number * max(1, movie.n_frames // FILES))
        piece = Micrograph(frame, Calibration(axes=axes))
        path = write(folder / f"tilt{number + 1}.mrc", piece)
        if number + 1 == DAMAGED:
            path.write_bytes(path.read_bytes()[:5000])


def make_pictures(arguments: argparse.Namespace, folder: Path) -> None:
    """Run a batch, stop it, go on, and open a result."""
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.theme = arguments.theme
    viewer.window.resize(*SIZE)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", "Batch")
    dock.setMinimumWidth(400)
    widget.choices.method.denoisers.choose(arguments.denoiser)
    widget.choices.add([folder])

    def shoot(name: str) -> None:
        settle(0.7)
        viewer.window.screenshot(
            str(arguments.out / f"{name}.png"), canvas_only=False, flash=False
        )

    shoot("before")
    widget.run()
    rows = widget.choices.table.rows
    wait(lambda: rows[2].state == "running" or not widget.jobs.busy)
    shoot("during")
    wait(lambda: not widget.jobs.busy)
    widget.open_row(1)
    wait(lambda: len(viewer.layers) == 2)
    shoot("after")
    viewer.close()


def settle(seconds: float) -> None:
    """Let Qt and the canvas draw for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait(condition: Callable[[], bool], *, at_most: float = 600.0) -> None:
    """Run the event loop until something is true."""
    end = time.monotonic() + at_most
    while not condition():
        if time.monotonic() > end:
            msg = "It took too long; see the window."
            raise SystemExit(msg)
        QApplication.processEvents()
        time.sleep(0.002)


if __name__ == "__main__":
    main()
