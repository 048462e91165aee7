r"""Do no harm: what a denoiser makes of images that hold nothing for it to find.

A network fills in what its training made likely. So it is asked what it does to a
clean image, which it should leave alone; to an image of one value; and to noise of a
constant rate, in which every structure of the result is its own invention. A denoiser
that only smooths leaves less than the noise at every frequency; a lattice out of
nothing stands out of the spectrum as a peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Denoise = Callable[[NDArray[np.float32]], ArrayLike]

#: Edge of the squares of neighbouring frequencies that are averaged.
_SQUARE: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseResponse:
    """What is left of noise about a constant rate.

    Parameters
    ----------
    left : float
        Standard deviation of the result over that of the noise.
    strongest : float
        Largest power of the result at any frequency, averaged over its neighbours
        and over all images, over the power that the noise has at each: at most about
        1 for what only smooths.
    peak : float
        Largest power of the result at a single frequency of any single image, over
        the largest of its noise: above 1 something was invented.
    """

    left: float
    strongest: float
    peak: float


def noise_response(
    denoise: Denoise, *, rate: float, shape: tuple[int, int], images: int, seed: int = 0
) -> NoiseResponse:
    """Denoise counts of a constant rate.

    Parameters
    ----------
    denoise : callable
        Takes counts, shape (H, W), float32, and returns them denoised.
    rate : float
        Electrons per pixel, above 0.
    shape : tuple of int
        Height and width [px], at least 16.
    images : int
        How many images, at least 1.
    seed : int, optional
        Of the counts.

    Returns
    -------
    NoiseResponse

    Raises
    ------
    ParameterError
        If the rate is not positive, the shape too small, or there are no images.
    """
    if not (math.isfinite(rate) and rate > 0) or min(shape) < 16 or images < 1:
        msg = (
            f"{images} images of {shape[0]} x {shape[1]} px at {rate:g} e-/px cannot "
            "be judged; take one at least, of 16 px or more, and a rate above 0."
        )
        raise ParameterError(msg)
    rng = np.random.default_rng(seed)
    total = np.zeros(shape)
    before, after, peaks = 0.0, 0.0, []
    for _ in range(images):
        counts = rng.poisson(rate, shape).astype(np.float32)
        result = np.asarray(denoise(counts), np.float64)
        noise, power = _power(counts), _power(result)
        total += power
        before += float(counts.var())
        after += float(result.var())
        peaks.append(power.max() / noise.max() if noise.max() > 0 else 0.0)
    mean = total / images
    return NoiseResponse(
        left=math.sqrt(after / before) if before > 0 else 0.0,
        strongest=float(_smoothed(mean).max() / rate),
        peak=float(max(peaks)),
    )


def change_of_clean(denoise: Denoise, images: Sequence[ArrayLike]) -> float:
    """Denoise clean images, and return how much that changed them.

    Parameters
    ----------
    denoise : callable
        Takes counts, shape (H, W), float32, and returns them denoised.
    images : sequence of array_like, shape (H, W)
        Clean images [e-/px], none of them constant. Expected counts, not rounded.

    Returns
    -------
    float
        Largest root mean square of the change over the standard deviation of the
        image.

    Raises
    ------
    InvalidImageError
        If there is no image, or one of them is constant.
    """
    found = []
    for given in images:
        image = np.asarray(given, np.float32)
        deviation = float(image.std(dtype=np.float64))
        if deviation == 0:
            msg = "A constant image has no contrast that a change could be told by."
            raise InvalidImageError(msg)
        change = np.asarray(denoise(image), np.float64) - image
        found.append(math.sqrt(float(np.mean(change**2))) / deviation)
    if not found:
        msg = "There is no clean image to denoise."
        raise InvalidImageError(msg)
    return max(found)


def change_of_constant(
    denoise: Denoise, values: Sequence[float], *, shape: tuple[int, int]
) -> float:
    """Denoise images of one value each, such as a saturated camera records.

    Parameters
    ----------
    denoise : callable
        Takes counts, shape (H, W), float32, and returns them denoised.
    values : sequence of float
        The values [counts].
    shape : tuple of int
        Height and width [px].

    Returns
    -------
    float
        Largest change of any pixel over the value, or over 1 count where that is
        less.
    """
    return max(
        float(
            np.abs(
                np.asarray(denoise(np.full(shape, value, np.float32)), np.float64)
                - value
            ).max()
        )
        / max(1.0, abs(value))
        for value in values
    )


def _power(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the power spectrum, of which white noise has its variance everywhere."""
    spectrum = np.fft.fft2(image - image.mean(dtype=np.float64))
    return np.asarray(np.abs(spectrum) ** 2 / image.size)


def _smoothed(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over squares of neighbouring frequencies."""
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(power, _SQUARE, mode="wrap"))
