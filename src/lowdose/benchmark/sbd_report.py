"""The report of the protocol ``sbd``."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

from lowdose.benchmark import groups, plots, published
from lowdose.benchmark.found import mean, root_mean_square, total
from lowdose.benchmark.parts import (
    DENOISER,
    breakdown,
    closing,
    image_panels,
    spread_plot,
    summary,
)
from lowdose.benchmark.report import Heading, Picture, Report, Words
from lowdose.benchmark.structure import TOLERANCE
from lowdose.benchmark.structure_scores import DISTANCES, distance_key
from lowdose.benchmark.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.benchmark.found import Found
    from lowdose.benchmark.report import Block
    from lowdose.benchmark.sbd import SbdStudy
    from lowdose.benchmark.study import Item

_PSNR: Final = Column(key="psnr", heading="PSNR [dB]", digits=2, best="most")
_SCORES: Final = (
    _PSNR,
    Column(key="psnr_unclipped", heading="unclipped [dB]", digits=2, best="most"),
    Column(key="psnr_range", heading="range [dB]", digits=2, best="most"),
    Column(key="ssim_sbd", heading="SSIM", digits=4, best="most"),
    Column(key="ssim", heading="SSIM, range", digits=4, best="most"),
    Column(key="psnr_tiled", heading="tiled [dB]", digits=2, best="most"),
    Column(key="ssim_sbd_tiled", heading="tiled SSIM", digits=4, best="most"),
    Column(key="seconds", heading="s/image", digits=2),
)
_ATOMS: Final = (
    Column(key="precision", heading="precision", digits=3, best="most"),
    Column(key="recall", heading="recall", digits=3, best="most"),
    Column(key="f1", heading="F1", digits=3, best="most"),
    Column(key="jaccard", heading="Jaccard", digits=3, best="most"),
    Column(key="position_error_pm", heading="position [pm]", digits=1, best="least"),
    Column(key="surface_f1", heading="outline F1", digits=3, best="most"),
    Column(key="surface_jaccard", heading="outline Jaccard", digits=3, best="most"),
    Column(key="surface_there", heading="surface there", digits=3, best="most"),
    Column(key="surface_real", heading="surface real", digits=3, best="most"),
    Column(key="surface_atoms_f1", heading="surface-atom F1", digits=3, best="most"),
    Column(key="surface_strict_f1", heading="one threshold", digits=3, best="most"),
)
_SURFACE_ATOMS: Final = next(c for c in _ATOMS if c.key == "surface_atoms_f1")


def sbd_report(study: SbdStudy, found: Found) -> Report:
    """Return the tables and pictures of the protocol ``sbd``."""
    dose = study.doses[0]
    first = study.contrasts[0]
    chosen: dict[str, Any] = {"contrast": first, "dose": dose}
    vacuum = study.pool.dataset.vacuum
    blocks: list[Block] = [
        Words(
            text=f"{study.pool.label}; seed {study.seed}. Counts are Poisson, "
            f"{dose * vacuum:g} e-/px in vacuum. At most one image of a specimen in "
            "each class of contrast; filters that are tuned are tuned on other "
            "specimens."
        ),
        Heading(text=f"Fidelity, {first} contrast"),
        summary(
            found,
            _SCORES,
            name="fidelity",
            title=f"Images of {first} contrast",
            spread=("psnr",),
            note="PSNR and SSIM as SBD have them: both images clipped to 0 to 1 e-/px, "
            "peak 1. Unclipped: the same peak, nothing clipped. Range: the peak is the "
            "range of the truth. Tiled: 400 px every 350 px, averaged.",
            **chosen,
        ),
        _published(),
        spread_plot(
            found,
            "psnr",
            name="psnr",
            caption=f"PSNR over images of {first} contrast: median, quartiles, 5th to "
            "95th percentile.",
            x="PSNR, peak 1, clipped [dB]",
            **chosen,
        ),
        *_other_doses(study, found),
        Heading(text="Atomic columns and vacuum"),
        _atoms(found, chosen),
        _by_detectability(found, chosen),
        *_vacuum(found, chosen, dose),
        *_generalisation(study, found),
        *_fields(found, chosen),
        Heading(text="Images"),
        *image_panels(found, _shown(study), describe=_caption),
        *closing(found),
    ]
    return Report(title="Benchmark sbd: nanoparticles at low dose", blocks=blocks)


def _shown(study: SbdStudy) -> list[Item]:
    return [item for item in study.items if item.pictured]


def _caption(item: Item) -> str:
    known = item.record
    return (
        f"Specimen {known['specimen']}, {known['contrast']} contrast, defocus "
        f"{known.get('defocus', math.nan):g} nm, {known['pixel_size']:g} nm/px. All "
        "with the greys of the truth."
    )


def _published() -> Table:
    columns = (
        Column(key="network", heading="Network", text=True),
        Column(key="psnr", heading="PSNR [dB]", digits=2),
        Column(key="ssim", heading="SSIM", digits=4),
        Column(key="psnr_tiled", heading="tiled [dB]", digits=2),
        Column(key="ssim_tiled", heading="tiled SSIM", digits=4),
    )
    return Table(
        name="published-networks",
        title="Published: SBD's networks on 279 images of their own, white contrast",
        columns=columns,
        rows=published.SBD_NETWORKS,
        note="Other images than ours, so that only orders and distances compare.",
    )


def _other_doses(study: SbdStudy, found: Found) -> list[Block]:
    if len(study.doses) < 2:
        return []
    return [
        breakdown(
            found,
            _PSNR,
            lambda row: f"x{row['dose']:g}",
            name="doses",
            title="PSNR [dB] by dose, as multiples of that of the set",
            order=[f"x{dose:g}" for dose in study.doses],
            contrast=study.contrasts[0],
        )
    ]


def _atoms(found: Found, chosen: Mapping[str, Any]) -> Table:
    return summary(
        found,
        _ATOMS,
        name="atoms",
        title="Atomic columns",
        note="Columns of the clean image are the truth; pairs within "
        f"{TOLERANCE * 1e3:.0f} pm. Outline: found columns that face the vacuum (an "
        "alpha shape, its ball of 0.3 nm) against the true ones that do, as SBD. "
        "Surface there: true surface columns that are found at all; surface real: "
        "columns on the found outline that are true ones at all; surface-atom F1: of "
        "these two. A column near the threshold in one image, within a factor of 0.725 "
        "(the ratio of SBD's thresholds), may be as near below it in the other. One "
        "threshold: F1 without that.",
        **chosen,
    )


def _by_detectability(found: Found, chosen: Mapping[str, Any]) -> Table:
    return breakdown(
        found,
        _SURFACE_ATOMS,
        groups.detectable,
        name="surface-by-detectability",
        title="Surface-atom F1 by how well a single surface column can be seen",
        order=groups.DETECTABILITY,
        note="d': the median over the surface columns of an image. An observer who "
        "knows everything of a column but whether it is there, and has its counts "
        "alone, is wrong in 16 % of the cases at d' = 2, in 2 % at 4, in 0.1 % at 6; "
        "only who knows that rows go on can do better.",
        **chosen,
    )


def _vacuum(found: Found, chosen: Mapping[str, Any], dose: float) -> list[Block]:
    keys = [distance_key(low) for low in DISTANCES[:-1]]
    rows, lines = [], {}
    middle = [
        (low + high) / 2 if math.isfinite(high) else low * 1.2
        for low, high in itertools.pairwise(DISTANCES)
    ]
    for label in found.labels:
        of_label = found.of(label, **chosen)
        row: dict[str, Any] = {
            "denoiser": label,
            "invented": total(of_label, "invented_in_vacuum"),
            "images": sum(bool(one.get("invented_in_vacuum")) for one in of_label),
            "per_image": mean(of_label, "invented_columns"),
            "missed": mean(of_label, "missed_columns"),
            "vacuum_rms": root_mean_square(of_label, "vacuum_rms"),
            **{key: root_mean_square(of_label, key) for key in keys},
        }
        rows.append(row)
        known = [(x, row[key]) for x, key in zip(middle, keys, strict=True)]
        told = [(x, value) for x, value in known if value]
        lines[label] = ([x for x, _ in told], [value for _, value in told])
    columns = (
        DENOISER,
        Column(key="invented", heading="invented in vacuum", digits=0, best="least"),
        Column(key="images", heading="images with any", best="least"),
        Column(key="per_image", heading="invented, all, per image", digits=2),
        Column(key="missed", heading="missed per image", digits=2),
        Column(
            key="vacuum_rms",
            heading="vacuum rms [10^-3]",
            digits=2,
            factor=1e3,
            best="least",
        ),
        *(
            Column(
                key=key,
                heading=f"{low:g}–{high:g} nm" if math.isfinite(high) else f"> {low:g}",
                digits=2,
                factor=1e3,
                best="least",
            )
            for key, low, high in zip(keys, DISTANCES, DISTANCES[1:], strict=False)
        ),
    )
    table = Table(
        name="vacuum",
        title="What is not there: invented columns, and the error in vacuum",
        columns=columns,
        rows=rows,
        note="Invented in vacuum: columns found farther than 0.3 nm from every true "
        "one, where the clean image has not even a fringe; summed over the images. "
        f"Root mean square of denoised less true, divided by the dose ({dose:g}), "
        "in vacuum, by the distance from the nearest column.",
    )
    picture = Picture(
        name="vacuum",
        caption="Error in vacuum by the distance from the nearest column.",
        png=plots.curves(
            lines, x="distance [nm]", y="rms error [e-/px at dose 1]", log_y=True
        ),
    )
    return [table, picture]


def _generalisation(study: SbdStudy, found: Found) -> list[Block]:
    dose = study.doses[0]
    first = study.contrasts[0]

    def by(
        name: str, title: str, group: Any, *, order: Any = None, note: str = ""
    ) -> Table:
        return breakdown(
            found,
            _PSNR,
            group,
            name=f"psnr-by-{name}",
            title=f"PSNR [dB] by {title}",
            order=order,
            note=note,
            dose=dose,
            **({} if name == "contrast" else {"contrast": first}),
        )

    tables: list[Block] = [
        by("contrast", "contrast", groups.named("contrast"), order=study.contrasts),
        by("thickness", "thickness of the support", groups.thickness),
        by("tilt", "tilt", groups.tilt),
        by("defocus", "defocus", groups.defocus, order=groups.DEFOCUS),
        by(
            "structure",
            "size of the particle",
            groups.named("structure"),
            order=("small", "medium", "large", "none"),
            note="Ours has three sizes of particle where SBD have four models.",
        ),
        by("defect", "defect of the surface", groups.named("defect")),
    ]
    return [
        Heading(text="Generalisation"),
        Words(
            text=f"All but the first of {first} contrast only. The published tables "
            "are of networks trained on the row and tested on the column."
        ),
        *tables,
        *_published_matrices(),
    ]


def _published_matrices() -> list[Block]:
    source = "Computed from the logs in SBD's repository; other images than ours."
    tables: list[Block] = []
    for name, title, rows in (
        ("contrast", "contrast: PSNR [dB], SSIM", published.SBD_CONTRAST),
        ("structure", "particle: PSNR [dB]", published.SBD_STRUCTURE),
        ("defect", "defect: PSNR [dB]", published.SBD_DEFECT),
    ):
        columns = [
            Column(
                key=key,
                heading="trained on" if key == "trained" else key,
                digits=2,
                text=key == "trained",
            )
            for key in rows[0]
        ]
        tables.append(
            Table(
                name=f"published-{name}",
                title=f"Published: {title}",
                columns=columns,
                rows=rows,
                note=source,
            )
        )
    return tables


def _fields(found: Found, chosen: Mapping[str, Any]) -> list[Block]:
    edges = sorted(
        {
            int(key.removeprefix("field_"))
            for row in found.rows
            for key in row
            if key.startswith("field_") and key.removeprefix("field_").isdigit()
        }
    )
    if not edges:
        return []
    blocks: list[Block] = [
        Heading(text="Field of view"),
        Words(
            text="The image is cut into crops that are denoised one by one, as images "
            "of their own: what a denoiser gains from seeing more. In the middles of "
            "the crops, a quarter of the pixels, less is missing at their borders."
        ),
    ]
    for start, title in (("field_", "all pixels"), ("field_middle_", "middles only")):
        name = start.strip("_").replace("_", "-")
        rows = []
        for label in found.labels:
            of_label = found.of(label, **chosen)
            row = {f"{edge}": mean(of_label, f"{start}{edge}") for edge in edges}
            rows.append({"denoiser": label, **row})
        rows = [row for row in rows if any(row[f"{edge}"] for edge in edges)]
        columns = [
            DENOISER,
            *(
                Column(key=f"{edge}", heading=f"{edge} px", digits=2, best="most")
                for edge in edges
            ),
        ]
        blocks.append(
            Table(
                name=name,
                title=f"PSNR, peak 1, unclipped [dB], by the side of the crop, {title}",
                columns=columns,
                rows=rows,
            )
        )
        lines = {
            str(row["denoiser"]): (
                [edge for edge in edges if row[f"{edge}"] is not None],
                [float(v) for edge in edges if (v := row[f"{edge}"]) is not None],
            )
            for row in rows
        }
        blocks.append(
            Picture(
                name=name,
                caption=f"Quality against the field of view, {title}.",
                png=plots.curves(lines, x="side of the crop [px]", y="PSNR [dB]"),
            )
        )
    return blocks
