"""Run a denoiser over a micrograph: tiles, stacks, memory, progress, cancelling.

The only code that cuts tiles, picks device, precision and batch, retries after
out-of-memory, streams to disk, reports progress and stops when told.
"""

from __future__ import annotations

import itertools
import warnings
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import lowdose
from lowdose.errors import LowDoseWarning, ParameterError
from lowdose.inference.frames import Frame, FrameSource, no_finite_pixel
from lowdose.inference.options import DenoiseOptions
from lowdose.inference.patches import PatchRunner, Subject
from lowdose.inference.preview import denoise_region, loaded_denoiser
from lowdose.inference.streaming import FrameSink, Target, open_target
from lowdose.micrograph import Micrograph, Step
from lowdose.progress import Clock, Progress, ShouldStop, never

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

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
        If `out` does not fit.
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
    """
    try:
        micrograph = image if isinstance(image, Micrograph) else Micrograph(image)
        loaded = loaded_denoiser(denoiser)
        runner = PatchRunner(
            denoiser=loaded,
            frame_shape=micrograph.frame_shape,
            options=options,
            should_stop=should_stop,
        )
        target = open_target(out, micrograph)
        yield from _run(micrograph, runner, target)
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
        image, denoiser, options=options, out=out, should_stop=should_stop
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
        denoiser=denoiser, frame_shape=image.frame_shape, options=options
    )
    return _step(image, runner)


def _run(
    image: Micrograph, runner: PatchRunner, target: Target
) -> Generator[Progress, None, None]:
    """Denoise every frame of `image` into `target`."""
    clock = Clock()
    written: list[int] = []

    def progress(done_in_group: int = 0, message: str = "") -> Progress:
        per_frame = len(runner.plan)
        total = image.n_frames * per_frame
        done = len(written) * per_frame + done_in_group
        height, width = image.frame_shape
        return Progress(
            stage="denoise",
            done=done,
            total=total,
            pixels=image.n_frames * height * width * done // total,
            frame=written[-1] if written else -1,
            frames=image.n_frames,
            seconds=clock.seconds,
            message=message,
        )

    runner.warn_of_too_small_tile()
    yield progress(message=runner.too_small_tile())
    if message := runner.place():
        yield progress(message=message)

    needs = runner.denoiser.needs
    any_valid = False
    frames = iter(FrameSource(image, needs))
    while group := list(itertools.islice(frames, runner.frames_at_a_time)):
        subjects = []
        for neighbours in group:
            runner.stop_if_asked()
            frame = neighbours[needs.frames_before]
            if frame.valid:
                subjects.append(_subject(frame, neighbours, runner))
            else:
                _pass_through(frame, target, image)
                written.append(frame.number)
                yield progress()
        any_valid = any_valid or bool(subjects)
        for batch in runner.run(subjects):
            for subject, clean in batch.finished:
                subject.frame.restored(clean, keep_mean=runner.options.keep_mean)
                target.write(subject.frame.number, clean)
                written.append(subject.frame.number)
            yield progress(batch.done % len(runner.plan), batch.message)
    if not any_valid:
        raise no_finite_pixel(image)


def _subject(
    frame: Frame, neighbours: tuple[Frame, ...], runner: PatchRunner
) -> Subject:
    return Subject(
        frame=frame,
        # A neighbour of which nothing is known is replaced by the frame itself.
        neighbours=tuple(f.data if f.valid else frame.data for f in neighbours),
        measures=runner.measure(frame),
    )


def _pass_through(frame: Frame, target: Target, image: Micrograph) -> None:
    clean: NDArray[np.float32] = frame.restored(frame.data.copy(), keep_mean=False)
    target.write(frame.number, clean)
    if image.n_frames > 1:  # a single frame is an error, raised at the end
        warnings.warn(
            f"Frame {frame.number} has no finite pixel and is left as it is.",
            LowDoseWarning,
            stacklevel=3,
        )


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
            "options": runner.options.to_dict(),
        },
    )
