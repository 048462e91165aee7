"""Frames as denoisers take them: float32, finite, each with its neighbours.

Every frame is read once. Pixels that are not finite are replaced by their nearest
finite neighbours before denoising, so that they cannot spread, and put back after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import InputError, InvalidImageError, LowDoseError, OutOfMemoryError
from lowdose.inference.spans import reflected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from lowdose.denoiser import Needs
    from lowdose.micrograph import Micrograph


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One frame, made finite.

    Parameters
    ----------
    number : int
        Its number in the stack.
    data : ndarray, shape (H, W), float32
        Counts, without NaN or Inf; all zero where no pixel of the frame is finite.
    bad : ndarray, shape (H, W), bool, or None
        Which pixels were not finite. None where all were.
    bad_values : ndarray, shape (N,), float32, or None
        What stood in the bad pixels, in the order of ``data[bad]``.
    """

    number: int
    data: NDArray[np.float32]
    bad: NDArray[np.bool_] | None = None
    bad_values: NDArray[np.float32] | None = None

    @property
    def valid(self) -> bool:
        """Whether any pixel is finite."""
        return self.bad is None or not bool(self.bad.all())

    def cropped(self, region: tuple[slice, slice]) -> Frame:
        """Return the frame's pixels in a region."""
        if self.bad is None or self.bad_values is None:
            return Frame(number=self.number, data=self.data[region])
        values = np.zeros_like(self.data)
        values[self.bad] = self.bad_values
        bad = self.bad[region]
        return Frame(
            number=self.number,
            data=self.data[region],
            bad=bad,
            bad_values=values[region][bad],
        )

    def restored(
        self, clean: NDArray[np.float32], *, keep_mean: bool
    ) -> NDArray[np.float32]:
        """Finish a denoised frame in place: its mean, then what was not finite.

        Parameters
        ----------
        clean : ndarray, shape (H, W), float32
            The denoised frame.
        keep_mean : bool
            Whether to add the constant that gives the finite pixels of `clean` the
            mean that they had before.

        Returns
        -------
        ndarray, shape (H, W), float32
            `clean`.
        """
        if keep_mean and self.valid:
            good = True if self.bad is None else ~self.bad
            before = self.data.mean(dtype=np.float64, where=good)
            after = clean.mean(dtype=np.float64, where=good)
            clean += np.float32(before - after)
        if self.bad is not None and self.bad_values is not None:
            clean[self.bad] = self.bad_values
        return clean


def as_frame(number: int, pixels: NDArray[Any]) -> Frame:
    """Make one frame float32 and finite.

    Parameters
    ----------
    number : int
        Its number in the stack.
    pixels : ndarray, shape (H, W)
        Counts of any real type. Integers above 2**24 and float64 are rounded to the
        24 significant bits of a float32; nothing is subtracted first.

    Returns
    -------
    Frame
        In it, values beyond the range of float32 count as not finite.
    """
    with np.errstate(over="ignore"):
        data = np.array(pixels, dtype=np.float32, order="C")
    bad = ~np.isfinite(data)
    if not bad.any():
        return Frame(number=number, data=data)
    values = data[bad]
    fill_bad_pixels(data, bad)
    return Frame(number=number, data=data, bad=bad, bad_values=values)


def fill_bad_pixels(data: NDArray[np.float32], bad: NDArray[np.bool_]) -> None:
    """Replace bad pixels by the nearest good one, in place.

    Parameters
    ----------
    data : ndarray, shape (H, W), float32
        The frame. Where no pixel is good it becomes zero.
    bad : ndarray, shape (H, W), bool
        The pixels to replace.
    """
    from scipy import ndimage, spatial

    if bad.all():
        data[...] = 0
        return
    # The nearest good pixel of any bad one touches a bad one: a step from it towards
    # the bad pixel comes nearer, so it ends on a bad pixel. Only these few are
    # searched, which for scattered bad pixels is far faster than a distance transform.
    touching = ndimage.binary_dilation(bad, np.ones((3, 3), dtype=bool)) & ~bad
    good_pixels = np.argwhere(touching)
    _distance, nearest = spatial.cKDTree(good_pixels).query(np.argwhere(bad))
    data[bad] = data[tuple(good_pixels[nearest].T)]


class FrameSource:
    """Reads the frames of a micrograph in order, each once.

    Parameters
    ----------
    image : Micrograph
        What to read.
    needs : Needs
        How many neighbouring frames the denoiser sees.
    numbers : collection of int, optional
        Numbers of the frames to give; all by default. Of the others only those are
        read that are neighbours of one of them.

    Notes
    -----
    Neighbours are taken along the time axis where there is one, else along the last
    axis before the image. At its ends the sequence is reflected without repeating
    the last frame. Frames are read series by series, so that no more than
    ``2 * max(needs.frames_before, needs.frames_after) + 1`` are held at a time.
    """

    def __init__(
        self,
        image: Micrograph,
        needs: Needs,
        numbers: Collection[int] | None = None,
    ) -> None:
        self._image = image
        self._wanted = None if numbers is None else frozenset(numbers)
        self._needs = needs
        self._series = series_of_frames(image)
        self._held: dict[int, Frame] = {}

    def __iter__(self) -> Iterator[tuple[Frame, ...]]:
        """Yield, for every frame to do, itself between its neighbours, oldest first."""
        before, after = self._needs.frames_before, self._needs.frames_after
        for series in self._series:
            self._held.clear()
            for position in range(len(series)):
                if (
                    self._wanted is not None
                    and int(series[position]) not in self._wanted
                ):
                    continue
                reach = reflected(position - before, position + after + 1, len(series))
                yield tuple(self._frame(series, int(index)) for index in reach)
                for index in [n for n in self._held if n < position + 1 - self._reach]:
                    del self._held[index]

    @property
    def _reach(self) -> int:
        # At its start the sequence is reflected, so that what lies before a frame
        # can be as far ahead of it.
        return max(self._needs.frames_before, self._needs.frames_after)

    def _frame(self, series: NDArray[np.intp], index: int) -> Frame:
        frame = self._held.get(index)
        if frame is None:
            number = int(series[index])
            frame = read_frame(self._image, number)
            self._held[index] = frame
        return frame


def read_frame(image: Micrograph, number: int) -> Frame:
    """Read one frame and make it finite, or say which could not be read.

    Raises
    ------
    InputError
        If the file behind the micrograph cannot be read.
    OutOfMemoryError
        If one frame does not fit the memory.
    """
    what = f"frame {number} of {image.name!r}" if image.name else f"frame {number}"
    try:
        return as_frame(number, image.frame(number))
    except LowDoseError:
        raise
    except MemoryError as error:
        msg = (
            f"There is not enough memory to read {what}, of {image.frame_shape} px. "
            "Close other programs, or crop the image."
        )
        raise OutOfMemoryError(msg) from error
    except (OSError, RuntimeError) as error:  # h5py and dask raise both
        msg = (
            f"Cannot read {what}: {error}. Check that the file is still there and "
            "complete."
        )
        raise InputError(msg) from error


def no_finite_pixel(image: Micrograph) -> InvalidImageError:
    """Return the error for an image of which no pixel is finite."""
    what = f"{image.name!r}" if image.name else "The image"
    return InvalidImageError(
        f"{what} has no finite pixel: all are NaN or infinite. Check how it was "
        "written or computed."
    )


def series_of_frames(image: Micrograph) -> list[NDArray[np.intp]]:
    """Return the frame numbers, one array per sequence of neighbouring frames."""
    leading = image.shape[:-2]
    numbers = np.arange(image.n_frames).reshape(leading or (1,))
    labels = image.calibration.labels[: len(leading)]
    axis = labels.index("t") if "t" in labels else -1
    sequences = np.moveaxis(numbers, axis, -1)
    return list(sequences.reshape(-1, sequences.shape[-1]))
