"""What the widget "Train" says, in sentences."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from lowdose.errors import DeviceError, LowDoseError, OutOfMemoryError
from lowdose.progress import Progress, format_seconds
from napari_lowdose._messages import explain

if TYPE_CHECKING:
    from napari_lowdose.training.job import KeptModel
    from napari_lowdose.training.records import Record

#: What a stage is called; others go by their own name.
_STAGES: Final = {
    "load": "Loading",
    "copy": "Copying the layers, to be able to go on another day",
    "measure": "Measuring the noise of every frame",
    "register": "Finding the drift between frames",
    "draw": "Drawing images",
}
_ENDINGS: Final = {
    "steps": "All steps are made.",
    "time": "The time is up.",
    "budget": "The time is up.",
    "plateau": "The validation got no better, so that the training ended early.",
    "asked": "Ended as asked.",
}
#: A key of a recipe, as the core's messages name it.
_KEY: Final = re.compile(r"\b(?:training|data)\.(\w+)")


def describe_training(progress: Progress) -> str:
    """Return the stage, how much of it is done, and the time left."""
    left = progress.seconds_left
    rest = "" if left is None else f", {format_seconds(left)} left"
    if progress.stage != "train":
        text = _STAGES.get(progress.stage, progress.stage)
        if progress.total > 1 and progress.done:
            return f"{text}: {progress.done} of {progress.total}{rest}"
        return f"{text}…"
    step = getattr(progress, "first", 0) + progress.done
    speed = ""
    if progress.done and progress.seconds:
        speed = f", {progress.done / progress.seconds:.3g} steps/s"
    return f"Step {step}{speed}{rest}."


def explain_training(error: BaseException) -> str:
    """Return what went wrong, in the words of the form instead of those of a recipe."""
    # These two say themselves what to change of a training.
    own = isinstance(error, DeviceError | OutOfMemoryError)
    text = str(error) if own and isinstance(error, LowDoseError) else explain(error)
    return plain(text)


def plain(text: str) -> str:
    """Return a sentence of the core without the keys of recipes."""
    return _KEY.sub(lambda m: f"'{m[1].replace('_', ' ')}' (under Advanced)", text)


def describe_kept(kept: KeptModel) -> str:
    """Return what was kept, how good it is, and where to find it."""
    trained = kept.trained
    scores = ", ".join(describe_score(*item) for item in trained.scores.items())
    best = f" Validation of the best: {scores}." if scores else ""
    return (
        f"{_ENDINGS[trained.ended]} {trained.steps} steps in "
        f"{format_seconds(kept.seconds)}.{best} The model '{kept.card.name}' is in the "
        "widget Denoise, under Your models."
    )


def describe_stopped(record: Record | None) -> str:
    """Return how far a training came that was stopped, and what is left of it."""
    if record is None:
        return "Cancelled before the first step; nothing is left of it."
    return (
        f"Stopped after {record.steps} steps. The checkpoint of '{record.name}' is "
        "kept: resume it above, or discard it."
    )


def describe_record(record: Record) -> str:
    """Return what can be gone on with, in a line."""
    at = time.strftime("%d %b %H:%M", time.localtime(record.written))
    minutes = record.seconds / 60
    spent = f"{minutes:.1f} of {record.minutes:g} min"
    return f"{record.name}: {record.steps} steps, {spent}, {at}"


def describe_score(name: str, value: float) -> str:
    """Return a score with its unit, such as "gain 9.13 dB"."""
    stem, _, unit = name.rpartition("_")
    if unit == "dB":
        return f"{stem.replace('_', ' ')} {value:.2f} dB"
    return f"{name.replace('_', ' ')} {value:.3f}"
