"""How long the window waits for its event loop while a network learns beside it.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/train_widget.py \
        --seconds 60

opens napari with the widget "Train" on a simulated movie, and asks Qt for an event
every few milliseconds: what comes late could not be drawn or clicked meanwhile. The
same is measured before anything runs, while the training starts (Python imports
torch), and while it trains with curves and preview on, with the frame of the movie
changed five times a second, as somebody would who looks through it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

# Not the settings of whoever runs this.
os.environ["NAPARI_CONFIG"] = ""

from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from lowdose.simulation.samples import sample_movie
from napari_lowdose._layers import micrograph_to_layer

if TYPE_CHECKING:
    from collections.abc import Callable

#: Time between two events that are asked for [ms].
_TICK = 2


class Gaps:
    """Notes the times between events of the main thread."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._on_tick)

    def _on_tick(self) -> None:
        self._times.append(time.perf_counter())

    def measure(self, over: Callable[[], bool]) -> dict[str, float]:
        """Run the event loop until something is true; return its gaps [ms]."""
        self._times = [time.perf_counter()]
        self._timer.start()
        while not over():
            QApplication.processEvents()
            # Wait for events as the event loop of an application does, in the lock-free
            # sleep of the system.
            time.sleep(0.0005)
        self._timer.stop()
        self._times.append(time.perf_counter())
        gaps = 1e3 * np.diff(self._times)
        return {
            "seconds": round(self._times[-1] - self._times[0], 1),
            "median_ms": round(float(np.median(gaps)), 1),
            "p99_ms": round(float(np.percentile(gaps, 99)), 1),
            "longest_ms": round(float(gaps.max()), 1),
            "over_100_ms": int((gaps > 100).sum()),
        }


def main() -> None:
    """Parse the command line and measure, away from the user's own folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--start", default="general", help="model, or 'none'")
    parser.add_argument("--device", default="auto")
    parser.add_argument("-o", "--output", type=Path, help="write JSON here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Not the models of whoever runs this.
        os.environ["LOWDOSE_TRAININGS"] = f"{folder}/training"
        os.environ["LOWDOSE_MODELS"] = f"{folder}/models"
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print a table."""
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1500, 950)
    viewer.add_layer(Layer.create(*micrograph_to_layer(sample_movie())))
    _, widget = viewer.window.add_plugin_dock_widget("napari-lowdose", "Train")
    start = {"fresh": "small"} if arguments.start == "none" else {}
    widget.choices.start.choose(**(start or {"start": arguments.start}))
    widget.choices.training.set_values({"device": arguments.device})
    frames = viewer.layers[0].data.shape[0]

    gaps, found = Gaps(), {}
    wait(lambda: not widget.check.pending)
    found["nothing runs"] = gaps.measure(for_seconds(arguments.seconds / 4))
    scroll = QTimer()
    scroll.setInterval(200)
    scroll.timeout.connect(
        lambda: viewer.dims.set_point(0, (viewer.dims.point[0] + 1) % frames)
    )
    scroll.start()
    found["the movie is looked through"] = gaps.measure(
        for_seconds(arguments.seconds / 4)
    )
    widget.train()
    found["the training starts"] = gaps.measure(
        lambda: widget.curves.points[0] > 0 or not widget.busy
    )
    if not widget.busy:
        raise SystemExit(widget.status.text())
    found["it trains, with preview"] = gaps.measure(for_seconds(arguments.seconds))
    losses, validations = widget.curves.points
    scroll.stop()
    widget.cancel()
    wait(lambda: not widget.busy)
    print(f"{os.cpu_count()} cores, {platform.machine()}, {platform.platform()}")
    print(f"{losses} reports, {validations} validations; {widget.progress.text}")
    print("| while | seconds | median [ms] | 99 % [ms] | longest [ms] | over 100 ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(str(value) for value in row.values()) + " |")
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(found, indent=1))
    viewer.close()


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Return a function that is true when so much time is over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


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
