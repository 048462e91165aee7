"""Run a denoiser over a micrograph: tiles, stacks, memory, progress, cancelling.

The only code that cuts tiles, picks device, precision and batch, retries after
out-of-memory, streams to disk, reports progress and stops when told.
"""

from __future__ import annotations

import operator
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import lowdose
from lowdose.errors import ParameterError
from lowdose.inference.device import CPU
from lowdose.inference.fitting import fitted
from lowdose.inference.heap import heap_kept
from lowdose.inference.options import DenoiseOptions
from lowdose.inference.patches import PatchRunner
from lowdose.inference.preview import denoise_region, loaded_denoiser
from lowdose.inference.runs import FrameRun
from lowdose.inference.streaming import FrameSink, open_target
from lowdose.micrograph import Micrograph, Step
from lowdose.progress import Progress, ShouldStop, never

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from numpy.typing import ArrayLike

    from lowdose.denoiser import Denoiser

__all__ = ["DenoiseOptions", "denoise", "denoise_region", "iter_denoise", "plan_step"]

_DEFAULTS = DenoiseOptions()


def iter_denoise(
    image: Micrograph | ArrayLike,
    denoiser: Denoiser | str,
    *,
    options: DenoiseOptions = _DEFAULTS,
    out: Any = None,
    should_stop: ShouldStop = never,
    frames: Iterable[int] | None = None,
) -> Generator[Progress, None, Micrograph]:
    """Denoise an image or a stack, step by step.

    Parameters
    ----------
    image : Micrograph or array_like, shape ([T,] [Z,] H, W)
        Detector counts, of any real type. Lazy stacks are read frame by frame, each
        frame once. Counts are computed with as float32: integers above 2**24 and
        float64 lose what does not fit its 24 significant bits.
    denoiser : Denoiser or str
        A denoiser, or its name in the catalogue.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    out : array_like or Sink, optional
        Where the result goes. An array of the shape of the image, float32 or
        float64, that takes ``out[index] = frame`` (numpy, memory-mapped, zarr,
        h5py); each frame is written when it is finished. A sink of
        :func:`lowdose.io.create` is committed on success, and aborted on any error,
        on cancelling, and when the generator is closed after its first step. None:
        a new array.
    should_stop : callable, optional
        Asked before every batch of tiles; when it returns True the work stops.
    frames : iterable of int, optional
        Numbers of the frames to do; all by default. The others are left as they are
        in `out`, which has to be given. Each frame gets the pixels that a run over
        all of them gives it.

    Yields
    ------
    Progress
        Once before the work begins (``done=0``), after every batch of tiles, and
        with a `message` when memory ran out. `Progress.frame` is the last frame
        that was written to `out`.

    Returns
    -------
    Micrograph
        Of the shape of the image, float32, in counts, with its calibration and one
        more provenance step. Pixels that were NaN or infinite are so again, and
        have not changed any other. Nothing is clipped. Read lazily from the file
        where `out` is a sink.

    Raises
    ------
    Cancelled
        If `should_stop` returned True.
    InvalidImageError
        If it is no image, or none of its pixels is finite.
    UnknownDenoiserError
        If no denoiser has the name.
    ParameterError
        If `out` does not fit, or there are no such `frames`.
    InputError, OutputError
        If a frame cannot be read or written.
    OutOfMemoryError
        If the work does not fit the memory in the smallest pieces, on the CPU; or
        the result does not and `out` is None.
    DeviceError
        If the device is not there, or failed.

    Notes
    -----
    The generator does everything, validation and loading included, when it is
    advanced, so that it can be made in one thread and run in another.

    With `keep_mean`, the mean of a frame is its mean over finite pixels.

    Of several frames the next one is read, and the last one written, while one is
    computed; memory is that of a few frames, whatever their number. Frames of more
    than :data:`~lowdose.inference.bands.LARGE_FRAME` pixels are read and written in
    bands of rows; :mod:`lowdose.inference.bands` says what that changes.
    """
    try:
        micrograph = image if isinstance(image, Micrograph) else Micrograph(image)
        loaded = fitted(loaded_denoiser(denoiser), micrograph)
        runner = PatchRunner(
            denoiser=loaded,
            frame_shape=micrograph.frame_shape,
            options=options,
            should_stop=should_stop,
        )
        numbers = _frame_numbers(frames, micrograph, out)
        target = open_target(out, micrograph)
        on_cpu = runner.work.place.device == CPU.device
        with heap_kept(wanted=loaded.needs.device and on_cpu):
            yield from FrameRun(micrograph, runner, target, numbers).steps()
        step = _step(micrograph, runner)
        return Micrograph(
            target.finish(), micrograph.calibration.with_step(step), micrograph.name
        )
    except BaseException:
        if isinstance(out, FrameSink):
            out.abort()
        raise


def denoise(
    image: Micrograph | ArrayLike,
    denoiser: Denoiser | str = "general",
    *,
    options: DenoiseOptions = _DEFAULTS,
    out: Any = None,
    should_stop: ShouldStop = never,
    on_progress: Callable[[Progress], object] | None = None,
    frames: Iterable[int] | None = None,
    **values: Any,
) -> Micrograph:
    """Denoise an image or a stack.

    Parameters
    ----------
    image : Micrograph or array_like, shape ([T,] [Z,] H, W)
        Detector counts, of any real type.
    denoiser : Denoiser or str, optional
        A denoiser, or its name in the catalogue. The pretrained network
        ``"general"`` by default.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    out : array_like or Sink, optional
        Where the result goes; see :func:`iter_denoise`.
    should_stop : callable, optional
        Asked before every batch of tiles; when it returns True the work stops.
    on_progress : callable, optional
        Called with every :class:`~lowdose.progress.Progress`.
    frames : iterable of int, optional
        Numbers of the frames to do; see :func:`iter_denoise`.
    **values
        Parameters of the denoiser, and ``preset``, where it is given by name.

    Returns
    -------
    Micrograph
        Float32, in counts, with the calibration of the image and one more
        provenance step.

    Raises
    ------
    LowDoseError
        As :func:`iter_denoise` does; :class:`~lowdose.errors.ParameterError` also
        if `values` are given for a denoiser that is made already.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).poisson(5, (64, 64))
    >>> clean = denoise(noisy, "gaussian", sigma=2)  # doctest: +SKIP
    """
    if isinstance(denoiser, str):
        denoiser = loaded_denoiser(denoiser, **values)
    elif values:
        msg = (
            f"{', '.join(values)} cannot be changed: {denoiser.name!r} is made "
            "already. Give its name instead of the denoiser."
        )
        raise ParameterError(msg)
    steps = iter_denoise(
        image,
        denoiser,
        options=options,
        out=out,
        should_stop=should_stop,
        frames=frames,
    )
    with closing(steps):
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                result: Micrograph = end.value
                return result
            if on_progress is not None:
                on_progress(progress)


def plan_step(
    image: Micrograph, denoiser: Denoiser, *, options: DenoiseOptions = _DEFAULTS
) -> Step:
    """Return the provenance step that a run would add, before it is run.

    For the calibration of a file that has to be created before the run. The result
    of the run differs from it in the time of day, and in device and tile where
    memory runs out.

    Parameters
    ----------
    image : Micrograph
        What would be denoised.
    denoiser : Denoiser
        By what.
    options : DenoiseOptions, optional
        Where and in what pieces.

    Returns
    -------
    Step
        With the denoiser, device, precision, tile and options in its details.

    Raises
    ------
    DeviceError
        If the device asked for is not there.
    """
    runner = PatchRunner(
        denoiser=fitted(denoiser, image),
        frame_shape=image.frame_shape,
        options=options,
    )
    return _step(image, runner)


def _frame_numbers(
    frames: Iterable[int] | None, image: Micrograph, out: Any
) -> Sequence[int]:
    """Return which frames to do, ascending."""
    if frames is None:
        return range(image.n_frames)
    if out is None:
        msg = "Give `out`, where the other frames are, to denoise some `frames` only."
        raise ParameterError(msg)
    numbers = sorted({operator.index(number) for number in frames})
    for number in (*numbers[:1], *numbers[-1:]):
        image.frame_index(number)  # raises where there is no such frame
    return numbers


def _step(image: Micrograph, runner: PatchRunner) -> Step:
    return Step(
        action="denoise",
        software=f"napari-lowdose {lowdose.__version__}",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        source=image.name,
        details={
            "denoiser": runner.denoiser.describe(),
            "device": runner.work.place.device,
            "precision": runner.work.place.precision,
            "tile": list(runner.plan.tile_shape),
            "batch": runner.work.batch,
            "options": runner.options.to_dict(),
        },
    )
