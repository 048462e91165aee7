"""The examples in README and in the how-to pages are examples that work."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import lowdose
from lowdose import catalogue
from lowdose.cli.program import COMMANDS, build_parser
from lowdose.parameters import resolve

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Pages whose examples work on sets and structure files of the reader's own; what they
#: call is tested in tests/lowdose/simulation.
READERS_OWN = ("datasets.md", "simulation.md")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def command_lines():
    texts = [block for page in PAGES for block in blocks(page, "bash")]
    texts += [command.EXAMPLES for command in COMMANDS]
    # A backslash at the end goes on with the next line, as in any shell.
    joined = [re.sub(r"\\\n\s*", " ", text) for text in texts]
    lines = [line.strip() for text in joined for line in text.splitlines()]
    commands = {command.NAME for command in COMMANDS}
    for line in dict.fromkeys(lines):
        words = shlex.split(re.split(r" \| | {3,}", line)[0], comments=True)
        if words[:1] == ["lowdose"] and words[1] in commands:
            yield words[1:]


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_command_lines_are_understood(words):
    arguments = build_parser().parse_args(words)
    for key, value in getattr(arguments, "settings", []):
        info = catalogue.describe(arguments.denoiser)
        resolve(info.parameters, {key: value}, owner=info.name)
    preset = getattr(arguments, "preset", None)
    if words[0] == "denoise" and preset:
        assert preset in catalogue.describe(arguments.denoiser).presets


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in READERS_OWN],
    ids=lambda page: page.name,
)
def test_python_examples_run(page, tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    counts = rng.poisson(3.0, (2, 32, 32)).astype(np.uint16)
    calibration = lowdose.Calibration.from_spacing((0.1, 2.0, 2.0), ("s", "nm", "nm"))
    lowdose.write("movie.mrc", lowdose.Micrograph(counts, calibration))
    names = {}
    for block in blocks(page, "python"):
        # A filter in the network's place: what is tried is the example, quickly.
        code = block.replace('"general"', '"gaussian"').replace('"cuda"', '"cpu"')
        Path("clean.tif").unlink(missing_ok=True)  # each example starts anew
        exec(compile(code, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
