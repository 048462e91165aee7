"""An inspection as files: maps with their calibration, a picture, a page."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from lowdose import io
from lowdose.errors import OutputError
from lowdose.micrograph import Step
from lowdose.trust.evidence_verdicts import column_rows
from lowdose.trust.page import provenance, to_html
from lowdose.trust.panels import panel, write_picture

if TYPE_CHECKING:
    from pathlib import Path

    from lowdose.trust.inspection import Inspection
    from lowdose.trust.maps import TrustMap

#: Names of the files beside the maps.
PANEL: Final = "panel.png"
PAGE: Final = "index.html"
NUMBERS: Final = "inspection.json"
COLUMNS: Final = "columns.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The files that an inspection was written to.

    Parameters
    ----------
    maps : tuple of Path
        One TIFF per map, float32, calibrated.
    panel, page, numbers : Path
        PNG, HTML and JSON.
    columns : Path or None
        Atomic columns as CSV, where they were tested.
    """

    maps: tuple[Path, ...]
    panel: Path
    page: Path
    numbers: Path
    columns: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        some = (*self.maps, self.panel, self.page, self.numbers)
        return some if self.columns is None else (*some, self.columns)


def record(inspection: Inspection) -> dict[str, Any]:
    """Return all numbers, verdicts and caveats of an inspection, as JSON types."""
    evidence = inspection.evidence
    return {
        "maps": [
            {
                "name": one.name,
                "unit": one.unit,
                "meaning": one.meaning,
                "numbers": dict(one.numbers),
                "caveats": list(one.caveats),
            }
            for one in inspection.maps
        ],
        "verdicts": [verdict.to_dict() for verdict in inspection.verdicts],
        "numbers": {name: dict(some) for name, some in inspection.numbers.items()},
        "columns": [] if evidence is None else column_rows(evidence),
        "left_out": dict(inspection.left_out),
        "caveats": list(inspection.caveats),
        "provenance": provenance(inspection),
    }


def export(
    inspection: Inspection, folder: Path, *, overwrite: bool = False
) -> Exported:
    """Write an inspection into a folder.

    Parameters
    ----------
    inspection : Inspection
        What was found.
    folder : Path
        Made where it is missing.
    overwrite : bool, optional
        Replace files that are there.

    Returns
    -------
    Exported
        Where everything is.

    Raises
    ------
    OutputError
        If the folder cannot be made, or a file cannot be written or is there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {folder} cannot be made: {error.strerror or error}."
        raise OutputError(msg) from error
    result = Exported(
        maps=tuple(folder / f"{_slug(one.name)}.tif" for one in inspection.maps),
        panel=folder / PANEL,
        page=folder / PAGE,
        numbers=folder / NUMBERS,
        columns=None if inspection.evidence is None else folder / COLUMNS,
    )
    there = [path for path in result.paths if path.exists()]
    if there and not overwrite:
        msg = (
            f"{there[0]} is there already. Give another folder, or say that it may be "
            "overwritten."
        )
        raise OutputError(msg)
    facts = provenance(inspection)
    for path, one in zip(result.maps, inspection.maps, strict=True):
        _write_map(path, one, facts)
    title = inspection.subject.denoised.name or "Inspection"
    subject = inspection.subject
    write_picture(
        result.panel,
        panel(subject.noisy, subject.denoised, inspection.maps, title=title),
    )
    write_picture(result.page, to_html(inspection).encode())
    write_picture(result.numbers, json.dumps(record(inspection), indent=2).encode())
    if result.columns is not None and inspection.evidence is not None:
        table = _as_csv(column_rows(inspection.evidence))
        write_picture(result.columns, table.encode())
    return result


def _as_csv(rows: list[dict[str, Any]]) -> str:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_map(path: Path, one: TrustMap, facts: dict[str, Any]) -> None:
    step = Step(
        action="inspect",
        software=facts["software"],
        when=facts["when"],
        source=one.image.name,
        details={
            "map": one.name,
            "unit": one.unit,
            "caveats": list(one.caveats),
            "denoiser": facts["denoiser"],
            "seed": facts["seed"],
        },
    )
    calibration = one.image.calibration.with_step(step)
    io.write(path, one.image.replace(calibration=calibration), overwrite=True)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
