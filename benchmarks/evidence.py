"""Whether evidence is high for columns that are there and low for all others.

Simulated Pt particles on ceria (``lowdose simulate sbd-sharp``), 0.45 electrons per
pixel in vacuum, denoised by a network or a filter. Columns are added to the denoised
image by hand where the specimen has none, and others are taken out of it; evidence is
computed from the noisy counts. It prints, and writes as JSON and Markdown:

* the area under the ROC curve of our evidence for real against invented columns, beside
  SBD's formula on the same images, in all and by place: in vacuum, at the surface of
  the particle, and between columns inside;
* the same for columns that were taken out, by the local deviance of the counts;
* the distribution of p-values on images simulated from the hypothesis itself;
* what happens to columns that a filter makes of pure noise, with and without splitting
  the electrons;

and draws SBD's likelihood figure and its gradient figure anew.

    lowdose simulate sbd-sharp -o sbd.h5 --count 32 --seed 606
    python benchmarks/evidence.py sbd.h5 --denoiser general --pictures docs/images/trust

The pictures need matplotlib, which comes with the extra ``simulate``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import evidence_pictures
import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from scipy.stats import kstest, rankdata

from lowdose import catalogue
from lowdose.inference.engine import denoise
from lowdose.micrograph import Calibration, Micrograph
from lowdose.simulation.dataset import Dataset
from lowdose.trust.column_test import local_test, measure_height
from lowdose.trust.columns import Columns, find_columns, place_columns
from lowdose.trust.counting import compare_counts
from lowdose.trust.deviance import DevianceOptions, local_deviance
from lowdose.trust.evidence import column_evidence
from lowdose.trust.surface import surface_columns

SEED = 4500
#: Columns added to and removed from every frame, at most, of each place.
EACH = 8
#: How near a column of the clean image makes a shown column real [spacings].
REAL = 0.3
#: Where columns are added: far from everything, beside the outermost columns, and in
#: the middle between two columns.
PLACES = ("vacuum", "surface", "between")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One simulated frame, denoised.

    Parameters
    ----------
    number : int
        In the data set.
    clean, noisy, denoised : Micrograph
        Expected electrons, counts, and what a denoiser made of them.
    truth : Columns
        Columns of the clean image.
    """

    number: int
    clean: Micrograph
    noisy: Micrograph
    denoised: Micrograph
    truth: Columns


def frames(path: Path, denoiser: Any, limit: int | None) -> list[Frame]:
    """Read, count and denoise every frame whose columns are bright and visible."""
    made = []
    with Dataset(path) as dataset:
        for number in range(len(dataset)):
            row = dataset.parameters[number]
            # Near focus there is hardly any contrast, and columns are dark.
            if row["contrast"] != "white" and float(row["defocus"]) < 5:
                continue
            size = float(row["pixel_size"])
            calibration = Calibration.from_spacing((size, size), ("nm", "nm"))
            clean = Micrograph(dataset[number], calibration, f"frame {number}")
            rng = np.random.default_rng([SEED, number])
            counts = rng.poisson(np.maximum(dataset[number], 0)).astype(np.float32)
            noisy = clean.replace(data=counts)
            truth = find_columns(clean, polarity="bright")
            made.append(
                Frame(
                    number=number,
                    clean=clean,
                    noisy=noisy,
                    denoised=denoise(noisy, denoiser),
                    truth=truth,
                )
            )
            if limit and len(made) >= limit:
                break
    return made


def roc_area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the area under the ROC curve; ties count half (Mann-Whitney)."""
    ranks = rankdata(np.concatenate([positive, negative]))
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def sites(frame: Frame, shown: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Choose where columns are invented: in vacuum, at the surface, and between."""
    truth = frame.truth
    spacing = truth.spacing
    shape = np.array(truth.shape)
    known = cKDTree(np.concatenate([truth.positions, shown.positions]))
    margin = 0.75 * spacing

    def spread(candidates: np.ndarray, least: float, most: float) -> np.ndarray:
        inside = ((candidates > margin) & (candidates < shape - margin)).all(1)
        candidates = rng.permutation(candidates[inside])
        distance = known.query(candidates)[0] if len(candidates) else np.zeros(0)
        chosen: list[np.ndarray] = []
        for place in candidates[(distance >= least) & (distance <= most)]:
            near = [np.hypot(*(place - other)) for other in taken + chosen]
            if not near or min(near) > 2 * spacing:
                chosen.append(place)
            if len(chosen) == EACH:
                break
        taken.extend(chosen)
        return np.array(chosen).reshape(-1, 2)

    taken: list[np.ndarray] = []
    surface = truth.positions[surface_columns(truth)]
    angles = rng.uniform(0, 2 * np.pi, 40)
    ring = np.stack([np.sin(angles), np.cos(angles)], 1) * spacing
    beside = (surface[:, None] + ring).reshape(-1, 2)
    pairs = cKDTree(truth.positions).query_pairs(1.6 * spacing, output_type="ndarray")
    middle = truth.positions[pairs].mean(1)
    anywhere = rng.uniform(0, 1, (2000, 2)) * shape
    return {
        "surface": spread(beside, 0.85 * spacing, 1.2 * spacing),
        "between": spread(middle, 0.4 * spacing, 0.9 * spacing),
        "vacuum": spread(anywhere, 2.5 * spacing, np.inf),
    }


def edited(
    frame: Frame, rng: np.random.Generator
) -> tuple[Micrograph, Columns, np.ndarray, np.ndarray, np.ndarray]:
    """Add columns to a denoised image and take others out.

    Returns
    -------
    denoised : Micrograph
        The edited image, with the mean it had.
    columns : Columns
        Those that it shows, the added ones last.
    labels : ndarray of str
        ``real``, ``unclear`` (not near enough to a column of the clean image), or
        the place where one was added.
    removed : ndarray, shape (N, 2)
        Where real columns were taken out.
    controls : ndarray, shape (M, 2)
        Real columns that were left, to compare the removed ones with.
    """
    image = np.asarray(frame.denoised, np.float64)
    shown = find_columns(frame.denoised, scale_px=frame.truth.scale, polarity="bright")
    spacing = frame.truth.spacing
    real = cKDTree(frame.truth.positions).query(shown.positions)[0] < REAL * spacing
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]

    def spot(at: np.ndarray, sigma: float) -> np.ndarray:
        square = (y - at[0]) ** 2 + (x - at[1]) ** 2
        return np.asarray(np.exp(-square / (2 * sigma**2)))

    inner = (np.minimum(shown.positions, np.array(image.shape) - shown.positions)).min(
        1
    )
    usable = np.flatnonzero(real & shown.fitted & (inner > spacing))
    removed_numbers = rng.permutation(usable)[:EACH]
    for number in removed_numbers:
        image -= shown.height[number] * spot(
            shown.positions[number], shown.sigma[number]
        )
    # An invented column looks like the real ones: height and width of one of them.
    added, labels = [], []
    for place, points in sites(frame, shown, rng).items():
        for at in points:
            model = rng.choice(usable)
            image += shown.height[model] * spot(at, shown.sigma[model])
            added.append(at)
            labels.append(place)
    image += np.asarray(frame.denoised, np.float64).mean() - image.mean()
    kept = np.setdiff1d(np.arange(len(shown)), removed_numbers)
    positions = np.concatenate([shown.positions[kept], np.array(added).reshape(-1, 2)])
    denoised = frame.denoised.replace(data=image.astype(np.float32))
    columns = place_columns(denoised, positions, scale_px=shown.scale)
    first = np.where(real[kept], "real", "unclear")
    return (
        denoised,
        columns,
        np.concatenate([first, np.array(labels, dtype=first.dtype)]),
        shown.positions[removed_numbers],
        shown.positions[np.intersect1d(kept, usable)],
    )


def invented_and_missing(chosen: list[Frame]) -> dict[str, Any]:
    """Score the evidence for real against invented columns, and for missing ones."""
    scores: dict[str, list[np.ndarray]] = {
        name: [] for name in ("ours", "p", "vacuum", "sbd")
    }
    labels, missing, left, verdicts = [], [], [], []
    for frame in chosen:
        rng = np.random.default_rng([SEED, frame.number, 1])
        denoised, columns, label, removed, controls = edited(frame, rng)
        # Drawn by hand, as SBD's is: far from every column, real or added.
        vacuum = far(frame.truth.positions, 1.5 * frame.truth.spacing, frame)
        vacuum &= far(columns.positions[np.isin(label, PLACES)], 30, frame)
        if vacuum.mean() < 0.02:
            print(f"{frame.clean.name}: no vacuum in view, left out", file=sys.stderr)
            continue
        found = column_evidence(frame.noisy, denoised, columns=columns, vacuum=vacuum)
        scores["ours"].append(found.llr)
        scores["p"].append(-found.p)
        scores["vacuum"].append(found.llr_vacuum)
        scores["sbd"].append(found.mean_likelihood_ratio)
        labels.append(label)
        verdicts.append(np.array(found.verdicts))
        scale = columns.scale
        deviance = local_deviance(
            frame.noisy,
            denoised,
            options=DevianceOptions(diameter_px=2.5 * scale, draws=20),
        )
        missing.append(at(deviance.score, removed))
        left.append(at(deviance.score, controls))
        print(f"{frame.clean.name}: {len(label)} columns", file=sys.stderr)
    label, verdict = np.concatenate(labels), np.concatenate(verdicts)
    result: dict[str, Any] = {
        "frames": len(labels),
        "columns": {name: int((label == name).sum()) for name in ("real", *PLACES)},
        "roc": {},
        "verdicts": {
            name: {
                v: int(((label == name) & (verdict == v)).sum())
                for v in ("supported", "contradicted", "undecided")
            }
            for name in ("real", *PLACES)
        },
    }
    for name, parts in scores.items():
        score = np.concatenate(parts)
        real = score[label == "real"]
        result["roc"][name] = {
            place: roc_area(real, score[label == place])
            for place in PLACES
            if (label == place).any()
        }
        result["roc"][name]["all"] = roc_area(real, score[np.isin(label, PLACES)])
    gone, there = np.concatenate(missing), np.concatenate(left)
    result["missing"] = {
        "removed": len(gone),
        "controls": len(there),
        "roc": roc_area(gone, there),
    }
    return result


def far(positions: np.ndarray, least: float, frame: Frame) -> np.ndarray:
    """Return the pixels that are farther than this from all positions."""
    away = np.ones(frame.truth.shape, bool)
    inside = np.clip(np.rint(positions).astype(int), 0, np.array(away.shape) - 1)
    away[tuple(inside.T)] = False
    return np.asarray(distance_transform_edt(away) > least)


def at(score: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return a map at positions."""
    return np.asarray(score[tuple(np.rint(positions).astype(int).T)])


def null_distribution(chosen: list[Frame], wanted: int) -> dict[str, Any]:
    """Draw counts from denoised images without the columns that are tested."""
    p: list[float] = []
    repeat = 0
    prepared = []
    for frame in chosen:
        rng = np.random.default_rng([SEED, frame.number, 1])
        denoised, columns, label, _, _ = edited(frame, rng)
        # The edit counts as the claim; its columns lie apart, so that tests share no
        # pixels.
        counted = compare_counts(frame.noisy, denoised)
        tested = np.flatnonzero(np.isin(label, PLACES))
        absent = counted.rate.copy()
        y, x = np.mgrid[: absent.shape[0], : absent.shape[1]]
        for number in tested:
            height = measure_height(counted, columns, int(number)).claimed
            square = (y - columns.positions[number, 0]) ** 2
            square = square + (x - columns.positions[number, 1]) ** 2
            absent -= height * np.exp(-square / (2 * columns.sigma[number] ** 2))
        prepared.append(
            (counted, columns, [int(n) for n in tested], np.maximum(absent, 0))
        )
    while len(p) < wanted and prepared:
        for counted, columns, tested, absent in prepared:
            rng = np.random.default_rng([SEED, 2, repeat])
            repeat += 1
            drawn = replace(counted, electrons=rng.poisson(absent).astype(float))
            p += [float(np.exp(local_test(drawn, columns, n).log_p)) for n in tested]
    values = np.array(p[:wanted])
    test = kstest(values, "uniform")
    return {
        "columns": len(values),
        "ks": float(test.statistic),
        "ks_p": float(test.pvalue),
        "share below": {str(a): float((values < a).mean()) for a in (0.1, 0.05, 0.01)},
    }


def pure_noise(count: int) -> dict[str, Any]:
    """Let a filter make columns of a flat image, and test them twice."""
    blur = catalogue.load("gaussian", sigma=6.0)
    naive: list[float] = []
    split: list[float] = []
    for seed in range(100):
        rng = np.random.default_rng([SEED, 3, seed])
        noisy = Micrograph(rng.poisson(np.full((256, 256), 0.45)).astype(np.float32))
        denoised = denoise(noisy, blur)
        columns = find_columns(denoised, scale_px=6.0, polarity="bright")
        found = column_evidence(noisy, denoised, columns=columns)
        naive += list(found.p)
        # Columns found on one part of the electrons, tested on the other.
        counted = compare_counts(noisy, denoised)
        first, testing = counted.thinned(0.5, rng)
        half = denoise(first.counts(), blur)
        judged = replace(testing, rate=first.with_rate(half).rate)
        claims = find_columns(Micrograph(judged.rate), scale_px=6.0, polarity="bright")
        apart = separated(claims.positions, 8 * 6.0)
        tests = [local_test(judged, claims, int(n)) for n in apart]
        split += [float(np.exp(t.log_p)) for t in tests]
        if len(split) >= count:
            break
    wrong = np.array(split[:count])
    test = kstest(wrong, "uniform")
    return {
        "columns, same counts": len(naive),
        "called real at 0.05, same counts": float((np.array(naive) < 0.05).mean()),
        "columns, split": len(wrong),
        "called real at 0.05, split": float((wrong < 0.05).mean()),
        "ks_p, split": float(test.pvalue),
    }


def separated(positions: np.ndarray, least: float) -> np.ndarray:
    """Return numbers of positions that lie apart, so that tests share no pixels."""
    kept: list[int] = []
    for number, place in enumerate(positions):
        if all(np.hypot(*(place - positions[other])) > least for other in kept):
            kept.append(number)
    return np.array(kept, int)


def markdown(result: dict[str, Any]) -> str:
    """Return the tables of the document."""
    evidence, null = result["evidence"], result["null"]
    names = {
        "ours": "ours, `llr`",
        "p": "ours, p-value alone",
        "vacuum": "ours, against vacuum",
        "sbd": "SBD's formula",
    }
    places = [*PLACES, "all"]
    lines = [
        "| evidence | " + " | ".join(places) + " |",
        "|---|" + "---|" * len(places),
    ]
    for kind, title in (("evidence", result["denoiser"]), ("ideal", "clean image")):
        for key, name in names.items():
            row = result[kind]["roc"][key]
            values = " | ".join(f"{row[p]:.4f}" if p in row else "-" for p in places)
            lines.append(f"| {title}: {name} | {values} |")
    lines += [
        "",
        "| columns | supported | contradicted | undecided |",
        "|---|---|---|---|",
    ]
    for name, row in evidence["verdicts"].items():
        lines.append(f"| {name} | " + " | ".join(str(n) for n in row.values()) + " |")
    noise = result["noise"]
    lines += [
        "",
        f"Removed columns against columns left, by local deviance: ROC area "
        f"{evidence['missing']['roc']:.4f} ({evidence['missing']['removed']} against "
        f"{evidence['missing']['controls']}); taken out of the clean image "
        f"{result['ideal']['missing']['roc']:.4f}.",
        "",
        f"p-values of {null['columns']} columns on counts drawn without them: "
        f"Kolmogorov-Smirnov p = {null['ks_p']:.3f}; below 0.05: "
        f"{null['share below']['0.05']:.2%}.",
        "",
        f"Columns that a Gaussian filter makes of pure noise, called real at p < 0.05: "
        f"{noise['called real at 0.05, same counts']:.1%} where the same counts test "
        f"them, {noise['called real at 0.05, split']:.1%} where the electrons are "
        f"split ({noise['columns, split']} columns, Kolmogorov-Smirnov p = "
        f"{noise['ks_p, split']:.3f}).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="made by lowdose simulate sbd")
    parser.add_argument("--denoiser", default="general", help="name or model folder")
    parser.add_argument("--frames", type=int, help="how many frames at most")
    parser.add_argument("--columns", type=int, default=2000, help="for the null")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for the figures")
    arguments = parser.parse_args()
    start = time.perf_counter()
    denoiser = catalogue.load(arguments.denoiser)
    chosen = frames(arguments.dataset, denoiser, arguments.frames)
    # The best case of any evidence: a denoised image that is right but for the edit.
    ideal = [replace(frame, denoised=frame.clean) for frame in chosen]
    result = {
        "denoiser": arguments.denoiser,
        "evidence": invented_and_missing(chosen),
        "ideal": invented_and_missing(ideal),
        "null": null_distribution(chosen, arguments.columns),
        "noise": pure_noise(arguments.columns),
    }
    result["minutes"] = (time.perf_counter() - start) / 60
    text = markdown(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(text)
    if arguments.pictures:
        shown = chosen[min(1, len(chosen) - 1)]
        rng = np.random.default_rng([SEED, shown.number, 1])
        denoised, columns, label, removed, _ = edited(shown, rng)
        evidence_pictures.draw(
            arguments.pictures, shown, denoised, columns, label, removed, denoiser
        )


if __name__ == "__main__":
    main()
