"""Drift between frames, by cross-correlation, and only where it is beyond chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import fourier_gaussian
from scipy.signal.windows import tukey

from lowdose.noise import noise_sigma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: Blur before two frames are compared [px]: specimen is at low frequencies, and at a
#: fraction of an electron per pixel the high ones are noise alone.
_BLUR = 2.0
#: Share of each side over which frames fade out, so that their borders do not match.
_TAPER = 0.25
#: Times that a shift is measured anew on what is left.
_ROUNDS = 5
#: The peak of the correlation must be above its value without drift by so many of
#: its standard deviations under noise. It is the largest of many values, and those
#: are higher by chance.
_SIGNIFICANT = 4.0
#: The same for a correction of a shift that is beyond chance.
_FURTHER = 0.5


def shift_between(first: Image, second: Image) -> tuple[int, int]:
    r"""Measure how far the second frame must be moved to lie on the first.

    Parameters
    ----------
    first, second : ndarray, shape (H, W)
        Counts.

    Returns
    -------
    rows, columns : int
        In whole pixels: interpolation would blur the frame, and its noise with it.
        (0, 0) where the frames correlate better at another place by no more than
        noise alone would let them.

    Notes
    -----
    The peak is found by :func:`skimage.registration.phase_cross_correlation` [1]_,
    without normalisation to the phase, on the blurred and tapered frames. With A and B
    their Fourier transforms and :math:`P_a, P_b` the power of their (white) noise, the
    correlation at the shift exceeds that without any by chance with the variance
    :math:`\sum 2 (1 - \cos\phi) (S (P_a + P_b) + P_a P_b)`, where :math:`\phi` is
    the phase of the shift and S the power that both share.

    References
    ----------
    .. [1] M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup, "Efficient subpixel image
       registration algorithms", Opt. Lett. 33, 156 (2008). doi:10.1364/OL.33.000156
    """
    total = 0, 0
    for _ in range(_ROUNDS):
        # Each time of what both show after the shift so far: what only one shows
        # draws the peak towards no shift.
        a, b = overlap(first, second, total)
        if min(a.shape) < min(first.shape) // 2:
            return total
        further = _shift_once(a, b, _FURTHER if any(total) else _SIGNIFICANT)
        if further == (0, 0):
            break
        total = total[0] + further[0], total[1] + further[1]
    return total


def _shift_once(first: Image, second: Image, least: float) -> tuple[int, int]:
    from skimage.registration import phase_cross_correlation

    taper = np.outer(*(tukey(n, _TAPER) for n in first.shape))
    blur = fourier_gaussian(np.ones(first.shape), _BLUR)
    a, b = (
        blur * np.fft.fft2(taper * (frame - frame.mean(dtype=np.float64)))
        for frame in (first, second)
    )
    found, _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
        a, b, space="fourier", normalization=None
    )
    shift = round(float(found[0])), round(float(found[1]))
    product = a * np.conj(b)
    rows, columns = (np.fft.fftfreq(n) for n in first.shape)
    phase = 2 * np.pi * (rows[:, None] * shift[0] + columns * shift[1])
    aligned = (product * np.exp(1j * phase)).real
    power = blur**2 * (taper**2).sum()
    noise_a, noise_b = (power * noise_sigma(f) ** 2 for f in (first, second))
    variance = np.maximum(aligned, 0) * (noise_a + noise_b) + noise_a * noise_b
    # What differs between the two places is 1 - cos of the phase, in the power.
    deviation = float(np.sqrt((variance * (1 - np.cos(phase)) * 2).sum()))
    gained = float((aligned - product.real).sum())
    return shift if gained > least * deviation else (0, 0)


def overlap(first: Image, second: Image, shift: tuple[int, int]) -> tuple[Image, Image]:
    """Cut two frames to what both show.

    Parameters
    ----------
    first, second : ndarray, shape (H, W)
        Counts.
    shift : tuple of int
        Of :func:`shift_between`.

    Returns
    -------
    first, second : ndarray
        Of one shape, pixel on pixel.
    """
    parts: list[list[slice]] = [[], []]
    for moved, length in zip(shift, first.shape, strict=True):
        parts[0].append(slice(max(0, moved), length + min(0, moved)))
        parts[1].append(slice(max(0, -moved), length + min(0, -moved)))
    return first[tuple(parts[0])], second[tuple(parts[1])]
