"""What was found, in words and in numbers: pure functions, no viewer, no Qt."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.trust.residual_verdicts import Verdict

if TYPE_CHECKING:
    from lowdose.trust.deviance import LocalDeviance
    from lowdose.trust.equivalent import EquivalentFilter
    from lowdose.trust.evidence import ColumnEvidence
    from lowdose.trust.inspection import Inspection
    from lowdose.trust.maps import TrustMap

#: Share of undecided columns from which on the picture as a whole is doubtful.
_UNDECIDED: Final = 0.1
#: Significance of the largest score of a map, and share of pixels beyond what noise
#: does from which on the image is called bad rather than doubtful.
_LARGEST: Final = 0.05
_BEYOND: Final = 0.01

#: Units that are too long for a title over a picture.
_SHORT: Final = {"standard deviations": "σ"}

#: Marks, so that no verdict is told by its colour alone, and colours of the
#: Okabe-Ito set, which readers with deficient colour vision tell apart.
_MARKS: Final = {"good": "✓", "doubtful": "?", "bad": "✗"}
_COLOURS: Final = {"good": "#009e73", "doubtful": "#e69f00", "bad": "#d55e00"}


def evidence_verdict(evidence: ColumnEvidence) -> Verdict:
    """Return how many columns the counts support, in words."""
    total = len(evidence.columns)
    numbers = {
        name: evidence.verdicts.count(name)
        for name in ("supported", "contradicted", "undecided")
    }
    supported, gone = numbers["supported"], numbers["contradicted"]
    share = (
        f"all {total} columns"
        if supported == total
        else (f"{supported} of {total} columns")
    )
    sentence = f"The counts support {share} and contradict {gone or 'none'}"
    if numbers["undecided"]:
        sentence += f"; for {numbers['undecided']} they are too few to tell"
    sentence += " (false discovery rate 5\N{NO-BREAK SPACE}%)."
    if not evidence.independent:
        sentence += (
            " They were tested on the counts that made them, which speaks for them too "
            "loudly."
        )
    if numbers["contradicted"]:
        level = "bad"
    elif not evidence.independent or numbers["undecided"] > _UNDECIDED * total:
        level = "doubtful"
    else:
        level = "good"
    return Verdict(
        check="atomic columns",
        level=level,  # type: ignore[arg-type]  # one of the three, by the lines above
        sentence=sentence,
        numbers={"columns": total, **numbers},
    )


def evidence_numbers(evidence: ColumnEvidence) -> dict[str, Any]:
    """Return every column as one line of text, as JSON types."""
    columns = evidence.columns
    lines = [
        f"{x:.2f}, {y:.2f}, {llr:.2f}, {q:.2g}, {height:.3g}, {verdict}"
        for (y, x), llr, q, height, verdict in zip(
            columns.positions,
            evidence.llr,
            evidence.q,
            evidence.height,
            evidence.verdicts,
            strict=True,
        )
    ]
    return {
        "spacing [px]": columns.spacing,
        "scale [px]": columns.scale,
        "vacuum [e-/px]": None if evidence.vacuum is None else evidence.vacuum.rate,
        "x [px], y [px], evidence [nats], q, height [e-/px], verdict": lines,
    }


def deviance_verdict(deviance: LocalDeviance, *, independent: bool) -> Verdict:
    """Return whether the counts contradict the denoised image anywhere, in words."""
    (shown,) = deviance.maps
    beyond = float(shown.numbers["share beyond the threshold"])
    facts = (
        f"(largest score {deviance.largest:.1f} σ; noise alone passes "
        f"{deviance.threshold:.1f} σ in one image of twenty)"
    )
    if deviance.p_largest <= _LARGEST:
        level = "bad" if beyond > _BEYOND else "doubtful"
        sentence = (
            f"The counts contradict the denoised image in {beyond:.1%} of the pixels "
            f"{facts}."
        )
    elif independent:
        level, sentence = "good", f"Nowhere do the counts contradict it {facts}."
    else:
        level = "doubtful"
        sentence = (
            f"No contradiction is seen {facts}, but the denoised image was made of "
            "the same counts and has followed them."
        )
    return Verdict(
        check="local deviance",
        level=level,  # type: ignore[arg-type]  # one of the three, by the lines above
        sentence=sentence,
        numbers=dict(shown.numbers),
    )


def in_words(inspection: Inspection) -> str:
    """Return verdicts, caveats and what was left out, as rich text."""
    parts = [
        f'<p><span style="color:{_COLOURS[one.level]}"><b>{_MARKS[one.level]} '
        f"{html.escape(one.check)}: {one.level}.</b></span> "
        f"{html.escape(one.sentence)}</p>"
        for one in inspection.verdicts
    ]
    if not inspection.verdicts:
        parts.append("<p>No check with a verdict was made.</p>")
    notes = list(dict.fromkeys(inspection.caveats))
    if notes:
        parts.append("<p><b>Before you believe it</b></p>")
        parts += [f"<p>{html.escape(note)}</p>" for note in notes]
    if inspection.left_out:
        parts.append("<p><b>Not made</b></p>")
        parts += [
            f"<p>{html.escape(name)}. {html.escape(why)}</p>"
            for name, why in inspection.left_out.items()
        ]
    return "".join(parts)


def notes_of_maps(inspection: Inspection) -> str:
    """Return what to know of single maps before believing them, as rich text.

    Each is told once, with the maps that it is about; what holds for all of them is
    told with the verdicts.
    """
    notes: dict[str, list[str]] = {}
    for one in inspection.maps:
        for caveat in one.caveats:
            if caveat not in inspection.caveats:
                notes.setdefault(caveat, []).append(one.name)
    return "".join(
        f"<p><b>{html.escape(', '.join(names))}:</b> {html.escape(caveat)}</p>"
        for caveat, names in notes.items()
    )


def about_map(one: TrustMap) -> str:
    """Return meaning, numbers and caveats of one map, as rich text."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}&nbsp;&nbsp;</td>"
        f"<td>{html.escape(_number(value))}</td></tr>"
        for name, value in one.numbers.items()
        if value is None or isinstance(value, (bool, int, float, str))
    )
    caveats = "".join(f"<p><i>{html.escape(c)}</i></p>" for c in one.caveats)
    return (
        f"<p><b>{html.escape(titled(one.name, one.unit))}</b><br>"
        f"{html.escape(one.meaning)}</p><table>{rows}</table>{caveats}"
    )


def about_filter(found: EquivalentFilter) -> str:
    """Return what the equivalent filter of one pixel says, as rich text."""
    radius = f"{found.radius_px:.3g} px"
    if found.radius_nm is not None:
        radius += f" ({found.radius_nm:.3g} nm)"
    lines = [
        f"Effective radius {radius}; half of the weight within "
        f"{found.half_radius_px:.3g} px.",
        f"Denoised value {found.value:.4g} counts, of which the weights explain "
        f"{found.weighted_sum:.4g}; net bias {found.net_bias:.3g} counts.",
    ]
    if found.beyond:
        spacings = ", ".join(str(n) for n in found.beyond)
        shares = ", ".join(f"{share:.1%}" for share in found.beyond.values())
        lines.append(f"Weight beyond {spacings} column spacings: {shares}.")
    caveats = [c for one in found.maps for c in one.caveats]
    text = "".join(f"{html.escape(line)}<br>" for line in lines)
    return (
        f"<p><b>Pixel at row {found.row}, column {found.column}</b><br>{text}</p>"
        + "".join(f"<p><i>{html.escape(c)}</i></p>" for c in caveats)
    )


def titled(name: str, unit: str) -> str:
    """Return a name with its unit, as it stands on a colour bar."""
    return name if unit in ("", "1") else f"{name} [{_SHORT.get(unit, unit)}]"


def _number(value: float | str | None) -> str:
    if value is None:
        return "not known"
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else "not finite"
    return str(value)
