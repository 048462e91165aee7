"""What networks declare, as rows of a table and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lowdose.networks.scaling import SCALINGS
from lowdose.networks.variants import find_variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lowdose.networks.declared import Declaration

#: Heads of the columns of :func:`row`.
COLUMNS: Final = (
    "network",
    "parameters",
    "field [px]",
    "multiple [px]",
    "frames",
    "MAC/px",
    "homogeneous",
    "ONNX",
    "input",
    "what it is",
)


def describe(declaration: Declaration) -> dict[str, Any]:
    """Return all that is known of a network as a dictionary of JSON types.

    Parameters
    ----------
    declaration : Declaration
        What was derived from it.

    Returns
    -------
    dict
        Its options, its publication with the published numbers, the normalisation of
        its input and the inverse, and the declaration.
    """
    variant = find_variant(declaration.name)
    scaling = SCALINGS[variant.scaling]
    derived = declaration.to_dict()
    published = variant.receptive_field
    return {
        "name": derived.pop("name"),
        "title": variant.title,
        "architecture": variant.architecture,
        "options": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in variant.options.items()
        },
        "reference": variant.reference,
        "published_parameters": variant.parameters,
        "published_receptive_field": published and list(published),
        "normalisation": {
            "name": variant.scaling,
            "forward": scaling.forward,
            "inverse": scaling.inverse,
        },
        **derived,
        "receptive_field": declaration.receptive_field
        and list(declaration.receptive_field),
        "flops": 2 * declaration.macs,
    }


def row(declaration: Declaration) -> tuple[str, ...]:
    """Return what fits into a table, in the order of :data:`COLUMNS`."""
    variant = find_variant(declaration.name)
    onnx = declaration.exports["ONNX"]
    plural = "" if declaration.conditions == 1 else "s"
    kinds = [
        word
        for word, holds in (
            ("blind", declaration.blind),
            (f"{declaration.conditions} condition{plural}", declaration.conditions),
        )
        if holds
    ]
    return (
        declaration.name,
        f"{declaration.parameters:,}",
        field_text(declaration.receptive_field),
        str(declaration.multiple),
        str(declaration.frames),
        f"{declaration.macs:,}",
        "yes" if declaration.homogeneous else "no",
        "yes" if onnx == "yes" else "no",
        variant.scaling,
        "; ".join([variant.title, *kinds]),
    )


def field_text(receptive_field: tuple[int, int] | None) -> str:
    """Return a receptive field in words."""
    if receptive_field is None:
        return "whole image"
    least, greatest = receptive_field
    return str(least) if least == greatest else f"{least}-{greatest}"


def markdown(
    declarations: Iterable[Declaration], *, columns: Sequence[str] = COLUMNS
) -> str:
    """Return the table in Markdown.

    Parameters
    ----------
    declarations : iterable of Declaration
        One for each row.
    columns : sequence of str, optional
        Those of :data:`COLUMNS` that are wanted.

    Returns
    -------
    str
        With a line break at the end.
    """
    heads = ("---", *["---:"] * 5, "---", "---", "---", "---")
    rows = [COLUMNS, heads, *(row(declaration) for declaration in declarations)]
    places = [COLUMNS.index(name) for name in columns]
    chosen = [[cells[place] for place in places] for cells in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in chosen)
