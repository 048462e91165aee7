"""What is shipped: the contents of wheel and sdist, and a fresh installation.

Run by ``tox -e package``, which builds both and says where they lie.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

DIST = os.environ.get("LOWDOSE_DIST", "")
ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not DIST, reason="LOWDOSE_DIST is set by tox -e package"
)


@pytest.fixture(scope="session")
def wheel():
    (path,) = Path(DIST).glob("*.whl")
    return path


@pytest.fixture(scope="session")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def metadata(wheel, names):
    (name,) = (n for n in names if n.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """Install the wheel where nothing else is; return the folder of its programs."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pins = ROOT / "constraints.txt"
    run(programs / "python", "-m", "pip", "install", "-q", "-c", pins, wheel)
    return programs


def run(*command, cwd=None):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_wheel_holds_every_file_of_the_source(names):
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for package in ("lowdose", "napari_lowdose")
        for path in (ROOT / "src" / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not any(p.startswith(".") for p in path.relative_to(ROOT).parts)
    }
    assert source <= names, sorted(source - names)


def test_wheel_holds_the_manifest_the_types_and_the_public_stub(names):
    assert {
        "napari_lowdose/napari.yaml",
        "napari_lowdose/py.typed",
        "lowdose/py.typed",
        "lowdose/__init__.pyi",
    } <= names


def test_wheel_holds_weights_and_card_of_every_model(names):
    shelves = ("lowdose/zoo/models/", "lowdose/zoo/baselines/")
    models = {n.rsplit("/", 1)[0] for n in names if n.startswith(shelves)}
    assert models
    for model in models:
        assert {f"{model}/card.toml", f"{model}/weights.safetensors"} <= names


def test_wheel_holds_the_sample_data(names):
    assert any(name.startswith("lowdose/data/") for name in names)


def test_wheel_holds_nothing_but_the_two_packages(names):
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {
        "lowdose",
        "napari_lowdose",
    }


def test_metadata_asks_for_no_qt_binding_outside_extras(metadata):
    required = metadata.get_all("Requires-Dist")
    base = [r.lower() for r in required if "extra ==" not in r]
    assert base
    assert not [r for r in base if r.startswith(("pyqt5", "pyqt6", "pyside", "napari"))]


def test_metadata_lists_the_plugin_on_the_hub(metadata):
    assert "Framework :: napari" in metadata.get_all("Classifier")
    assert metadata["License-Expression"] == "BSD-3-Clause"


def test_sdist_holds_what_the_tests_and_the_weights_are_made_from():
    (path,) = Path(DIST).glob("*.tar.gz")
    with tarfile.open(path) as archive:
        inside = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"tox.ini", "constraints.txt", "tests/test_wheel.py", "LICENSE"} <= inside
    recipes = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("recipes/*.toml")}
    assert recipes <= inside


@pytest.mark.timeout(1800)
def test_fresh_installation_lists_the_denoisers_without_loading_torch(installed):
    assert "general" in run(installed / "lowdose", "denoisers")
    code = (
        "import sys, lowdose.cli; lowdose.cli.main(['denoisers']); "
        "sys.exit('torch' in sys.modules)"
    )
    run(installed / "python", "-c", code)


@pytest.mark.timeout(1800)
def test_fresh_installation_denoises_the_bundled_movie(installed, tmp_path):
    out = run(installed / "lowdose", "demo", "-o", "out", "--quiet", cwd=tmp_path)
    for name in ("demo-noisy.tif", "demo-denoised.tif", "demo-before-after.png"):
        assert str(tmp_path / "out" / name) in out
        assert (tmp_path / "out" / name).stat().st_size > 0
    code = (
        "import lowdose; a, b = (lowdose.read(f'out/demo-{n}.tif') for n in "
        "('noisy', 'denoised')); assert a.shape == b.shape; "
        "assert a.calibration.axes == b.calibration.axes; "
        "assert b.frame(0).std() < a.frame(0).std()"
    )
    run(installed / "python", "-c", code, cwd=tmp_path)


def test_weights_in_the_wheel_are_the_ones_their_cards_describe(wheel, names):
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(n for n in names if n.endswith("/card.toml")):
            card = tomllib.loads(archive.read(name).decode())
            weights = archive.read(name.replace("card.toml", "weights.safetensors"))
            digest = hashlib.sha256(weights).hexdigest()
            assert digest == card["weights"]["sha256"], name
