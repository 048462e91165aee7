"""``lowdose bench``: how fast this machine is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, say, write

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lowdose.speed import Case, DiskRow, SpeedRow

NAME: Final = "bench"
SUMMARY: Final = "measure how fast this machine denoises, reads and writes"
DESCRIPTION: Final = """\
Measure networks and filters in every precision and with several tiles, beside one
untiled pass over the frame and beside the bare call of torch, scipy or scikit-image.

Each denoiser runs in a process of its own; the fastest of the repeats counts, and the
peak memory is what the work took beyond what the process, or the GPU, held before it.
PSNR is that of the denoised lattice at 5 e-/px: between two precisions of one network
the difference is what the faster one costs.
"""
EXAMPLES: Final = """\
examples:
  lowdose bench
      everything that is shipped, on the best device, 1024 x 1024 px
  lowdose bench -d general --size 4096 --precision float32 bfloat16 --device cuda
      one network on a GPU
  lowdose bench --tune -d general
      measure tiles and batches, and take the fastest from now on, on this machine
  lowdose bench --disk /data --json | tee rates.json
      with the rates of a disk, for docs/scaling.md

Close other programs first: they are measured, too.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose bench``."""
    parser.add_argument(
        "-d",
        "--denoiser",
        action="append",
        metavar="NAME",
        help="what to measure; may be given several times (default: all)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto (default), cpu, cuda ..."
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        metavar="P",
        help="precisions of networks (default: float32 and bfloat16; on CUDA float16 "
        "too)",
    )
    parser.add_argument(
        "--size", type=int, default=1024, metavar="N", help="side of the frame [px]"
    )
    parser.add_argument(
        "--tile",
        type=int,
        nargs="+",
        default=[256, 512, 1024],
        metavar="N",
        help="tiles beside the engine's own choice [px]",
    )
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="runs after the first"
    )
    parser.add_argument(
        "--compile", action="store_true", help="networks through torch.compile, too"
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="measure tiles and batches first, and keep what is fastest for all later "
        "runs on this machine",
    )
    parser.add_argument(
        "--disk",
        metavar="DIR",
        help="also measure writing to and reading from a folder",
    )
    parser.add_argument("--json", action="store_true", help="write JSON to stdout")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write a table or JSON."""
    from pathlib import Path

    import lowdose
    from lowdose.errors import ParameterError
    from lowdose.inference.rates import machine_name
    from lowdose.speed import measure_cases, measure_disk

    for name in ("size", "repeats"):
        if getattr(arguments, name) < 1:
            msg = f"--{name} {getattr(arguments, name)} must be a whole number from 1."
            raise ParameterError(msg)
    cases = _cases(arguments)
    rows: list[SpeedRow] = []
    disks: list[DiskRow] = []
    with stop_on_signals("Stopping after this measurement.") as should_stop:
        for row in measure_cases(cases, should_stop=should_stop):
            rows.append(row)
            if not arguments.quiet:
                say(" ".join(_cells(row)))
        if arguments.disk:
            disks += measure_disk(Path(arguments.disk))
    devices = sorted({row.device for row in rows})
    machine = ", ".join(machine_name(device) for device in devices)
    if arguments.json:
        report: dict[str, Any] = {
            "lowdose": lowdose.__version__,
            "machine": machine,
            "size": arguments.size,
            "speed": [row.to_dict() for row in rows],
            "disk": [row.to_dict() for row in disks],
        }
        write(json.dumps(report, indent=2))
    else:
        write(f"{machine}; {arguments.size} x {arguments.size} px\n")
        write(_table(_HEADINGS, [_cells(row) for row in rows]))
        if disks:
            write("\n" + _table(_DISK_HEADINGS, [_disk_cells(row) for row in disks]))
    return DONE


def _cases(arguments: argparse.Namespace) -> list[Case]:
    """Return a case for each denoiser and precision; wrong names raise."""
    from lowdose import catalogue
    from lowdose.inference import DenoiseOptions
    from lowdose.inference.device import resolve_device, resolve_precision
    from lowdose.speed import Case

    names = arguments.denoiser or [
        info.name
        for info in catalogue.list_denoisers()
        if info.group in ("pretrained", "classical")
    ]
    cases = []
    for name in names:
        network = catalogue.describe(name).card is not None
        precisions = ["float32"]
        if network:
            device = resolve_device(DenoiseOptions(device=arguments.device).device)
            precisions = arguments.precision or ["float32", "bfloat16"]
            if device.startswith("cuda") and not arguments.precision:
                precisions = [*precisions, "float16"]
            precisions = [resolve_precision(p, device) for p in precisions]
        cases += [
            Case(
                denoiser=name,
                device=arguments.device if network else "cpu",
                precision=DenoiseOptions(precision=precision).precision,
                size=arguments.size,
                tiles=(None, *arguments.tile),
                repeats=arguments.repeats,
                compiled=arguments.compile,
                tune=arguments.tune,
            )
            for precision in dict.fromkeys(precisions)
        ]
    return cases


_HEADINGS: Final = (
    "denoiser",
    "way",
    "device",
    "precision",
    "patch [px]",
    "batch",
    "Mpx/s",
    "peak [MiB]",
    "PSNR [dB]",
)
_DISK_HEADINGS: Final = ("format", "size [MB]", "write [MB/s]", "read [MB/s]")


def _cells(row: SpeedRow) -> tuple[str, ...]:
    height, width = row.tile
    rate = row.megapixels_per_second
    return (
        row.denoiser,
        row.way,
        row.device,
        row.precision,
        f"{height} x {width}",
        str(row.batch),
        row.error if rate is None else f"{rate:.3g}",
        "" if row.peak_mib is None else f"{row.peak_mib:.0f}",
        "" if row.psnr is None else f"{row.psnr:.2f}",
    )


def _disk_cells(row: DiskRow) -> tuple[str, ...]:
    return (
        row.format,
        f"{row.megabytes:.0f}",
        f"{row.write:.0f}",
        f"{row.read:.0f}",
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, which is also readable as it is."""
    everything = [tuple(headings), *rows]
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in everything
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
