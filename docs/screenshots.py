"""Make the pictures of the widget in docs/images, by driving the widget itself.

Everything in them is real: the stack, the run, its progress and its result. Needs
napari, Qt and OpenGL; without a screen, Xvfb will do:

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py STACK.tif

Without a file it takes the movie that the package comes with.
"""

from __future__ import annotations

import argparse
import os
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

    from napari_lowdose.widgets.denoise import DenoiseWidget

SIZE = (1400, 900)


def main() -> None:
    """Parse the command line and make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stack", nargs="?", type=Path, help="a stack of micrographs")
    parser.add_argument("--denoiser", default="general")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    micrograph = read(arguments.stack) if arguments.stack else sample_movie()
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.theme = arguments.theme
    viewer.window.resize(*SIZE)
    layer = viewer.add_layer(Layer.create(*micrograph_to_layer(micrograph)))
    layer.name = Path(micrograph.name).stem
    _, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", "Denoise")
    viewer.canvas.overlays.scale_bar.visible = True
    middle = micrograph.n_frames // 3
    viewer.dims.set_current_step(0, middle)
    settle(0.5)
    viewer.reset_view()
    widget.choices.denoisers.choose(arguments.denoiser)

    def shoot(name: str) -> None:
        settle(0.7)
        viewer.window.screenshot(
            str(arguments.out / f"{name}.png"), canvas_only=False, flash=False
        )

    shoot("before")
    show_preview(viewer, widget, shoot)
    widget.run()
    wait(lambda: widget.runner.busy)
    wait(lambda: widget.runner.frames_done > middle or not widget.runner.busy)
    shoot("during")
    wait(lambda: not widget.runner.busy)
    if widget.pair() is None:
        msg = f"The run did not succeed: {widget.status.text()}"
        raise SystemExit(msg)
    shoot("after")
    widget.compare.side_by_side.click()
    settle(0.3)
    viewer.reset_view()
    viewer.scene.camera.zoom *= 4
    shoot("compare")
    widget.compare.side_by_side.click()
    assert layer in viewer.layers
    viewer.close()


def show_preview(
    viewer: napari.Viewer, widget: DenoiseWidget, shoot: Callable[[str], None]
) -> None:
    """Zoom in, switch the preview on, and out again."""
    viewer.scene.camera.zoom *= 2.5
    settle(0.3)
    widget.preview_box.setChecked(True)
    wait(lambda: widget.preview.layer is not None)
    settle(0.5)
    wait(lambda: not widget.preview.busy)
    shoot("preview")
    widget.preview_box.setChecked(False)
    viewer.reset_view()


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
