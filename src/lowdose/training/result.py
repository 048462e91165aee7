"""What a training leaves: a model folder with card, curve and picture."""

from __future__ import annotations

import copy
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image

from lowdose.errors import OutputError
from lowdose.networks.fusing import fuse
from lowdose.training.logs import CURVE
from lowdose.zoo.cards import ModelCard
from lowdose.zoo.network_denoiser import NetworkDenoiser
from lowdose.zoo.package import describe_input, save_model
from lowdose.zoo.sampling import Sampling
from lowdose.zoo.shelf import TRAINED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.training.config import Recipe
    from lowdose.training.examples import Way
    from lowdose.training.learner import Learner

PICTURE: Final = "validation.png"
#: Side of the frame in the picture at most [px], and what lies between two frames.
_SHOWN, _GAP = 512, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """What :func:`lowdose.training.loop.iter_train` returns.

    Parameters
    ----------
    folder : Path
        The model folder, for ``lowdose denoise --denoiser``.
    card : ModelCard
        What it is.
    steps : int
        Steps made.
    scores : mapping of str to float
        Of the last validation.
    ended : {"steps", "time", "plateau", "budget", "asked"}
        Why the training ended: all steps, or the time of the recipe; a validation
        that got no better; or the time of the run; or because it was asked to.
    """

    folder: Path
    card: ModelCard
    steps: int
    scores: Mapping[str, float]
    ended: str


def write_result(
    learner: Learner, way: Way, folder: Path, scores: Mapping[str, float]
) -> Path:
    """Write the model folder of a training.

    Parameters
    ----------
    learner : Learner
        With the averaged network to keep.
    way : Way
        With a frame for the picture.
    folder : Path
        Of the training.
    scores : mapping
        Of the last validation.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    recipe, settings = learner.recipe, learner.settings
    training = {
        "recipe": f"{recipe.name}.toml",
        "way": recipe.way,
        "assumes": way.assumes,
        "seed": recipe.seed,
        "steps": learner.step,
        "minutes": round(learner.seconds / 60, 1),
        "hardware": f"{learner.fabric.world_size} x {_device(learner)}",
        "torch": torch.__version__,
        "validation": {key: round(value, 4) for key, value in scores.items()},
    }
    if recipe.start:
        training["start"] = recipe.start
    if way.warnings:
        training["warnings"] = list(way.warnings)
    model = folder / TRAINED
    try:
        save_model(
            model,
            copy.deepcopy(learner.average).cpu(),
            name=recipe.name,
            title=recipe.title,
            summary=recipe.summary,
            licence=recipe.licence,
            reference=recipe.reference,
            architecture=settings.architecture,
            options=settings.options,
            normalisation=settings.normalisation,
            training=training,
            extra=_sampling_of(recipe) | dict(recipe.card),
            halved=recipe.training.weights == "float16",
        )
        if (folder / CURVE).exists():
            shutil.copyfile(folder / CURVE, model / CURVE)
        _write_picture(model / PICTURE, learner, way)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = (
            f"The model cannot be written to {model}: {error.strerror or error}. The "
            "checkpoint beside it is kept: resume once there is room."
        )
        raise OutputError(msg) from error
    return model


def snapshot(learner: Learner, described: dict[str, Any]) -> Denoiser:
    """Return the averaged network of this moment as a denoiser on the CPU.

    Parameters
    ----------
    learner : Learner
        Goes on learning; the snapshot does not change.
    described : dict
        Filled at the first call with what the network needs of its input, which
        takes a moment to measure.

    Returns
    -------
    Denoiser
        With its parameters at their defaults.
    """
    settings = learner.settings
    if not described:
        described.update(describe_input(settings.architecture, settings.options))
    recipe = learner.recipe
    sampling = _sampling_of(recipe).get("sampling")
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        summary=recipe.summary,
        licence=recipe.licence,
        architecture=settings.architecture,
        options=settings.options,
        sha256="",
        parameters_count=sum(p.numel() for p in learner.average.parameters()),
        halo=described.get("halo"),
        multiple=described["multiple"],
        border=described["border"],
        frames=described["frames"],
        bytes_per_pixel=float(described["bytes_per_pixel"]),
        normalisation=settings.normalisation,
        sampling=None if sampling is None else Sampling.from_table(sampling),
        folder=Path(),
    )
    values = {parameter.name: parameter.default for parameter in card.parameters}
    network = copy.deepcopy(learner.average).cpu()
    return NetworkDenoiser(card, fuse(network), values)


def _sampling_of(recipe: Recipe) -> dict[str, Any]:
    """Return the table of a card that says at what pixel sizes a way taught it."""
    sampling = getattr(recipe.data, "sampling", None)
    return {} if sampling is None else {"sampling": dict(sampling)}


def _device(learner: Learner) -> str:
    if learner.fabric.device.type == "cuda":
        return str(torch.cuda.get_device_name(learner.fabric.device))
    return f"{os.cpu_count()}-core {platform.machine()} {learner.fabric.device.type}"


def _write_picture(path: Path, learner: Learner, way: Way) -> None:
    """Write noisy, denoised and, where there is one, clean, side by side."""
    sample = way.sample()
    height, width = sample.noisy.shape[-2:]
    top, left = (max(0, (side - _SHOWN) // 2) for side in (height, width))
    cut = (..., slice(top, top + _SHOWN), slice(left, left + _SHOWN))
    denoised = learner.apply(sample.noisy[cut][None], [sample.measures])[0]
    noisy = sample.noisy[len(sample.noisy) // 2][cut]
    shown = [noisy, denoised]
    if sample.clean is not None:
        shown.append(sample.clean[cut])
    # The clean and the denoised image share their grey levels; the noisy one has its
    # own, or its noise would leave nothing of the specimen.
    low, high = np.percentile(shown[-1], (0.5, 99.5))
    ranges = [np.percentile(noisy, (0.5, 99.5)), *([(low, high)] * (len(shown) - 1))]
    panels = [_grey(image, *span) for image, span in zip(shown, ranges, strict=True)]
    gap = np.full((panels[0].shape[0], _GAP), 255, np.uint8)
    row = [panels[0]]
    for panel in panels[1:]:
        row += [gap, panel]
    part = path.with_name(f".{path.name}.part")
    Image.fromarray(np.concatenate(row, 1)).save(part, format="PNG")
    os.replace(part, path)


def _grey(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    span = high - low if high > low else 1.0
    return np.asarray(np.clip((image - low) / span, 0, 1) * 255, np.uint8)
