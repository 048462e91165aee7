"""Denoise frames patch by patch, in smaller pieces where memory runs out."""

from __future__ import annotations

import itertools
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lowdose.denoiser import Compiling
from lowdose.errors import (
    Cancelled,
    DeviceError,
    LowDoseError,
    LowDoseWarning,
    MemoryWarning,
    OutOfMemoryError,
    is_out_of_memory,
)
from lowdose.inference.budget import Work, choose_work, smaller_work, work_on_cpu
from lowdose.inference.device import (
    CPU,
    release_memory,
    resolve_place,
)
from lowdose.inference.overlap import in_threads, usable_threads
from lowdose.inference.rates import known_rates
from lowdose.inference.spans import padded_length, smallest_tile
from lowdose.inference.tiling import Plan, plan_tiles
from lowdose.progress import never

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser, Measures
    from lowdose.inference.device import Place
    from lowdose.inference.frames import Frame
    from lowdose.inference.options import DenoiseOptions
    from lowdose.progress import ShouldStop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A frame to denoise, with all that a denoiser is told about it.

    Parameters
    ----------
    frame : Frame
        The frame itself.
    neighbours : tuple of ndarray, each of shape (H, W), float32
        The frames that the denoiser sees, oldest first, `frame` among them.
    measures : mapping of str to float
        What the denoiser measured on the frame.
    """

    frame: Frame
    neighbours: tuple[NDArray[np.float32], ...]
    measures: Measures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What happened since the last one.

    Parameters
    ----------
    done, total : int
        Tiles finished and tiles to do, of the subjects at hand.
    finished : tuple
        Subjects that are finished, with their denoised pixels, shape (H, W), float32.
    message : str
        Says so where memory ran out. Empty otherwise.
    """

    done: int
    total: int
    finished: tuple[tuple[Subject, NDArray[np.float32]], ...] = ()
    message: str = ""


@dataclass(slots=True, kw_only=True)
class PatchRunner:
    """Cuts frames of one shape, denoises the patches and puts them together.

    Parameters
    ----------
    denoiser : Denoiser
        What denoises.
    frame_shape : tuple of int
        Height and width of every frame [px].
    options : DenoiseOptions
        Where and in what pieces to compute.
    region : tuple of slice, optional
        Rows and columns to compute; all by default.
    should_stop : callable, optional
        Asked before every batch.

    Raises
    ------
    DeviceError
        If the device asked for is not there.
    """

    denoiser: Denoiser
    frame_shape: tuple[int, int]
    options: DenoiseOptions
    region: tuple[slice, slice] | None = None
    should_stop: ShouldStop = never
    threads: int = field(init=False)
    work: Work = field(init=False)
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        needs = self.denoiser.needs
        self.threads = usable_threads() if needs.threads else 1
        place = resolve_place(self.options, needs)
        self._replan(
            choose_work(
                self.frame_shape,
                needs,
                options=self.options,
                place=place,
                threads=self.threads,
                rates=known_rates(self.denoiser, place),
            )
        )

    @property
    def frames_at_a_time(self) -> int:
        """Frames that together fill a batch."""
        return max(1, self.work.batch // len(self.plan))

    def too_small_tile(self) -> str:
        """Return a sentence where the tile asked for had to be raised, else ``""``."""
        needs, asked = self.denoiser.needs, self.options.tile
        smallest = smallest_tile(needs)
        longest = max(padded_length(length, needs) for length in self.frame_shape)
        if asked is None or asked >= min(smallest, longest):
            return ""
        why = f", which sees {needs.halo} px each way," if needs.halo else ""
        return (
            f"A tile of {asked} px is too small for {self.denoiser.name!r}{why} and "
            f"was raised to {min(smallest, longest)} px."
        )

    def warn_of_too_small_tile(self) -> None:
        """Warn where the tile asked for had to be raised."""
        if text := self.too_small_tile():
            warnings.warn(text, LowDoseWarning, stacklevel=3)

    def place(self) -> str:
        """Move the denoiser to its device, or to the CPU where it does not fit.

        Returns
        -------
        str
            A sentence where it had to be the CPU, else ``""``.
        """
        place = self.work.place
        try:
            with self._translated_errors():
                self._place_on(place)
        except OutOfMemoryError as error:
            if place.device == CPU.device:
                raise self._hopeless() from error
        else:
            return ""
        # The weights themselves do not fit: smaller patches would not help.
        work, text = work_on_cpu(
            self.work, self.plan, self.denoiser.needs, options=self.options
        )
        self.take(work, text)
        return text

    def measure(self, *frames: NDArray[np.float32]) -> list[Measures]:
        """Return what the denoiser measures on each of some frames.

        Parameters
        ----------
        *frames : ndarray, shape (H, W), float32
            Without NaN or Inf.
        """
        try:
            with self._translated_errors():
                return in_threads(self.denoiser.measure, frames, self.threads)
        except OutOfMemoryError as error:
            raise self._hopeless() from error

    def stop_if_asked(self) -> None:
        """Raise :class:`~lowdose.errors.Cancelled` where `should_stop` says so."""
        if self.should_stop():
            msg = f"Denoising with {self.denoiser.name!r} was stopped."
            raise Cancelled(msg)

    def run(self, subjects: Sequence[Subject]) -> Iterator[Batch]:
        """Denoise frames.

        Parameters
        ----------
        subjects : sequence of Subject
            Frames, all of `frame_shape`.

        Yields
        ------
        Batch
            After each batch of patches, and when memory ran out. Frames that were
            not finished then begin again with smaller pieces.

        Raises
        ------
        Cancelled
            If `should_stop` returned True.
        OutOfMemoryError
            If the smallest pieces do not fit on the CPU.
        DeviceError
            If the device failed, or pixels that are not finite came out.
        """
        left = list(subjects)
        while left:
            smaller = None
            tiles = len(self.plan)
            jobs = itertools.product(range(len(left)), range(tiles))
            canvases: dict[int, NDArray[np.float32]] = {}
            ended = 0
            for start in range(0, len(left) * tiles, self.work.batch):
                self.stop_if_asked()
                chosen = list(itertools.islice(jobs, self.work.batch))
                try:
                    self._denoise(left, chosen, canvases)
                except OutOfMemoryError as error:
                    smaller = self.smaller(len(chosen), error)
                    break
                done = start + len(chosen)
                finished = tuple(
                    (left[n], canvases.pop(n)) for n in range(ended, done // tiles)
                )
                ended = done // tiles
                for subject, clean in finished:
                    self.check_finite(clean, subject.frame.data, subject.frame.number)
                yield Batch(done=done, total=len(left) * tiles, finished=finished)
            if smaller is None:
                return
            # Only here is the exception gone, and with it what it kept in memory.
            canvases.clear()
            left = left[ended:]
            self.take(*smaller)
            yield Batch(done=0, total=len(left) * len(self.plan), message=smaller[1])

    def denoise_patches(
        self, patches: NDArray[np.float32], measures: Sequence[Measures]
    ) -> NDArray[np.float32]:
        """Denoise a batch of patches, in threads where the denoiser allows it.

        Parameters
        ----------
        patches : ndarray, shape (N, F, H, W), float32
            As :meth:`lowdose.denoiser.Denoiser.denoise_patches` takes them.
        measures : sequence of mapping, length N
            What was measured on the frame of each.

        Returns
        -------
        ndarray, shape (N, H, W), float32
            Denoised counts.

        Raises
        ------
        OutOfMemoryError, DeviceError
            In the words of this package.
        """
        with self._translated_errors():
            results = in_threads(
                lambda part: self.denoiser.denoise_patches(
                    patches[part], measures[part]
                ),
                _parts(len(patches), self.threads),
                self.threads,
            )
            clean = results[0] if len(results) == 1 else np.concatenate(results)
            wanted = (patches.shape[0], *patches.shape[2:])
            if clean.shape != wanted:
                msg = (
                    f"{self.denoiser.name!r} returned patches of shape "
                    f"{clean.shape} for {patches.shape}; it must return {wanted}."
                )
                raise ValueError(msg)
            return clean

    def _denoise(
        self,
        subjects: Sequence[Subject],
        jobs: Sequence[tuple[int, int]],
        canvases: dict[int, NDArray[np.float32]],
    ) -> None:
        """Denoise the patches of `jobs`, pairs of subject and tile."""
        needs, plan = self.denoiser.needs, self.plan
        with self._translated_errors():
            patches = np.empty(
                (len(jobs), needs.frames, *plan.tile_shape), dtype=np.float32
            )
            for patch, (subject, tile) in zip(patches, jobs, strict=True):
                for image, pixels in zip(
                    patch, subjects[subject].neighbours, strict=True
                ):
                    image[...] = plan.cut(pixels, tile)
            clean = self.denoise_patches(
                patches, [subjects[subject].measures for subject, _tile in jobs]
            )
            for pixels, (subject, tile) in zip(clean, jobs, strict=True):
                if subject not in canvases:
                    canvases[subject] = np.zeros(plan.region_shape, dtype=np.float32)
                plan.paste(canvases[subject], pixels, tile)

    def check_finite(
        self, clean: NDArray[np.float32], noisy: NDArray[np.float32], number: int
    ) -> None:
        """Raise :class:`~lowdose.errors.DeviceError` where pixels are not finite."""
        if not np.isfinite(clean).all():
            msg = (
                f"{self.denoiser.name!r} made pixels that are not finite out of "
                f"frame {number}, whose values go from {noisy.min():.4g} to "
                f"{noisy.max():.4g}, on {self.work.place}. Divide the image by a "
                "constant first, or try precision 'float32'."
            )
            raise DeviceError(msg)

    def smaller(self, patches: int, error: OutOfMemoryError) -> tuple[Work, str]:
        """Return what to try after so many patches did not fit, or raise.

        Raises
        ------
        OutOfMemoryError
            If nothing smaller is left.
        """
        smaller = smaller_work(
            self.work,
            self.plan,
            self.denoiser.needs,
            patches=patches,
            options=self.options,
        )
        if smaller is None:
            raise self._hopeless() from error
        return smaller

    def _place_on(self, place: Place) -> None:
        self.denoiser.place(place.device, place.precision)
        if isinstance(self.denoiser, Compiling):
            # Also where it is not wanted: an earlier run may have.
            self.denoiser.compile(self.options.compile)

    def take(self, work: Work, text: str) -> None:
        """Go on with other pieces or on another device, and warn."""
        warnings.warn(text, MemoryWarning, stacklevel=4)
        before = self.work.place
        self._replan(work)
        if work.place != before:
            try:
                with self._translated_errors():
                    self._place_on(work.place)
            except OutOfMemoryError as error:
                raise self._hopeless() from error
        release_memory(before.device)

    def _hopeless(self) -> OutOfMemoryError:
        height, width = self.plan.tile_shape
        return OutOfMemoryError(
            f"{self.denoiser.name!r} does not fit the memory of this computer, even "
            f"with one patch of {height} × {width} px at a time on the CPU. Close "
            "other programs, or take a denoiser that needs less."
        )

    def _replan(self, work: Work) -> None:
        self.work = work
        self.plan = plan_tiles(
            self.frame_shape, self.denoiser.needs, tile=work.tile, region=self.region
        )

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Turn what numpy and torch raise into the errors of this package."""
        try:
            yield
        except LowDoseError:
            raise
        except (MemoryError, RuntimeError) as error:
            place = self.work.place
            if is_out_of_memory(error):
                msg = f"Memory ran out on {place.device}: {error}"
                raise OutOfMemoryError(msg) from error
            advice = (
                "Please report this with the image and the settings."
                if place == CPU
                else "Try device 'cpu', or precision 'float32'."
            )
            msg = f"{self.denoiser.name!r} failed on {place}: {error}. {advice}"
            raise DeviceError(msg) from error


def _parts(count: int, threads: int) -> list[slice]:
    """Return the patches of each call: one each in threads, else all in one."""
    if threads <= 1:
        return [slice(0, count)]
    return [slice(n, n + 1) for n in range(count)]
