"""Denoise a part of a frame, with the pixels that the whole run would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.inference.fitting import fitted
from lowdose.inference.frames import as_frame, no_finite_pixel
from lowdose.inference.options import DenoiseOptions
from lowdose.inference.patches import PatchRunner, Subject
from lowdose.micrograph import Micrograph
from lowdose.progress import ShouldStop, never

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser

#: Frames up to this many pixels are computed whole for a global operator.
WHOLE_FRAME_PIXELS: Final = 2**20

#: Pixels round the region that a global operator sees of larger frames [px].
CONTEXT: Final = 128

_DEFAULTS = DenoiseOptions()


def denoise_region(
    frame: ArrayLike,
    denoiser: Denoiser | str,
    rows: slice,
    columns: slice,
    *,
    options: DenoiseOptions = _DEFAULTS,
    should_stop: ShouldStop = never,
) -> NDArray[np.float32]:
    """Denoise a region of one frame, for a preview.

    Parameters
    ----------
    frame : array_like, shape (H, W) or (F, H, W)
        The whole frame, in counts: noise level and mean are measured on all of it.
        For a denoiser that sees neighbouring frames, F is its ``needs.frames``; given
        one frame only, it sees that in place of its neighbours.
    denoiser : Denoiser or str
        A denoiser, or its name in the catalogue. One that must know the pixel size is
        to be fitted to the micrograph first (:mod:`lowdose.inference.fitting`), or it
        judges by the frame.
    rows, columns : slice
        The region, in pixels of the frame, step 1. What lies outside the frame is
        cut off.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked before every batch of tiles.

    Returns
    -------
    ndarray, shape of the region, float32
        The pixels that :func:`~lowdose.inference.engine.denoise` gives there, but
        for `keep_mean`, which takes the whole frame and is left out unless the
        region is all of it. A global operator without a tile of its own sees, of
        frames over :data:`WHOLE_FRAME_PIXELS`, only the region and :data:`CONTEXT`
        px round it; there the pixels are those of the run nearly, not exactly.

    Raises
    ------
    LowDoseError
        As :func:`~lowdose.inference.engine.iter_denoise` does, and
        :class:`~lowdose.errors.ParameterError` if the region is empty.
    """
    micrograph = Micrograph(frame)
    loaded = fitted(loaded_denoiser(denoiser), micrograph)
    needs = loaded.needs
    count = micrograph.n_frames
    if micrograph.ndim > 3 or count not in (1, needs.frames):
        msg = (
            f"A frame of shape {micrograph.shape} is none that {loaded.name!r} can "
            f"show a preview of: give (H, W) or ({needs.frames}, H, W)."
        )
        raise InvalidImageError(msg)
    frames = [as_frame(n, pixels) for n, pixels in enumerate(micrograph.frames())]
    centre = frames[needs.frames_before if count > 1 else 0]
    if not centre.valid:
        raise no_finite_pixel(micrograph)
    if count == 1:
        frames = frames * needs.frames
    shape = micrograph.frame_shape
    region = _inside(rows, shape[0], "rows"), _inside(columns, shape[1], "columns")
    seen = _seen(region, shape, whole=needs.halo is not None or needs.tile is not None)
    runner = PatchRunner(
        denoiser=loaded,
        frame_shape=(seen[0].stop - seen[0].start, seen[1].stop - seen[1].start),
        options=options,
        region=(_within(region[0], seen[0]), _within(region[1], seen[1])),
        should_stop=should_stop,
    )
    runner.place()
    subject = Subject(
        frame=centre,
        neighbours=tuple((f if f.valid else centre).data[seen] for f in frames),
        measures=runner.measure(centre.data)[0],
    )
    finished = [pair for batch in runner.run([subject]) for pair in batch.finished]
    clean = finished[0][1]
    cut = centre.cropped(region)
    return cut.restored(clean, keep_mean=options.keep_mean and clean.shape == shape)


def loaded_denoiser(denoiser: Denoiser | str, **values: Any) -> Denoiser:
    """Return a denoiser, loaded from the catalogue where it is given by name."""
    if not isinstance(denoiser, str):
        return denoiser
    # The catalogue imports every filter; a run of a denoiser at hand needs none.
    from lowdose import catalogue

    return catalogue.load(denoiser, **values)


def _seen(
    region: tuple[slice, slice], shape: tuple[int, int], *, whole: bool
) -> tuple[slice, slice]:
    """Return the part of the frame that is given to the denoiser."""
    if whole or shape[0] * shape[1] <= WHOLE_FRAME_PIXELS:
        return slice(0, shape[0]), slice(0, shape[1])
    rows, columns = (
        slice(max(0, part.start - CONTEXT), min(length, part.stop + CONTEXT))
        for part, length in zip(region, shape, strict=True)
    )
    return rows, columns


def _inside(part: slice, length: int, what: str) -> slice:
    start, stop, step = part.indices(length)
    if step != 1 or start >= stop:
        msg = (
            f"The {what} {_text(part)} hold no pixel of a frame with {length}. Give a "
            "slice inside the frame, with step 1."
        )
        raise ParameterError(msg)
    return slice(start, stop)


def _text(part: slice) -> str:
    numbers: list[Any] = [part.start, part.stop]
    if part.step not in (None, 1):
        numbers.append(part.step)
    return ":".join("" if n is None else str(n) for n in numbers)


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
