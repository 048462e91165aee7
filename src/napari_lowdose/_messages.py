"""From an exception, a layer or a run to a plain sentence: the only place for that."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import DeviceError, LowDoseError, OutOfMemoryError
from lowdose.progress import Progress, format_seconds
from lowdose.units import UNITS, convert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowdose.batch import Outcome
    from lowdose.micrograph import Axis, Micrograph

#: How the widget "Batch" calls what the command line calls by an option.
_LABELS: Final = {
    "give -o another name or folder": "choose another folder for the results",
    "--overwrite": "'Replace results that are there'",
    "--resume": "'Go on where a batch stopped'",
}
#: Failures that are listed in full.
_FAILURES: Final = 8

_SMALLER = "Choose a smaller tile or the device 'cpu' under Advanced."


def is_expected(error: BaseException) -> bool:
    """Whether an error is one that users can understand and mend.

    Anything else is a fault of the program: napari then shows its traceback.
    """
    return isinstance(error, LowDoseError | MemoryError | OSError | ImportError) or (
        _is_device_failure(error)
    )


def explain(error: BaseException) -> str:
    """Return what went wrong and what to do, for the user.

    Parameters
    ----------
    error : BaseException
        What a job ended with.

    Returns
    -------
    str
        One or two sentences.
    """
    match error:
        case OutOfMemoryError():
            return f"{_sentence(error)} {_SMALLER}"
        case DeviceError():
            return f"{_sentence(error)} Choose another device under Advanced."
        case LowDoseError():
            return _sentence(error)
        case MemoryError():
            return f"Memory ran out. {_SMALLER}"
        case ImportError() if error.name:
            return (
                f"The package {error.name!r} is missing from this Python. Install it "
                f"and start napari again."
            )
        case OSError() if error.errno == errno.ENOSPC:
            return "The disk is full. Make room, or write somewhere else."
        case OSError() if error.strerror:
            where = f": {error.filename}" if error.filename else ""
            return f"The system says {error.strerror.lower()!r}{where}."
        case _ if _is_device_failure(error):
            return f"The device failed ({_first_line(error)}). {_SMALLER}"
        case _:
            return (
                f"This should not have happened: {type(error).__name__}: "
                f"{_first_line(error)}. Please report it, with the error that napari "
                "shows."
            )


def describe(micrograph: Micrograph) -> str:
    """Return what a layer is: frames, size and calibration, as the plugin reads it."""
    height, width = micrograph.frame_shape
    size = f"{width} × {height} px"
    if micrograph.n_frames > 1:
        size = f"{micrograph.n_frames} frames of {size}"
    *leading, y, x = micrograph.calibration.axes
    steps = [f"{a.label} step {readable(a)}" for a in leading if a.calibrated]
    if y.calibrated and x.calibrated:
        same = (y.spacing, y.unit) == (x.spacing, x.unit)
        pixel = readable(x) if same else f"{readable(y)} × {readable(x)}"
        steps.insert(0, f"{pixel} per pixel")
    return f"{size}. {', '.join(steps) or 'Not calibrated'}."


def readable(axis: Axis) -> str:
    """Return the spacing of a calibrated axis with a unit that suits its size."""
    assert axis.spacing is not None
    assert axis.unit is not None
    value, unit = axis.spacing, axis.unit
    if not 0.1 <= value < 1000 and UNITS[unit][0] == "length":
        for unit in ("pm", "nm", "um", "mm", "m"):
            value = convert(axis.spacing, axis.unit, unit)
            if value < 1000:
                break
    return f"{value:.4g} {unit}"


def describe_progress(progress: Progress) -> str:
    """Return tiles and frame, and on a second line rate and time left."""
    where = [f"{progress.done} of {progress.total} tiles"]
    if progress.frames > 1:
        frame = min(frames_done(progress) + 1, progress.frames)
        where.append(f"frame {frame} of {progress.frames}")
    speed = []
    if (rate := progress.megapixels_per_second) is not None:
        speed.append(f"{rate:.2g} Mpx/s")
    if (left := progress.seconds_left) is not None:
        speed.append(f"{format_seconds(left)} left")
    return "\n".join(", ".join(parts) for parts in (where, speed) if parts)


def frames_done(progress: Progress) -> int:
    """Return how many frames are finished; they need not be the first ones."""
    return progress.done * progress.frames // progress.total if progress.total else 0


def describe_cancelled(progress: Progress | None) -> str:
    """Return how far a run came that was stopped, and what became of its result."""
    how_far = ""
    if progress is not None and progress.frames > 1:
        how_far = f" after {frames_done(progress)} of {progress.frames} frames"
    return f"Cancelled{how_far}. The unfinished result was removed."


def describe_done(result: Micrograph, seconds: float, name: str) -> str:
    """Return that a run is done, how long it took, and where the result is."""
    pixels = result.n_frames * result.frame_shape[0] * result.frame_shape[1]
    rate = f" ({1e-6 * pixels / seconds:.2g} Mpx/s)" if seconds > 0 else ""
    took = format_seconds(seconds) if seconds >= 10 else f"{seconds:.1f} s"
    return f"Done in {took}{rate}. The result is '{name}'."


def describe_batch(progress: Progress) -> str:
    """Return how many files are finished, and on a second line rate and time left."""
    first = f"{progress.frame + 1} of {progress.frames} files"
    speed = []
    if (rate := progress.megapixels_per_second) is not None:
        speed.append(f"{rate:.2g} Mpx/s")
    if (left := progress.seconds_left) is not None:
        speed.append(f"{format_seconds(left)} left")
    return "\n".join(line for line in (first, ", ".join(speed)) if line)


def describe_batch_done(outcomes: Sequence[Outcome], total: int, seconds: float) -> str:
    """Return how a batch went, and why files of it failed.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of the files that are done or failed.
    total : int
        Number of files.
    seconds : float
        How long it took [s].
    """
    failed = [outcome for outcome in outcomes if outcome.error]
    present = sum(outcome.present for outcome in outcomes)
    parts = [f"{len(outcomes) - len(failed) - present} denoised"]
    if present:
        parts.append(f"{present} there already")
    if failed:
        parts.append(f"{len(failed)} failed")
    took = format_seconds(seconds) if seconds >= 10 else f"{seconds:.1f} s"
    lines = [f"{len(outcomes)} of {total} files in {took}: {', '.join(parts)}."]
    lines += [
        f"✗ {_about(outcome.job.source.name, in_words_of_the_widget(outcome.error))}"
        for outcome in failed[:_FAILURES]
    ]
    if len(failed) > _FAILURES:
        rest = len(failed) - _FAILURES
        lines.append(f"and {rest} more: rest the pointer on them in the table.")
    return "\n".join(lines)


def _about(name: str, text: str) -> str:
    return text if name in text else f"{name}: {text}"


def in_words_of_the_widget(text: str) -> str:
    """Return an error of the core with the options of the command line translated."""
    for option, label in _LABELS.items():
        text = text.replace(option, label)
    return text


def _is_device_failure(error: BaseException) -> bool:
    # torch cannot be imported here to ask for its types: the widget starts without.
    origin = type(error).__module__.partition(".")[0]
    return isinstance(error, RuntimeError) and (
        origin == "torch" or "CUDA" in str(error) or "MPS" in str(error)
    )


def _sentence(error: BaseException) -> str:
    text = str(error).strip()
    return text if text.endswith((".", "!", "?", ")")) else f"{text}."


def _first_line(error: BaseException) -> str:
    lines: list[Any] = str(error).strip().splitlines()
    return str(lines[0]).rstrip(".") if lines else "no details"
