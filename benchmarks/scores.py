"""Whether scores without the truth are those with it.

The protocol: images drawn by formulas (lowdose.simulation.procedural, the kinds in
turn) are given Poisson noise at 0.1, 0.45, 5 and 100 e-/px and denoised by eight
denoisers. Their mean squared error over all images is estimated without the truth in
three ways,

- copies: the uMSE from three further noisy copies, by products of pairs;
- published: the same by the formula of Marcos-Morales et al.;
- thinned: from the one noisy image, as `lowdose compare` does;

and compared with the true one: the error of the PSNR [dB], of which the largest over
the eight is reported (wanted below 0.5), and Kendall's tau between the orders (wanted
at least 0.8).

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
from lowdose.noise import sample_poisson
from lowdose.simulation.procedural import KINDS, draw
from lowdose.trust.grounds import Grounds, find_noise, single_frame
from lowdose.trust.pure import iter_risk_terms
from lowdose.trust.repeats import finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 23
DOSES = (0.1, 0.45, 5.0, 100.0)
WAYS = ("copies", "published", "thinned")
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
    """One denoiser at one dose: true and estimated mean squared errors."""

    denoiser: str
    dose: float
    true: float
    copies: float
    published: float
    thinned: float

    def gap(self, way: str) -> float:
        """Return the error of the PSNR [dB]; infinite where no PSNR was found."""
        found = float(getattr(self, way))
        return abs(10 * math.log10(found / self.true)) if found > 0 else math.inf


def truth_of(number: int, dose: float, size: int) -> NDArray[np.float32]:
    """Draw the rates of one image [e-/px] at a mean dose."""
    kinds = list(KINDS)
    rng = np.random.default_rng([SEED, number])
    image = 0.5 + draw(kinds[number % len(kinds)], rng, size)
    return np.asarray(dose * image / image.mean(), dtype=np.float32)


def score(
    label: str, dose: float, *, images: int, size: int, probes: int, copies: int = 3
) -> Score:
    """Score one denoiser over all images."""
    name, values = DENOISERS[label]
    denoiser = lowdose.load(name, **values)
    sums = dict.fromkeys(("true", *WAYS), 0.0)
    for number in range(images):
        rate = truth_of(number, dose, size)
        # The same noise for every denoiser.
        rng = np.random.default_rng([SEED, number, round(1000 * dose)])
        noisy = sample_poisson(rate, rng)
        others = [sample_poisson(rate, rng) for _ in range(copies)]
        clean = np.asarray(lowdose.denoise(noisy, denoiser), dtype=np.float64)
        frame = single_frame(noisy, "image")
        model, counted, _ = find_noise(frame)
        grounds = Grounds(
            noisy=np.asarray(frame),
            denoised=clean,
            model=model,
            counted=counted,
            frame=frame,
        )
        terms = finish(
            iter_risk_terms(
                grounds,
                denoiser,
                probes=probes,
                probe="thinning" if counted else "signs",
                rng=np.random.default_rng([SEED, number, 2]),
            )
        )
        sums["true"] += float(np.mean((clean - rate) ** 2))
        sums["copies"] += float(umse_terms(clean, others).mean())
        sums["published"] += float(
            umse_terms(clean, others, formula="published").mean()
        )
        sums["thinned"] += float(terms.mean())
    print(f"{label}, {dose:g} e-/px", file=sys.stderr)
    means = {key: value / images for key, value in sums.items()}
    return Score(denoiser=label, dose=dose, **means)


def agreement(scores: Sequence[Score], way: str) -> dict[str, float]:
    """Return the largest gap of the PSNR [dB] and Kendall's tau at one dose."""
    tau = kendalltau([s.true for s in scores], [getattr(s, way) for s in scores])
    return {
        "largest_gap": max(s.gap(way) for s in scores),
        "tau": float(tau.statistic),
    }


def to_markdown(scores: Sequence[Score]) -> str:
    """Return one table of agreement and one of all errors."""
    lines = [
        "| Dose [e-/px] | "
        + " | ".join(f"{way}: gap [dB] | tau" for way in WAYS)
        + " |",
        "|---:|" + "---:|---:|" * len(WAYS),
    ]
    doses = sorted({s.dose for s in scores})
    for dose in doses:
        some = [s for s in scores if s.dose == dose]
        found = [agreement(some, way) for way in WAYS]
        cells = " | ".join(f"{f['largest_gap']:.2f} | {f['tau']:.2f}" for f in found)
        lines.append(f"| {dose:g} | {cells} |")
    lines += [
        "",
        "| Dose [e-/px] | Denoiser | True MSE | " + " | ".join(WAYS) + " |",
        "|---:|---|---:|" + "---:|" * len(WAYS),
    ]
    for s in sorted(scores, key=lambda s: (s.dose, s.true)):
        cells = " | ".join(f"{getattr(s, way):.4g}" for way in WAYS)
        lines.append(f"| {s.dose:g} | {s.denoiser} | {s.true:.4g} | {cells} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--doses", type=float, nargs="+", default=list(DOSES))
    parser.add_argument("--denoisers", nargs="+", default=list(DENOISERS))
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--probes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    scores = [
        score(
            label,
            dose,
            images=options.images,
            size=options.size,
            probes=options.probes,
        )
        for dose in options.doses
        for label in options.denoisers
    ]
    if options.json:
        record = {"seed": SEED, "scores": [asdict(s) for s in scores]}
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(to_markdown(scores), encoding="utf-8")
    print(to_markdown(scores), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
