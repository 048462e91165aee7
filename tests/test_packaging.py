"""The project's files agree with each other and with what users may rely on."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6"}


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pinned}


def declared():
    """Yield every requirement of the project, of its extras and of its groups."""
    project = PROJECT["project"]
    yield from project["dependencies"]
    for requirements in project["optional-dependencies"].values():
        yield from requirements
    for requirements in PROJECT["dependency-groups"].values():
        yield from (r for r in requirements if isinstance(r, str))


def run_python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_base_dependencies_name_neither_napari_nor_a_qt_binding():
    names = {Requirement(r).name.lower() for r in PROJECT["project"]["dependencies"]}
    assert not names & (BINDINGS | {"napari"})


def test_base_dependencies_have_lower_bounds_only():
    for text in PROJECT["project"]["dependencies"]:
        operators = {s.operator for s in Requirement(text).specifier}
        assert operators == {">="}, text


def test_every_declared_requirement_is_pinned_and_the_pin_satisfies_it():
    pinned = pins()
    for text in declared():
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name != "napari-lowdose":
            assert name in pinned, text
            assert requirement.specifier.contains(pinned[name], prereleases=True), text


def test_pins_are_exact_and_unique():
    text = (ROOT / "constraints.txt").read_text()
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines)
    assert len(pins()) == len(lines)


def test_pinned_qt_is_not_one_that_napari_excludes():
    assert pins()["pyqt6-qt6"] not in {"6.11.0", "6.11.1"}


@pytest.mark.parametrize("name", ["CITATION.cff", "CHANGELOG.md"])
def test_version_stands_in(name):
    version = PROJECT["project"]["version"]
    assert re.search(rf"\b{re.escape(version)}\b", (ROOT / name).read_text())


def test_both_packages_say_that_they_are_typed():
    for package in ("lowdose", "napari_lowdose"):
        assert (ROOT / "src" / package / "py.typed").is_file()


def test_every_data_file_in_the_source_is_declared_as_package_data():
    declared = PROJECT["tool"]["setuptools"]["package-data"]
    for package, patterns in declared.items():
        folder = ROOT / "src" / package
        found = {
            path
            for path in folder.rglob("*")
            if path.is_file()
            and path.suffix not in {".py", ".pyc"}
            and not any(p.startswith(".") for p in path.relative_to(folder).parts)
        }
        covered = {path for pattern in patterns for path in folder.glob(pattern)}
        assert found <= covered, sorted(map(str, found - covered))


def test_the_command_and_the_manifest_are_entry_points():
    distribution = importlib.metadata.distribution("napari-lowdose")
    points = {(p.group, p.name): p.value for p in distribution.entry_points}
    assert points["console_scripts", "lowdose"] == "lowdose.cli:main"
    manifest = points["napari.manifest", "napari-lowdose"]
    assert manifest == "napari_lowdose:napari.yaml"


def test_importing_the_plugin_package_loads_no_qt_and_no_torch():
    code = (
        "import sys, napari_lowdose; "
        "print(*sorted({'torch', 'napari', 'qtpy', 'magicgui'} & set(sys.modules)))"
    )
    assert run_python(code) == ""
