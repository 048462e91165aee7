"""Where an image has blobs of one size, and of which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import dctn, idctn
from scipy.stats import skew
from skimage.feature import peak_local_max

from lowdose.errors import InvalidImageError
from lowdose.trust.column_fit import fit_gaussians

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Scales that are tried where none is given: from, and to a share of the image.
_FINEST: Final = 1.0
_COARSEST: Final = 1 / 16
_RATIO: Final = 1.15
#: The strongest maxima that stand for the columns of an image: this quantile of all.
_STRONG: Final = 0.9
#: A maximum weaker than this many times the rounding of the image is none.
_ROUNDING: Final = 1e-5


def column_scale(image: NDArray[np.float64]) -> float:
    """Find the standard deviation of the columns of an image.

    The root mean square of the scale-normalised Laplacian of Gaussian has a maximum
    where the scale fits the columns; that of the finest structure is taken, since
    beyond it follows that of the whole particle.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        A denoised image.

    Returns
    -------
    float
        Standard deviation [px].

    Raises
    ------
    InvalidImageError
        If no scale stands out.
    """
    coarsest = max(min(image.shape) * _COARSEST, 2 * _FINEST)
    count = int(np.ceil(np.log(coarsest / _FINEST) / np.log(_RATIO))) + 1
    scales = _FINEST * _RATIO ** np.arange(count)
    coefficients, frequency = _cosines(image)
    power = np.array(
        [np.sqrt(((coefficients * _answer(frequency, s)) ** 2).sum()) for s in scales]
    )
    inner = (power[1:-1] > power[:-2]) & (power[1:-1] >= power[2:])
    if not inner.any():
        msg = (
            "The image shows no structure of one size that could be atomic columns: "
            f"none stands out between {scales[0]:.3g} and {scales[-1]:.3g} px. Give "
            "the scale of the columns (their standard deviation)."
        )
        raise InvalidImageError(msg)
    best = int(np.flatnonzero(inner)[0]) + 1
    # Parabola through the logarithms, for a scale between those tried.
    left, middle, right = np.log(power[best - 1 : best + 2])
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    lattice = float(scales[best] * _RATIO**shift)
    return _width_of_columns(image, lattice)


def _width_of_columns(image: NDArray[np.float64], first: float) -> float:
    """Refine a scale on the strong maxima, which stand among others of a lattice."""
    answer = blobs(image, first)
    sign = skewed_to(answer)
    peaks = maxima(sign * answer, first, 0.5, image)
    if not len(peaks):
        return first
    fit = fit_gaussians(image, peaks, first, sign)
    if not fit.held.any():
        return first
    return float(np.median(fit.sigma[fit.held]))


def blobs(image: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return the scale-normalised negative Laplacian of Gaussian of an image."""
    coefficients, frequency = _cosines(image)
    blobs: NDArray[np.float64] = idctn(
        coefficients * _answer(frequency, scale), norm="ortho"
    )
    return blobs


def _cosines(
    image: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cosine transform, which mirrors the image, and squared frequencies."""
    y, x = (np.pi * np.arange(side) / side for side in image.shape)
    coefficients: NDArray[np.float64] = dctn(image, norm="ortho")
    return coefficients, y[:, None] ** 2 + x[None] ** 2


def _answer(square: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    answer: NDArray[np.float64] = scale**2 * square * np.exp(-(scale**2) * square / 2)
    return answer


def skewed_to(answer: NDArray[np.float64]) -> float:
    """Return 1 where compact answers are bright, -1 where they are dark."""
    return 1.0 if skew(answer, axis=None) >= 0 else -1.0


def maxima(
    answer: NDArray[np.float64],
    scale: float,
    threshold: float,
    image: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return rows and columns of the strong maxima, sorted by row, (N, 2) [px]."""
    floor = _ROUNDING * float(np.ptp(image))
    peaks = peak_local_max(  # type: ignore[no-untyped-call]
        answer, min_distance=max(1, round(scale)), threshold_abs=floor, exclude_border=1
    )
    if not len(peaks):
        return np.zeros((0, 2))
    strength = answer[tuple(peaks.T)]
    strong = float(np.quantile(strength, _STRONG))
    kept: NDArray[np.float64] = peaks[strength >= threshold * strong].astype(np.float64)
    return kept[np.lexsort((kept[:, 1], kept[:, 0]))]
