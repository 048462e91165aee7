r"""A model trained on one noisy image, against the filters, without any truth.

One pixel in eight is hidden, a few at a time, with its neighbours along the row (where
scanning correlates the noise): each is filled with the value of another pixel nearby,
the image is denoised, and the mean square of what was hidden less what came out is the
score [counts^2]. It is the noise of the hidden pixels, the same for all, and the error.
The pixels are those that ``lowdose train --from-stack`` holds out (with seed 0, which
is its own): no model was ever asked for them.

Filters have at each binning the defaults, and at the best one the parameters that make
this very score best (a coordinate search); no user could tune them better. The scatter
is that of the *difference* to the first model, pixel by pixel.

    lowdose train --from-stack graphene-stem-grain-boundary.tif \
        --minutes 10 -o runs/graphene
    python benchmarks/from_stack.py graphene-stem-grain-boundary.tif \
        --model runs/graphene --model runs/graphene:views=8 --rows 0 340 \
        --markdown runs/graphene.md

``--rows`` is a part of the image to score by itself, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lowdose
from lowdose import catalogue, filters
from lowdose.filters.searching import SEARCH, search
from lowdose.training.blinding import blind, blinded_offsets
from lowdose.training.held_out import held_pixels
from lowdose.training.stacks import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Image = NDArray[np.float32]
    Places = tuple[NDArray[np.intp], NDArray[np.intp]]

#: Of the recipe that a stack gets.
SEED = 0
#: In how many goes pixels are hidden, and what is hidden with each.
GOES, HIDDEN = 7, blinded_offsets("row", 2)
BINNINGS = (1, 2, 3, 4, 6)
#: Finest step of the search.
FINEST = 1.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An image with hidden pixels, and what they were."""

    seen: Image
    places: Places
    hidden: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One denoiser: its square errors at all hidden pixels [counts^2]."""

    denoiser: str
    errors: NDArray[np.float64]


def ask(frame: Image) -> list[Question]:
    """Hide pixels of a frame, a few at a time."""
    rng = np.random.default_rng(SEED)
    stack = Stack(frames=[frame], names=["frame"], series=[0])
    order = rng.permutation(np.flatnonzero(held_pixels(stack, seed=SEED)[0]))
    questions = []
    for part in np.array_split(order, GOES):
        rows, columns = np.unravel_index(part, frame.shape)
        seen = blind(frame, rows, columns, rng, hidden=HIDDEN)
        questions.append(
            Question(seen=seen, places=(rows, columns), hidden=frame[rows, columns])
        )
    return questions


def errors(denoiser: Any, questions: Sequence[Question]) -> NDArray[np.float64]:
    """Return the square errors of a denoiser at all hidden pixels."""
    found = []
    for question in questions:
        clean = np.asarray(lowdose.denoise(question.seen, denoiser))
        found.append((clean[question.places].astype(np.float64) - question.hidden) ** 2)
    return np.concatenate(found)


def tuned(
    name: str, questions: Sequence[Question], binnings: Sequence[int], most: int
) -> Row:
    """Find the binning and the parameters of a filter that make its score best."""
    axes, known = SEARCH[name], {}

    def cost(values: dict[str, Any]) -> float:
        key = json.dumps(values, sort_keys=True)
        if key not in known:
            if len(known) >= most:
                return np.inf
            try:
                denoiser = catalogue.load(name, **values)
            except lowdose.errors.ParameterError:
                return np.inf
            known[key] = (float(errors(denoiser, questions).mean()), values)
        return known[key][0]

    declared = {p.name: p.default for p in filters.FILTERS[name].parameters}
    start = {key: declared[key] for key in axes}
    best = min(binnings, key=lambda factor: cost({**start, "binning": factor}))
    search(lambda values: cost({**values, "binning": best}), axes, start, finest=FINEST)
    _, values = min(known.values(), key=lambda pair: pair[0])
    words = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
        if value != declared[key]
    )
    return Row(
        denoiser=f"{name} ({words})" if words else name,
        errors=errors(catalogue.load(name, **values), questions),
    )


def row_of(text: str, questions: Sequence[Question]) -> Row:
    """Score a denoiser, such as "general" or "runs/mine:views=8"."""
    name, _, settings = text.partition(":")
    values = dict(pair.split("=", 1) for pair in settings.split(",") if pair)
    return Row(denoiser=text, errors=errors(catalogue.load(name, **values), questions))


def to_markdown(
    rows: Sequence[Row], inside: NDArray[np.bool_], title: str, words: str
) -> str:
    """Return the table, the best first, with differences to the first row."""
    first = rows[0]
    parts = {"all": np.ones_like(inside), **({words: inside} if words else {})}
    lines = [
        f"{title}: mean square error at {inside.size} hidden pixels [counts^2].",
        "",
        "| denoiser | "
        + " | ".join(f"{p} | more than the first" for p in parts)
        + " |",
        "|---|" + "---:|" * (2 * len(parts)),
    ]
    for row in sorted(rows, key=lambda row: float(row.errors.mean())):
        cells = []
        for part in parts.values():
            more = (row.errors - first.errors)[part]
            scatter = float(more.std()) / more.size**0.5
            cells += [
                f"{row.errors[part].mean():.1f}",
                "" if row is first else f"{more.mean():+.1f} ± {scatter:.1f}",
            ]
        lines.append(f"| {row.denoiser} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a noisy image; of a stack the first")
    parser.add_argument("--model", action="append", required=True, help="the first one")
    parser.add_argument("--filters", nargs="*", default=list(SEARCH))
    parser.add_argument("--binnings", type=int, nargs="+", default=BINNINGS)
    parser.add_argument("--most", type=int, default=40, help="trials for each filter")
    parser.add_argument("--rows", type=int, nargs=2, metavar=("FIRST", "END"))
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args(arguments)
    frame = np.asarray(lowdose.read(given.file).frame(0), np.float32)
    questions = ask(frame)
    rows = []
    for text in [*given.model, "general"]:
        rows.append(row_of(text, questions))
        print(f"{text}: {rows[-1].errors.mean():.2f}", flush=True)
    for name in given.filters:
        rows.append(tuned(name, questions, given.binnings, given.most))
        print(f"{rows[-1].denoiser}: {rows[-1].errors.mean():.2f}", flush=True)
    places = np.concatenate([question.places[0] for question in questions])
    first, end = given.rows or (0, frame.shape[0])
    words = f"rows {first} to {end}" if given.rows else ""
    inside = (places >= first) & (places < end)
    table = to_markdown(rows, inside, given.file.name, words)
    print(table)
    if given.markdown:
        given.markdown.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
