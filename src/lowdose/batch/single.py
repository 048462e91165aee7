"""One file into another, frame by frame; gone on with where a run was ended."""

from __future__ import annotations

import warnings
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.batch.identity import Identity, check_unchanged, identify
from lowdose.batch.manifest import Manifest, Plan
from lowdose.batch.recorded import RecordedSink, verified_frames
from lowdose.batch.spec import difference, plain
from lowdose.batch.status import Outcome
from lowdose.errors import (
    InvalidImageError,
    LowDoseError,
    LowDoseWarning,
    OutputError,
    ParameterError,
)
from lowdose.inference import DenoiseOptions, iter_denoise, plan_step
from lowdose.io import paths
from lowdose.micrograph import Step
from lowdose.progress import Clock, Progress, ShouldStop, never

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from lowdose.batch.jobs import Job
    from lowdose.denoiser import Denoiser
    from lowdose.io import Sink
    from lowdose.micrograph import Micrograph


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """How the files of a batch are treated.

    Parameters
    ----------
    dataset : str, optional
        Which image, where a file holds several.
    overwrite : bool, optional
        Whether results that are there are replaced.
    resume : bool, optional
        Go on where an earlier run stopped, and leave what is finished when this one
        is stopped or fails. A result that is there already is kept, if it was made
        in the same way of the same input.
    """

    dataset: str | None = None
    overwrite: bool = False
    resume: bool = False


@dataclass(slots=True, kw_only=True)
class OpenFile:
    """A file that is about to be denoised, its result open.

    Parameters
    ----------
    image : Micrograph
        The noisy image.
    sink : RecordedSink
        Takes the frames.
    frames : tuple of int
        Numbers of the frames that are not finished.
    identity : Identity
        Of the input.
    """

    image: Micrograph
    sink: RecordedSink
    frames: tuple[int, ...]
    identity: Identity


_DEFAULTS = DenoiseOptions()
_FILE_DEFAULTS = FileOptions()


def denoise_file(
    job: Job,
    denoiser: Denoiser,
    *,
    options: DenoiseOptions = _DEFAULTS,
    files: FileOptions = _FILE_DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Outcome]:
    """Denoise one file into another, step by step.

    Parameters
    ----------
    job : Job
        The file and its result.
    denoiser : Denoiser
        What denoises.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    files : FileOptions, optional
        How to treat the files.
    should_stop : callable, optional
        Asked before every batch of tiles; when it returns True the work stops.

    Yields
    ------
    Progress
        As :func:`~lowdose.inference.engine.iter_denoise` does; with `resume` counted
        over the frames that were missing.

    Returns
    -------
    Outcome
        What was made.

    Raises
    ------
    LowDoseError
        If it cannot be read, denoised or written, or was cancelled. Nothing is left
        of the result then, unless `resume` is on. With `resume`,
        :class:`~lowdose.errors.OutputError` if input, model or parameters are others
        than those of what is there.
    """
    clock = Clock()
    opened = open_file(job, denoiser, options=options, files=files)
    if isinstance(opened, Outcome):
        return opened
    keep = False
    steps = iter_denoise(
        opened.image,
        denoiser,
        options=options,
        out=opened.sink,
        should_stop=should_stop,
        frames=opened.frames,
    )
    try:
        with closing(steps):
            yield from steps
    except BaseException as error:
        keep = files.resume and worth_keeping(error)
        raise
    finally:
        opened.sink.end(keep=keep)
    return Outcome(
        job=job,
        shape=opened.image.shape,
        seconds=clock.seconds,
        frames_resumed=opened.image.n_frames - len(opened.frames),
    )


def open_file(
    job: Job,
    denoiser: Denoiser,
    *,
    options: DenoiseOptions,
    files: FileOptions,
    device: str = "",
) -> OpenFile | Outcome:
    """Open input and result, or say that the result is there already.

    Parameters
    ----------
    job : Job
        The file and its result.
    denoiser : Denoiser
        What denoises.
    options : DenoiseOptions
        Where and in what pieces to compute.
    files : FileOptions
        How to treat the files.
    device : str, optional
        What the provenance calls the device, where that is none of this machine.

    Returns
    -------
    OpenFile or Outcome
        Ready for the missing frames; or that there is nothing to do.

    Raises
    ------
    LowDoseError
        As :func:`denoise_file` does.
    """
    from lowdose import io

    image = io.read(job.source, dataset=files.dataset)
    identity = identify(job.source)
    step = _step(image, denoiser, options, identity, files.dataset)
    if device:
        step = replace(step, details={**step.details, "device": device})
    with paths.in_words(job.target):
        paths.check_output(job.target, overwrite=files.overwrite or files.resume)
        there = job.target.exists()
    resumed = there and files.resume
    if resumed and _is_the_same(job.target, step, strict=not files.overwrite):
        return Outcome(job=job, shape=image.shape, present=True)
    manifest = Manifest.open(job.target)
    try:
        sink, frames = _open_result(
            job, image, step, identity, manifest, denoiser=denoiser, files=files
        )
    except BaseException:
        if manifest.leftover() is None:
            manifest.remove()
        manifest.close()
        raise
    recorded = RecordedSink(
        sink, manifest, lambda: check_unchanged(job.source, identity)
    )
    return OpenFile(image=image, sink=recorded, frames=frames, identity=identity)


def worth_keeping(error: BaseException) -> bool:
    """Return whether what was finished before an error is of use to a later run."""
    return not isinstance(error, (InvalidImageError, ParameterError))


def _open_result(
    job: Job,
    image: Micrograph,
    step: Step,
    identity: Identity,
    manifest: Manifest,
    *,
    denoiser: Denoiser,
    files: FileOptions,
) -> tuple[Sink, tuple[int, ...]]:
    """Return the sink, gone on with or new, and the frames that it lacks."""
    from lowdose import io

    overwrite = files.overwrite
    part = manifest.leftover()
    if part is not None and files.resume:
        assert manifest.plan is not None
        _check_same_run(job.target, manifest.plan, step, files, denoiser)
        if manifest.plan.token is not None:
            sink = _reopened(job, image, manifest, part, overwrite=overwrite)
            done = verified_frames(sink, manifest.checksums)
            sink.detach()
            sink = _reopened(
                job, image, manifest, part, overwrite=overwrite, written=done
            )
            return sink, tuple(int(n) for n in np.flatnonzero(~done))
    elif part is not None:
        msg = (
            f"What an earlier run left of {job.target} ({len(manifest.checksums)} "
            "frames) is given up; --resume would have gone on with it."
        )
        warnings.warn(msg, LowDoseWarning, stacklevel=4)
    manifest.discard()
    part = paths.temporary_name(job.target)
    manifest.begin(
        Plan(
            source=identity.to_dict(),
            dataset=files.dataset,
            denoiser=plain(denoiser.describe()),
            settings=_settings(step.details),
            part=part.name,
            token=None,
            step=step.to_dict(),
            shape=image.shape,
        )
    )
    sink = io.create(
        job.target,
        image.shape,
        image.calibration.with_step(step),
        name=image.name,
        overwrite=overwrite,
        part=part,
    )
    try:
        manifest.laid_out(sink.token())
    except BaseException:
        sink.abort()
        raise
    return sink, tuple(range(image.n_frames))


def _reopened(
    job: Job, image: Micrograph, manifest: Manifest, part: Path, **others: Any
) -> Sink:
    from lowdose import io

    plan = manifest.plan
    assert plan is not None
    assert plan.token is not None
    return io.reopen(
        job.target,
        part,
        image.shape,
        image.calibration.with_step(Step.from_dict(plan.step)),
        token=dict(plan.token),
        name=image.name,
        **others,
    )


def _step(
    image: Micrograph,
    denoiser: Denoiser,
    options: DenoiseOptions,
    identity: Identity,
    dataset: str | None,
) -> Step:
    """Return the provenance step, with what input it was."""
    step = plan_step(image, denoiser, options=options)
    record = {**identity.to_dict(), "dataset": dataset}
    return replace(step, details={**step.details, "input": record})


def _settings(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return what sets the pixels beside the denoiser and its input."""
    settings = {
        "keep_mean": details["options"]["keep_mean"],
        "precision": details["precision"],
    }
    # A compiler changes their last digits. Named only where it was asked for, so that
    # what was begun before there was the choice can be gone on with.
    if details["options"].get("compile"):
        settings["compile"] = True
    return settings


def _check_same_run(
    target: Path, plan: Plan, step: Step, files: FileOptions, denoiser: Denoiser
) -> None:
    """Raise unless the unfinished file was to be what this run makes."""
    advice = "Without --resume it is begun anew."
    try:
        change = Identity.from_dict(plan.source).change_to(
            Identity.from_dict(step.details["input"])
        )
    except (KeyError, TypeError, ValueError):
        change = "the manifest is damaged"
    if change:
        msg = (
            f"Cannot go on with {target}: the input {step.source} is another one than "
            f"it was begun with; {change}. {advice}"
        )
        raise OutputError(msg)
    then = {
        "denoiser": plain(plan.denoiser),
        "dataset": plan.dataset,
        **plain(plan.settings),
    }
    now = {
        "denoiser": plain(denoiser.describe()),
        "dataset": files.dataset,
        **_settings(step.details),
    }
    if then != now:
        msg = (
            f"Cannot go on with {target}: it was begun in another way; "
            f"{difference(then, now)}. {advice}"
        )
        raise OutputError(msg)


def _is_the_same(target: Path, step: Step, *, strict: bool) -> bool:
    """Return whether a finished result is what this run would make.

    Raises
    ------
    OutputError
        If it is not, where `strict`.
    """
    from lowdose import io

    try:
        provenance = io.read(target).calibration.provenance
    except LowDoseError as error:
        why = f"it cannot be read ({error})"
    else:
        why = _why_another(provenance, step)
    if why and strict:
        msg = (
            f"{target} exists already, and is no result of this run: {why}. Give "
            "another name, or --overwrite."
        )
        raise OutputError(msg)
    return not why


def _why_another(provenance: tuple[Step, ...], step: Step) -> str:
    """Return in words why a result is not that of a step, or ``""`` where it is."""
    if not provenance or "input" not in provenance[-1].details:
        return "it does not say what it was made of"
    try:
        made, wanted = plain(provenance[-1].details), plain(step.details)
        change = Identity.from_dict(made["input"]).change_to(
            Identity.from_dict(wanted["input"])
        )
        if change:
            return f"its input was another; {change}"
        one, other = (
            {
                "denoiser": details["denoiser"],
                "dataset": details["input"]["dataset"],
                **_settings(details),
            }
            for details in (made, wanted)
        )
    except (KeyError, TypeError, ValueError):
        return "what it says of its making is damaged"
    return "" if one == other else difference(one, other)
