"""How the power of a frame is spread over spatial frequencies, in a few numbers."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Limits of the bands [1/px]. The lowest one leaves out the mean and the slow changes
#: that a window of 64 pixels cannot tell from it.
BANDS = (0.03, 0.06, 0.09, 0.13, 0.18, 0.25, 0.35, 0.5, 0.71)

#: Side of the windows [px], and how many at most are taken of a frame.
WINDOW = 64
MOST_WINDOWS = 256


def band_powers(frame: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure the radially averaged power spectrum of a frame in :data:`BANDS`.

    The periodograms of overlapping windows are averaged (Welch's method), each
    tapered by a Hann window [1]_. White noise of variance v has the power v in every
    band.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
        Finite values.

    Returns
    -------
    ndarray, shape (len(BANDS) - 1,)
        Mean power of each band, in squared units of the frame. A band too narrow for
        a small frame has the power of the nearest one that is not.

    References
    ----------
    .. [1] P. D. Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967).
       doi:10.1109/TAU.1967.1161901
    """
    shape = (min(WINDOW, frame.shape[0]), min(WINDOW, frame.shape[1]))
    taper, share = tables(*shape)
    windows = _windows(frame, shape).astype(np.float32)
    windows -= windows.mean((1, 2), keepdims=True)
    spectra = np.fft.fft2(windows * taper)
    power = (spectra.real**2 + spectra.imag**2).mean(0, dtype=np.float64)
    return np.asarray(share @ power.ravel(), np.float64)


def _windows(frame: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return windows that overlap by half, spread evenly over the frame."""
    starts = [
        np.unique(
            np.linspace(0, length - side, max(1, 2 * length // side - 1), dtype=int)
        )
        for length, side in zip(frame.shape, shape, strict=True)
    ]
    rows, columns = (n.ravel() for n in np.meshgrid(*starts, indexing="ij"))
    chosen = np.unique(np.linspace(0, len(rows) - 1, MOST_WINDOWS, dtype=int))
    return np.stack(
        [
            frame[r : r + shape[0], c : c + shape[1]]
            for r, c in zip(rows[chosen], columns[chosen], strict=True)
        ]
    )


@functools.lru_cache(maxsize=16)
def tables(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the taper of a window, and the share of its coefficients in each band."""
    # Without its zeros at both ends, so that a window of one pixel is not lost.
    taper = np.outer(*(np.hanning(n + 2)[1:-1] for n in (height, width)))
    taper /= np.sqrt((taper**2).sum())
    frequency = np.hypot(
        np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    ).ravel()
    share = np.zeros((len(BANDS) - 1, frequency.size))
    for band, (low, high) in enumerate(itertools.pairwise(BANDS)):
        inside = (frequency >= low) & (frequency < high)
        if not inside.any():
            middle = (low * high) ** 0.5
            inside = np.abs(frequency - middle) == np.abs(frequency - middle).min()
        share[band, inside] = 1 / inside.sum()
    return taper.astype(np.float32), share
