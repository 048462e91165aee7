"""One image too large to be held: read, denoised and written in bands of rows.

The tiles are those of the plan of the whole frame, so that the pixels are too, with two
exceptions. Noise level and mean are measured on a sample of the rows
(:data:`SAMPLE_PIXELS`), since that is done on a whole frame at once; and bad pixels
are filled from what is good nearby, :data:`MARGIN` rows beyond the band, not from afar.
With `keep_mean` the constant is known only when the last band is written: it is added
in a second pass over the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import InputError, LowDoseError, OutOfMemoryError
from lowdose.inference.frames import Frame, as_frame, series_of_frames
from lowdose.inference.overlap import read_ahead
from lowdose.inference.spans import reflected
from lowdose.io.frame_array import FrameArray
from lowdose.micrograph import release_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.inference.patches import PatchRunner
    from lowdose.inference.spans import Span
    from lowdose.inference.streaming import Target
    from lowdose.micrograph import Micrograph

#: Frames above this many pixels are not held as a whole: 256 MiB as float32, and more
#: than any detector of today has; stitched overviews are larger.
LARGE_FRAME: Final = 2**26

#: Pixels on which a large frame is measured.
SAMPLE_PIXELS: Final = 2**24
_SAMPLES: Final = 16

#: Rows beyond a band from which its bad pixels may be filled [px].
MARGIN: Final = 32

#: Pixels of the result that a constant is added to at a time.
_SHIFT_PIXELS: Final = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class BandStep:
    """What happened since the last one.

    Parameters
    ----------
    done, total : int
        Tiles finished, and of how many.
    finished : bool, optional
        Whether the whole frame is written.
    valid : bool, optional
        Whether any of its pixels is finite; known when it is finished.
    message : str, optional
        Says so where memory ran out.
    """

    done: int
    total: int
    finished: bool = False
    valid: bool = True
    message: str = ""


def needs_bands(runner: PatchRunner, target: Target) -> bool:
    """Return whether frames are to be denoised in bands.

    They are where they are large, cut into several rows of tiles, and the target
    takes rows. (A global operator that wants the whole frame, and has the memory for
    it, gets it.)
    """
    large = math.prod(runner.frame_shape) > LARGE_FRAME
    return large and len(runner.plan.rows) > 1 and target.takes_rows


def denoise_in_bands(
    image: Micrograph, number: int, runner: PatchRunner, target: Target
) -> Iterator[BandStep]:
    """Denoise one frame into a target, band by band.

    Parameters
    ----------
    image : Micrograph
        The stack or image.
    number : int
        Number of the frame.
    runner : PatchRunner
        Placed already.
    target : Target
        Takes rows.

    Yields
    ------
    BandStep
        After each batch of tiles, when memory ran out, and at the end.

    Raises
    ------
    Cancelled, OutOfMemoryError, DeviceError, InputError, OutputError
        As :func:`~lowdose.inference.engine.iter_denoise` does.
    """
    runner.stop_if_asked()
    readers = _readers(image, number, runner)
    own = readers[runner.denoiser.needs.frames_before]
    measures = runner.measure(own.sample())[0]
    while True:
        frame = _BandedFrame(readers, own, measures, runner, target, number)
        try:
            yield from frame.steps()
        except OutOfMemoryError as error:
            smaller = runner.smaller(frame.tiles_at_once, error)
        else:
            break
        runner.take(*smaller)
        yield BandStep(done=0, total=1, message=smaller[1])
    yield BandStep(done=1, total=1, finished=True, valid=frame.any_valid)


class _BandedFrame:
    """One try at one frame, with one plan."""

    def __init__(
        self,
        readers: list[RowReader],
        own: RowReader,
        measures: Measures,
        runner: PatchRunner,
        target: Target,
        number: int,
    ) -> None:
        self._readers = readers
        self._own = own
        self._measures = measures
        self._runner = runner
        self._target = target
        self._number = number
        self._sums = np.zeros(2)
        self._count = 0
        self.any_valid = False
        self.tiles_at_once = 1

    def steps(self) -> Iterator[BandStep]:
        plan = self._runner.plan
        height, width = plan.frame_shape
        tail = np.empty((0, width), np.float32)
        done_rows = 0
        with read_ahead(self._bands()) as bands:
            for row, (span, band) in enumerate(zip(plan.rows, bands, strict=True)):
                canvas = np.zeros((span.core_stop - done_rows, width), np.float32)
                canvas[: len(tail)] = tail
                yield from self._denoise_band(row, band, canvas, done_rows)
                later = (
                    plan.rows[row + 1].core_start if span != plan.rows[-1] else height
                )
                ready = later - done_rows
                self._finish(band, canvas[:ready], done_rows)
                tail = canvas[ready:].copy()
                done_rows = later
        if self._runner.options.keep_mean and self._count:
            before, after = self._sums / self._count
            yield from self._shift(np.float32(before - after))

    def _bands(self) -> Iterator[_Band]:
        plan = self._runner.plan
        for span in plan.rows:
            rows = reflected(
                span.start - plan.border, span.stop - plan.border, plan.frame_shape[0]
            )
            yield _Band(
                start=int(rows.min()),
                order=rows - rows.min(),
                frames=tuple(
                    r.rows(int(rows.min()), int(rows.max()) + 1) for r in self._readers
                ),
                own=self._readers.index(self._own),
            )

    def _denoise_band(
        self, row: int, band: _Band, canvas: NDArray[np.float32], done_rows: int
    ) -> Iterator[BandStep]:
        runner, plan = self._runner, self._runner.plan
        columns, batch = plan.columns, runner.work.batch
        seen = band.seen()
        for start in range(0, len(columns), batch):
            runner.stop_if_asked()
            chosen = columns[start : start + batch]
            self.tiles_at_once = len(chosen)
            patches = np.stack([_cut(seen, span, plan.border) for span in chosen])
            clean = runner.denoise_patches(patches, [self._measures] * len(chosen))
            runner.check_finite(clean, patches, self._number)
            for pixels, span in zip(clean, chosen, strict=True):
                _paste(canvas, pixels, plan.rows[row], span, plan.border, done_rows)
            done = row * len(columns) + start + len(chosen)
            # The last one is reported when the frame is written.
            yield BandStep(done=min(done, len(plan) - 1), total=len(plan))

    def _finish(self, band: _Band, clean: NDArray[np.float32], first_row: int) -> None:
        """Put back what was not finite, note the means, and write."""
        frame = band.frames[band.own]
        part = slice(first_row - band.start, first_row - band.start + len(clean))
        noisy = frame.cropped((part, slice(0, clean.shape[1])))
        good: Any = True if noisy.bad is None else ~noisy.bad
        self._sums += (
            noisy.data.sum(dtype=np.float64, where=good),
            clean.sum(dtype=np.float64, where=good),
        )
        self._count += clean.size if noisy.bad is None else int(good.sum())
        self.any_valid = self.any_valid or noisy.valid
        noisy.restored(clean, keep_mean=False)
        self._target.write_rows(self._number, first_row, clean)

    def _shift(self, by: np.float32) -> Iterator[BandStep]:
        height, width = self._runner.frame_shape
        step = max(1, _SHIFT_PIXELS // width)
        total = len(self._runner.plan)
        for start in range(0, height, step):
            self._runner.stop_if_asked()
            stop = min(height, start + step)
            rows = self._target.read_rows(self._number, start, stop)
            self._target.write_rows(self._number, start, rows + by)
            yield BandStep(done=total - 1, total=total)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Band:
    """The rows of a row of tiles: of every frame that the denoiser sees."""

    start: int
    order: NDArray[np.intp]
    frames: tuple[Frame, ...]
    own: int

    def seen(self) -> list[NDArray[np.float32]]:
        """Return the rows as the tiles have them, reflected at the frame's edges."""
        own = self.frames[self.own]
        frames = [(f if f.valid else own).data for f in self.frames]
        plain = np.array_equal(self.order, np.arange(len(self.order)))
        return frames if plain else [data[self.order] for data in frames]


class RowReader:
    """Reads bands of rows of one frame, each row once, from top to bottom.

    Parameters
    ----------
    image : Micrograph
        The stack or image. Memory maps, zarr arrays, h5py datasets and dask arrays
        are read in part; a frame of any other data is read once, as a whole, and
        held in the type it is stored in.
    number : int
        Number of the frame.
    """

    def __init__(self, image: Micrograph, number: int) -> None:
        self._image = image
        self._number = number
        self._index = image.frame_index(number)
        self._whole: NDArray[Any] | None = None
        self._held: NDArray[Any] | None = None
        self._held_start = 0
        # It would decode the whole frame again for every band.
        if isinstance(image.data, FrameArray):
            self._whole = image.frame(number)

    def rows(self, start: int, stop: int) -> Frame:
        """Return rows as a frame of their own, made finite.

        Parameters
        ----------
        start, stop : int
            First row and the one after the last.
        """
        height = self._image.frame_shape[0]
        first, last = max(0, start - MARGIN), min(height, stop + MARGIN)
        held_stop = self._held_start + (0 if self._held is None else len(self._held))
        if self._held is None or not self._held_start <= first <= held_stop:
            data = self._read(first, last)
        else:
            data = self._held[first - self._held_start :]
            if last > held_stop:
                data = np.concatenate([data, self._read(held_stop, last)])
        self._held, self._held_start = data, first
        frame = as_frame(self._number, data[: last - first])
        part = slice(start - first, stop - first)
        return frame.cropped((part, slice(0, data.shape[1])))

    def sample(self) -> NDArray[np.float32]:
        """Return rows spread over the frame, made finite, to measure it on.

        Returns
        -------
        ndarray, shape (rows, W), float32
            About :data:`SAMPLE_PIXELS` in sixteen blocks, in order.
        """
        height, width = self._image.frame_shape
        rows = max(1, min(SAMPLE_PIXELS // width, height) // _SAMPLES)
        starts = np.linspace(0, max(0, height - rows), _SAMPLES).round().astype(int)
        blocks = [self._read(int(s), min(height, int(s) + rows)) for s in starts]
        return as_frame(self._number, np.concatenate(blocks)).data

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        if self._whole is not None:
            return self._whole[start:stop]
        what = f"rows {start} to {stop} of frame {self._number} of {self._image.name!r}"
        try:
            rows = np.array(self._image.data[(*self._index, slice(start, stop))])
            release_pages(self._image.data)
        except LowDoseError:
            raise
        except MemoryError as error:
            msg = f"There is not enough memory to read {what}. Close other programs."
            raise OutOfMemoryError(msg) from error
        except (OSError, RuntimeError) as error:  # h5py and dask raise both
            msg = (
                f"Cannot read {what}: {error}. Check that the file is still there and "
                "complete."
            )
            raise InputError(msg) from error
        return rows


def _readers(image: Micrograph, number: int, runner: PatchRunner) -> list[RowReader]:
    """Return a reader for each frame that the denoiser sees, oldest first."""
    needs = runner.denoiser.needs
    series = next(s for s in series_of_frames(image) if number in s)
    position = int(np.flatnonzero(series == number)[0])
    reach = reflected(
        position - needs.frames_before, position + needs.frames_after + 1, len(series)
    )
    # At the ends of the stack one frame stands for two.
    readers = {int(n): RowReader(image, int(series[n])) for n in reach}
    return [readers[int(n)] for n in reach]


def _cut(
    frames: list[NDArray[np.float32]], span: Span, border: int
) -> NDArray[np.float32]:
    """Return the columns of a tile, of every frame."""
    left, right = span.start - border, span.stop - border
    width = frames[0].shape[1]
    if left >= 0 and right <= width:
        return np.stack([data[:, left:right] for data in frames])
    columns = reflected(left, right, width)
    return np.stack([data[:, columns] for data in frames])


def _paste(
    canvas: NDArray[np.float32],
    clean: NDArray[np.float32],
    row: Span,
    column: Span,
    border: int,
    first_row: int,
) -> None:
    """Put the core of a tile into the rows that begin with `first_row`."""
    core = clean[
        row.core_start + border - row.start : row.core_stop + border - row.start,
        column.core_start + border - column.start : column.core_stop
        + border
        - column.start,
    ]
    target = canvas[
        row.core_start - first_row : row.core_stop - first_row,
        column.core_start : column.core_stop,
    ]
    if row.weights is None or column.weights is None:
        target[...] = core
    else:
        target += core * row.weights[:, np.newaxis] * column.weights
