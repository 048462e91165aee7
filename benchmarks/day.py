"""What limits a day of movies: worked out on paper from measured rates.

Takes the report of ``lowdose bench --disk ... --json`` of one machine (one core set or
one GPU) and prints what 10 TB of movies a day ask of the disk, the network and the
computing, and how many such machines they take::

    lowdose bench -d general --size 4096 --disk /data --json > rates.json
    python benchmarks/day.py rates.json --write docs/scaling.md
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

BEGIN = "<!-- begin: benchmarks/day.py -->"
END = "<!-- end: benchmarks/day.py -->"
SECONDS = 24 * 3600.0


def main() -> None:
    """Print the table, or put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="JSON of `lowdose bench`")
    parser.add_argument("--terabytes", type=float, default=10.0, help="a day")
    parser.add_argument("--bytes", type=int, default=2, help="per pixel of the input")
    parser.add_argument("--denoiser", default="general")
    parser.add_argument("--gigabit", type=float, default=10.0, help="network [Gbit/s]")
    parser.add_argument("--write", type=Path, help="page to put the table into")
    arguments = parser.parse_args()
    text = table(json.loads(arguments.report.read_text()), arguments)
    if arguments.write is None:
        print(text)
        return
    page = arguments.write.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def table(report: dict[str, Any], arguments: argparse.Namespace) -> str:
    """Return the calculation as Markdown."""
    pixels = arguments.terabytes * 1e12 / arguments.bytes
    read = arguments.terabytes * 1e12 / SECONDS / 1e6
    written = pixels * 4 / SECONDS / 1e6
    rate = pixels / SECONDS / 1e6
    lines = [
        f"Measured on {report['machine']}, lowdose {report['lowdose']}.",
        "",
        f"{arguments.terabytes:g} TB a day at {arguments.bytes} B/px are "
        f"{pixels / 1e12:.3g} Tpx: {rate:.1f} Mpx/s, {read:.0f} MB/s to read and "
        f"{written:.0f} MB/s of float32 to write, without a pause.",
        "",
        "| | needed | one machine has | share used, or machines needed |",
        "|---|---|---|---|",
    ]
    for disk in report["disk"]:
        share = read / disk["read"] + written / disk["write"]
        lines.append(
            f"| disk, {disk['format']} | {read:.0f} + {written:.0f} MB/s | "
            f"{disk['read']:.0f} MB/s read, {disk['write']:.0f} MB/s written | "
            f"{share:.0%} of its time |"
        )
    network = arguments.gigabit * 1e9 / 8 / 1e6
    lines.append(
        f"| network, {arguments.gigabit:g} Gbit/s each way (`--cluster`) | {read:.0f} "
        f"in, {written:.0f} MB/s out of the workers | {network:.0f} MB/s each way | "
        f"{max(read, written) / network:.0%} |"
    )
    for precision, found in best(report, arguments.denoiser).items():
        lines.append(
            f"| `{arguments.denoiser}`, {found['device']}, {precision} | {rate:.1f} "
            f"Mpx/s | {found['megapixels_per_second']:.3g} Mpx/s | "
            f"{math.ceil(rate / found['megapixels_per_second'])} machines |"
        )
    return "\n".join(lines)


def best(report: dict[str, Any], denoiser: str) -> dict[str, dict[str, Any]]:
    """Return the fastest run of the engine in each precision."""
    found: dict[str, dict[str, Any]] = {}
    for row in report["speed"]:
        if row["denoiser"] != denoiser or not row["way"].startswith("engine"):
            continue
        rate = row["megapixels_per_second"]
        known = found.get(row["precision"])
        if rate and (known is None or rate > known["megapixels_per_second"]):
            found[row["precision"]] = row
    return found


if __name__ == "__main__":
    main()
