"""How well the filters denoise at their very best, and whether a network beats them.

The protocol: sections of the ISBI 2012 stack (serial-section TEM of fly neural tissue),
averaged over blocks of 4 x 4 pixels, are the ground truth; at full size their own shot
noise would be scored as signal. Scaled to [0, 1] over the stack and given Poisson
noise at several peak doses, they are denoised by every filter with the parameters that
minimise the mean squared error *to the truth itself*, searched over all its
parameters, with and without variance stabilisation and at several binnings. A real
user cannot tune like that: it is the most that a filter could reach.

    python benchmarks/filter_quality.py isbi2012-sstem-stack.tif \
        --denoiser general --json filter_quality.json --markdown filter_quality.md
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lowdose
from lowdose.filters.searching import SEARCH, Axis, search
from lowdose.filters.tuning import denoise_frames, tune_to_truth
from lowdose.noise import sample_poisson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Stack = NDArray[np.float32]

Values = dict[str, Any]

PEAKS = (5.0, 20.0, 100.0)
SEED = 20120
VST = ("none", "counts")
BINNINGS = (1, 2, 3, 4)

__all__ = ["SEARCH", "Axis", "search"]


def ground_truth(path: Path, *, block: int = 4) -> Stack:
    """Read a stack, average blocks of pixels and scale it to [0, 1] over the stack."""
    stack = np.asarray(lowdose.read(path)).astype(np.float64)
    frames, height, width = stack.shape
    height, width = height // block * block, width // block * block
    means = (
        stack[:, :height, :width]
        .reshape(frames, height // block, block, width // block, block)
        .mean(axis=(2, 4))
    )
    low, high = means.min(), means.max()
    return np.asarray((means - low) / (high - low), dtype=np.float32)


def noisy_counts(truth: Stack, peak: float, *, seed: int = SEED) -> Stack:
    """Draw counts whose brightest pixel of the stack expects `peak` electrons."""
    rng = np.random.default_rng([seed, round(1000 * peak)])
    return sample_poisson(truth * peak, rng)


def apply_filter(name: str, counts: Stack, values: Mapping[str, Any]) -> Stack:
    """Denoise each frame as a whole and keep its mean, as :func:`lowdose.denoise`."""
    return denoise_frames(name, counts, values)


def scores(estimate: Stack, truth: Stack) -> dict[str, float]:
    """Return MSE, and PSNR [dB] for a peak of 1 and for each frame's own range."""
    errors = np.square(estimate.astype(np.float64) - truth).mean(axis=(1, 2))
    ranges = np.ptp(truth, axis=(1, 2)).astype(np.float64)
    return {
        "mse": float(errors.mean()),
        "psnr": float(np.mean(-10 * np.log10(errors))),
        "psnr_range": float(np.mean(10 * np.log10(np.square(ranges) / errors))),
    }


def tune(
    name: str, counts: Stack, truth: Stack, peak: float, *, sections: int = 3
) -> Values:
    """Find the parameters of a filter that come nearest to the truth."""
    return tune_to_truth(
        name,
        counts,
        truth,
        scale=peak,
        first=sections,
        vst=VST,
        binnings=BINNINGS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One denoiser at one dose."""

    denoiser: str
    peak: float
    values: Values
    mse: float
    psnr: float
    psnr_range: float
    seconds: float


def filter_row(name: str, *, truth: Stack, peak: float, sections: int) -> Row:
    """Tune a filter at one dose and score it."""
    began = time.perf_counter()
    counts = noisy_counts(truth, peak)
    values = tune(name, counts, truth, peak, sections=sections)
    found = scores(apply_filter(name, counts, values) / peak, truth)
    return Row(
        denoiser=name,
        peak=peak,
        values=values,
        seconds=time.perf_counter() - began,
        **found,
    )


def denoiser_row(text: str, *, truth: Stack, peak: float) -> Row:
    """Score a denoiser as it is: ``"NAME"`` or ``"NAME:key=value,key=value"``."""
    name, _, settings = text.partition(":")
    values = dict(pair.split("=", 1) for pair in settings.split(",") if pair)
    began = time.perf_counter()
    result = np.asarray(lowdose.denoise(noisy_counts(truth, peak), name, **values))
    return Row(
        denoiser=name,
        peak=peak,
        values=values,
        seconds=time.perf_counter() - began,
        **scores(result / peak, truth),
    )


def noisy_row(*, truth: Stack, peak: float) -> Row:
    """Score the noisy counts themselves."""
    found = scores(noisy_counts(truth, peak) / peak, truth)
    return Row(denoiser="(noisy)", peak=peak, values={}, seconds=0.0, **found)


def to_markdown(rows: Sequence[Row]) -> str:
    """Return one table per dose, the best first."""
    lines = [
        "MSE x 10^-3 on truth in [0, 1], and PSNR [dB] for a peak of 1 and for the "
        "range of each section; filters tuned on the truth.",
    ]
    for peak in sorted({row.peak for row in rows}):
        lines += [
            "",
            f"### Peak {peak:g} counts/px",
            "",
            "| Denoiser | MSE x 10^-3 | PSNR, peak 1 | PSNR, range | Parameters |",
            "|---|---:|---:|---:|---|",
        ]
        at_peak = sorted((r for r in rows if r.peak == peak), key=lambda row: row.mse)
        lines += [
            f"| {row.denoiser} | {1e3 * row.mse:.4f} | {row.psnr:.2f} | "
            f"{row.psnr_range:.2f} | {_in_words(row.values)} |"
            for row in at_peak
        ]
    return "\n".join(lines) + "\n"


def _in_words(values: Values) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def to_json(rows: Sequence[Row]) -> str:
    """Return all rows as JSON."""
    records = [
        {field: getattr(row, field) for field in Row.__dataclass_fields__}
        for row in rows
    ]
    return json.dumps({"seed": SEED, "rows": records}, indent=2) + "\n"


def run(
    truth: Stack,
    *,
    peaks: Sequence[float] = PEAKS,
    names: Sequence[str] = tuple(SEARCH),
    denoisers: Sequence[str] = (),
    sections: int = 3,
    jobs: int = 1,
) -> list[Row]:
    """Score noisy counts, filters and denoisers at every dose."""
    rows = [noisy_row(truth=truth, peak=peak) for peak in peaks]
    work = list(itertools.product(names, peaks))
    one = functools.partial(_filter_job, truth=truth, sections=sections)
    if jobs == 1:
        rows += [_told(one(pair)) for pair in work]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            rows += [_told(row) for row in pool.map(one, work)]
    for name, peak in itertools.product(denoisers, peaks):
        rows.append(_told(denoiser_row(name, truth=truth, peak=peak)))
    return rows


def _filter_job(pair: tuple[str, float], *, truth: Stack, sections: int) -> Row:
    return filter_row(pair[0], truth=truth, peak=pair[1], sections=sections)


def _told(row: Row) -> Row:
    print(
        f"{row.denoiser:14s} peak {row.peak:5g}  mse {row.mse:.6f}  "
        f"{row.seconds:6.1f} s  {_in_words(row.values)}",
        file=sys.stderr,
        flush=True,
    )
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("stack", type=Path, help="the ISBI 2012 stack")
    parser.add_argument("--peaks", type=float, nargs="+", default=list(PEAKS))
    parser.add_argument("--filters", nargs="*", default=list(SEARCH), metavar="NAME")
    parser.add_argument(
        "--denoiser",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        help="a denoiser to score beside the filters, as it is",
    )
    parser.add_argument("--sections", type=int, default=3, help="to tune on at first")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    rows = run(
        ground_truth(options.stack),
        peaks=options.peaks,
        names=options.filters,
        denoisers=options.denoiser,
        sections=options.sections,
        jobs=options.jobs,
    )
    if options.json:
        options.json.write_text(to_json(rows), encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(to_markdown(rows), encoding="utf-8")
    print(to_markdown(rows), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
