"""What opening the widgets may load: it has to take less than half a second."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_OPEN = """\
import json, os, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
os.environ["NAPARI_CONFIG"] = ""
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtWidgets import QApplication
app = QApplication([])
viewer = ViewerModel()
viewer.add_image(np.ones((8, 8)), name="noisy")
before = set(sys.modules)
manager = PluginManager.instance()
manager.discover()
opened = []
found = {}
for widget in manager.get_manifest("napari-lowdose").contributions.widgets:
    opened.append(widget.get_callable()(viewer))
    found[widget.display_name] = sorted(set(sys.modules) - before)
print(json.dumps(found))
sys.stdout.flush()
os._exit(0)
"""

#: Each takes longer to import than opening a widget may take in all, or nearly.
_HEAVY = (
    "dask",
    "h5py",
    "lightning",
    "matplotlib",
    "onnxruntime",
    "scipy.interpolate",
    "scipy.optimize",
    "scipy.signal",
    "scipy.stats",
    "skimage",
    "torch",
    "zarr",
)


@pytest.fixture(scope="module")
def loaded():
    done = subprocess.run(
        [sys.executable, "-c", _OPEN], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_widget_of_the_plugin_is_looked_at(loaded):
    assert {"Denoise", "Batch", "Inspect"} <= set(loaded)


@pytest.mark.parametrize("heavy", _HEAVY)
def test_opening_widgets_does_not_load(loaded, heavy):
    for widget, modules in loaded.items():
        guilty = [m for m in modules if m == heavy or m.startswith(f"{heavy}.")]
        assert not guilty, f"{widget} loads {guilty[:3]}"
