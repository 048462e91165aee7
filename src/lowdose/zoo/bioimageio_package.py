"""A model as a package of the model zoo bioimage.io: zip file, description, tests.

The description follows version 0.5 of the specification of bioimage.io, and the
library of its authors checks it before the package gets its name.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import MissingExtraError, ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.zoo.cards import ModelCard
    from lowdose.zoo.programs import ProgramSource

#: What the names of models may have in them.
_NAME: Final = re.compile(r"[^A-Za-z0-9_+\- ()]")
#: Edge of the cover, and of the test image where that is enough [px].
_COVER_SIDE: Final = 256
#: How much is shown of what the library says of an entry [characters].
_LONGEST: Final = 120


def check_extra() -> None:
    """Raise unless packages can be checked.

    Raises
    ------
    MissingExtraError
        If ``bioimageio.spec`` is not installed.
    """
    try:
        import bioimageio.spec  # noqa: F401
    except ImportError as error:
        msg = (
            "Packages for bioimage.io need bioimageio.spec: "
            "pip install 'napari-lowdose[bioimageio]'."
        )
        raise MissingExtraError(msg) from error


def write_package(source: ProgramSource, folder: Path, path: Path) -> Path:
    """Write the package of a model.

    Parameters
    ----------
    source : ProgramSource
        What to make it from.
    folder : Path
        An empty one to work in.
    path : Path
        The zip file to write.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    ParameterError
        If the card has an entry that the specification does not allow.
    MissingExtraError
        If the packages for it are not installed.
    """
    import onnx

    from lowdose.zoo.export_text import metadata, readme
    from lowdose.zoo.programs import whole_program

    program = whole_program(source)
    weights = program.save_onnx(folder / "weights.onnx")
    facts = metadata(source, "bioimageio", {"weights": program.size})
    (folder / "README.md").write_text(readme(facts), encoding="utf-8")
    counts = _test_counts(source, program.size)
    clean = _denoised(weights, counts)
    np.save(folder / "test_input.npy", counts)
    np.save(folder / "test_output.npy", clean)
    _draw_cover(folder / "cover.png", counts, clean)
    opset = onnx.load(weights, load_external_data=False).opset_import[0].version
    described = _description(source, facts, folder, opset, program.size)
    # JSON is YAML; the library writes it more readably into the package.
    text = json.dumps(described, indent=2)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    return _pack(folder / "rdf.yaml", path, source.card)


def _pack(described: Path, path: Path, card: ModelCard) -> Path:
    from bioimageio.spec import (
        InvalidDescr,
        ValidationContext,
        load_description,
        save_bioimageio_package,
    )

    # Links are not followed: this works without a network.
    with ValidationContext(perform_io_checks=False):
        found = load_description(described)
        if isinstance(found, InvalidDescr):
            # One for each entry: of a licence it lists all that there are.
            reasons = {
                str(error.loc[0]) if error.loc else "card": error.msg[:_LONGEST]
                for detail in reversed(found.validation_summary.details)
                for error in reversed(detail.errors)
            }
            said = "; ".join(f"{key}: {text}" for key, text in reasons.items())
            msg = (
                f"The card of {card.name!r} is not such as bioimage.io takes. {said}. "
                f"Correct the card ({card.folder})."
            )
            raise ParameterError(msg)
        save_bioimageio_package(found, output_path=path)
    return path


def _description(
    source: ProgramSource,
    facts: dict[str, Any],
    folder: Path,
    opset: int,
    size: tuple[int, int] | None,
) -> dict[str, Any]:
    from lowdose.zoo.export_text import HOMEPAGE, version

    card = source.card

    def file(name: str) -> dict[str, str]:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        return {"source": name, "sha256": digest}

    def tensor(name: str, test: str, channels: list[str], sides: list[Any]) -> Any:
        space = [
            {"type": "space", "id": axis, "size": side}
            for axis, side in zip("yx", sides, strict=True)
        ]
        return {
            "id": name,
            "axes": [
                {"type": "batch", "size": 1},
                {"type": "channel", "channel_names": channels},
                *space,
            ],
            "test_tensor": file(test),
            "data": {"type": "float32"},
        }

    frames = card.frames
    channels = [f"frame{n}" for n in range(frames)] if frames > 1 else ["counts"]
    open_size = {"min": source.least, "step": source.step}
    same = [{"tensor_id": "counts", "axis_id": axis} for axis in "yx"]
    return {
        "type": "model",
        "format_version": "0.5.14",
        "name": _NAME.sub(" ", f"lowdose {card.title}")[:64],
        "description": card.summary[:1024],
        "version": _semantic(version()),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "authors": [{"name": "The napari-lowdose developers"}],
        "license": card.licence,
        "git_repo": HOMEPAGE,
        "cite": _citations(card.reference, HOMEPAGE),
        "tags": ["denoising", "electron-microscopy", "low-dose", "2d"],
        "covers": [file("cover.png")],
        "documentation": file("README.md"),
        "inputs": [
            tensor("counts", "test_input.npy", channels, list(size or [open_size] * 2))
        ],
        "outputs": [
            tensor("denoised", "test_output.npy", ["counts"], list(size or same))
        ],
        "weights": {
            "onnx": {
                **file("weights.onnx"),
                "opset_version": opset,
                "comment": "Normalising, conditions and the mean are in the graph.",
            }
        },
        "config": {"lowdose": facts},
    }


def _citations(reference: str, homepage: str) -> list[dict[str, str]]:
    entries = [{"text": "napari-lowdose, the program and the weights", "url": homepage}]
    for found in re.finditer(r"(10\.\d{4,9}/[^\s,;]+)", reference):
        doi = found[1].rstrip(".)")
        entries.append({"text": f"On which it builds: doi:{doi}", "doi": doi})
    for found in re.finditer(r"arXiv:(\d{4}\.\d{4,5})", reference):
        url = f"https://arxiv.org/abs/{found[1]}"
        entries.append({"text": f"On which it builds: arXiv:{found[1]}", "url": url})
    return entries


def _semantic(version: str) -> str:
    found = re.match(r"\d+(\.\d+)*", version)
    return found[0] if found else "0.0.0"


def _test_counts(
    source: ProgramSource, size: tuple[int, int] | None
) -> NDArray[np.float32]:
    """Return counts of a drawn lattice, of 5 electrons per pixel that it sums to."""
    least = -(-_COVER_SIDE // source.step) * source.step
    height, width = size or (max(least, source.least),) * 2
    rng = np.random.default_rng(5)
    # 0.2 nm at the sampling that a network knows best, else an eighth of the sine.
    sampling = source.card.sampling
    period = source.binning * (0.2 / sampling.pixel_size if sampling else 8.0)
    rows, columns = np.mgrid[:height, :width] * (2 * np.pi / period)
    from_middle = np.hypot(
        *(np.mgrid[:height, :width] - np.array([[[height]], [[width]]]) / 2)
    )
    crystal = 0.8 * (np.cos(rows) * np.cos(columns)) * (from_middle < 0.35 * height)
    rate = 5 / source.binning**2 * (1 + crystal)
    counts = rng.poisson(rate, (1, source.card.frames, height, width))
    return counts.astype(np.float32)


def _denoised(weights: Path, counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the program makes of counts, by what will run it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(weights)
    (clean,) = session.run(None, {"counts": counts})
    return np.asarray(clean, np.float32)


def _draw_cover(
    path: Path, counts: NDArray[np.float32], clean: NDArray[np.float32]
) -> None:
    """Draw counts above the diagonal, and what becomes of them below."""
    from PIL import Image

    noisy, clean = counts[0, counts.shape[1] // 2], clean[0, 0]
    side = min(noisy.shape)
    parts = []
    for image in (noisy, clean):
        low, high = np.percentile(image, (0.5, 99.5))
        grey = (image[:side, :side] - low) / max(high - low, 1e-9)
        parts.append((255 * np.clip(grey, 0, 1)).astype(np.uint8))
    above = np.arange(side)[:, None] < np.arange(side)
    picture = Image.fromarray(np.where(above, *parts))
    picture.resize((_COVER_SIDE, _COVER_SIDE)).save(path)
