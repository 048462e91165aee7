"""Importing the package must cost nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest


def modules_after(code: str) -> set[str]:
    """Return the modules that are loaded in a fresh process after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import lowdose",
        "import lowdose.catalogue; lowdose.catalogue.list_denoisers()",
        "import lowdose; lowdose.list_denoisers()",
        "from lowdose import DenoiseOptions, denoise, read, write",
    ],
)
def test_neither_torch_nor_a_gui_is_loaded(code):
    loaded = modules_after(code)
    assert "lowdose" in loaded
    unwanted = {"torch", "napari", "qtpy", "magicgui", "superqt", "matplotlib"}
    assert not loaded & unwanted


def test_the_package_itself_loads_no_heavy_module():
    assert not modules_after("import lowdose") & {"numpy", "scipy", "skimage", "h5py"}


def test_every_public_name_is_there():
    import lowdose

    for name in lowdose.__all__:
        assert getattr(lowdose, name) is not None
    assert set(lowdose.__all__) <= set(dir(lowdose))


def test_the_import_takes_under_half_a_second():
    def seconds(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    # The best of several, because whatever else runs can only slow it down.
    bare = min(seconds("pass") for _ in range(5))
    ours = min(seconds("import lowdose") for _ in range(5))
    assert ours - bare < 0.5
