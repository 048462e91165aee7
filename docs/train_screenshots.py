"""Make the pictures of the Train widget in docs/images/train, by driving it.

Everything in them is real: the training, its curves, its preview and its model.
Needs napari, Qt and OpenGL; without a screen, Xvfb will do:

    xvfb-run -a -s "-screen 0 1800x1200x24" python docs/train_screenshots.py --minutes 4

Without a file it takes the movie that the package comes with.
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
from napari.layers import Layer
from qtpy.QtWidgets import QApplication

from lowdose.io import read
from lowdose.simulation.samples import sample_movie
from napari_lowdose._layers import micrograph_to_layer

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (1620, 1120)


def main() -> None:
    """Parse the command line and make the pictures, away from the user's folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="a micrograph or a movie")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "images" / "train"
    )
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOWDOSE_TRAININGS"] = f"{folder}/training"
        os.environ["LOWDOSE_MODELS"] = f"{folder}/models"
        take(arguments)


def take(arguments: argparse.Namespace) -> None:
    """Drive the widget, and take a picture of each stage."""
    micrograph = read(arguments.file) if arguments.file else sample_movie()
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.theme = arguments.theme
    viewer.window.resize(*SIZE)
    layer = viewer.add_layer(Layer.create(*micrograph_to_layer(micrograph)))
    layer.name = Path(micrograph.name).stem or "movie"
    viewer.canvas.overlays.scale_bar.visible = True
    dock, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", "Train")
    dock.setMinimumWidth(470)
    settle(0.5)
    viewer.reset_view()

    def shoot(name: str) -> None:
        settle(0.8)
        path = arguments.out / f"{name}.png"
        viewer.window.screenshot(str(path), canvas_only=False, flash=False)

    widget.choices.time.set_values({"minutes": arguments.minutes})
    # So short a training has few steps, and the picture should have a curve.
    widget.choices.training.set_values({"validate_every": 15})
    wait(lambda: bool(widget.doubts.text() or widget.status.text()))
    shoot("choices")

    widget.train()
    begin = time.monotonic()
    # Late enough that there is something to see.
    wait(
        lambda: (
            not widget.busy
            or (
                time.monotonic() - begin > 30 * arguments.minutes
                and widget.curves.points[1] > 2
                and widget.preview.layer is not None
            )
        )
    )
    if not widget.busy:
        raise SystemExit(widget.status.text())
    widget.scroll.ensureWidgetVisible(widget.curves)
    shoot("training")

    wait(lambda: not widget.busy)
    print(widget.status.text())
    widget.scroll.ensureWidgetVisible(widget.curves)
    widget.use_model()
    _, denoise = viewer.window.add_plugin_dock_widget("napari-lowdose", "Denoise")
    denoise.run()
    wait(lambda: denoise.runner.busy)
    wait(lambda: not denoise.runner.busy)
    denoise.compare.setFocus()
    shoot("kept")
    viewer.close()


def settle(seconds: float) -> None:
    """Let Qt and the canvas draw for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait(condition: Callable[[], bool], *, at_most: float = 3600.0) -> None:
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
