"""Spectra of frames, and the background in them on which Bragg peaks stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.filters.spec import Frame

#: Widest margin in which a frame goes on and fades to its mean [px].
_MARGIN: Final = 64
#: Power, in units of the background, from which a pixel of a spectrum is no noise for
#: the estimate of the background; of noise alone 0.7 % are left out.
_OUTLIER: Final = 5.0
#: Its iterations end there, settled or not.
_MOST_ROUNDS: Final = 50

STEP = Parameter(
    name="step",
    kind="float",
    default=2.0,
    minimum=1.0,
    maximum=100.0,
    unit="px",
    help="Width of the rings over which the background is averaged, in the spectrum.",
    advanced=True,
)
DELTA = Parameter(
    name="delta",
    kind="float",
    default=1.0,
    minimum=0.01,
    maximum=100.0,
    unit="%",
    help=(
        "The background is averaged anew without what stands out of it until it "
        "changes by less than this."
    ),
    advanced=True,
)
LOW = Parameter(
    name="low",
    kind="float",
    default=0.02,
    minimum=0.0,
    maximum=0.5,
    unit="1/px",
    help="Spatial frequencies up to this are kept as they are; smaller is smoother.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """The Fourier transform of a frame that fades to its mean beyond its border.

    Parameters
    ----------
    values : ndarray, shape (M, N // 2 + 1), complex128
        Half of the transform of a padded frame of (M, N) pixels.
    frequency : ndarray, shape (M, N // 2 + 1), float64
        Spatial frequency [1/px].
    mean : float
        What was taken off.
    shape, padded : tuple of int
        Size of the frame and of the padded frame [px].
    margin : tuple of int
        Rows and columns laid before the frame [px].
    energy : float
        Power that white noise of variance 1 has in every pixel of the spectrum.
    """

    values: NDArray[np.complex128]
    frequency: NDArray[np.float64]
    mean: float
    shape: tuple[int, int]
    padded: tuple[int, int]
    margin: tuple[int, int]
    energy: float

    @property
    def power(self) -> NDArray[np.float64]:
        """Square of the amplitudes."""
        return np.asarray(np.square(np.abs(self.values)))

    def filtered(self, factors: NDArray[np.float64]) -> Frame:
        """Return the frame whose spectrum is multiplied by `factors`."""
        image = irfft2(self.values * factors, s=self.padded)
        (top, left), (height, width) = self.margin, self.shape
        return np.asarray(image[top : top + height, left : left + width] + self.mean)


def spectrum_of(frame: Frame) -> Spectrum:
    """Transform a frame, without the cross that its border would make.

    The frame goes on as its mirror image, over a quarter of its length (at most 64 px),
    and fades to its mean there: opposite borders then do not meet in a step.

    Parameters
    ----------
    frame : ndarray, shape (H, W), float64
        Finite values.
    """
    mean = float(frame.mean())
    pads, fades, padded, margin = [], [], [], []
    for length in frame.shape:
        edge = min(_MARGIN, max(length // 4, min(8, length - 1)))
        total = int(next_fast_len(length + 2 * edge, real=True))
        extra = total - length - 2 * edge
        # Along the outer half of the margin, so that the border itself is whole.
        phase = (np.arange(edge) + 0.5) / max(edge / 2, 0.5)
        ramp = 0.5 - 0.5 * np.cos(np.pi * np.minimum(phase, 1.0))
        pads.append((edge, edge))
        fades.append(
            np.concatenate([ramp, np.ones(length), ramp[::-1], np.zeros(extra)])
        )
        padded.append(total)
        margin.append(edge)
    wide = np.pad(frame - mean, pads, mode="reflect")
    wide = np.pad(
        wide, [(0, total - n) for total, n in zip(padded, wide.shape, strict=True)]
    )
    wide *= fades[0][:, None]
    wide *= fades[1]
    y = np.fft.fftfreq(padded[0])
    x = np.fft.rfftfreq(padded[1])
    return Spectrum(
        values=rfft2(wide),
        frequency=np.hypot(y[:, None], x),
        mean=mean,
        shape=(frame.shape[0], frame.shape[1]),
        padded=(padded[0], padded[1]),
        margin=(margin[0], margin[1]),
        energy=float(np.square(fades[0]).sum() * np.square(fades[1]).sum()),
    )


def rotational_background(
    power: NDArray[np.float64],
    frequency: NDArray[np.float64],
    *,
    step: float,
    delta: float = 1.0,
) -> NDArray[np.float64]:
    r"""Average the power over rings, without the Bragg peaks.

    In a ring the power of noise is distributed exponentially. Its mean B is first taken
    from the median, :math:`B = \mathrm{median} / \ln 2`, which a few peaks hardly move;
    then as the mean of the pixels below 5 B, divided by what is expected of these,
    :math:`1 - 5 / (e^5 - 1)`, and so on until it settles. The published way [1]_ [2]_
    is the same but for that expectation: without it the background sinks round by round
    below the mean of the noise.

    Parameters
    ----------
    power : ndarray, float64
        Squares of the amplitudes.
    frequency : ndarray, float64
        Spatial frequency, same shape [1/px].
    step : float
        Width of a ring [1/px].
    delta : float, optional
        The iteration ends when no ring changes by more than this [%].

    Returns
    -------
    ndarray, float64
        Background power of every pixel, interpolated between the middles of the rings.

    References
    ----------
    .. [1] R. Kilaas, "Optimal and near-optimal filters in high-resolution electron
       microscopy", J. Microsc. 190 (1998) 45-51,
       doi:10.1046/j.1365-2818.1998.3070861.x.
    .. [2] L. D. Marks, "Wiener-filter enhancement of noisy HREM images",
       Ultramicroscopy 62 (1996) 43-52, doi:10.1016/0304-3991(95)00085-2.
    """
    ring = (frequency / step).astype(np.intp).ravel()
    flat = power.ravel()
    number = int(ring.max()) + 1
    sizes = np.bincount(ring, minlength=number)
    order = np.lexsort((flat, ring))
    ends = np.cumsum(sizes)
    middles = np.clip(ends - 1 - sizes // 2, 0, flat.size - 1)
    background = flat[order][middles] / np.log(2)
    expected = 1 - _OUTLIER / np.expm1(_OUTLIER)
    for _ in range(_MOST_ROUNDS):
        kept = flat <= _OUTLIER * background[ring]
        counts = np.bincount(ring[kept], minlength=number)
        sums = np.bincount(ring[kept], flat[kept], minlength=number)
        # A ring of which nothing is left, one or two pixels, stays what it was.
        updated = np.where(counts > 0, sums / np.maximum(counts, 1), 0.0) / expected
        updated = np.where(counts > 0, updated, background)
        change = np.abs(updated - background)
        background = updated
        if np.all(change <= delta / 100 * background):
            break
    there = sizes > 0
    centres = (np.arange(number) + 0.5) * step
    return np.asarray(np.interp(frequency, centres[there], background[there]))


def soft_step(
    values: NDArray[np.float64], edge: float, width: float
) -> NDArray[np.float64]:
    """Return 1 up to ``edge - width / 2``, 0 from ``edge + width / 2``, cosine between.

    Parameters
    ----------
    values : ndarray, float64
        Where.
    edge : float
        Middle of the fall.
    width : float
        Its width; 0 for a step after `edge`.
    """
    if width == 0:
        return np.asarray(values <= edge, dtype=np.float64)
    phase = np.clip((values - edge) / width + 0.5, 0.0, 1.0)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * phase))
