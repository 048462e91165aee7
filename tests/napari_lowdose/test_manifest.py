from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_lowdose
from napari_lowdose._reader import SUFFIXES, get_reader
from napari_lowdose._settings import Settings
from napari_lowdose.widgets.options import OPTIONS

MANIFEST = Path(napari_lowdose.__file__).with_name("napari.yaml")

#: Menus that plugins may put something into (napari ignores all others silently).
CONTRIBUTABLE = {"napari/layers/filter", "napari/layers/visualize"}


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(MANIFEST)


def test_the_manifest_belongs_to_the_distribution(manifest):
    assert manifest.name == "napari-lowdose"
    assert 3 <= len(manifest.display_name) <= 90


def test_everything_that_the_manifest_names_exists(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_every_command_is_used_and_every_use_is_a_command(manifest):
    contributions = manifest.contributions
    used = {
        item.command
        for kind in ("widgets", "sample_data", "readers", "writers")
        for item in getattr(contributions, kind)
    }
    assert used == {command.id for command in contributions.commands}
    in_menus = {i.command for items in contributions.menus.values() for i in items}
    assert in_menus <= used


def test_menus_are_those_that_plugins_may_use(manifest):
    assert set(manifest.contributions.menus) == CONTRIBUTABLE


def test_keybindings_are_not_contributed_because_napari_ignores_them(manifest):
    assert not manifest.contributions.keybindings


def test_the_base_dependencies_leave_the_choice_of_qt_to_the_user():
    required = importlib.metadata.requires("napari-lowdose") or []
    base = [re.split(r"[^\w-]", r)[0].lower() for r in required if "extra ==" not in r]
    assert base
    for name in ("pyqt5", "pyqt6", "pyside2", "pyside6", "napari"):
        assert name not in base


def test_no_common_format_is_claimed(manifest):
    patterns = manifest.contributions.readers[0].filename_patterns
    assert {p.lstrip("*") for p in patterns} == SUFFIXES
    for name in ("a.tif", "a.tiff", "a.h5", "a.zarr", "a.npy", "a.png"):
        assert get_reader(name) is None


def test_settings_have_the_same_defaults_in_the_manifest_and_in_python(manifest):
    properties = manifest.contributions.configurations["denoising"].properties
    declared = {name: entry.default for name, entry in properties.items()}
    assert declared == dataclasses.asdict(Settings())


def test_settings_allow_what_the_widget_allows(manifest):
    properties = manifest.contributions.configurations["denoising"].properties
    for option in OPTIONS:
        entry = properties[option.name]
        assert tuple(entry.enum or ()) == option.choices
        assert entry.minimum == option.minimum
        assert entry.maximum == option.maximum


def _modules_after(statements: str) -> set[str]:
    code = f"import sys\n{statements}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing():
    loaded = _modules_after("import napari_lowdose")
    assert not loaded & {"torch", "napari", "qtpy", "lowdose", "numpy"}


def test_finding_the_manifest_does_not_import_the_package():
    loaded = _modules_after(
        "import warnings; warnings.simplefilter('ignore')\n"
        "from npe2 import PluginManager\n"
        "manager = PluginManager.instance()\n"
        "manager.discover()\n"
        "assert 'napari-lowdose' in manager, list(manager)"
    )
    assert "napari_lowdose" not in loaded


def test_modules_of_jobs_and_layers_do_not_import_torch():
    loaded = _modules_after(
        "import warnings; warnings.simplefilter('ignore')\n"
        "import napari_lowdose._denoising, napari_lowdose._layers"
    )
    assert "torch" not in loaded
    assert "qtpy" not in loaded
