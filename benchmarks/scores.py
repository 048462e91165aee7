"""Whether scores without the truth are those with it.

The protocol: images drawn by formulas (lowdose.simulation.procedural, the kinds in
turn) are given Poisson noise at 0.1, 0.45, 5 and 100 e-/px and denoised by eight
denoisers. Their mean squared error over all images is estimated without the truth in
four ways,

- 32 copies: the uMSE from 32 further noisy copies (a movie of a still specimen),
  by products of pairs;
- 3 copies: the same from three;
- published: from three by the formula of Marcos-Morales et al.;
- thinned: from the one noisy image, as `lowdose compare` does;

and compared with the true one: the error of the PSNR [dB], of which the largest over
the eight is reported (wanted below 0.5), how many of the eight true errors lie in the
95 % interval, and Kendall's tau between the orders (wanted at least 0.8). Sparse counts
say little of an absolute error, whatever the estimate, so the lower the dose the more
images are drawn.

    python benchmarks/scores.py --json scores.json --markdown scores.md
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import kendalltau

import lowdose
from lowdose.metrics import umse_terms
from lowdose.metrics.intervals import block_means, resampled_means
from lowdose.noise import sample_poisson
from lowdose.simulation.procedural import KINDS, draw
from lowdose.trust.grounds import Grounds, find_noise, single_frame
from lowdose.trust.pure import iter_risk_terms
from lowdose.trust.repeats import finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 23
#: Dose [e-/px], and how many images are drawn at it.
DOSES = {0.1: 12, 0.45: 6, 5.0: 4, 100.0: 2}
WAYS = ("32 copies", "3 copies", "published", "thinned")
DENOISERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gaussian 1": ("gaussian", {"sigma": 1.0}),
    "gaussian 2": ("gaussian", {"sigma": 2.0}),
    "gaussian 4": ("gaussian", {"sigma": 4.0}),
    "median 2": ("median", {"radius": 2}),
    "wiener": ("wiener", {"vst": "counts"}),
    "wavelet": ("wavelet", {"vst": "counts"}),
    "tv-chambolle": ("tv-chambolle", {"vst": "counts"}),
    "general": ("general", {}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One denoiser at one dose: the true mean squared error, and the estimates.

    An estimate is its value and the ends of its 95 % interval [electrons²].
    """

    denoiser: str
    dose: float
    true: float
    found: dict[str, tuple[float, float, float]]

    def gap(self, way: str) -> float:
        """Return the error of the PSNR [dB]; infinite where no PSNR was found."""
        value = self.found[way][0]
        return abs(10 * math.log10(value / self.true)) if value > 0 else math.inf

    def covered(self, way: str) -> bool:
        """Whether the true error lies in the interval."""
        _, low, high = self.found[way]
        return low <= self.true <= high


def truth_of(number: int, dose: float, size: int) -> NDArray[np.float32]:
    """Draw the rates of one image [e-/px] at a mean dose."""
    kinds = list(KINDS)
    rng = np.random.default_rng([SEED, number])
    image = 0.5 + draw(kinds[number % len(kinds)], rng, size)
    return np.asarray(dose * image / image.mean(), dtype=np.float32)


def scores_at(dose: float, *, images: int, size: int, probes: int) -> list[Score]:
    """Score all denoisers over all images of one dose, on the same noise."""
    denoisers = {k: lowdose.load(name, **v) for k, (name, v) in DENOISERS.items()}
    true: dict[str, list[float]] = {label: [] for label in denoisers}
    blocks: dict[tuple[str, str], list[NDArray[np.float64]]] = {
        (label, way): [] for label in denoisers for way in WAYS
    }
    for number in range(images):
        rate = truth_of(number, dose, size)
        rng = np.random.default_rng([SEED, number, round(1000 * dose)])
        noisy = sample_poisson(rate, rng)
        copies = [sample_poisson(rate, rng) for _ in range(32)]
        for label, denoiser in denoisers.items():
            clean = np.asarray(lowdose.denoise(noisy, denoiser), dtype=np.float64)
            terms = {
                "32 copies": umse_terms(clean, copies),
                "3 copies": umse_terms(clean, copies[:3]),
                "published": umse_terms(clean, copies[:3], formula="published"),
                "thinned": thinned_terms(noisy, clean, denoiser, probes, number),
            }
            true[label].append(float(np.mean((clean - rate) ** 2)))
            for way, values in terms.items():
                blocks[label, way].append(block_means(values))
        print(f"{dose:g} e-/px: image {number + 1} of {images}", file=sys.stderr)
    # All estimates on the same draws of blocks.
    means = np.stack([np.concatenate(parts) for parts in blocks.values()])
    drawn = resampled_means(means, np.random.default_rng(SEED), draws=400)
    ends = np.quantile(drawn, [0.025, 0.975], axis=1)
    found = {
        key: (float(row.mean()), float(low), float(high))
        for key, row, low, high in zip(blocks, means, *ends, strict=True)
    }
    return [
        Score(
            denoiser=label,
            dose=dose,
            true=float(np.mean(true[label])),
            found={way: found[label, way] for way in WAYS},
        )
        for label in denoisers
    ]


def thinned_terms(
    noisy: NDArray[np.float32],
    clean: NDArray[np.float64],
    denoiser: Any,
    probes: int,
    number: int,
) -> NDArray[np.float64]:
    """Estimate the squared error of every pixel from the one noisy image."""
    frame = single_frame(noisy, "image")
    model, counted, _ = find_noise(frame)
    grounds = Grounds(
        noisy=np.asarray(frame),
        denoised=clean,
        model=model,
        counted=counted,
        frame=frame,
    )
    return finish(
        iter_risk_terms(
            grounds,
            denoiser,
            probes=probes,
            probe="thinning" if counted else "signs",
            rng=np.random.default_rng([SEED, number, 2]),
        )
    )


def agreement(scores: Sequence[Score], way: str) -> tuple[float, int, float]:
    """Return the largest gap of the PSNR [dB], how many are covered, and tau."""
    tau = kendalltau([s.true for s in scores], [s.found[way][0] for s in scores])
    return (
        max(s.gap(way) for s in scores),
        sum(s.covered(way) for s in scores),
        float(tau.statistic),
    )


def to_markdown(scores: Sequence[Score], images: dict[float, int], size: int) -> str:
    """Return one table of agreement and one of all errors."""
    lines = [
        "| Dose [e-/px] | Pixels [10⁶] | "
        + " | ".join(f"{way}: gap [dB] | in interval | tau" for way in WAYS)
        + " |",
        "|---:|---:|" + "---:|---:|---:|" * len(WAYS),
    ]
    for dose in sorted({s.dose for s in scores}):
        some = [s for s in scores if s.dose == dose]
        found = [agreement(some, way) for way in WAYS]
        cells = " | ".join(
            f"{gap:.2f} | {covered} of {len(some)} | {tau:.2f}"
            for gap, covered, tau in found
        )
        lines.append(f"| {dose:g} | {images[dose] * size**2 / 1e6:.1f} | {cells} |")
    lines += [
        "",
        "| Dose [e-/px] | Denoiser | True MSE | " + " | ".join(WAYS) + " |",
        "|---:|---|---:|" + "---:|" * len(WAYS),
    ]
    for s in sorted(scores, key=lambda s: (s.dose, s.true)):
        cells = " | ".join(f"{s.found[way][0]:.4g}" for way in WAYS)
        lines.append(f"| {s.dose:g} | {s.denoiser} | {s.true:.4g} | {cells} |")
    return "\n".join(lines) + "\n"


def read(path: Path | None, setting: dict[str, Any]) -> list[Score]:
    """Return what an earlier run of the same setting has found."""
    if path is None or not path.exists():
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    if any(record.get(key) != value for key, value in setting.items()):
        sys.exit(f"{path} is of another setting; give another file, or remove it.")
    return [
        Score(**{**s, "found": {way: tuple(v) for way, v in s["found"].items()}})
        for s in record["scores"]
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--doses", type=float, nargs="+", default=list(DOSES))
    parser.add_argument("--images", type=int, help="at every dose (default: by dose)")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--probes", type=int, default=1)
    parser.add_argument("--json", type=Path, help="kept up to date; a run goes on")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    setting = {
        "seed": SEED,
        "size": options.size,
        "probes": options.probes,
        "images": options.images,
    }
    images = {d: options.images or DOSES.get(d, 20) for d in options.doses}
    scores = read(options.json, setting)
    for dose in options.doses:
        if any(s.dose == dose for s in scores):
            continue
        scores += scores_at(
            dose, images=images[dose], size=options.size, probes=options.probes
        )
        if options.json:
            record = {**setting, "scores": [asdict(s) for s in scores]}
            text = json.dumps(record, indent=2) + "\n"
            options.json.write_text(text, encoding="utf-8")
    shown = [s for s in scores if s.dose in images]
    text = to_markdown(shown, images, options.size)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
