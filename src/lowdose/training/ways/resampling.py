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
    ) -> None:
        self._dataset, self._sampling, self._patch = dataset, sampling, patch
        self._vibration, self._contrast = vibration, contrast
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
        self._coarsest = min(sampling.coarsest, field / patch)
        if self._coarsest < sampling.pixel_size:
            msg = (
                f"The images of {dataset.path.name} show {field:.3g} nm, too few for "
                f"training.patch={patch} px of {sampling.pixel_size:g} nm. Use a patch "
                f"of at most {int(field / sampling.pixel_size)} px."
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
        low, high = self._sampling.finest, self._coarsest
        if typical:
            low = max(low, self._sampling.pixel_size / _TYPICAL)
            high = min(high, self._sampling.pixel_size * _TYPICAL)
        size = math.exp(rng.uniform(math.log(low), math.log(high)))
        length = self._length(size)
        places = [int(rng.integers(length - self._patch + 1)) for _ in "yx"]
        rows, columns = (slice(start, start + self._patch) for start in places)
        spectrum = self._changed(self._spectra[number], rng)
        samples, rates = self._resampled(spectrum, length, rows, columns)
        element = int(rng.integers(8))
        return turned(samples, element), turned(rates, element)

    def whole(self, dataset: Dataset, number: int) -> tuple[Image, Image]:
        """Return a whole image of a set at the usual pixel size; as :meth:`crop`."""
        spectrum = self._transform(dataset[number])
        length = self._length(self._sampling.pixel_size)
        whole = slice(length // _MULTIPLE * _MULTIPLE)
        return self._resampled(spectrum, length, whole, whole)

    def _length(self, size: float) -> int:
        """Return the side of an image in pixels of a size [nm]."""
        return max(self._patch, round(self._side * self._pixel_size / size))

    def _changed(self, spectrum: Image, rng: Random) -> Image:
        """Draw vibration and contrast, and return what they make of an image."""
        sigma = self._vibration * float(rng.uniform())
        frequency = np.arange(len(spectrum)) / (2 * self._field)
        damping = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
        contrast = float(rng.uniform(*self._contrast))
        damped = spectrum * np.outer(contrast * damping, damping)
        # The first coefficient is the mean times the side.
        vacuum = self._dataset.vacuum * self._side
        damped[0, 0] = vacuum + contrast * (spectrum[0, 0] - vacuum)
        return np.asarray(damped, np.float32)

    def _transform(self, image: Image) -> Image:
        spectrum = dctn(image.astype(np.float64), norm="ortho")
        return np.asarray(spectrum[: self._most, : self._most], np.float32)

    def _resampled(
        self, spectrum: Image, length: int, rows: slice, columns: slice
    ) -> tuple[Image, Image]:
        """Return samples and means of a part of an image, `length` pixels wide."""
        points, means = _bases(length, min(length, len(spectrum)), self._side)
        kept = spectrum[: points.shape[1], : points.shape[1]]
        samples = np.asarray(points[rows] @ kept @ points[columns].T, np.float32)
        rates = np.asarray(means[rows] @ kept @ means[columns].T, np.float32)
        return samples, np.maximum(rates, np.float32(0))


@functools.lru_cache(maxsize=256)
def _bases(length: int, terms: int, side: int) -> tuple[Image, Image]:
    """Return what `terms` cosines are at, and on average over, each of the pixels.

    Their coefficients are those of an image `side` pixels wide; counts per pixel grow
    with the area of the pixels.
    """
    order = np.arange(terms)
    basis = np.cos(np.pi * (np.arange(length)[:, None] + 0.5) * order / length)
    basis *= np.where(order == 0, 1.0, math.sqrt(2)) * math.sqrt(side) / length
    points = basis.astype(np.float32)
    return points, np.asarray(points * np.sinc(order / (2 * length)), np.float32)
