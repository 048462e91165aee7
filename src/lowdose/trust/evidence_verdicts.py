"""What the tests of columns and of local deviance say, in words and in numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from lowdose.trust.residual_verdicts import Verdict

if TYPE_CHECKING:
    from lowdose.trust.deviance import LocalDeviance
    from lowdose.trust.evidence_result import ColumnEvidence

#: Share of undecided columns from which on the picture as a whole is doubtful.
_UNDECIDED: Final = 0.1
#: Significance of the largest score of a map, and share of pixels beyond what noise
#: does from which on the image is called bad rather than doubtful.
_LARGEST: Final = 0.05
_BEYOND: Final = 0.01


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


def column_facts(evidence: ColumnEvidence) -> dict[str, Any]:
    """Return what holds for all columns, as JSON types."""
    columns = evidence.columns
    return {
        "spacing_px": columns.spacing,
        "scale_px": columns.scale,
        "vacuum_electrons_per_px": (
            None if evidence.vacuum is None else evidence.vacuum.rate
        ),
        "independent": evidence.independent,
        "faintness": evidence.faintness,
    }


def column_rows(evidence: ColumnEvidence) -> list[dict[str, Any]]:
    """Return every column with its evidence, as JSON types, the least evidence first.

    Parameters
    ----------
    evidence : ColumnEvidence
        What the counts say.

    Returns
    -------
    list of dict
        Number, place [px] and [nm] (None without a pixel size), evidence [nats], its
        p-values, height and its error [e-/px], and the verdict. None where a number
        is not finite.
    """
    columns = evidence.columns
    places = columns.positions_nm
    rows = []
    for number in evidence.llr.argsort(kind="stable"):
        y, x = columns.positions[number]
        row: dict[str, Any] = {"column": int(number), "y_px": y, "x_px": x}
        row["y_nm"], row["x_nm"] = (
            (None, None) if places is None else tuple(places[number])
        )
        row |= {
            "evidence_nats": evidence.llr[number],
            "p": evidence.p[number],
            "q": evidence.q[number],
            "p_holm": evidence.p_holm[number],
            "p_presence": evidence.p_presence[number],
            "evidence_against_vacuum_nats": evidence.llr_vacuum[number],
            "height_electrons_per_px": evidence.height[number],
            "height_error_electrons_per_px": evidence.height_error[number],
            "expected_sigma": evidence.expected[number],
            "verdict": evidence.verdicts[number],
        }
        rows.append({key: _json(value) for key, value in row.items()})
    return rows


def _json(value: Any) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    return float(value) if math.isfinite(value) else None


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
