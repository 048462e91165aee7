"""What is said of an exported model: to programs as JSON, to people as a README."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.zoo.programs import ProgramSource

#: How far exported pixels may be from lowdose's in float32, in units of the noise.
TOLERANCE: Final = 1e-4

HOMEPAGE: Final = "https://github.com/napari-lowdose/napari-lowdose"

_RUN: Final = {
    "onnx": """\
import numpy as np
import onnxruntime

measure = onnxruntime.InferenceSession("measure.onnx")
denoise = onnxruntime.InferenceSession("denoise.onnx")
frame = np.load("frame.npy").astype(np.float32)[None, None]   # (1, 1, H, W), counts
(measures,) = measure.run(None, {"frame": frame})
(clean,) = denoise.run(None, {"counts": frame, "measures": measures})
clean += frame.mean(dtype=np.float64) - clean.mean(dtype=np.float64)""",
    "torch-export": """\
import numpy as np
import torch

measure = torch.export.load("measure.pt2").module()
denoise = torch.export.load("denoise.pt2").module()
frame = torch.from_numpy(np.load("frame.npy").astype(np.float32))[None, None]
with torch.inference_mode():
    clean = denoise(frame, measure(frame))       # counts, (1, 1, H, W)
    clean += (frame.double().mean() - clean.double().mean()).float()""",
    "bioimageio": """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("weights.onnx")
frame = np.load("frame.npy").astype(np.float32)[None, None]   # (1, 1, H, W), counts
(clean,) = session.run(None, {"counts": frame})""",
}


def metadata(
    source: ProgramSource,
    kind: str,
    sizes: Mapping[str, tuple[int, int] | None],
) -> dict[str, Any]:
    """Return what is known of an exported model, as JSON types.

    Parameters
    ----------
    source : ProgramSource
        What it was made from.
    kind : str
        Its format.
    sizes : mapping of str to pair of int or None
        For each program the one size it takes [px], or None for any.
    """
    card, needs = source.card, source.denoiser.needs
    sampling = card.sampling
    return {
        "format": kind,
        "name": card.name,
        "title": card.title,
        "summary": card.summary,
        "made_by": f"lowdose {version()}",
        "licence": card.licence,
        "reference": card.reference,
        "weights_sha256": card.sha256,
        "built_in": dict(source.values),
        "measures": list(source.measures),
        "frames": card.frames,
        "least_side_px": source.least,
        "side_step_px": source.step,
        "fixed_sizes_px": {name: size for name, size in sizes.items() if size},
        "halo_px": needs.halo,
        "tile_px": needs.tile,
        "overlap_px": 2 * needs.halo if needs.halo is not None else needs.overlap,
        "canonical_pixel_size_nm": None if sampling is None else sampling.pixel_size,
        "pixel_sizes_nm": (
            None if sampling is None else [sampling.finest, sampling.coarsest]
        ),
        "binning": source.binning,
        "sums_by_spectrum": card.band,
        "valid": _plain(card.details.get("valid", {})),
        "limits": _plain(card.details.get("limits", [])),
        "tolerance_of_noise": TOLERANCE,
    }


def version() -> str:
    """Return the version of the distribution."""
    return importlib.metadata.version("napari-lowdose")


def readme(facts: Mapping[str, Any]) -> str:
    """Return the README of an exported model.

    Parameters
    ----------
    facts : mapping
        Of :func:`metadata`.
    """
    paragraphs = [
        f"# {facts['title']}",
        facts["summary"],
        f"The denoiser `{facts['name']}` of [lowdose]({HOMEPAGE}), written by "
        f"{facts['made_by']} as a program that needs no lowdose. Its pixels are those "
        f"of lowdose in float32 within {facts['tolerance_of_noise']:g} of the noise.",
        "## Use",
        f"```python\n{_run(facts)}\n```",
        *_inputs(facts),
        "## What remains to be done outside",
        _listed([*_sampling(facts), *_tiles(facts), *_rest(facts)]),
        "## What it is for",
        _listed([*_valid(facts), *_limits(facts)]) or "Its card does not say.",
        "## Validation",
        "Compare with `lowdose denoise --precision float32` on the same counts; then "
        "look at what is left, counts minus result: it must look like noise alone. "
        "`lowdose inspect` tests that.",
        "## Licence and citation",
        f"Weights: {facts['licence']}, sha256 `{facts['weights_sha256']}` of the "
        f"original file. {facts['reference'].rstrip('.')}"
        + (". " if facts["reference"] else "")
        + f"Cite lowdose ({HOMEPAGE}) and these.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _run(facts: Mapping[str, Any]) -> str:
    frames, text = facts["frames"], _RUN[facts["format"]]
    if frames == 1:
        return text
    # The one to denoise in the middle, which is what is measured.
    middle = f"counts[:, {frames // 2}:{frames // 2 + 1}]"
    text = text.replace("frame.npy", "frames.npy").replace("[None, None]", "[None]")
    text = text.replace("frame = ", "counts = ").replace("(1, 1, H, W), counts", "")
    text = text.replace('{"counts": frame', '{"counts": counts')
    text = text.replace(
        "denoise(frame, measure(frame))", "denoise(counts, measure(frame))"
    )
    shape = f"(1, {frames}, H, W), counts, in order of time"
    lines = [
        f"{line.rstrip(' #')}   # {shape}\nframe = {middle}"
        if line.startswith("counts = ")
        else line
        for line in text.splitlines()
    ]
    return "\n".join(lines)


def _inputs(facts: Mapping[str, Any]) -> list[str]:
    frames = facts["frames"]
    counts = (
        "float32, (1, 1, H, W)"
        if frames == 1
        else f"float32, (1, {frames}, H, W): the frame in the middle of its neighbours"
    )
    built = ", ".join(f"{key}={value}" for key, value in facts["built_in"].items())
    rows = [
        f"Counts go in as they are, {counts}, finite, at any gain and offset, and "
        "denoised counts come out, float32, (1, 1, H, W). Nothing is to be normalised.",
        f"H and W are multiples of {facts['side_step_px']} and at least "
        f"{facts['least_side_px']}; pad other frames, and cut the result.",
        f"Built in: {built}.",
    ]
    if facts["fixed_sizes_px"]:
        text = "; ".join(
            f"{name}: {height} x {width}"
            for name, (height, width) in facts["fixed_sizes_px"].items()
        )
        rows[1] = f"This network could be written for one size [px] alone: {text}."
    if facts["format"] != "bioimageio":
        rows.append(
            "`measure` returns, float64: "
            + ", ".join(facts["measures"])
            + ". Those of the whole frame go with each of its tiles. Frames that it "
            "takes need not be multiples of more than the binning."
        )
    return [_listed(rows)]


def _sampling(facts: Mapping[str, Any]) -> list[str]:
    if facts["sums_by_spectrum"]:
        binning = facts["binning"]
        summed = (
            f"It sums {binning} x {binning} pixels itself, and interpolates its answer "
            "back."
            if binning > 1
            else "Exported with `--set binning=n`, a program sums n x n pixels itself, "
            "and interpolates its answer back."
        )
        return [
            "Pixel size: any. lowdose sums as many pixels as the spectrum of the first "
            f"frame lets, with less error for it; a program cannot choose. {summed}"
        ]
    if facts["canonical_pixel_size_nm"] is None:
        return ["Pixel size: any; nothing is to be resampled."]
    low, high = facts["pixel_sizes_nm"]
    size, binning = facts["canonical_pixel_size_nm"], facts["binning"]
    known = f"It knows pixels of {low:g} to {high:g} nm, best {size:g} nm."
    if binning > 1:
        return [
            f"{known} It sums {binning} x {binning} pixels itself, and interpolates "
            f"its answer back: give it frames of {low / binning:.3g} to "
            f"{high / binning:.3g} nm/px."
        ]
    return [
        f"{known} Sum (do not average) blocks of n x n pixels of a finer frame until "
        "they have about that size. The result has the pixels of the summed frame. "
        "Exported with `--set binning=n`, a program does this, and interpolates back."
    ]


def _tiles(facts: Mapping[str, Any]) -> list[str]:
    whole = facts["format"] == "bioimageio"
    alone = (
        " Each tile is measured by itself, so that tiles of a frame that is not alike "
        "everywhere may differ: prefer whole frames, or the formats onnx and "
        "torch-export, where the measures of the frame go with every tile."
        if whole
        else ""
    )
    if facts["halo_px"] is not None:
        return [
            f"Tiles: overlap by {facts['overlap_px']} px and keep all but the outer "
            f"{facts['halo_px']} px (the halo) of each; then there is no seam." + alone
        ]
    if facts["tile_px"] is None:
        return [f"Tiles: it sees the whole frame, so give it whole frames.{alone}"]
    return [
        f"Tiles: it sees the whole patch. Tiles of {facts['tile_px']} px that overlap "
        f"by {facts['overlap_px']} px, blended where they do, are what it is best at."
        + alone
    ]


def _rest(facts: Mapping[str, Any]) -> list[str]:
    views = str(facts["built_in"].get("views", "1"))
    seen = (
        "the network sees the frame as it is"
        if views == "1"
        else f"{views} mirrored and turned ones are averaged inside"
    )
    rest = [
        "Pixels that are not finite: replace them before, and put them back after.",
        f"Views: {seen}.",
    ]
    if facts["format"] != "bioimageio":
        rest.append("The mean of the frame: kept by the last line of the lines above.")
    return rest


def _valid(facts: Mapping[str, Any]) -> list[str]:
    # What a card says of it is for people, as a range or in words.
    valid = facts["valid"] if isinstance(facts["valid"], dict) else {}
    rows = []
    for key, what in (
        ("dose_e_per_px", "Dose [e-/px]"),
        ("pixel_size_nm", "Pixel size [nm]"),
    ):
        said = valid.get(key)
        if isinstance(said, list):
            said = " to ".join(
                f"{x:g}" if isinstance(x, float) else str(x) for x in said
            )
        if said:
            rows.append(f"{what}: {said}")
    return rows


def _limits(facts: Mapping[str, Any]) -> list[str]:
    limits = facts["limits"]
    return [str(limit) for limit in limits] if isinstance(limits, list) else [limits]


def _listed(rows: list[str]) -> str:
    return "\n".join(f"- {row}" for row in rows)


def _plain(value: Any) -> Any:
    """Turn TOML's dates into text; the rest is JSON already."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
