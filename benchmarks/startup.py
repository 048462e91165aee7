"""How long the widgets take to open, and the first preview to appear.

Every measurement is made in a fresh process, with a napari window that is open already
and shows a frame of 512 x 512 px. *Open* is the time from the choice in the menu until
the widget is in its dock and drawn; torch must not have been imported by then. *First
preview* is the time from the tick at "Live preview" until the denoised frame is a layer
and drawn, the import of torch and the loading of the network included. *Work* is
the time of the processor, which other programs do not disturb. Needs napari, Qt and
OpenGL; without a screen, Xvfb will do::

    xvfb-run -a python benchmarks/startup.py                      # about 2 min
    xvfb-run -a python benchmarks/startup.py --repeats 1 --denoiser general

It ends with code 1 where a limit is missed: 0.5 s to open, 2 s for the preview.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

os.environ["NAPARI_CONFIG"] = ""

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 512
OPEN_WITHIN, PREVIEW_WITHIN = 0.5, 2.0


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="the median counts")
    parser.add_argument("--denoiser", default="general", help="of the preview")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--widget", nargs="+", help="which ones (default: all)")
    parser.add_argument("--one", metavar="WIDGET", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.denoiser)))
        return
    rows = {name: repeated(arguments, name) for name in arguments.widget or widgets()}
    print(
        "| widget | open [s] | of that, work [s] | torch imported | "
        "first preview [s] | of that, work [s] |\n|---|---|---|---|---|---|"
    )
    missed = False
    for name, found in rows.items():
        torch = any(one["torch"] for one in found)
        opened, preview = median(found, "open"), median(found, "preview")
        missed |= torch or opened > OPEN_WITHIN or preview > PREVIEW_WITHIN
        cells = [f"{opened:.2f}", f"{median(found, 'open_cpu'):.2f}"]
        cells += ["yes" if torch else "no"]
        if preview:
            cells += [f"{preview:.2f}", f"{median(found, 'preview_cpu'):.2f}"]
        else:
            cells += ["", ""]
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        f"\nMedians of {arguments.repeats} fresh processes; the preview is "
        f"{SIDE} x {SIDE} px with `{arguments.denoiser}`, {arguments.threads} threads."
    )
    sys.exit(1 if missed else 0)


def median(found: list[dict[str, Any]], what: str) -> float:
    """Return the median of a number, 0 where it was not measured."""
    values = [one[what] for one in found if one[what] is not None]
    return statistics.median(values) if values else 0.0


def widgets() -> list[str]:
    """Return the names of the widgets, as the manifest declares them."""
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-lowdose")
    return [widget.display_name for widget in manifest.contributions.widgets or ()]


def repeated(arguments: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    """Return what several fresh processes measured."""
    command = [sys.executable, __file__, "--one", name]
    command += ["--denoiser", arguments.denoiser]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    return [
        json.loads(
            subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            ).stdout.splitlines()[-1]
        )
        for _ in range(arguments.repeats)
    ]


def measure(name: str, denoiser: str) -> dict[str, Any]:
    """Open a widget in a window of its own, and preview if it can."""
    import napari
    import numpy as np
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    frame = np.random.default_rng(0).poisson(5, (SIDE, SIDE)).astype(np.uint16)
    viewer.add_image(frame, name="noisy")
    wait(lambda: True, settle=1.0)  # all that napari itself does at the start

    start, cpu = time.perf_counter(), time.process_time()
    dock, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", name)
    dock.repaint()
    QApplication.processEvents()
    opened, opened_cpu = time.perf_counter() - start, time.process_time() - cpu
    torch = "torch" in sys.modules

    preview = preview_cpu = None
    if hasattr(widget, "preview_box"):
        widget.choices.denoisers.choose(denoiser)
        viewer.reset_view()
        wait(lambda: True, settle=0.3)
        start, cpu = time.perf_counter(), time.process_time()
        widget.preview_box.setChecked(True)
        wait(lambda: widget.preview.layer is not None)
        QApplication.processEvents()
        preview, preview_cpu = time.perf_counter() - start, time.process_time() - cpu
        shape = widget.preview.layer.data.shape[-2:]
        assert shape == (SIDE, SIDE), shape
    viewer.close()
    return {
        "open": opened,
        "open_cpu": opened_cpu,
        "torch": torch,
        "preview": preview,
        "preview_cpu": preview_cpu,
    }


def wait(condition: Callable[[], bool], *, settle: float = 0.0) -> None:
    """Run the event loop for a while, and until something is true."""
    from qtpy.QtWidgets import QApplication

    begin = time.perf_counter()
    while not condition() or time.perf_counter() - begin < settle:
        if time.perf_counter() - begin > 300:
            msg = "No preview came in 300 s."
            raise SystemExit(msg)
        QApplication.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
