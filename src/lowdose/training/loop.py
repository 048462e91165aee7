"""The training loop: an iterator that reports, stops when told, and resumes."""

from __future__ import annotations

import copy
import csv
import dataclasses
import logging
import math
import os
import platform
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lowdose import networks
from lowdose.errors import Cancelled, OutputError, ParameterError, TrainingError
from lowdose.networks.normalising import column, measure
from lowdose.noise import NoiseModel
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.training import data as examples
from lowdose.zoo.package import save_model
from lowdose.zoo.shelf import find_model
from lowdose.zoo.weights import load_network

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from lowdose.training.config import Recipe, ScheduleConfig

_log = logging.getLogger(__name__)

#: Mean doses of the validation [e-/px].
VALIDATION_DOSES = (0.5, 5.0, 50.0, 500.0)


def iter_train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Path]:
    """Train a network by a recipe.

    Parameters
    ----------
    recipe : Recipe
        See :func:`lowdose.training.config.read_recipe`.
    folder : Path
        Where everything goes: ``images.npy``, ``checkpoint.pt``, ``curve.csv`` and
        in the end ``model/``, which ``lowdose denoise --denoiser`` takes.
    resume : bool, optional
        Go on from the checkpoint in `folder`; the weights come out as they would
        have without the interruption.
    minutes : float, optional
        Stop after this long and keep a checkpoint.
    should_stop : callable, optional
        Asked after every step.

    Yields
    ------
    Progress
        Stage "draw" while the images are drawn, then "train", every few steps, with
        the loss in the message, and after each validation the gain in dB by dose.

    Returns
    -------
    Path
        The folder of the trained model.

    Raises
    ------
    OutputError
        If the folder holds a training already and `resume` is false.
    TrainingError
        If the loss is not finite, or the checkpoint is of another recipe.
    Cancelled
        If told to stop or out of time; the checkpoint is kept.
    """
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        msg = f"{folder} holds a training already. Resume it, or choose another folder."
        raise OutputError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    images = folder / "images.npy"
    for done, total in examples.draw_images(recipe.data, recipe.seed, images):
        if done % 32 == 0 or done == total:
            yield Progress(stage="draw", done=done, total=total, seconds=clock.seconds)
        if should_stop():
            msg = "The training was stopped while its images were drawn."
            raise Cancelled(msg)

    state = _State(recipe)
    if checkpoint.exists():
        state.load(checkpoint)
    plan = recipe.training
    make = examples.batches(
        images,
        recipe.noise,
        seed=recipe.seed,
        batch=plan.batch,
        patch=plan.patch,
        conditions=state.conditions,
    )
    validation = examples.validation_set(
        recipe.data, recipe.noise, recipe.seed, VALIDATION_DOSES
    )
    clock, first, losses = Clock(), state.step, []
    while state.step < plan.steps:
        started = time.perf_counter()
        losses.append(state.learn(*make(state.step)))
        state.seconds += time.perf_counter() - started
        if not math.isfinite(losses[-1]):
            msg = (
                f"The loss of step {state.step} is {losses[-1]}. The last good "
                f"checkpoint is {checkpoint}; resume from it with a lower "
                "training.learning_rate."
            )
            raise TrainingError(msg)
        message = ""
        if state.step % plan.validate_every == 0 or state.step == plan.steps:
            gains = state.validate(validation)
            _append(folder / "curve.csv", state.step, np.mean(losses), gains)
            losses.clear()
            state.save(checkpoint)
            message = _sentence(state.step, gains)
        if message or state.step % 10 == 0:
            yield Progress(
                stage="train",
                done=state.step - first,
                total=plan.steps - first,
                seconds=clock.seconds,
                message=message,
            )
        out_of_time = minutes is not None and clock.seconds > 60 * minutes
        if state.step < plan.steps and (should_stop() or out_of_time):
            state.save(checkpoint)
            msg = f"Stopped after step {state.step}; {checkpoint} is kept to resume."
            raise Cancelled(msg)
    return _finish(state, folder / "model", state.validate(validation))


class _State:
    """Network, optimiser and averaged weights, and how far they have come."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.step = 0
        #: How many constants the network is told.
        self.conditions = int(recipe.network.options.get("conditions", 0))
        #: Time spent in optimiser steps, over all runs [s].
        self.seconds = 0.0
        options = dict(recipe.network.options)
        network = networks.build(recipe.network.architecture, **options)
        if recipe.start:
            _copy_weights(recipe.start, network)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=recipe.training.learning_rate
        )

    def learn(self, noisy: np.ndarray, clean: np.ndarray) -> float:
        """Make one optimiser step and return its loss."""
        plan = self.recipe.training
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, plan)
        self._choose_mode()
        x, target = _tensor(noisy), _tensor(clean)
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=plan.precision == "bfloat16"
        ):
            y = self.network(x)
        loss = root_mean_square(y.float(), target)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
        self.optimiser.step()
        self.step += 1
        self._follow(plan.average)
        return float(loss.detach())

    def _choose_mode(self) -> None:
        """Set to training, with batch normalisation frozen from its step on."""
        frozen = 0 <= self.recipe.training.freeze_norm <= self.step
        self.network.train()
        if not frozen:
            return
        averages = dict(self.average.named_modules())
        for name, module in self.network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
                if self.step == self.recipe.training.freeze_norm:
                    # Averaged over many batches, they are what validation used.
                    module.load_state_dict(
                        {
                            **module.state_dict(),
                            **dict(averages[name].named_buffers()),
                        }
                    )

    def _follow(self, decay: float) -> None:
        """Move the averaged weights towards the current ones."""
        # A young average would otherwise be dominated by the random start.
        weight = 1 - min(decay, self.step / (self.step + 10))
        with torch.no_grad():
            current = self.network.state_dict()
            for name, mean in self.average.state_dict().items():
                if mean.is_floating_point():
                    mean.lerp_(current[name], weight)
                else:
                    mean.copy_(current[name])

    def validate(
        self, sets: dict[float, tuple[np.ndarray, np.ndarray]]
    ) -> dict[float, float]:
        """Return the gain in PSNR over Poisson counts, by dose [dB]."""
        gains = {}
        for dose, (noisy, clean) in sets.items():
            measures = [measure(image, NoiseModel()) for image in noisy]
            seen = examples.network_input(noisy, measures, conditions=self.conditions)
            answer = np.concatenate([self._apply(p) for p in np.array_split(seen, 4)])
            denoised = answer * column(measures, "sigma") + column(measures, "mean")
            before = ((noisy - clean) ** 2).mean((1, 2))
            after = ((denoised - clean) ** 2).mean((1, 2))
            gains[dose] = float(np.mean(10 * np.log10(before / after)))
        return gains

    @torch.inference_mode()
    def _apply(self, seen: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.average(_tensor(seen))[:, 0].numpy()
        return result

    def save(self, path: Path) -> None:
        """Write a checkpoint, never half of one under its name."""
        part = path.with_name(f".{path.name}.part")
        torch.save(
            {
                "recipe": dataclasses.asdict(self.recipe),
                "step": self.step,
                "seconds": self.seconds,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            part,
        )
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe."""
        try:
            saved: dict[str, Any] = torch.load(path, weights_only=True)
            same = _what_matters(saved["recipe"]) == _what_matters(
                dataclasses.asdict(self.recipe)
            )
        except Exception as error:
            msg = f"{path} is no checkpoint of this version: {error}. Start afresh."
            raise TrainingError(msg) from error
        if not same:
            msg = (
                f"{path} was written by another recipe. Use the recipe it was begun "
                "with, or another folder."
            )
            raise TrainingError(msg)
        self.step, self.seconds = saved["step"], saved["seconds"]
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])


def root_mean_square(denoised: Tensor, clean: Tensor) -> Tensor:
    """Return the root mean square error of each image, averaged over the batch.

    Its gradient weighs every image about alike, where that of the mean square would
    be ruled by the few of highest contrast.

    Parameters
    ----------
    denoised : Tensor, shape (N, 1, H, W)
        What the network made.
    clean : Tensor, shape (N, 1, H, W)
        What it should have made.

    Returns
    -------
    Tensor, shape ()
    """
    return ((denoised - clean) ** 2).mean((1, 2, 3)).add(1e-6).sqrt().mean()


def learning_rate(step: int, plan: ScheduleConfig) -> float:
    """Return the rate of a step: a linear rise, then cosines down to a hundredth."""
    if step < plan.warmup:
        return plan.learning_rate * (step + 1) / plan.warmup
    bounds = [plan.warmup, *plan.restarts, plan.steps]
    cycle = min(sum(step >= bound for bound in bounds) - 1, len(bounds) - 2)
    share = (step - bounds[cycle]) / max(1, bounds[cycle + 1] - bounds[cycle])
    high = plan.learning_rate * plan.restart_factor**cycle
    low = 0.01 * high
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * share))


def _copy_weights(start: str, network: nn.Module) -> None:
    """Give a network the weights of a model of the same architecture."""
    weights = load_network(find_model(start)).state_dict()
    wanted = network.state_dict()
    for key in sorted(weights.keys() | wanted.keys()):
        if (
            key not in weights
            or key not in wanted
            or (weights[key].shape != wanted[key].shape)
        ):
            msg = (
                f"start={start!r} is of another network: {key} does not fit. Give "
                "[network] the architecture and options of its card."
            )
            raise ParameterError(msg)
    network.load_state_dict(weights)


def _what_matters(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return what determines the weights; texts may be mended under way."""
    keys = ("seed", "start", "data", "noise", "network", "training")
    return {key: recipe[key] for key in keys}


def _tensor(images: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(images, np.float32))
    return tensor.contiguous(memory_format=torch.channels_last)


def _append(
    path: Path, step: int, loss: np.floating[Any], gains: dict[float, float]
) -> None:
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["step", "loss", *(f"gain_dB_{d:g}" for d in gains)])
        writer.writerow([step, f"{loss:.5f}", *(f"{g:.3f}" for g in gains.values())])


def _sentence(step: int, gains: dict[float, float]) -> str:
    parts = ", ".join(f"{gain:.2f} dB at {dose:g}" for dose, gain in gains.items())
    return f"Step {step}: gain {parts} e-/px."


def _finish(state: _State, folder: Path, gains: dict[float, float]) -> Path:
    recipe = state.recipe
    training = {
        "recipe": f"{recipe.name}.toml",
        "seed": recipe.seed,
        "steps": state.step,
        "minutes": round(state.seconds / 60, 1),
        "hardware": f"{os.cpu_count()} x {platform.machine()} CPU",
        "torch": torch.__version__,
        "validation_gain_dB": {f"{d:g} e-/px": round(g, 2) for d, g in gains.items()},
    }
    options = dict(recipe.network.options)
    if "base" not in options:
        msg = f"{recipe.network.architecture} needs the option 'base' in the recipe."
        raise ParameterError(msg)
    save_model(
        folder,
        state.average,
        name=recipe.name,
        title=recipe.title,
        summary=recipe.summary,
        licence=recipe.licence,
        reference=recipe.reference,
        architecture=recipe.network.architecture,
        options=options,
        training=training,
        extra=recipe.card,
    )
    return folder
