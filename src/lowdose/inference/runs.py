"""The frames of one run, one after the other: read, denoised, finished, written."""

from __future__ import annotations

import itertools
import math
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lowdose.errors import LowDoseWarning
from lowdose.inference.bands import denoise_in_bands, needs_bands
from lowdose.inference.frames import Frame, FrameSource, no_finite_pixel
from lowdose.inference.overlap import WriteBehind, read_ahead
from lowdose.inference.patches import Subject
from lowdose.progress import Clock, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lowdose.inference.patches import PatchRunner
    from lowdose.inference.streaming import Target
    from lowdose.micrograph import Micrograph

    Steps = Generator[Progress, None, None]


class FrameRun:
    """Denoises frames of a micrograph into a target.

    Parameters
    ----------
    image : Micrograph
        What to denoise.
    runner : PatchRunner
        Denoises the frames.
    target : Target
        Takes them.
    numbers : sequence of int
        Which frames, ascending.

    Notes
    -----
    Where there are several frames, the next one is read and the last one written in
    a thread each, while one is computed. No thread outlives the generator of
    :meth:`steps`.
    """

    def __init__(
        self,
        image: Micrograph,
        runner: PatchRunner,
        target: Target,
        numbers: Sequence[int],
    ) -> None:
        self._image = image
        self._runner = runner
        self._target = target
        self._numbers = numbers
        self._clock = Clock()
        self._finished = 0
        self._last = -1
        self._any_valid = False

    def steps(self) -> Steps:
        """Do it, yielding as :func:`~lowdose.inference.engine.iter_denoise` does."""
        runner = self._runner
        runner.warn_of_too_small_tile()
        yield self._progress(message=runner.too_small_tile())
        if message := runner.place():
            yield self._progress(message=message)
        if needs_bands(runner, self._target):
            yield from self._large_frames()
        else:
            yield from self._whole_frames()
        everything = len(self._numbers) == self._image.n_frames
        if everything and not self._any_valid:
            raise no_finite_pixel(self._image)

    def _large_frames(self) -> Steps:
        for number in self._numbers:
            for batch in denoise_in_bands(
                self._image, number, self._runner, self._target
            ):
                if batch.finished:
                    self._finished += 1
                    self._last = number
                    self._any_valid = self._any_valid or batch.valid
                    yield self._progress()
                else:
                    yield self._progress(
                        batch.done / max(1, batch.total), batch.message
                    )

    def _whole_frames(self) -> Steps:
        runner, needs = self._runner, self._runner.denoiser.needs
        source: Iterator[tuple[Frame, ...]] = iter(
            FrameSource(self._image, needs, self._numbers)
        )
        behind = len(self._numbers) > 1 and self._target.slow
        with ExitStack() as stack:
            writer = stack.enter_context(WriteBehind(self._target.write, behind=behind))
            if len(self._numbers) > 1:
                source = stack.enter_context(read_ahead(source))
            while group := list(itertools.islice(source, runner.frames_at_a_time)):
                runner.stop_if_asked()
                valid = []
                for neighbours in group:
                    frame = neighbours[needs.frames_before]
                    if frame.valid:
                        valid.append(neighbours)
                    else:
                        self._pass_through(frame, writer)
                        yield self._progress()
                self._any_valid = self._any_valid or bool(valid)
                for batch in runner.run(self._subjects(valid)):
                    for subject, clean in batch.finished:
                        subject.frame.restored(
                            clean, keep_mean=runner.options.keep_mean
                        )
                        self._write(writer, subject.frame.number, clean)
                    tiles = len(runner.plan)
                    yield self._progress(batch.done % tiles / tiles, batch.message)

    def _subjects(self, group: Sequence[tuple[Frame, ...]]) -> list[Subject]:
        centre = self._runner.denoiser.needs.frames_before
        frames = [neighbours[centre] for neighbours in group]
        measures = self._runner.measure(*(frame.data for frame in frames))
        return [
            Subject(
                frame=frame,
                # Of an unknown neighbour's place, the frame itself is seen.
                neighbours=tuple(f.data if f.valid else frame.data for f in neighbours),
                measures=measured,
            )
            for frame, neighbours, measured in zip(frames, group, measures, strict=True)
        ]

    def _write(
        self, writer: WriteBehind, number: int, clean: NDArray[np.float32]
    ) -> None:
        writer.write(number, clean)
        self._finished += 1
        if self._finished == len(self._numbers):
            writer.wait()
        self._last = writer.last

    def _pass_through(self, frame: Frame, writer: WriteBehind) -> None:
        clean = frame.restored(frame.data.copy(), keep_mean=False)
        self._write(writer, frame.number, clean)
        if self._image.n_frames > 1:  # a single frame is an error, raised at the end
            warnings.warn(
                f"Frame {frame.number} has no finite pixel and is left as it is.",
                LowDoseWarning,
                stacklevel=3,
            )

    def _progress(self, part: float = 0.0, message: str = "") -> Progress:
        """Return where the run stands, `part` of the present frame being done."""
        tiles = len(self._runner.plan)
        total = len(self._numbers) * tiles
        done = min(total, self._finished * tiles + round(part * tiles))
        return Progress(
            stage="denoise",
            done=done,
            total=total,
            pixels=len(self._numbers)
            * math.prod(self._image.frame_shape)
            * done
            // max(1, total),
            frame=self._last,
            frames=self._image.n_frames,
            seconds=self._clock.seconds,
            message=message,
        )
