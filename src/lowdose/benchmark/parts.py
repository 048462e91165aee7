"""Parts of a report that several protocols have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.benchmark import plots
from lowdose.benchmark.found import deviation, mean, numbers
from lowdose.benchmark.report import Heading, Picture, Words
from lowdose.benchmark.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lowdose.benchmark.found import Found
    from lowdose.benchmark.report import Block
    from lowdose.benchmark.study import Item

#: The first column of most tables.
DENOISER: Final = Column(key="denoiser", heading="Denoiser", text=True)


def summary(
    found: Found,
    scores: Sequence[Column],
    *,
    name: str,
    title: str,
    note: str = "",
    spread: Sequence[str] = (),
    **conditions: Any,
) -> Table:
    """Return the mean of every score, a row per method.

    Parameters
    ----------
    found : Found
        The results.
    scores : sequence of Column
        Keys of the rows.
    name, title, note : str
        Of the table.
    spread : sequence of str, optional
        Scores whose standard deviation between images is told, too.
    **conditions
        Values that the rows must have.
    """
    columns: list[Column] = [DENOISER, Column(key="images", heading="Images")]
    for score in scores:
        columns.append(score)
        if score.key in spread:
            deviates = Column(
                key=f"{score.key}_std",
                heading="± std",
                digits=score.digits,
                factor=score.factor,
            )
            columns.append(deviates)
    rows = []
    for label in found.labels:
        of_label = found.of(label, **conditions)
        row: dict[str, Any] = {"denoiser": label, "images": len(of_label)}
        for score in scores:
            row[score.key] = mean(of_label, score.key)
            row[f"{score.key}_std"] = deviation(of_label, score.key)
        rows.append(row)
    return Table(name=name, title=title, columns=columns, rows=rows, note=note)


def breakdown(
    found: Found,
    score: Column,
    group: Callable[[Mapping[str, Any]], str | None],
    *,
    name: str,
    title: str,
    note: str = "",
    order: Sequence[str] | None = None,
    **conditions: Any,
) -> Table:
    """Return the mean of one score by groups of images, a column per group.

    Parameters
    ----------
    found : Found
        The results.
    score : Column
        Key and format of the score.
    group : callable
        Row to the name of its group, None for none.
    name, title, note : str
        Of the table.
    order : sequence of str, optional
        Groups from left to right; sorted by name by default.
    **conditions
        Values that the rows must have.
    """
    by_method: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for label in found.labels:
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in found.of(label, **conditions):
            named = group(row)
            if named is not None:
                groups.setdefault(named, []).append(row)
        by_method[label] = groups
    seen = {named for groups in by_method.values() for named in groups}
    shown = [named for named in order or sorted(seen) if named in seen]
    most = {
        named: max(len(groups.get(named, ())) for groups in by_method.values())
        for named in shown
    }
    columns = [
        DENOISER,
        *(
            Column(
                key=named,
                heading=f"{named} ({most[named]})",
                digits=score.digits,
                best=score.best,
                factor=score.factor,
            )
            for named in shown
        ),
    ]
    rows = [
        {
            "denoiser": label,
            **{named: mean(some, score.key) for named, some in groups.items()},
        }
        for label, groups in by_method.items()
    ]
    counted = "In brackets: images."
    note = f"{note} {counted}" if note else counted
    return Table(name=name, title=title, columns=columns, rows=rows, note=note)


def spread_plot(
    found: Found, key: str, *, name: str, caption: str, x: str, **conditions: Any
) -> Picture:
    """Return a plot of how a score scatters over images."""
    values = {
        label: numbers(found.of(label, **conditions), key) for label in found.labels
    }
    return Picture(name=name, caption=caption, png=plots.boxes(values, x=x))


def image_panels(
    found: Found,
    items: Sequence[Item],
    *,
    describe: Callable[[Item], str],
    side: int | None = None,
) -> list[Block]:
    """Return the kept images of some items: truth, counts, and every method.

    Parameters
    ----------
    found : Found
        The results.
    items : sequence of Item
        Which items.
    describe : callable
        Item to a caption.
    side : int, optional
        Edge of the middle part that is shown [px]; all of it by default.
    """
    blocks: list[Block] = []
    for number, item in enumerate(items):
        group: dict[str, Any] = {}
        marks: dict[str, Any] = {}
        for label in found.labels:
            kept = found.pictures(item.key, label)
            if "truth" in kept:
                group["truth"] = _middle(kept["truth"], side)
            if "image" in kept:
                group[label] = _middle(kept["image"], side)
            if "truth_marks" in kept:
                marks["truth"] = kept["truth_marks"]
            if "marks" in kept:
                marks[label] = kept["marks"]
        if "truth" not in group:
            continue
        ordered = {"truth": group.pop("truth"), **group}
        # The counts are far noisier than the truth: they share its greys, cut off.
        blocks.append(
            Picture(
                name=f"images-{number + 1}",
                caption=describe(item),
                png=plots.images([ordered]),
            )
        )
        if marks:
            blocks.append(
                Picture(
                    name=f"columns-{number + 1}",
                    caption="Its columns: found (green), invented (red crosses), "
                    "missed (blue rings); in the truth, those of the surface in "
                    "orange.",
                    png=plots.images([ordered], marks=marks),
                )
            )
    return blocks


def closing(found: Found) -> list[Block]:
    """Return what was tuned, and what failed."""
    blocks: list[Block] = []
    if any(found.tuned.values()):
        rows = [
            {"denoiser": label, "level": level, "values": _in_words(values)}
            for label, levels in found.tuned.items()
            for level, values in levels.items()
        ]
        columns = (
            DENOISER,
            Column(key="level", heading="Dose", text=True),
            Column(key="values", heading="Parameters", text=True),
        )
        blocks += [
            Heading(text="Tuned parameters"),
            Table(
                name="tuned",
                title="Parameters of the tuned filters",
                columns=columns,
                rows=rows,
                note="They come nearest to the truth on separate images, by the score "
                "of this protocol: a user without the truth cannot tune like that.",
            ),
        ]
    failures = found.failures()
    if failures:
        blocks.append(Heading(text="Failures"))
        blocks += [
            Words(text=f"{label} failed on {len(errors)} items; first: {errors[0]}")
            for label, errors in failures.items()
        ]
    return blocks


def _in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _middle(image: Any, side: int | None) -> Any:
    if side is None:
        return image
    place = tuple(
        slice(max(0, (n - side) // 2), max(0, (n - side) // 2) + side)
        for n in np.shape(image)
    )
    return image[place]
