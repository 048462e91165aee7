"""Longest gaps of the event loop in plain napari, to compare the soak with.

Layers are added and removed without the plugin, as ``benchmarks/soak.py`` does with
it. Needs napari, Qt and OpenGL; without a screen::

    xvfb-run -a python benchmarks/plain_viewer.py
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

os.environ["NAPARI_CONFIG"] = ""

import numpy as np

#: Times that each thing is done, and the pause after it [s].
ROUNDS, PAUSE = 40, 0.2


class Watch:
    """Notes how long the event loop is away, by what is being done."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.action = ""
        self.gaps: dict[str, float] = {}
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(2)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        before = self.gaps.get(self.action, 0.0)
        self.gaps[self.action] = max(before, now - self._last)
        self._last = now


def main() -> None:
    """Add and remove layers, and print the longest gaps."""
    import napari

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    stack = np.random.default_rng(0).poisson(5, (12, 256, 256)).astype(np.uint16)
    watch = Watch()
    let_events_run(1.0)
    for _ in range(ROUNDS):
        for name, act in actions(viewer, stack).items():
            watch.action = name
            act()
            let_events_run(PAUSE)
    watch.gaps.pop("", None)
    for name, gap in watch.gaps.items():
        print(f"{name}: {1000 * gap:.0f} ms")
    sys.stdout.flush()
    os._exit(0)  # what Qt does at exit is not looked at here


def actions(viewer: Any, stack: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return what is done in a round, in order."""
    return {
        "all layers removed": viewer.layers.clear,
        "first layer added": lambda: viewer.add_image(stack),
        "second layer added": lambda: viewer.add_image(stack.astype(np.float32)),
        "one layer removed": lambda: viewer.layers.pop(0),
    }


def let_events_run(seconds: float) -> None:
    """Let Qt work."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
