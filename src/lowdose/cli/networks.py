"""``lowdose networks``: every network there is, and what it declares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.terminal import DONE, FAILED, columns, say, write

if TYPE_CHECKING:
    import argparse

    from lowdose.networks.declared import Declaration

NAME: Final = "networks"
SUMMARY: Final = "list the network architectures and what they declare"
DESCRIPTION: Final = """\
List every network that a recipe can train, under the name it is known by: parameters,
receptive field, the multiple that sizes should be of, frames of context, operations
per pixel, whether it is homogeneous (no bias: any gain works), whether it exports to
ONNX, and how its publication normalises the input. With a NAME, show all of one.
"""
EXAMPLES: Final = """\
examples:
  lowdose networks                     all of them
  lowdose networks ede-code            one of them, with its options for a recipe
  lowdose networks --json              for a program
  lowdose networks dncnn-20 --measure   derive it again from the network
"""

#: What it means where there is no value.
_MISSING: Final = {"receptive_field": "whole image", "halo": "whole image"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose networks``."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="describe only this one, in full"
    )
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="derive it again from the networks and compare (minutes for all)",
    )


def run(arguments: argparse.Namespace) -> int:
    """List the networks, or describe one."""
    from lowdose.networks.declared import declaration, declarations
    from lowdose.networks.tables import describe

    one = arguments.name is not None
    found = (declaration(arguments.name),) if one else declarations()
    code = DONE
    if arguments.measure:
        found, code = _measure(found)
    if arguments.json:
        described = [describe(each) for each in found]
        write(json.dumps(described[0] if one else described, indent=2))
    elif one:
        write(columns(_entries(describe(found[0])), indent=0))
    else:
        _list(found)
    return code


def _measure(
    declared: tuple[Declaration, ...],
) -> tuple[tuple[Declaration, ...], int]:
    """Derive networks again, and say where they are not what they declare."""
    from lowdose.networks.declared import derive
    from lowdose.networks.variants import find_variant

    code, derived = DONE, []
    for before in declared:
        # Exports differ by the packages installed, and are tried by the tests.
        now = derive(find_variant(before.name), exports=before.exports)
        derived.append(now)
        for key, value in now.to_dict().items():
            old = before.to_dict()[key]
            if value != old:
                say(f"error: {before.name} declares {key} {old}, but has {value}.")
                code = FAILED
    return tuple(derived), code


def _list(declared: tuple[Declaration, ...]) -> None:
    from lowdose.networks.tables import COLUMNS, row

    write(columns([COLUMNS, *(row(each) for each in declared)], indent=0))
    write("\n`lowdose networks NAME` shows the options and the publication of one.")


def _entries(entry: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested tables as rows with dotted names."""
    rows: list[tuple[str, str]] = []
    for key, value in entry.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += _entries(value, f"{name}.")
        elif isinstance(value, list):
            rows.append((name, ", ".join(map(str, value))))
        elif isinstance(value, bool):
            rows.append((name, str(value).lower()))
        elif value is None:
            rows.append((name, _MISSING.get(key, "not published")))
        else:
            rows.append((name, str(value)))
    return rows
