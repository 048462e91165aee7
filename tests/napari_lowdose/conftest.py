"""What the plugin's tests share. Without napari and Qt none of them is collected."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from lowdose.denoiser import Needs
from lowdose.parameters import Parameter, resolve

_NEEDED = ("napari", "qtpy", "pytestqt")
_MISSING = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
if not _MISSING and not any(
    importlib.util.find_spec(name) for name in ("PyQt6", "PySide6")
):
    _MISSING = ["a Qt binding"]
if _MISSING:
    collect_ignore_glob = ["test_*.py"]

# Before napari is imported: neither read nor write the settings of whoever runs this.
os.environ["NAPARI_CONFIG"] = ""
# Leaked top-level widgets are failures.
os.environ["NAPARI_STRICT_QT"] = "raise"
if sys.platform == "linux" and not (
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def _gl_works() -> bool:
    from qtpy.QtGui import QOffscreenSurface, QOpenGLContext

    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    works = context.create() and context.makeCurrent(surface)
    context.doneCurrent()
    return bool(works)


@pytest.fixture(autouse=True)
def _skip_without_gl(request):
    if request.node.get_closest_marker("gl"):
        request.getfixturevalue("qapp")
        if not _gl_works():
            pytest.skip("no OpenGL here: run under xvfb-run, or on a desktop")


@pytest.fixture(autouse=True)
def _main_thread_only(monkeypatch):
    """Make napari refuse to be changed from a worker."""
    monkeypatch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")


SIGMA = Parameter(
    name="width",
    kind="int",
    default=3,
    minimum=1,
    maximum=31,
    unit="px",
    help="Width of the box; larger is smoother.",
)
GAIN = Parameter(
    name="gain",
    kind="float",
    default=1.0,
    minimum=0.1,
    maximum=10,
    help="Factor; for the tests only.",
    advanced=True,
)


@dataclass
class FakeDenoiser:
    """Implements lowdose.denoiser.Denoiser; what it does is decided by its name.

    "box" multiplies by the gain; "gated" waits before every batch until the test
    opens the gate; "broken" raises what the test says.
    """

    name: str
    values: dict
    gate: threading.Semaphore | None = None
    error: Exception | None = None
    batches: list = field(default_factory=list)
    threads: set = field(default_factory=set)

    @property
    def needs(self):
        return Needs(halo=0)

    def describe(self):
        return {"name": self.name, "parameters": dict(self.values)}

    def place(self, device, precision):
        pass

    def measure(self, frame):
        return {}

    def denoise_patches(self, patches, measures):
        self.threads.add(threading.current_thread())
        if self.gate is not None:
            assert self.gate.acquire(timeout=30), "the test never opened the gate"
        if self.error is not None:
            raise self.error
        self.batches.append(patches.shape)
        return patches[:, 0] * np.float32(self.values["gain"])


def _info(name, group, **more):
    return SimpleNamespace(
        name=name,
        title=name.capitalize(),
        group=group,
        summary=f"The {name} denoiser.",
        reference="Nobody, Journal of Tests 1 (2024)",
        parameters=(SIGMA, GAIN),
        presets={"wide": {"width": 9}},
        card=None,
        **more,
    )


@pytest.fixture
def fakes(monkeypatch):
    """Replace the catalogue by fake denoisers that the test controls.

    `fakes.gate` lets one batch of "gated" pass per release; `fakes.error` is what
    "broken" raises; `fakes.loaded` holds every denoiser that was loaded.
    """
    from lowdose import catalogue

    world = SimpleNamespace(
        gate=threading.Semaphore(0),
        error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        loaded=[],
        infos=[
            _info("gated", "yours"),
            _info("box", "classical"),
            _info("broken", "classical"),
            _info("network", "pretrained"),
        ],
    )

    def load(name, *, preset=None, **values):
        known = resolve((SIGMA, GAIN), values, owner=name)
        denoiser = FakeDenoiser(
            name=name,
            values=known,
            gate=world.gate if name == "gated" else None,
            error=world.error if name == "broken" else None,
        )
        world.loaded.append(denoiser)
        return denoiser

    monkeypatch.setattr(catalogue, "list_denoisers", lambda: world.infos)
    monkeypatch.setattr(catalogue, "load", load)
    yield world
    world.gate.release(10_000)
    wait_for_threads()


def wait_for_threads(seconds: float = 20.0) -> None:
    """Wait until no worker of the pool is running, without the event loop."""
    from qtpy.QtCore import QThreadPool

    assert QThreadPool.globalInstance().waitForDone(int(1000 * seconds))


@pytest.fixture
def until(qtbot):
    """Return a function that runs the event loop until something is true."""

    def wait(condition, *, timeout=20_000):
        qtbot.waitUntil(lambda: bool(condition()), timeout=timeout)

    return wait


@pytest.fixture
def let_events_run(qtbot):
    """Return a function that runs the event loop for a moment, to see nothing come."""
    from qtpy.QtCore import QCoreApplication, QEvent

    def run(milliseconds=100):
        end = time.monotonic() + milliseconds / 1000
        while time.monotonic() < end:
            QCoreApplication.processEvents()
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    return run
