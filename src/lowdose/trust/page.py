"""An inspection as one page of HTML, with everything in it."""

from __future__ import annotations

import base64
import html
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import lowdose
from lowdose.trust.evidence_verdicts import column_rows
from lowdose.trust.panels import panel, single

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lowdose.trust.evidence_result import ColumnEvidence
    from lowdose.trust.inspection import Inspection
    from lowdose.trust.maps import TrustMap
    from lowdose.trust.residual_verdicts import Verdict

_STYLE: Final = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
img { max-width: 100%; } figure { margin: 1.5rem 0; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0;
        text-align: left; vertical-align: top; }
.good::before { content: "\\2713  good: "; color: #00583f; font-weight: bold; }
.doubtful::before { content: "?  doubtful: "; color: #8a5a00; font-weight: bold; }
.bad::before { content: "\\2717  bad: "; color: #9c1c00; font-weight: bold; }
.caveat { border-left: 4px solid #8a5a00; padding-left: .7rem; }
.columns { max-height: 30rem; overflow-y: auto; }
pre { overflow-x: auto; background: #f4f4f4; padding: .7rem; }
"""


def to_html(inspection: Inspection) -> str:
    """Return an inspection as a page that needs no other file.

    Parameters
    ----------
    inspection : Inspection
        What was found.

    Returns
    -------
    str
        HTML.
    """
    subject = inspection.subject
    title = f"Inspection of {subject.denoised.name or subject.noisy.name or 'an image'}"
    overview = panel(subject.noisy, subject.denoised, inspection.maps, title=title)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        *_list(inspection.caveats, "caveat"),
        "<h2>In words</h2>",
        *_verdicts(inspection.verdicts),
        _image(overview, "Noisy image, denoised image and all maps"),
        "<h2>The maps</h2>",
        *(_section(one) for one in inspection.maps),
        *_columns(inspection.evidence),
        *_left_out(inspection.left_out),
        *_numbers(inspection.numbers),
        "<h2>Provenance</h2>",
        f"<pre>{html.escape(json.dumps(provenance(inspection), indent=2))}</pre>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def provenance(inspection: Inspection) -> dict[str, Any]:
    """Return what is needed to make an inspection again, as JSON types."""
    subject = inspection.subject
    denoiser, noise = subject.denoiser, subject.noise
    return {
        "software": f"napari-lowdose {lowdose.__version__}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "noisy": subject.noisy.name,
        "denoised": subject.denoised.name,
        "denoiser": None if denoiser is None else denoiser.describe(),
        "noise": None
        if noise is None
        else {
            "gain": noise.gain,
            "offset": noise.offset,
            "read_noise": noise.read_noise,
        },
        "repeats": subject.repeats,
        "seed": subject.seed,
        "options": subject.options.to_dict(),
        "history": [step.to_dict() for step in subject.denoised.calibration.provenance],
    }


def _section(one: TrustMap) -> str:
    picture = _image(single(one), one.name)
    scalars = {
        key: value
        for key, value in one.numbers.items()
        if isinstance(value, (int, float, str)) or value is None
    }
    unit = "" if one.unit == "1" else f" [{one.unit}]"
    return "\n".join(
        [
            f"<h3>{html.escape(one.name + unit)}</h3>",
            f"<p>{html.escape(one.meaning)}</p>",
            picture,
            *_list(one.caveats, "caveat"),
            _table(scalars),
        ]
    )


def _verdicts(verdicts: Iterable[Verdict]) -> list[str]:
    rows = [
        f"<tr><th>{html.escape(one.check)}</th>"
        f'<td class="{one.level}">{html.escape(one.sentence)}</td></tr>'
        for one in verdicts
    ]
    return ["<table>", *rows, "</table>"] if rows else ["<p>No checks were made.</p>"]


def _columns(evidence: ColumnEvidence | None) -> list[str]:
    """Return every column as a row of a table, the least evidence first."""
    if evidence is None:
        return []
    heads = (
        "column",
        "x, y [px]",
        "x, y [nm]",
        "evidence [nats]",
        "q",
        "height [e-/px]",
        "verdict",
    )
    lines = []
    for row in column_rows(evidence):
        cells = (
            str(row["column"]),
            f"{row['x_px']:.2f}, {row['y_px']:.2f}",
            "not known"
            if row["x_nm"] is None
            else f"{row['x_nm']:.3f}, {row['y_nm']:.3f}",
            f"{row['evidence_nats']:.2f}",
            f"{row['q']:.2g}",
            f"{_text(row['height_electrons_per_px'])} "
            f"± {_text(row['height_error_electrons_per_px'])}",
            row["verdict"],
        )
        lines.append(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in cells)}</tr>")
    head = "".join(f"<th>{html.escape(one)}</th>" for one in heads)
    return [
        "<h2>Atomic columns</h2>",
        "<p>The least evidence first. Above 0 the counts want the column, below 0 they "
        "want it gone; q below 0.05: supported at a false discovery rate of 5 %.</p>",
        f'<div class="columns"><table><tr>{head}</tr>',
        *lines,
        "</table></div>",
    ]


def _left_out(left_out: Mapping[str, str]) -> list[str]:
    if not left_out:
        return []
    lines = [
        f"<li><b>{html.escape(name)}</b>: {html.escape(why)}</li>"
        for name, why in left_out.items()
    ]
    return ["<h2>Not made</h2>", "<ul>", *lines, "</ul>"]


def _numbers(numbers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not numbers:
        return []
    text = json.dumps({name: dict(some) for name, some in numbers.items()}, indent=2)
    return ["<h2>Numbers</h2>", f"<pre>{html.escape(text)}</pre>"]


def _list(lines: Iterable[str], kind: str) -> list[str]:
    return [f'<p class="{kind}">{html.escape(line)}</p>' for line in lines]


def _table(values: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(_text(value))}</td></tr>"
        for name, value in values.items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _text(value: float | str | None) -> str:
    if value is None:
        return "not known"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _image(picture: bytes, description: str) -> str:
    data = base64.b64encode(picture).decode("ascii")
    return (
        f'<figure><img alt="{html.escape(description)}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )
