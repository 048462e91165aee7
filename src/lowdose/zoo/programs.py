"""A model as programs: graphs that other software runs without lowdose.

Two of them, and one of both: *measure* says what a frame is normalised by, *denoise*
takes a patch of it with these measures, so that tiles fit as they do in lowdose, and
*whole* does both on a frame at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn
from torch.export import Dim

from lowdose.networks.exporting import quiet, save_onnx
from lowdose.parameters import resolve
from lowdose.zoo.denoising_graph import Denoising, Whole
from lowdose.zoo.measuring_graph import LEAST_SIDE, Measuring, measure_names
from lowdose.zoo.network_denoiser import NetworkDenoiser

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from lowdose.parameters import Value
    from lowdose.zoo.cards import ModelCard

#: Largest side of what the programs take [px].
MOST_SIDE: Final = 2**15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgramSource:
    """What the programs of a model are made from.

    Parameters
    ----------
    denoiser : NetworkDenoiser
        With its binning set, on the CPU.
    step : int
        Sides of patches are multiples of this [px].
    least : int
        Least side of frames and patches [px].
    """

    denoiser: NetworkDenoiser
    step: int
    least: int

    @property
    def card(self) -> ModelCard:
        """Card of the model."""
        return self.denoiser.card

    @property
    def values(self) -> Mapping[str, Value]:
        """Value of each parameter that the programs have built in."""
        return self.denoiser.values

    @property
    def binning(self) -> int:
        """Edge of the blocks of pixels that are summed [px]."""
        return int(self.values.get("binning", 1))

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what *measure* returns, in order."""
        return measure_names(self.card)


def program_source(card: ModelCard, given: Mapping[str, Any]) -> ProgramSource:
    """Load what the programs of a model are made from.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    given : mapping
        Values of its parameters. A binning of 0, which a program cannot choose,
        becomes 1: pixels are then to be summed before.

    Raises
    ------
    ParameterError
        If a value is not allowed.
    WeightsError
        If the weights are missing, damaged, unsafe or do not fit the network.
    """
    values = resolve(card.parameters, given, owner=card.name)
    if "binning" in values:
        values = {**values, "binning": max(1, int(values["binning"]))}
    denoiser = NetworkDenoiser.from_card(card, values)
    step = denoiser.needs.multiple
    binning = int(values.get("binning", 1))
    least = -(-LEAST_SIDE * binning // step) * step
    return ProgramSource(denoiser=denoiser, step=step, least=least)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """One graph, as torch.export has it.

    Parameters
    ----------
    exported : torch.export.ExportedProgram
        The graph.
    inputs, outputs : tuple of str
        Names of its inputs and outputs, in order.
    size : tuple of int or None
        The one size of images that it takes, height and width [px]; None for any.
    """

    exported: ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    size: tuple[int, int] | None

    def save_torch(self, path: Path) -> Path:
        """Write it for :func:`torch.export.load`; the name must end with ``.pt2``."""
        with quiet():
            torch.export.save(self.exported, path)
        return path

    def save_onnx(self, path: Path) -> Path:
        """Write it as an ONNX file with the weights in it.

        Raises
        ------
        MissingExtraError
            If the packages for it are not installed.
        """
        return save_onnx(self.exported, path, inputs=self.inputs, outputs=self.outputs)


def measure_program(source: ProgramSource) -> Program:
    """Return the program ``frame`` (1, 1, H, W) -> ``measures`` (M,), float64."""
    binning = source.binning
    return _program(
        Measuring(source.card, source.values),
        (torch.rand(1, 1, 80 * binning, 96 * binning),),
        (binning, LEAST_SIDE * binning),
        inputs=("frame",),
        outputs=("measures",),
    )


def denoise_program(source: ProgramSource) -> Program:
    """Return the program ``counts``, ``measures`` -> ``denoised`` (1, 1, H, W)."""
    measures = torch.ones(len(source.measures), dtype=torch.float64)
    return _program(
        _denoising(source),
        (_example(source), measures),
        (source.step, source.least),
        inputs=("counts", "measures"),
        outputs=("denoised",),
    )


def whole_program(source: ProgramSource) -> Program:
    """Return the program ``counts`` -> ``denoised``, both (1, ., H, W)."""
    return _program(
        Whole(Measuring(source.card, source.values), _denoising(source)),
        (_example(source),),
        (source.step, source.least),
        inputs=("counts",),
        outputs=("denoised",),
    )


def _denoising(source: ProgramSource) -> Denoising:
    return Denoising(source.card, source.denoiser.network, source.values)


def _example(source: ProgramSource) -> Tensor:
    height, width = (source.least + n * source.step for n in (1, 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.rand(1, source.card.frames, height, width)


def _program(
    module: nn.Module,
    example: tuple[Tensor, ...],
    sides: tuple[int, int],
    *,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> Program:
    step, least = sides
    module.eval()

    def side(name: str) -> Any:
        dim = Dim(name, min=-(-least // step), max=MOST_SIDE // step)
        return dim if step == 1 else step * dim

    first = {2: side("rows"), 3: side("columns")}
    size: tuple[int, int] | None = None
    with quiet():
        try:
            exported = torch.export.export(
                module, example, dynamic_shapes=(first, *({} for _ in example[1:]))
            )
        except (RuntimeError, ValueError, TypeError, AssertionError):
            # Some layers are only made for a size that is known beforehand.
            exported = torch.export.export(module, example)
            size = (example[0].shape[-2], example[0].shape[-1])
    return Program(exported=exported, inputs=inputs, outputs=outputs, size=size)
