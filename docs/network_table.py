"""Derives what every network declares, and makes docs/networks.md of it.

Run it from the root of the repository, after a change to a network or to the table of
variants; it needs the extra ``onnx`` and takes about five minutes::

    python docs/network_table.py

It writes ``src/lowdose/data/networks.json``, which ``lowdose networks`` prints, and
the tables in ``docs/networks.md`` and ``README.md``. With ``--page`` it only writes
these again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lowdose.networks.declared import declarations, derive
from lowdose.networks.tables import markdown
from lowdose.networks.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src" / "lowdose" / "data" / "networks.json"
PAGE = ROOT / "docs" / "networks.md"
README = ROOT / "README.md"
#: Columns of the table in README.
SHORT = ("network", "parameters", "field [px]", "MAC/px", "what it is")
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"


def main() -> None:
    """Derive, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="derive nothing")
    parser.add_argument("names", nargs="*", help="derive only these networks")
    arguments = parser.parse_args()
    if not arguments.page:
        known = json.loads(DATA.read_text("utf-8")) if DATA.exists() else []
        entries = {entry["name"]: entry for entry in known}
        for variant in VARIANTS:
            if not arguments.names or variant.name in arguments.names:
                entries[variant.name] = derive(variant).to_dict()
                print(entries[variant.name], flush=True)
                ordered = [entries[v.name] for v in VARIANTS if v.name in entries]
                DATA.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
    write_table(PAGE, markdown(declarations()))
    write_table(README, markdown(declarations(), columns=SHORT))


def write_table(path: Path, table: str) -> None:
    """Put a table between the marks of a page."""
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        message = f"{path} has no {BEGIN.strip()} and {END.strip()}."
        raise ValueError(message)
    path.write_text(f"{before}{begin}\n{table}\n{end}{after}", "utf-8")


if __name__ == "__main__":
    main()
