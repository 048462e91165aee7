"""The training loop: an iterator that reports, stops when told, and resumes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from lowdose.errors import (
    Cancelled,
    LowDoseWarning,
    OutputError,
    ParameterError,
)
from lowdose.progress import Progress, ShouldStop, never
from lowdose.training import checkpoint, ways
from lowdose.training.hardware import Hardware, is_leader, make_fabric
from lowdose.training.learner import Learner
from lowdose.training.run import Run
from lowdose.training.settings import setting_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from lowdose.micrograph import Micrograph
    from lowdose.training.config import Recipe
    from lowdose.training.examples import Way
    from lowdose.training.result import TrainedModel


def iter_train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    hardware: Hardware | None = None,
    given: Mapping[str, Micrograph] | None = None,
    should_stop: ShouldStop = never,
    should_finish: ShouldStop = never,
) -> Generator[Progress, None, TrainedModel]:
    """Train a network by a recipe.

    Parameters
    ----------
    recipe : Recipe
        See :func:`lowdose.training.config.read_recipe`.
    folder : Path
        Where everything goes: ``last.pt`` and ``best.pt``, ``curve.csv``, and in the
        end ``model/``, which ``lowdose denoise --denoiser`` takes.
    resume : bool, optional
        Go on from the last checkpoint in `folder`; the weights come out as they
        would have without the interruption.
    minutes : float, optional
        Stop this run after so long [min]; the model is written as it then is, and
        the training can be resumed. For a schedule that ends with the time, set
        ``training.minutes`` of the recipe instead.
    hardware : Hardware, optional
        What to train on; one device, the fastest, by default.
    given : mapping of str to Micrograph, optional
        Data in memory, by the key of ``[data]`` under which the recipe would name a
        file, such as ``{"stack": micrograph}``.
    should_stop : callable, optional
        Asked after every step. When true, a checkpoint is written and
        :class:`~lowdose.errors.Cancelled` is raised.
    should_finish : callable, optional
        Asked after every step. When true, the training ends there and the model is
        written.

    Yields
    ------
    Progress
        Plain ones while the data is made ready; then
        :class:`~lowdose.training.reports.TrainingProgress`, stage "train",
        at most twice a second and at each validation.

    Returns
    -------
    TrainedModel

    Raises
    ------
    OutputError
        If the folder holds a training already and `resume` is false, or something
        cannot be written; the last checkpoint is then kept.
    TrainingError
        If the loss is not finite, or the checkpoint is damaged, of another version
        or of another recipe.
    InputError, FormatError, InvalidImageError, ParameterError
        If the data cannot be read, or cannot be learnt from in this way.
    DeviceError, OutOfMemoryError
        If the device failed; the last checkpoint is kept.
    Cancelled
        If told to stop; the checkpoint is kept.

    Warns
    -----
    LowDoseWarning
        If an assumption of the way to learn fails on the data.
    """
    last = checkpoint.find(folder)
    if last is not None and not resume and is_leader():
        msg = f"{folder} holds a training already. Resume it, or choose another folder."
        raise OutputError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {folder} cannot be made: {error.strerror}."
        raise OutputError(msg) from error
    way = yield from _opened(recipe, folder, given or {}, should_stop)
    if is_leader():
        for sentence in way.warnings:
            warnings.warn(sentence, LowDoseWarning, stacklevel=2)
    loss = recipe.training.loss
    if loss != "auto" and loss not in way.losses:
        msg = (
            f"training.loss={loss!r} is wrong for the targets of way={recipe.way!r}; "
            f"use {' or '.join(map(repr, way.losses))}, or leave it out."
        )
        raise ParameterError(msg)

    fabric = make_fabric(hardware or Hardware(), recipe.training.precision)
    fabric.launch()
    learner = Learner(recipe, fabric, way.losses[0] if loss == "auto" else loss)
    if last is not None and resume:
        learner.load(last)
    run = Run(learner, way, folder, minutes=minutes)
    ended = yield from run.train(should_stop, should_finish)
    return run.finish(ended)


def _opened(
    recipe: Recipe,
    folder: Path,
    given: Mapping[str, Micrograph],
    should_stop: ShouldStop,
) -> Generator[Progress, None, Way]:
    opening = ways.iter_open(recipe.data, setting_of(recipe, folder, given))
    while True:
        try:
            progress = next(opening)
        except StopIteration as end:
            way: Way = end.value
            return way
        yield progress
        if should_stop():
            msg = "The training was stopped while its data was made ready."
            raise Cancelled(msg)
