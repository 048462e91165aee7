r"""Fourier ring correlation of two independent images of one specimen.

.. math::

    \mathrm{FRC}(k) = \frac{\mathrm{Re}\sum A \bar B}{\sqrt{\sum |A|^2 \sum |B|^2}},

summed over the ring of spatial frequency k (Saxton and Baumeister [1]_). Where noise
alone is left it falls to zero; the resolution is read where it crosses a threshold
(van Heel and Schatz [2]_).

References
----------
.. [1] W. O. Saxton, W. Baumeister, "The correlation averaging of a regularly arranged
   bacterial cell envelope protein", J. Microsc. 127 (1982) 127-138,
   doi:10.1111/j.1365-2818.1982.tb00405.x.
.. [2] M. van Heel, M. Schatz, "Fourier shell correlation threshold criteria",
   J. Struct. Biol. 151 (2005) 250-262, doi:10.1016/j.jsb.2005.05.009.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from scipy.signal import windows

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics.frames import matching

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Threshold = Literal["half-bit", "1/7", "1/2"]
_THRESHOLDS: Final = ("half-bit", "1/7", "1/2")
#: Number of rings in a row that must lie below the threshold: a single one does by
#: chance.
_IN_A_ROW: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RingCorrelation:
    """A Fourier ring correlation and the resolution that it shows.

    Parameters
    ----------
    frequency : ndarray, shape (rings,)
        Mean frequency of every ring [1/px], up to 0.5.
    correlation : ndarray, shape (rings,)
        From -1 to 1.
    threshold : ndarray, shape (rings,)
        What it is compared with.
    criterion : str
        Name of the threshold.
    resolution_px : float or None
        Period at which the correlation falls below the threshold [px]; 2 px (the
        Nyquist limit) where it never does, None where it never lies above.
    resolution : float or None
        The same in `unit`, where the pixel size is known.
    unit : str or None
        Such as ``"nm"``.
    """

    frequency: NDArray[np.float64] = field(repr=False)
    correlation: NDArray[np.float64] = field(repr=False)
    threshold: NDArray[np.float64] = field(repr=False)
    criterion: str
    resolution_px: float | None
    resolution: float | None = None
    unit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "criterion": self.criterion,
            "resolution_px": self.resolution_px,
            "resolution": self.resolution,
            "unit": self.unit,
            "frequency_per_px": [round(float(f), 5) for f in self.frequency],
            "correlation": [round(float(c), 5) for c in self.correlation],
        }


def fourier_ring_correlation(
    first: ArrayLike,
    second: ArrayLike,
    *,
    pixel_size: float | None = None,
    unit: str = "nm",
    criterion: Threshold = "half-bit",
) -> RingCorrelation:
    """Correlate two images ring by ring in Fourier space.

    Parameters
    ----------
    first, second : array_like, shape (H, W)
        Images of one specimen with independent noise, at least 16 x 16 pixels, such
        as two thinned halves. Halves that were denoised share the habits of the
        denoiser, and their resolution is an upper bound.
    pixel_size : float, optional
        Size of a pixel, in `unit`.
    unit : str, optional
        Unit of the pixel size.
    criterion : {"half-bit", "1/7", "1/2"}, optional
        Threshold. ``"half-bit"``: half a bit of information per Fourier coefficient,
        which depends on how many the ring has (van Heel and Schatz).

    Returns
    -------
    RingCorrelation

    Raises
    ------
    InvalidImageError
        If the images differ in shape, are too small, constant, or not finite.
    ParameterError
        If the criterion is not known, or the pixel size is not positive.

    Notes
    -----
    The images are multiplied by a Hann window: the cross that edges make in Fourier
    space would correlate, and strong rings would leak into empty ones. Frames that are
    not square are compared at equal frequencies per pixel.
    """
    if criterion not in _THRESHOLDS:
        msg = f"criterion={criterion!r} is not one of {', '.join(_THRESHOLDS)}."
        raise ParameterError(msg)
    if pixel_size is not None and not pixel_size > 0:
        msg = f"pixel_size={pixel_size} must be positive."
        raise ParameterError(msg)
    one, two = matching(first=first, second=second)
    if one.ndim != 2 or min(one.shape) < 16:
        msg = f"A ring correlation needs at least 16 x 16 pixels; got {one.shape}."
        raise InvalidImageError(msg)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        msg = "An image is constant: there is nothing to correlate."
        raise InvalidImageError(msg)
    frequency, correlation, number = _rings(one, two)
    threshold = _threshold(criterion, number)
    resolution_px = _crossing(frequency, correlation, threshold)
    known = pixel_size is not None and resolution_px is not None
    return RingCorrelation(
        frequency=frequency,
        correlation=correlation,
        threshold=threshold,
        criterion=criterion,
        resolution_px=resolution_px,
        resolution=resolution_px * pixel_size  # type: ignore[operator]  # known
        if known
        else None,
        unit=unit if known else None,
    )


def _rings(
    one: NDArray[np.float64], two: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return frequency, correlation and number of coefficients of every ring."""
    height, width = one.shape
    window = np.outer(windows.hann(height), windows.hann(width))
    a, b = (np.fft.rfft2((image - image.mean()) * window) for image in (one, two))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(fy, fx)
    # Each column but the first (and the last of an even width) stands for two.
    twice = np.full(a.shape[1], 2.0)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    weight = np.broadcast_to(twice, a.shape)
    rings = min(height, width) // 2
    ring = np.minimum((radius * 2 * rings).astype(np.int64), rings)  # ring 0 holds DC

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(ring.ravel(), (values * weight).ravel(), rings + 1)
        return np.asarray(sums[1:rings], dtype=np.float64)

    number = total(np.ones(a.shape))
    cross = total((a * b.conj()).real)
    power = np.sqrt(total(np.abs(a) ** 2) * total(np.abs(b) ** 2))
    correlation = np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)
    return total(radius) / number, correlation, number


def _threshold(
    criterion: Threshold, number: NDArray[np.float64]
) -> NDArray[np.float64]:
    if criterion == "1/7":
        return np.full_like(number, 1 / 7)
    if criterion == "1/2":
        return np.full_like(number, 0.5)
    root = np.sqrt(number)
    # Capped: in the smallest rings the formula exceeds what can be reached.
    return np.minimum((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root), 0.999)


def _crossing(
    frequency: NDArray[np.float64],
    correlation: NDArray[np.float64],
    threshold: NDArray[np.float64],
) -> float | None:
    """Return the period where the curve falls below its threshold for good [px]."""
    above = correlation > threshold
    if not above.any():
        return None
    first = int(np.argmax(above))
    below = ~above
    for ring in range(first + 1, above.size):
        if below[ring : ring + _IN_A_ROW].all():
            gap = correlation - threshold
            share = gap[ring - 1] / (gap[ring - 1] - gap[ring])
            step = frequency[ring] - frequency[ring - 1]
            return float(1 / (frequency[ring - 1] + share * step))
    return 2.0
