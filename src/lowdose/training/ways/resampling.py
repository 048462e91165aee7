"""Simulated images at other pixel sizes: what whole pixels of that size would count."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import dctn

from lowdose.errors import ParameterError
from lowdose.training.examples import turned
from lowdose.training.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.simulation.dataset import Dataset
    from lowdose.zoo.sampling import Sampling

    Image = NDArray[np.float32]

#: Factor about the usual pixel size within which typical examples are drawn.
_TYPICAL: Final = 1.1
#: Whole images have sides of a multiple of this [px].
_MULTIPLE: Final = 16


class Resampler:
    """Crops of simulated images at pixel sizes of a range.

    An image is taken as the band-limited function through its pixels, by its discrete
    cosine transform. Of that, a crop has the samples at the centres of larger pixels,
    and their integrals over these pixels, which is what a detector counts.

    Parameters
    ----------
    dataset : Dataset
        Square images of one pixel size.
    sampling : Sampling
        Pixel sizes to draw.
    patch : int
        Side of the crops [px].
    vibration : float, optional
        Largest standard deviation of a further vibration of the specimen [nm], drawn
        uniformly: it blurs a crop.
    contrast : tuple of float, optional
        Range of a factor for what differs from the vacuum of the set.
    reach : float, optional
        How far images will be displaced at most [nm]; crops keep so far from their
        borders, beyond which there is nothing to be displaced into view.

    Raises
    ------
    ParameterError
        If images are not square, of several pixel sizes, too coarse, or too small for
        a crop at the finest pixel size.
    """

    def __init__(
        self,
        dataset: Dataset,
        sampling: Sampling,
        *,
        patch: int,
        vibration: float = 0.0,
        contrast: tuple[float, float] = (1.0, 1.0),
        reach: float = 0.0,
    ) -> None:
        self._dataset, self._sampling, self._patch = dataset, sampling, patch
        self._vibration, self._contrast, self._reach = vibration, contrast, reach
        sizes = np.unique(dataset.parameters["pixel_size"])
        height, width = dataset.frame_shape
        if len(sizes) != 1 or height != width:
            msg = (
                f"{dataset.path.name} has images of {height} x {width} px with "
                f"{len(sizes)} pixel sizes; data.sampling needs square images of one."
            )
            raise ParameterError(msg)
        self._side, self._pixel_size = height, float(sizes[0])
        if self._pixel_size > sampling.finest:
            msg = (
                f"The images of {dataset.path.name} have {self._pixel_size:g} nm/px, "
                f"coarser than data.sampling.finest_nm={sampling.finest:g}."
            )
            raise ParameterError(msg)
        field = self._side * self._pixel_size
        self._field = field
        # The coarsest pixels of which the image holds a crop.
        inner = field - 2 * reach
        self._coarsest = min(sampling.coarsest, inner / patch)
        if self._coarsest < sampling.pixel_size:
            moving = f", less {reach:.3g} nm at each border to drift" if reach else ""
            msg = (
                f"The images of {dataset.path.name} show {field:.3g} nm{moving}, too "
                f"few for training.patch={patch} px of {sampling.pixel_size:g} nm. Use "
                f"a patch of at most {max(0, int(inner / sampling.pixel_size))} px."
            )
            raise ParameterError(msg)
        self._most = round(field / sampling.finest)
        self._spectra: Kept[Image] = Kept(
            lambda number: self._transform(dataset[number]),
            lambda spectrum: spectrum.nbytes,
        )

    def crop(self, number: int, rng: Random, *, typical: bool) -> tuple[Image, Image]:
        """Return a turned crop of an image of the set, at a random pixel size.

        Parameters
        ----------
        number : int
            Of the image.
        rng : Generator
            Source of pixel size, place, orientation, vibration and contrast.
        typical : bool
            Whether the pixel size is near the usual one.

        Returns
        -------
        samples, rates : ndarray, shape (patch, patch), float32
            At the centres of the pixels, and means over them; times the counts per
            pixel of that size in place of the counts per pixel of the set.
        """
        samples, rates = self.window([number], rng, typical=typical)
        return samples[0], rates[0]

    def window(
        self,
        numbers: Sequence[int],
        rng: Random,
        *,
        typical: bool,
        displacements: NDArray[np.float64] | None = None,
    ) -> tuple[Image, Image]:
        """Return crops of several images, all changed alike.

        Parameters
        ----------
        numbers : sequence of int
            Of the F images.
        rng, typical
            As for :meth:`crop`; what is drawn does not depend on F.
        displacements : ndarray, shape (F, 2), optional
            By how much what each image shows is displaced along y and x [nm].

        Returns
        -------
        samples, rates : ndarray, shape (F, patch, patch), float32
            As those of :meth:`crop`.
        """
        low, high = self._sampling.finest, self._coarsest
        if typical:
            low = max(low, self._sampling.pixel_size / _TYPICAL)
            high = min(high, self._sampling.pixel_size * _TYPICAL)
        size = math.exp(rng.uniform(math.log(low), math.log(high)))
        length = self._length(size)
        margin = self._margin(length)
        last = length - self._patch - margin
        places = [int(rng.integers(margin, last + 1)) for _ in "yx"]
        rows, columns = (slice(start, start + self._patch) for start in places)
        change = self._change(rng)
        changed = {n: change(self._spectra[n]) for n in dict.fromkeys(numbers)}
        samples, rates = self._displaced(
            [changed[n] for n in numbers], length, rows, columns, displacements
        )
        element = int(rng.integers(8))
        return turned(samples, element), turned(rates, element)

    def whole(self, dataset: Dataset, number: int) -> tuple[Image, Image]:
        """Return a whole image of a set at the usual pixel size; as :meth:`crop`."""
        samples, rates = self.whole_window(dataset, [number])
        return samples[0], rates[0]

    def whole_window(
        self,
        dataset: Dataset,
        numbers: Sequence[int],
        *,
        displacements: NDArray[np.float64] | None = None,
    ) -> tuple[Image, Image]:
        """Return whole images of a set at the usual pixel size; as :meth:`window`.

        Of images that may be displaced, what lies near the border is left out.
        """
        spectra = {n: self._transform(dataset[n]) for n in dict.fromkeys(numbers)}
        length = self._length(self._sampling.pixel_size)
        margin = self._margin(length)
        side = (length - 2 * margin) // _MULTIPLE * _MULTIPLE
        whole = slice(margin, margin + side)
        return self._displaced(
            [spectra[n] for n in numbers], length, whole, whole, displacements
        )

    def _length(self, size: float) -> int:
        """Return the side of an image in pixels of a size [nm]."""
        return max(self._patch, round(self._side * self._pixel_size / size))

    def _margin(self, length: int) -> int:
        """Return how far crops keep from the border of an image [px]."""
        margin = math.ceil(self._reach * length / self._field)
        return min(margin, (length - self._patch) // 2)

    def _change(self, rng: Random) -> Callable[[Image], Image]:
        """Draw vibration and contrast, and return what they do to an image."""
        sigma = self._vibration * float(rng.uniform())
        contrast = float(rng.uniform(*self._contrast))

        def changed(spectrum: Image) -> Image:
            frequency = np.arange(len(spectrum)) / (2 * self._field)
            damping = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
            damped = spectrum * np.outer(contrast * damping, damping)
            # The first coefficient is the mean times the side.
            vacuum = self._dataset.vacuum * self._side
            damped[0, 0] = vacuum + contrast * (spectrum[0, 0] - vacuum)
            return np.asarray(damped, np.float32)

        return changed

    def _transform(self, image: Image) -> Image:
        spectrum = dctn(image.astype(np.float64), norm="ortho")
        return np.asarray(spectrum[: self._most, : self._most], np.float32)

    def _displaced(
        self,
        spectra: Sequence[Image],
        length: int,
        rows: slice,
        columns: slice,
        displacements: NDArray[np.float64] | None,
    ) -> tuple[Image, Image]:
        """Return samples and means of a part of displaced images, `length` px wide."""
        if displacements is None:
            displacements = np.zeros((len(spectra), 2))
        pixels = displacements * length / self._field
        parts = [
            self._resampled(spectrum, length, (rows, columns), shift)
            for spectrum, shift in zip(spectra, pixels, strict=True)
        ]
        samples, rates = (np.stack(part) for part in zip(*parts, strict=True))
        return samples, rates

    def _resampled(
        self,
        spectrum: Image,
        length: int,
        part: tuple[slice, slice],
        shift: NDArray[np.float64],
    ) -> tuple[Image, Image]:
        """Return samples and means of a part of an image, `length` pixels wide."""
        terms = min(length, len(spectrum))
        (points_y, means_y), (points_x, means_x) = (
            _bases_of(pixels, float(moved), length, terms, self._side)
            for pixels, moved in zip(part, shift, strict=True)
        )
        kept = spectrum[:terms, :terms]
        samples = np.asarray(points_y @ kept @ points_x.T, np.float32)
        rates = np.asarray(means_y @ kept @ means_x.T, np.float32)
        return samples, np.maximum(rates, np.float32(0))


def _bases_of(
    pixels: slice, moved: float, length: int, terms: int, side: int
) -> tuple[Image, Image]:
    """Return what cosines are in some pixels, of an image that is moved [px]."""
    if moved:
        centres = np.arange(pixels.start + 0.5, pixels.stop) - moved
        return _cosines(centres, length, terms, side)
    # Unmoved ones are needed again and again.
    points, means = _bases(length, terms, side)
    return points[pixels], means[pixels]


@functools.lru_cache(maxsize=256)
def _bases(length: int, terms: int, side: int) -> tuple[Image, Image]:
    """Return what cosines are in all the pixels of an image."""
    return _cosines(np.arange(0.5, length), length, terms, side)


def _cosines(
    centres: NDArray[np.floating], length: int, terms: int, side: int
) -> tuple[Image, Image]:
    """Return what `terms` cosines are at, and on average over, each of the pixels.

    Their coefficients are those of an image `side` pixels wide; counts per pixel grow
    with the area of the pixels.
    """
    order = np.arange(terms)
    basis = np.cos(np.pi * centres[:, None] * order / length)
    basis *= np.where(order == 0, 1.0, math.sqrt(2)) * math.sqrt(side) / length
    points = basis.astype(np.float32)
    return points, np.asarray(points * np.sinc(order / (2 * length)), np.float32)
