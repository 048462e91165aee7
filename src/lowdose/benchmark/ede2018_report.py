"""The report of the protocol ``ede2018``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.benchmark import plots, published
from lowdose.benchmark.found import deviation, mean, numbers
from lowdose.benchmark.parts import DENOISER, closing, image_panels
from lowdose.benchmark.report import Heading, Picture, Report, Words
from lowdose.benchmark.tables import Column, Table
from lowdose.simulation.detector import unit_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.benchmark.ede2018 import EdeStudy
    from lowdose.benchmark.found import Found
    from lowdose.benchmark.report import Block
    from lowdose.benchmark.study import Item

#: Bins of the histograms, and where those of the MSE end, as in the paper's code.
BINS: Final = 200
MOST_MSE: Final = 0.012
#: Strength of the adaptive equalisation of the maps, and the corner shown as it is.
_CLIP, _CORNER = 0.15, 16
_REGIMES: Final = ("low", "ordinary")
_SCORED: Final = (("mse", "as published"), ("mse_electrons", "in electrons"))
_WORDS: Final = {"low": "low dose, 25 + Exp(75)", "ordinary": "ordinary, U(200, 2500)"}


def ede_report(study: EdeStudy, found: Found) -> Report:
    """Return the tables and pictures of the protocol ``ede2018``."""
    blocks: list[Block] = [
        Words(
            text=f"{study.pool.label}; {study.count} instances at each dose, crops of "
            f"at most {study.side} px, seed {study.seed}."
        ),
        Heading(text="Table 1"),
        _table(
            found,
            "mse",
            "ssim",
            name="table1",
            title="MSE and SSIM as in the paper",
            note="Counts and truth as in the paper: rescaled by their own extremes, "
            "the truth matched to their mean. SSIM by the range of the denoised image. "
            "Filters with preset=ede2018 are the calls of its code.",
        ),
        _published(),
        Words(text=published.EDE_NOTE),
        _table(
            found,
            "mse_electrons",
            "ssim_electrons",
            name="table1-electrons",
            title="The same in electrons: denoised / s against x",
            note="Nothing is rescaled by extremes of noise, so the truth is that "
            "of the counts; SSIM by the range of the truth.",
        ),
        *_gains(found),
        *_by_set(study, found),
        *_distributions(found),
        *_maps(study, found),
        *_spectra(found),
        Heading(text="Images"),
        *image_panels(
            found,
            [item for item in study.items if item.pictured],
            describe=_caption,
            side=256,
        ),
        *closing(found),
    ]
    return Report(title="Benchmark ede2018: Poisson instances of crops", blocks=blocks)


def _caption(item: Item) -> str:
    return (
        f"Instance {item.record['instance']}, {_WORDS[item.level]}; the middle, with "
        "the greys of the truth."
    )


def _columns() -> list[Column]:
    columns = [DENOISER]
    for regime in _REGIMES:
        columns += [
            Column(
                key=f"{regime}_mse",
                heading=f"{regime}: MSE [10^-3]",
                digits=3,
                best="least",
            ),
            Column(key=f"{regime}_mse_std", heading="± std", digits=3),
            Column(key=f"{regime}_ssim", heading="SSIM", digits=3, best="most"),
            Column(key=f"{regime}_ssim_std", heading="± std", digits=3),
        ]
    return columns


def _table(
    found: Found, error: str, similarity: str, *, name: str, title: str, note: str
) -> Table:
    rows = []
    for label in found.labels:
        row: dict[str, Any] = {"denoiser": label}
        for regime in _REGIMES:
            of = found.of(label, regime=regime)
            row |= {
                f"{regime}_mse": _thousands(mean(of, error)),
                f"{regime}_mse_std": _thousands(deviation(of, error)),
                f"{regime}_ssim": mean(of, similarity),
                f"{regime}_ssim_std": deviation(of, similarity),
            }
        rows.append(row)
    return Table(name=name, title=title, columns=_columns(), rows=rows, note=note)


def _thousands(value: float | None) -> float | None:
    return None if value is None else 1e3 * value


def _published() -> Table:
    return Table(
        name="published-table1",
        title="Published: Table 1, 20,000 instances of 512 px crops at each dose",
        columns=_columns(),
        rows=published.EDE_TABLE,
        note="Other micrographs than ours, with their own noise in the truth.",
    )


def _gains(found: Found) -> list[Block]:
    """Return by how much networks are better than the best filters."""
    networks = [method for method in found.methods if method.network]
    defaults = [m.label for m in found.methods if m.as_published]
    tuned = [method.label for method in found.methods if method.tuning]
    if not networks or not (defaults or tuned):
        return []
    rows = []
    for method in networks:
        for regime in _REGIMES:
            for error, what in _SCORED:
                own = mean(found.of(method.label, regime=regime), error)
                row: dict[str, Any] = {
                    "denoiser": method.label,
                    "regime": regime,
                    "scored": what,
                }
                for key, labels in (("default", defaults), ("tuned", tuned)):
                    known = [
                        (value, label)
                        for label in labels
                        if (value := mean(found.of(label, regime=regime), error))
                    ]
                    if known and own is not None:
                        best, label = min(known)
                        row[key], row[f"{key}_name"] = 100 * (1 - own / best), label
                rows.append(row)
    columns = (
        DENOISER,
        Column(key="regime", heading="dose", text=True),
        Column(key="scored", heading="scored", text=True),
        Column(key="default", heading="below the best default [%]", digits=1),
        Column(key="default_name", heading="which is", text=True),
        Column(key="tuned", heading="below the best tuned [%]", digits=1),
        Column(key="tuned_name", heading="which is", text=True),
    )
    return [
        Table(
            name="gains",
            title="Mean squared error of networks below that of the best filter",
            columns=columns,
            rows=rows,
            note="Published: 24.6 % below Chambolle TV at the low dose; 43.7 % at the "
            "ordinary one below the wavelet (41.6 % below the Gaussian, which was "
            "better). Negative: the filter is better.",
        )
    ]


def _by_set(study: EdeStudy, found: Found) -> list[Block]:
    """Return the mean squared error on each of several sets."""
    sets = list(dict.fromkeys(item.record.get("set") for item in study.items))
    if len(sets) < 2:
        return []
    parts = [(regime, name) for regime in _REGIMES for name in sets]
    columns = [DENOISER] + [
        Column(
            key=f"{regime}-{name}", heading=f"{regime}: {name}", digits=3, best="least"
        )
        for regime, name in parts
    ]
    rows = [
        {"denoiser": label}
        | {
            f"{regime}-{name}": _thousands(
                mean(found.of(label, regime=regime, set=name), "mse_electrons")
            )
            for regime, name in parts
        }
        for label in found.labels
    ]
    each = ", ".join(
        f"{sum(item.record.get('set') == name for item in study.items) // 2} of {name}"
        for name in sets
    )
    return [
        Table(
            name="by-set",
            title="MSE in electrons [10^-3] on each set",
            columns=columns,
            rows=rows,
            note=f"Instances at each dose: {each}. Filters are tuned on all sets "
            "together.",
        )
    ]


def _distributions(found: Found) -> list[Block]:
    blocks: list[Block] = [
        Heading(text="Distributions"),
        Words(
            text=f"{BINS} bins; MSE above {MOST_MSE} is counted as that, SSIM is "
            "clipped to 0 to 1. Curves: Gaussian kernel density with Scott's rule, "
            "scaled to a peak of 1."
        ),
    ]
    for regime in _REGIMES:
        for key, high, title in (("mse", MOST_MSE, "MSE"), ("ssim", 1.0, "SSIM")):
            values = {
                label: np.clip(numbers(found.of(label, regime=regime), key), 0, high)
                for label in found.labels
            }
            lines = {label: density(some, high) for label, some in values.items()}
            name = f"distribution-{regime}-{key}"
            blocks += [
                Picture(
                    name=name,
                    caption=f"{title}, {_WORDS[regime]}.",
                    png=plots.curves(lines, x=title, y="density", markers=False),
                ),
                _histogram(values, high, name=f"histogram-{regime}-{key}", title=title),
            ]
    return blocks


def density(
    values: NDArray[np.float64], high: float
) -> tuple[Sequence[float], Sequence[float]]:
    """Return a kernel density of values from 0 to `high`, scaled to a peak of 1.

    The bandwidth is Scott's: the standard deviation times n^(-1/5) [1]_. Nothing is
    returned of fewer than two values, or of equal ones.

    References
    ----------
    .. [1] D. W. Scott, "Multivariate density estimation", Wiley (1992),
       doi:10.1002/9780470316849.
    """
    from scipy.stats import gaussian_kde

    if len(values) < 2 or np.ptp(values) == 0:
        return (), ()
    across = np.linspace(0, high, BINS)
    up = gaussian_kde(values, bw_method="scott")(across)
    peak = float(up.max())
    return across.tolist(), (up / peak if peak > 0 else up).tolist()


def _histogram(
    values: dict[str, NDArray[np.float64]], high: float, *, name: str, title: str
) -> Table:
    edges = np.linspace(0, high, BINS + 1)
    counts = {label: np.histogram(some, edges)[0] for label, some in values.items()}
    rows = [
        {
            "low": float(edges[n]),
            "high": float(edges[n + 1]),
            **{label: int(found[n]) for label, found in counts.items()},
        }
        for n in range(BINS)
    ]
    columns = [Column(key=key, heading=key) for key in ("low", "high", *values)]
    return Table(
        name=name,
        title=f"Histogram of the {title}",
        columns=columns,
        rows=rows,
        shown=False,
    )


def _maps(study: EdeStudy, found: Found) -> list[Block]:
    """Return maps of the mean absolute error, and what is in them."""
    blocks: list[Block] = []
    rows = []
    for regime in _REGIMES:
        shown: dict[str, Any] = {}
        corners: dict[str, Any] = {}
        for label in found.labels:
            kept = found.sums(label, f"{regime}-error")
            if kept is None:
                continue
            errors = kept[0] / kept[1]
            shown[label], corners[label] = equalised(errors), errors
            rows.append(
                {
                    "denoiser": label,
                    "regime": regime,
                    "instances": kept[1],
                    "mean": float(errors.mean()),
                    "least": float(errors.min()),
                    "most": float(errors.max()),
                    "rim": _rim(errors),
                }
            )
        if not shown:
            continue
        corners = {
            label: errors[:_CORNER, :_CORNER] for label, errors in corners.items()
        }
        blocks += [
            Picture(
                name=f"error-map-{regime}",
                caption=f"Mean absolute error, {_WORDS[regime]}, equalised adaptively "
                f"(CLAHE, clip limit {_CLIP}), so that greys show patterns and not "
                "sizes.",
                png=plots.images([shown], limits=[(0.0, 1.0)]),
            ),
            Picture(
                name=f"error-corner-{regime}",
                caption=f"Its top left {_CORNER} x {_CORNER} pixels as they are, each "
                "with its own greys.",
                png=plots.images(
                    [{label: unit_range(corner) for label, corner in corners.items()}],
                    limits=[(0.0, 1.0)],
                ),
            ),
        ]
    if not blocks:
        text = f"No crops had the full {study.side} px, so that there are no maps."
        return [Heading(text="Maps of the mean error"), Words(text=text)]
    columns = (
        DENOISER,
        Column(key="regime", heading="dose", text=True),
        Column(key="instances", heading="instances"),
        Column(key="mean", heading="mean", digits=4),
        Column(key="least", heading="least", digits=4),
        Column(key="most", heading="most", digits=4),
        Column(key="rim", heading="rim / middle", digits=3),
    )
    table = Table(
        name="error-maps",
        title="Mean absolute error per pixel of the crop",
        columns=columns,
        rows=rows,
        note="Rim / middle: the mean over the outer two pixels by that over the "
        "others. Published for the network: means 0.0177 and 0.0102, higher within a "
        "few pixels of the border.",
    )
    return [Heading(text="Maps of the mean error"), table, *blocks]


def equalised(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a map rescaled to 0 to 1 and equalised adaptively (CLAHE)."""
    from skimage.exposure import equalize_adapthist

    span = float(np.ptp(errors))
    if span == 0:
        return np.full(errors.shape, 0.5)
    unit = (errors - errors.min()) / span
    adapted: Any = equalize_adapthist  # scikit-image has no types
    return np.asarray(adapted(unit, clip_limit=_CLIP), np.float64)


def _rim(errors: NDArray[np.float64]) -> float:
    inside = np.zeros(errors.shape, bool)
    inside[2:-2, 2:-2] = True
    return float(errors[~inside].mean() / errors[inside].mean())


def _spectra(found: Found) -> list[Block]:
    blocks: list[Block] = []
    for regime in _REGIMES:
        lines = {}
        truth = found.sums(found.labels[0], f"{regime}-truth-spectrum")
        if truth is not None:
            lines["truth"] = _line(truth[0] / truth[1])
        for label in found.labels:
            kept = found.sums(label, f"{regime}-spectrum")
            if kept is not None:
                lines[label] = _line(kept[0] / kept[1])
        if lines:
            blocks.append(
                Picture(
                    name=f"spectrum-{regime}",
                    caption=f"Mean amplitude of rings of the spectrum, of sum 1, "
                    f"{_WORDS[regime]}.",
                    png=plots.curves(
                        lines,
                        x="frequency [1/px]",
                        y="amplitude",
                        log_y=True,
                        markers=False,
                    ),
                )
            )
    return [Heading(text="Spectra"), *blocks] if blocks else []


def _line(means: NDArray[np.float64]) -> tuple[Sequence[float], Sequence[float]]:
    across = (np.arange(len(means)) + 0.5) / (2 * len(means))
    return across[1:].tolist(), means[1:].tolist()
