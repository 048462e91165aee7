"""``lowdose info``: what is in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.lengths import readable_length
from lowdose.cli.terminal import DONE, FAILED, columns, report_error, write
from lowdose.errors import LowDoseError
from lowdose.units import UNITS, convert

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

NAME: Final = "info"
SUMMARY: Final = "show size, type, calibration and history of files"
DESCRIPTION: Final = """\
Show what a file holds: format, shape, type, pixel size, frame time and section spacing,
the counts of the first frame, and what was done to it so far. Only the first frame is
read, however long the stack.
"""
EXAMPLES: Final = """\
examples:
  lowdose info stack.tif
  lowdose info 'day1/*.dm4'
  lowdose info scans.h5 --dataset images/noisy
  lowdose info *.mrc --json | jq .pixel_size_nm     one JSON object per line
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose info``."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a file, or a quoted pattern such as '*.tif' or 'data/**/*.mrc'",
    )
    parser.add_argument(
        "--dataset", metavar="PATH", help="which image, where a file holds several"
    )
    parser.add_argument(
        "--json", action="store_true", help="write one line of JSON per file"
    )


def run(arguments: argparse.Namespace) -> int:
    """Describe every file; one that cannot be read does not stop the others."""
    from lowdose import io
    from lowdose.batch import jobs

    code = DONE
    for number, path in enumerate(jobs.expand(arguments.files)):
        try:
            record = io.describe(path, dataset=arguments.dataset)
        except LowDoseError as error:
            report_error(error, about=str(path))
            if arguments.json:
                write(json.dumps({"path": str(path), "error": str(error)}))
            code = FAILED
            continue
        if arguments.json:
            write(json.dumps(record))
            continue
        blank = "\n" if number else ""
        write(f"{blank}{record['path']}\n{columns(list(_rows(record)))}")
    return code


def _rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what people want to know of a file, as names and texts."""
    packed = "" if record["compression"] == "none" else f", {record['compression']}"
    yield "format", f"{record['format']}, {_size(record['bytes'])}{packed}"
    labels = ", ".join(axis["label"] for axis in record["axes"])
    shape = " x ".join(map(str, record["shape"]))
    yield "shape", f"{shape} ({labels}), {record['dtype']}"
    yield "pixel", _pixel(record["axes"][-2:])
    for axis in record["axes"][:-2]:
        yield f"along {axis['label']}", _spacing(axis) or "of unknown spacing"
    yield "first frame", _counts(record["first_frame"])
    if record["counts_per_electron"] is not None:
        yield "counts per electron", f"{record['counts_per_electron']:.6g}"
    for step in record["provenance"]:
        yield "history", _step(step)


def _pixel(axes: list[Mapping[str, Any]]) -> str:
    y, x = (_spacing(axis) for axis in axes)
    if not (y and x):
        return "of unknown size"
    return x if x == y else f"{y} (y), {x} (x)"


def _spacing(axis: Mapping[str, Any]) -> str:
    if axis["spacing"] is None:
        return ""
    unit = axis["unit"]
    if unit in UNITS and UNITS[unit][0] == "length":
        return readable_length(convert(axis["spacing"], unit, "nm"))
    return f"{axis['spacing']:.6g} {unit or '(without a unit)'}"


def _counts(frame: Mapping[str, Any]) -> str:
    if frame["mean"] is None:
        return "no finite pixel"
    kind = "whole counts" if frame["integer_counts"] else "values"
    parts = [
        f"{kind} from {frame['minimum']:.6g} to {frame['maximum']:.6g}",
        f"mean {frame['mean']:.6g}",
        f"{frame['zeros']:.3g} of the pixels zero",
    ]
    if frame["not_finite"]:
        parts.append(f"{frame['not_finite']:.3g} NaN or infinite")
    return ", ".join(parts)


def _step(step: Mapping[str, Any]) -> str:
    denoiser = step["details"].get("denoiser")
    name = denoiser.get("name") if isinstance(denoiser, Mapping) else denoiser
    what = f"{step['action']} ({name})" if name else step["action"]
    source = f" of {step['source']}" if step["source"] else ""
    return f"{step['when']} {what}{source}, by {step['software']}"


def _size(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
