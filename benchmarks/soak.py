"""The plugin in a real window, run, cancelled and closed at random moments.

Each round does one thing that users do, or that happens to them, at a moment that a
seeded generator chooses: a run to its end, a run that is cancelled, whose result or
whose noisy layer is deleted, or whose dock is closed; a live preview that is switched
while the frame changes; a comparison; a batch of files that ends, is cancelled or
closed over. Meanwhile a timer looks how long the event loop was away. In the end there
must have been no exception, there must be no thread more, and memory must not have
grown from the middle of the rounds on, but for what napari keeps of every layer and
every progress bar, and for what the C library does not give back at once. The event
loop is also away while other programs have the cores: its gaps want an idle machine.
Needs napari, Qt and OpenGL; without a screen::

    xvfb-run -a python benchmarks/soak.py --rounds 200             # about 10 min
    xvfb-run -a python benchmarks/soak.py --rounds 200 --denoiser general

It prints a Markdown table, and ends with code 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import collections
import gc
import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["NAPARI_CONFIG"] = ""

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLUGIN = "napari-lowdose"
#: Most that memory may grow from the second quarter of the rounds to the last [MiB].
GROWTH = 30.0


@dataclass
class Found:
    """What a soak found."""

    rounds: int = 0
    actions: collections.Counter[str] = field(default_factory=collections.Counter)
    errors: list[str] = field(default_factory=list)
    gaps: dict[str, float] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)
    threads: tuple[int, int] = (0, 0)

    @property
    def growth(self) -> float:
        """Growth of the resident memory over the second half [MiB]."""
        quarter = len(self.memory) // 4
        if not quarter:
            return 0.0
        early = self.memory[quarter : 2 * quarter]
        return float(np.median(self.memory[-quarter:]) - np.median(early))

    @property
    def longest_gap(self) -> float:
        """Longest time that the event loop was away [s]."""
        return max(self.gaps.values(), default=0.0)


def main() -> None:
    """Soak, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--denoiser", default="gaussian")
    parser.add_argument("--side", type=int, default=256, help="side of a frame [px]")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--actions", nargs="+", help="only these (default: all)")
    parser.add_argument("--verbose", action="store_true", help="name every round")
    arguments = parser.parse_args()
    import napari

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    begin = time.perf_counter()
    found = soak(
        viewer,
        rounds=arguments.rounds,
        seed=arguments.seed,
        denoiser=arguments.denoiser,
        shape=(arguments.frames, arguments.side, arguments.side),
        only=arguments.actions,
        tell=say if arguments.verbose else lambda _text: None,
    )
    seconds = time.perf_counter() - begin
    viewer.close()
    print(report(found, arguments, seconds))
    bad = found.errors or found.threads[1] > found.threads[0] or found.growth > GROWTH
    sys.stdout.flush()
    os._exit(1 if bad else 0)  # what Qt does at exit is not looked at here


def say(text: str) -> None:
    """Write a line at once: what follows may be a crash."""
    print(text, flush=True)


def report(found: Found, arguments: argparse.Namespace, seconds: float) -> str:
    """Return what was found as Markdown."""
    worst = max(found.gaps, key=lambda name: found.gaps[name], default="")
    actions = ", ".join(f"{n} x {name}" for name, n in sorted(found.actions.items()))
    lines = [
        "| what | found |",
        "|---|---|",
        f"| rounds | {found.rounds} in {seconds:.0f} s, seed {arguments.seed}, "
        f"`{arguments.denoiser}`, {arguments.frames} frames of {arguments.side} px |",
        f"| actions | {actions} |",
        f"| exceptions | {len(found.errors)} |",
        f"| threads | {found.threads[0]} before, {found.threads[1]} after |",
        f"| memory | {np.median(found.memory[-5:]):.0f} MiB in the end, "
        f"{found.growth:+.1f} MiB over the second half |",
        f"| longest gap of the event loop | {1000 * found.longest_gap:.0f} ms "
        f"({worst}) |",
        *(
            f"| longest gap: {name} | {1000 * gap:.0f} ms |"
            for name, gap in sorted(found.gaps.items())
        ),
    ]
    return "\n".join([*lines, *(f"\n```\n{text}\n```" for text in found.errors[:5])])


def soak(
    viewer: Any,
    *,
    rounds: int,
    seed: int,
    denoiser: str,
    shape: tuple[int, int, int],
    only: Sequence[str] | None = None,
    tell: Callable[[str], object] = lambda _text: None,
) -> Found:
    """Do random things with the plugin in a window.

    Parameters
    ----------
    viewer : napari.Viewer
        The window; its layers are removed.
    rounds : int
        How many things to do.
    seed : int
        Of what is done, and when.
    denoiser : str
        Name in the catalogue.
    shape : tuple of int
        Frames, height and width of the noisy stack [px].
    only : sequence of str, optional
        Names of the actions to choose from; all of them by default.
    tell : callable, optional
        Told of every round.
    """
    import psutil

    process, rng, found = psutil.Process(), random.Random(seed), Found()
    with tempfile.TemporaryDirectory() as folder:
        user = User(viewer, rng, denoiser, shape, Path(folder), found)
        actions = user.actions()
        actions = {n: act for n, act in actions.items() if not only or n in only}
        for name, action in actions.items():  # what is loaded once is loaded before
            tell(f"first {name}")
            action()
        user.tidy()
        before = own_threads()
        found.gaps.clear()
        for _ in range(rounds):
            name = rng.choice(list(actions))
            user.watch.action = name
            tell(name)
            actions[name]()
            user.tidy()
            found.rounds += 1
            found.actions[name] += 1
            found.memory.append(process.memory_info().rss / 2**20)
        user.close()
        found.threads = (before, own_threads())
    return found


def own_threads() -> int:
    """Return how many threads Python knows, when those of the pool have ended."""
    from qtpy.QtCore import QThreadPool

    QThreadPool.globalInstance().waitForDone(20_000)
    return threading.active_count()


class Watch:
    """Measures how long the event loop is away, and catches what nobody catches."""

    def __init__(self, found: Found) -> None:
        from napari.utils.notifications import notification_manager
        from qtpy.QtCore import QTimer

        self.action = ""
        self._found = found
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(2)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._hook, sys.excepthook = sys.excepthook, self._on_exception
        self._notifications = notification_manager
        notification_manager.notification_ready.connect(self._on_notification)

    def close(self) -> None:
        """Stop watching."""
        self._timer.stop()
        sys.excepthook = self._hook
        self._notifications.notification_ready.disconnect(self._on_notification)

    def _tick(self) -> None:
        now = time.perf_counter()
        gaps = self._found.gaps
        gaps[self.action] = max(gaps.get(self.action, 0.0), now - self._last)
        self._last = now

    def _on_exception(self, kind: Any, error: Any, traceback: Any) -> None:
        import traceback as words

        text = "".join(words.format_exception(kind, error, traceback))
        self._found.errors.append(f"{self.action}: {text}")

    def _on_notification(self, notification: Any) -> None:
        self._found.errors.append(f"{self.action}: {notification}")


class User:
    """Someone who does random things with the plugin."""

    def __init__(
        self,
        viewer: Any,
        rng: random.Random,
        denoiser: str,
        shape: tuple[int, int, int],
        folder: Path,
        found: Found,
    ) -> None:
        from lowdose import io
        from lowdose.micrograph import Micrograph

        self.viewer = viewer
        self.rng = rng
        self.denoiser = denoiser
        self.folder = folder
        self.stack = np.random.default_rng(0).poisson(5, shape).astype(np.uint16)
        self.inputs = [folder / f"movie{number}.tif" for number in range(3)]
        for path in self.inputs:
            io.write(path, Micrograph(self.stack[:3]))
        self.inputs[1].write_bytes(self.inputs[1].read_bytes()[:500])
        self.watch = Watch(found)
        self._docks: dict[str, tuple[Any, Any]] = {}

    def actions(self) -> dict[str, Callable[[], None]]:
        """Return what can be done, by name."""
        return {
            "run": self.run,
            "run, cancelled": lambda: self.run(self.cancel),
            "run, result deleted": lambda: self.run(self.delete_result),
            "run, noisy layer deleted": lambda: self.run(self.delete_noisy),
            "run, all layers deleted": lambda: self.run(self.delete_all),
            "run, dock closed": lambda: self.run(lambda: self.close_dock("Denoise")),
            "run, frames looked at": lambda: self.run(self.look_around),
            "preview": self.preview,
            "compared": self.compare,
            "batch": self.batch,
            "batch, cancelled": lambda: self.batch(self.cancel_batch),
            "batch, dock closed": lambda: self.batch(lambda: self.close_dock("Batch")),
        }

    # What is done.

    def run(self, disturb: Callable[[], object] = lambda: None) -> None:
        """Denoise the layer, and let something happen meanwhile."""
        widget = self.open("Denoise")
        self.noisy()
        widget.choices.denoisers.choose(self.denoiser)
        widget.run()
        self.pause()
        disturb()
        if not widget.closed:
            self.until(lambda: not widget.runner.busy)

    def preview(self) -> None:
        """Preview while the frame in view and the view change."""
        widget = self.open("Denoise")
        self.noisy()
        widget.choices.denoisers.choose(self.denoiser)
        widget.preview_box.setChecked(True)
        for _ in range(3):
            self.pause()
            self.viewer.dims.set_current_step(0, self.rng.randrange(len(self.stack)))
            self.viewer.scene.camera.zoom *= self.rng.uniform(0.8, 1.25)
        self.pause(0.5)
        end = self.rng.choice(("off", "run", "layer", "dock"))
        if end == "off":
            widget.preview_box.setChecked(False)
        elif end == "run":
            widget.run()
            self.until(lambda: not widget.runner.busy)
        elif end == "layer" and widget.preview.layer is not None:
            self.viewer.layers.remove(widget.preview.layer)
        else:
            self.close_dock("Denoise")

    def compare(self) -> None:
        """Look at noisy and denoised side by side, and take one of them away."""
        self.run()
        widget = self.open("Denoise")
        if widget.pair() is None:
            return
        widget.compare.side_by_side.click()
        self.pause()
        if self.rng.random() < 0.5:
            self.viewer.layers.remove(self.rng.choice(list(self.viewer.layers)))
        else:
            widget.compare.side_by_side.click()

    def batch(self, disturb: Callable[[], object] = lambda: None) -> None:
        """Denoise files, one of them damaged, and let something happen meanwhile."""
        widget = self.open("Batch")
        widget.choices.table.set_paths([])
        widget.choices.method.denoisers.choose(self.denoiser)
        widget.choices.add(self.inputs)
        widget.choices.set_folder(self.folder / "results")
        widget.choices.replace_box.setChecked(True)
        widget.choices.resume_box.setChecked(self.rng.random() < 0.5)
        widget.run()
        self.pause()
        disturb()
        if not widget.closed:
            self.until(lambda: not widget.jobs.busy)
            done = [n for n, r in enumerate(widget.choices.table.rows) if r.outcome]
            if done and self.rng.random() < 0.3:
                widget.open_row(done[0])
                self.until(lambda: not widget.opening.busy)

    # What happens to it.

    def cancel(self) -> None:
        """Press "Cancel"."""
        self.open("Denoise").cancel()

    def cancel_batch(self) -> None:
        """Press "Cancel" of the batch."""
        self.open("Batch").cancel()

    def delete_result(self) -> None:
        """Delete the topmost layer, which is the result if there is one."""
        if len(self.viewer.layers) > 1:
            self.viewer.layers.pop()

    def delete_noisy(self) -> None:
        """Delete the noisy layer."""
        self.viewer.layers.pop(0)

    def delete_all(self) -> None:
        """Delete all layers."""
        self.viewer.layers.clear()

    def look_around(self) -> None:
        """Move through the frames."""
        for _ in range(5):
            self.viewer.dims.set_current_step(0, self.rng.randrange(len(self.stack)))
            self.pause(0.05)

    def close_dock(self, name: str) -> None:
        """Close a dock as its cross does."""
        dock, _ = self._docks.pop(name)
        dock.destroyOnClose()

    # What it needs for that.

    def open(self, name: str) -> Any:
        """Return a widget, opened anew where its dock was closed."""
        if name not in self._docks:
            self._docks[name] = self.viewer.window.add_plugin_dock_widget(PLUGIN, name)
        return self._docks[name][1]

    def noisy(self) -> None:
        """Begin with the noisy layer, and at times with nothing else."""
        names = [layer.name for layer in self.viewer.layers]
        if "noisy" not in names or self.rng.random() < 0.5:
            self.viewer.layers.clear()
            self.viewer.add_image(self.stack, name="noisy")
        self.viewer.layers.selection.active = self.viewer.layers["noisy"]
        self.events()

    def tidy(self) -> None:
        """Let everything end that still runs, at times with all layers removed."""
        if self.rng.random() < 0.3:
            self.viewer.layers.clear()
        self.until(own_pool_is_idle)
        self.events()
        gc.collect()

    def close(self) -> None:
        """Close what is open."""
        for name in list(self._docks):
            self.close_dock(name)
        self.viewer.layers.clear()
        self.tidy()
        self.watch.close()

    def pause(self, longest: float = 0.2) -> None:
        """Let events run until a random moment."""
        end = time.perf_counter() + self.rng.uniform(0, longest)
        while time.perf_counter() < end:
            self.events()

    def until(self, condition: Callable[[], bool], patience: float = 120.0) -> None:
        """Let events run until something is true."""
        end = time.perf_counter() + patience
        while not condition():
            if time.perf_counter() > end:
                msg = f"{self.watch.action}: nothing more happened in {patience:g} s."
                raise SystemExit(msg)
            self.events()

    def events(self) -> None:
        """Let Qt handle what is there."""
        from qtpy.QtCore import QCoreApplication, QEvent

        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        time.sleep(0.001)


def own_pool_is_idle() -> bool:
    """Return whether no worker is running."""
    from qtpy.QtCore import QThreadPool

    return QThreadPool.globalInstance().activeThreadCount() == 0


if __name__ == "__main__":
    main()
