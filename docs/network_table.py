"""Derives what every network declares, and makes docs/networks.md of it.

Run it from the root of the repository, after a change to a network or to the table of
variants; it needs the extra ``onnx`` and takes about five minutes::

    python docs/network_table.py

It writes ``src/lowdose/data/networks.json``, which ``lowdose networks`` prints, and
the table in ``docs/networks.md``. With ``--page`` it only writes the page again.
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
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page = f"{before}{BEGIN}\n{markdown(declarations())}\n{END}{after}"
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
