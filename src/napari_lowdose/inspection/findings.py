"""What was found, in words and in numbers: pure functions, no viewer, no Qt."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from lowdose.trust.equivalent import EquivalentFilter
    from lowdose.trust.inspection import Inspection
    from lowdose.trust.maps import TrustMap

#: Units that are too long for a title over a picture.
_SHORT: Final = {"standard deviations": "σ"}

#: Marks, so that no verdict is told by its colour alone, and colours of the
#: Okabe-Ito set, which readers with deficient colour vision tell apart.
_MARKS: Final = {"good": "✓", "doubtful": "?", "bad": "✗"}
_COLOURS: Final = {"good": "#009e73", "doubtful": "#e69f00", "bad": "#d55e00"}


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
