"""How well error maps made without the truth predict the true errors.

The protocol: images drawn by formulas (lowdose.simulation.procedural, the kinds in
turn) are given Poisson noise at several doses. The true error of every pixel is the
root mean square over 100 noise instances. The map is predicted from one further
instance alone, by the bootstrap mended with its own bootstrap and with an unbiased
error (lowdose.trust.error_model), and by the plain bootstrap. Reported per dose and
denoiser, over all pixels of all images:

- the correlation of predicted and true map, and the same after averaging both over
  4 x 4 pixels (where fine detail is lost, which pixel suffers is chance);
- the calibration: pixels in ten bins of the predicted error, observed over predicted
  root mean square in each; wanted within 20 %.

    python benchmarks/error_maps.py --json error_maps.json --markdown error_maps.md
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lowdose
from lowdose.noise import sample_poisson
from lowdose.simulation.procedural import KINDS, draw
from lowdose.trust.bootstrap import bootstrap
from lowdose.trust.error_maps import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 6
DOSES = (0.45, 5.0, 100.0)
#: Name, and values that suit a dose of 1 e-/px, of every denoiser.
DENOISERS: dict[str, dict[str, Any]] = {
    "gaussian": {"sigma": 1.5},
    "nl-means": {"vst": "counts"},
    "general": {},
}
BINS = 10
IMAGES, SIZE = 5, 192


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One denoiser at one dose."""

    denoiser: str
    dose: float
    method: str
    correlation: float
    correlation_binned: float
    ratios: tuple[float, ...]

    @property
    def calibrated(self) -> bool:
        """Whether all bins are within 20 %."""
        return all(0.8 <= ratio <= 1.2 for ratio in self.ratios)


def truth_of(number: int, dose: float, size: int) -> NDArray[np.float32]:
    """Draw the rates of one image [e-/px], of mean contrast, at a mean dose."""
    kinds = list(KINDS)
    rng = np.random.default_rng([SEED, number])
    image = 0.5 + draw(kinds[number % len(kinds)], rng, size)
    return np.asarray(dose * image / image.mean(), dtype=np.float32)


def predicted_and_true(
    name: str, dose: float, *, images: int, size: int, instances: int, repeats: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mended, plain and true root mean squared errors, shape (images, H, W)."""
    denoiser = lowdose.load(name, **DENOISERS[name])
    mended, plain, true = [], [], []
    for number in range(images):
        rate = truth_of(number, dose, size)
        noisy = sample_poisson(rate, np.random.default_rng([SEED, number, 1]))
        clean = lowdose.denoise(noisy, denoiser)
        found = bootstrap(noisy, clean, denoiser, repeats=repeats, seed=number)
        mended.append(np.asarray(found.expected.image, dtype=np.float64))
        without = bootstrap(
            noisy, clean, denoiser, repeats=repeats, probes=0, seed=number
        )
        plain.append(np.asarray(without.expected.image, dtype=np.float64))
        reference = errors(rate, denoiser, instances=instances, seed=1000 + number)
        true.append(np.sqrt(np.asarray(reference.squared.image, dtype=np.float64)))
        print(
            f"{name}, {dose:g} e-/px: image {number + 1} of {images}", file=sys.stderr
        )
    return np.stack(mended), np.stack(plain), np.stack(true)


def score(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> dict[str, Any]:
    """Return correlations and the ratios of ten bins."""
    order = np.argsort(predicted, axis=None)
    ratios = [
        float(
            np.sqrt((true.ravel()[p] ** 2).mean() / (predicted.ravel()[p] ** 2).mean())
        )
        for p in np.array_split(order, BINS)
    ]
    return {
        "correlation": _correlation(predicted, true),
        "correlation_binned": _correlation(_binned(predicted), _binned(true)),
        "ratios": tuple(ratios),
    }


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _binned(maps: NDArray[np.float64], block: int = 4) -> NDArray[np.float64]:
    images, height, width = maps.shape
    cut = maps[:, : height // block * block, : width // block * block] ** 2
    blocks = cut.reshape(images, height // block, block, width // block, block)
    return np.asarray(np.sqrt(blocks.mean((2, 4))))


def run(
    *,
    doses: Sequence[float] = DOSES,
    names: Sequence[str] = tuple(DENOISERS),
    images: int = IMAGES,
    size: int = SIZE,
    instances: int = 100,
    repeats: int = 16,
    path: Path | None = None,
) -> list[Row]:
    """Score every denoiser at every dose; what is in the file already is kept."""
    setting = {
        "seed": SEED,
        "images": images,
        "size": size,
        "instances": instances,
        "repeats": repeats,
    }
    rows = read(path, setting)
    done = {(row.denoiser, row.dose) for row in rows}
    for dose in doses:
        for name in names:
            if (name, dose) in done:
                continue
            mended, plain, true = predicted_and_true(
                name,
                dose,
                images=images,
                size=size,
                instances=instances,
                repeats=repeats,
            )
            for method, maps in (("mended", mended), ("plain", plain)):
                scores = score(maps, true)
                rows.append(Row(denoiser=name, dose=dose, method=method, **scores))
            if path is not None:
                record = {**setting, "rows": [asdict(row) for row in rows]}
                path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return rows


def read(path: Path | None, setting: dict[str, Any]) -> list[Row]:
    """Return the rows of an earlier run of the same setting that was interrupted."""
    if path is None or not path.exists():
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    if any(record.get(key) != value for key, value in setting.items()):
        sys.exit(f"{path} is of another setting; give another file, or remove it.")
    return [Row(**{**row, "ratios": tuple(row["ratios"])}) for row in record["rows"]]


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    lines = [
        "| Denoiser | Dose [e-/px] | Bootstrap | Correlation | over 4 x 4 px "
        "| Observed / predicted, ten bins | within 20 % |",
        "|---|---:|---|---:|---:|---|---|",
    ]
    lines += [
        f"| {r.denoiser} | {r.dose:g} | {r.method} | {r.correlation:.2f} | "
        f"{r.correlation_binned:.2f} | {' '.join(f'{x:.2f}' for x in r.ratios)} | "
        f"{'yes' if r.calibrated else 'no'} |"
        for r in sorted(rows, key=lambda r: (r.method, r.dose, r.denoiser))
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--doses", type=float, nargs="+", default=list(DOSES))
    parser.add_argument("--denoisers", nargs="+", default=list(DENOISERS))
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=16)
    parser.add_argument("--json", type=Path, help="kept up to date; a run goes on")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    rows = run(
        doses=options.doses,
        names=options.denoisers,
        images=options.images,
        size=options.size,
        instances=options.instances,
        repeats=options.repeats,
        path=options.json,
    )
    if options.markdown:
        options.markdown.write_text(to_markdown(rows), encoding="utf-8")
    print(to_markdown(rows), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
