"""``lowdose denoisers``: what can denoise, and what can be set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.terminal import DONE, columns, write

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lowdose.catalogue import DenoiserInfo
    from lowdose.parameters import Parameter, Value

NAME: Final = "denoisers"
SUMMARY: Final = "list the denoisers, or describe one"
DESCRIPTION: Final = """\
List every denoiser: networks that come with the package, classical filters, and your
own models. With a NAME, show its parameters with their ranges, its presets, and for a
network its card: what it was trained on, for which doses, and what was measured.
"""
EXAMPLES: Final = """\
examples:
  lowdose denoisers                  all of them
  lowdose denoisers tv-chambolle     one of them
  lowdose denoisers my-model/        the model in a folder
  lowdose denoisers --json           for a program
"""

_GROUPS: Final = {
    "pretrained": "Pretrained networks",
    "classical": "Classical filters",
    "baseline": "Published baselines",
    "yours": "Your models",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose denoisers``."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="describe only this one, in full"
    )
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """List the denoisers, or describe one."""
    from lowdose import catalogue

    if arguments.name is not None:
        info = catalogue.describe(arguments.name)
        if arguments.json:
            write(json.dumps(info.to_dict(), indent=2))
        else:
            _describe(info)
        return DONE
    infos = catalogue.list_denoisers()
    if arguments.json:
        write(json.dumps([info.to_dict() for info in infos], indent=2))
    else:
        _list(infos)
    return DONE


def _list(infos: Sequence[DenoiserInfo]) -> None:
    for group, heading in _GROUPS.items():
        rows = [(i.name, i.summary) for i in infos if i.group == group]
        if rows:
            write(f"{heading}\n{columns(rows)}\n")
    write("`lowdose denoisers NAME` shows the parameters and the card of one.")


def _describe(info: DenoiserInfo) -> None:
    write(f"{info.name}: {info.title}\n{info.summary}")
    if info.reference:
        write(f"Reference: {info.reference}")
    if info.parameters:
        rows = [_row(parameter) for parameter in info.parameters]
        write(f"\nParameters (--set NAME=VALUE)\n{columns(rows)}")
    if info.presets:
        presets = [
            (name, " ".join(f"{key}={_text(value)}" for key, value in values.items()))
            for name, values in info.presets.items()
        ]
        write(f"\nPresets (--preset NAME)\n{columns(presets)}")
    if info.card:
        shown = {"name", "title", "summary", "reference"}
        card = {key: value for key, value in info.card.items() if key not in shown}
        write(f"\nModel card\n{columns(_entries(card))}")


def _row(parameter: Parameter) -> tuple[str, str, str]:
    unit = f" {parameter.unit}" if parameter.unit else ""
    allowed = f"{_text(parameter.default)}{unit} ({parameter.describe_range()})"
    return parameter.name, allowed, parameter.help


def _text(value: Value) -> str:
    """Return a value as it would be typed after ``--set``."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _entries(card: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested tables as rows with dotted names."""
    rows: list[tuple[str, str]] = []
    for key, value in card.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += _entries(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
            for number, item in enumerate(value, start=1):
                rows += _entries({str(number): item}, f"{name}.")
        elif isinstance(value, list) and any(" " in str(item) for item in value):
            # Sentences stand below each other, with the name before the first.
            starts = [name, *[""] * (len(value) - 1)]
            rows += zip(starts, map(str, value), strict=True)
        elif isinstance(value, list):
            rows.append((name, ", ".join(map(str, value))))
        else:
            rows.append((name, str(value)))
    return rows
