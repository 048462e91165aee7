"""Make the pictures of the Inspect widget in docs/images/inspect, by driving it.

Everything in them is real: the run of the denoiser, the checks and what they found.
Needs napari, Qt and OpenGL; without a screen, Xvfb will do:

    xvfb-run -a -s "-screen 0 1800x1100x24" python docs/inspect_screenshots.py \
        MICROGRAPH.tif

Without a file it takes the movie that the package comes with. The names of the
pictures begin with the name of the file, or with "sample".
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
from lowdose.micrograph import Axis, Calibration, Micrograph
from lowdose.simulation.samples import sample_movie
from napari_lowdose._layers import micrograph_to_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_lowdose.widgets.denoise import DenoiseWidget
    from napari_lowdose.widgets.inspect import InspectWidget

SIZE = (1720, 1040)


def main() -> None:
    """Parse the command line and make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="a micrograph or a movie")
    parser.add_argument("--denoiser", default="general")
    parser.add_argument(
        "--pixel-size", type=float, help="in nm, where the file does not say it"
    )
    parser.add_argument("--repeats", type=int, default=16)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "images" / "inspect"
    )
    parser.add_argument("--page", type=Path, help="where to export the page to")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    micrograph = calibrated(
        read(arguments.file) if arguments.file else sample_movie(),
        arguments.pixel_size,
    )
    prefix = arguments.file.stem if arguments.file else "sample"

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.theme = arguments.theme
    viewer.window.resize(*SIZE)
    layer = viewer.add_layer(Layer.create(*micrograph_to_layer(micrograph)))
    layer.name = Path(micrograph.name).stem
    viewer.canvas.overlays.scale_bar.visible = True
    denoise(viewer, arguments.denoiser)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", "Inspect")
    dock.setMinimumWidth(430)
    widget.choices.form.set_values({"repeats": arguments.repeats})
    settle(0.5)
    viewer.reset_view()

    def shoot(name: str) -> None:
        settle(0.8)
        path = arguments.out / f"{prefix}-{name}.png"
        viewer.window.screenshot(str(path), canvas_only=False, flash=False)

    inspect(widget)
    shoot("maps")
    scroll_to(widget, widget.results.columns)
    show_a_column(widget)
    shoot("column")
    show_a_filter(viewer, widget)
    scroll_to(widget, widget.results.filter_section)
    shoot("filter")
    if arguments.page is not None:
        widget.export(arguments.page)
        wait(lambda: not widget.jobs.busy)
        print(widget.status.text())
    widget.show_maps(False)
    viewer.close()


def calibrated(micrograph: Micrograph, pixel_size: float | None) -> Micrograph:
    """Return a micrograph with this pixel size [nm], where one is given."""
    if pixel_size is None:
        return micrograph
    *leading, y, x = micrograph.calibration.axes
    axes = [
        Axis(label=axis.label, spacing=pixel_size, unit="nm", origin=0.0)
        for axis in (y, x)
    ]
    return micrograph.replace(calibration=Calibration(axes=(*leading, *axes)))


def denoise(viewer: napari.Viewer, name: str) -> None:
    """Denoise the layer with the widget of that name, and close it again."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", "Denoise")
    run_denoise(widget, name)
    dock.destroyOnClose()
    settle(0.3)


def run_denoise(widget: DenoiseWidget, name: str) -> None:
    """Denoise, and wait for the result."""
    widget.choices.denoisers.choose(name)
    widget.run()
    wait(lambda: widget.runner.busy)
    wait(lambda: not widget.runner.busy)
    if widget.pair() is None:
        msg = f"The run did not succeed: {widget.status.text()}"
        raise SystemExit(msg)


def inspect(widget: InspectWidget) -> None:
    """Inspect, and wait for what is found."""
    if problem := widget.choices.problem():
        raise SystemExit(problem)
    widget.run()
    wait(lambda: not widget.jobs.busy)
    if not widget.view.active:
        msg = f"The inspection did not succeed: {widget.status.text()}"
        raise SystemExit(msg)


def show_a_column(widget: InspectWidget) -> None:
    """Click on the least supported column of the table, as a user would first."""
    numbers = widget.results.table.numbers()
    if numbers:
        widget.results.table.select(numbers[0])


def show_a_filter(viewer: napari.Viewer, widget: InspectWidget) -> None:
    """Ask for the equivalent filter of the column that was clicked on."""
    widget.filter_box.setChecked(True)
    image = viewer.layers.selection.active
    height, width = image.data.shape[-2:]
    row, column = height // 2, width // 2
    numbers = widget.results.table.numbers()
    if numbers and widget.inspected is not None:
        evidence = widget.inspected.evidence
        row, column = (
            round(float(at)) for at in evidence.columns.positions[numbers[0]]
        )
    widget.pick(row, column)
    wait(lambda: not widget.jobs.busy)


def scroll_to(widget: InspectWidget, part: object) -> None:
    """Scroll the dock so that a part of it is on the screen."""
    settle(0.2)
    widget.scroll.ensureWidgetVisible(part)


def settle(seconds: float) -> None:
    """Let Qt and the canvas draw for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait(condition: Callable[[], bool], *, at_most: float = 1800.0) -> None:
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
