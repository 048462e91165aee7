"""Network, optimiser and averaged weights, and how far they have come."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import lowdose
from lowdose import networks
from lowdose.errors import ParameterError, TrainingError
from lowdose.training import checkpoint
from lowdose.training.batches import network_input, output_scale
from lowdose.training.config import recipe_to_dict
from lowdose.training.losses import LOSSES
from lowdose.training.schedule import Plateau, learning_rate
from lowdose.training.settings import network_of
from lowdose.zoo.shelf import find_model
from lowdose.zoo.weights import load_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lightning_fabric import Fabric
    from numpy.typing import NDArray
    from torch import Tensor

    from lowdose.denoiser import Measures
    from lowdose.training.batches import Batch
    from lowdose.training.config import Recipe

    Image = NDArray[np.float32]

#: Pixels in one piece of a validation, for the memory of the device.
_VALIDATED_AT_ONCE = 1 << 20
#: The one tensor by which :class:`~lowdose.networks.dose_unet.DoseUNet` with
#: neighbouring frames differs from that without.
_NEIGHBOURS = "neighbours.weight"


class Learner:
    """Learns from batches, and keeps an average of the weights.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    fabric : Fabric
        Where; launched.
    loss : str
        Key of :data:`lowdose.training.losses.LOSSES`.

    Attributes
    ----------
    step : int
        Steps made.
    seconds : float
        Time spent in them, over all runs [s].
    average : torch.nn.Module
        The averaged network, in evaluation mode.
    plateau : Plateau
        What the validations were like.
    """

    def __init__(self, recipe: Recipe, fabric: Fabric, loss: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.fabric = recipe, fabric
        self.settings = network_of(recipe)
        self.step = 0
        self.seconds = 0.0
        self.plateau = Plateau(recipe.training)
        self._loss = LOSSES[loss]
        options = self.settings.options
        network = networks.build(self.settings.architecture, **options)
        if recipe.start:
            _copy_weights(recipe.start, network)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.average.to(fabric.device)
        plan = recipe.training
        self.optimiser = torch.optim.Adam(
            self.network.parameters(),
            lr=recipe.learning_rate,
            betas=(plan.beta1, plan.beta2),
            weight_decay=plan.l2,
        )
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            self.network = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
                self.network
            )
        self._module, self._stepper = fabric.setup(self.network, self.optimiser)

    @property
    def conditions(self) -> int:
        """How many constants the network is told."""
        return int(self.settings.options.get("conditions", 0))

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        return learning_rate(
            self.step, self.recipe, seconds=self.seconds, reduced=self.plateau.reduced
        )

    def learn(self, batch: Batch) -> float:
        """Make one optimiser step and return its loss, that of this process.

        Where loss or gradient is not finite the weights are left as they were, and
        NaN is returned.
        """
        plan = self.recipe.training
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        self._choose_mode()
        seen, target, weight, growth = (
            self._tensor(part)
            for part in (batch.seen, batch.target, batch.weight, batch.growth)
        )
        output = self._module(seen).float()
        loss = self._loss(output, target, weight, growth)
        self._stepper.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = nn.utils.clip_grad_norm_(
            self.network.parameters(), plan.clip or math.inf
        )
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            return math.nan
        self._stepper.step()
        self.step += 1
        self._follow(plan.average)
        return value

    def apply(self, frames: Image, measures: Sequence[Measures]) -> Image:
        """Denoise frames (N, F, H, W) with the averaged network; (N, H, W), counts."""
        offset, scale = output_scale(measures)
        at_once = max(1, _VALIDATED_AT_ONCE // math.prod(frames.shape[-2:]))
        parts = []
        for start in range(0, len(frames), at_once):
            part = slice(start, start + at_once)
            seen = network_input(
                frames[part], measures[part], conditions=self.conditions
            )
            with torch.inference_mode():
                answer = self.average(self._tensor(seen))[:, 0]
            parts.append(answer.float().cpu().numpy())
        result: Image = (np.concatenate(parts) * scale + offset).astype(np.float32)
        return result

    def save(self, path: Path) -> None:
        """Write a checkpoint of everything; see :mod:`lowdose.training.checkpoint`."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        checkpoint.save(
            path,
            {
                "lowdose": lowdose.__version__,
                "recipe": recipe_to_dict(self.recipe),
                "step": self.step,
                "seconds": self.seconds,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "plateau": self.plateau.state(),
                "random": {"torch": torch.get_rng_state(), "cuda": cuda},
            },
        )

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe.

        Raises
        ------
        TrainingError
            If it is damaged, of another version, or of another recipe.
        """
        saved = checkpoint.load(path)
        checkpoint.check_same(path, saved["recipe"], recipe_to_dict(self.recipe))
        try:
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimiser.load_state_dict(saved["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            msg = (
                f"{path} does not fit the network of the recipe: "
                f"{str(error).splitlines()[0]}. Start afresh."
            )
            raise TrainingError(msg) from error
        self.step, self.seconds = int(saved["step"]), float(saved["seconds"])
        self.plateau.restore(saved["plateau"])
        torch.set_rng_state(saved["random"]["torch"])
        if torch.cuda.is_available() and saved["random"]["cuda"]:
            torch.cuda.set_rng_state_all(saved["random"]["cuda"])

    def take_average(self, path: Path) -> None:
        """Take the averaged network of a checkpoint, such as the best one."""
        self.average.load_state_dict(checkpoint.load(path)["average"])

    def _choose_mode(self) -> None:
        """Set to training, with batch normalisation frozen from its step on."""
        freeze = self.recipe.freeze_norm
        self.network.train()
        if not 0 <= freeze <= self.step:
            return
        averages = dict(self.average.named_modules())
        for name, module in self.network.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
                if self.step == freeze:
                    # Averaged over many batches, they are what validation used.
                    buffers = dict(averages[name].named_buffers())
                    module.load_state_dict({**module.state_dict(), **buffers})

    def _follow(self, decay: float) -> None:
        """Move the averaged weights towards the current ones."""
        # A young average would otherwise be dominated by the random start. A network
        # that begins with a model is no random start, but the average of it is it.
        weight = 1 - min(decay, self.step / (self.step + 10))
        with torch.no_grad():
            current = self.network.state_dict()
            for name, mean in self.average.state_dict().items():
                if mean.is_floating_point() and decay:
                    mean.lerp_(current[name], weight)
                else:
                    mean.copy_(current[name])

    def _tensor(self, images: Image) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(images, np.float32))
        tensor = tensor.to(self.fabric.device)
        return tensor.contiguous(memory_format=torch.channels_last)


def _copy_weights(start: str, network: nn.Module) -> None:
    """Give a network the weights of a model of the same architecture.

    A network that sees neighbouring frames can take those of one that does not, and
    is at first the same: what it makes of the neighbours begins at zero.
    """
    weights: dict[str, Any] = load_network(find_model(start)).state_dict()
    wanted = network.state_dict()
    if _NEIGHBOURS in wanted and _NEIGHBOURS not in weights:
        weights[_NEIGHBOURS] = torch.zeros_like(wanted[_NEIGHBOURS])
    for key in sorted(weights.keys() | wanted.keys()):
        if (
            key not in weights
            or key not in wanted
            or (weights[key].shape != wanted[key].shape)
        ):
            msg = (
                f"start={start!r} is of another network: {key} does not fit. Leave out "
                "[network], or give it the architecture and options of its card."
            )
            raise ParameterError(msg)
    network.load_state_dict(weights)
