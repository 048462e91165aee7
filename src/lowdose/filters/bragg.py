"""Bragg filter: only the peaks of a lattice are let through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_filter

from lowdose.filters.arguments import as_frame
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.filters.spectrum import (
    DELTA,
    LOW,
    STEP,
    Spectrum,
    rotational_background,
    soft_step,
    spectrum_of,
)
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Measures

RADIUS = Parameter(
    name="radius",
    kind="float",
    default=0.01,
    minimum=0.0005,
    maximum=0.25,
    unit="1/px",
    help="Radius of the mask about a peak; smaller averages over more of the lattice.",
)
THRESHOLD = Parameter(
    name="threshold",
    kind="float",
    default=20.0,
    minimum=1.0,
    maximum=1e6,
    help="Power that makes a peak, in units of the background; larger finds fewer.",
)
SOFTNESS = Parameter(
    name="softness",
    kind="float",
    default=0.5,
    minimum=0.0,
    maximum=2.0,
    help="Width of the edge of a mask, in units of its radius; 0 is sharp and rings.",
    advanced=True,
)


def bragg_filter(
    frame: ArrayLike,
    *,
    radius: float = 0.01,
    threshold: float = 20.0,
    low: float = 0.02,
    softness: float = 0.5,
    step: float = 2.0,
    delta: float = 1.0,
) -> Frame:
    """Keep the Bragg peaks of a frame and its low frequencies, and nothing else.

    A peak is the largest power within `radius` that stands `threshold` times above the
    rotational background (see
    :func:`lowdose.filters.spectrum.rotational_background`). Noise reaches the default
    in one of 4000 frames of 512 x 512 pixels. About every peak a round mask with a
    cosine edge is let through [1]_.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    radius : float, optional
        Radius of the masks, to the middle of their edge [1/px]. Averages in the image
        reach over about its reciprocal: finer detail than the lattice is *made up of
        the lattice*, over defects, vacancies and borders too.
    threshold : float, optional
        Smallest power of a peak, in units of the background.
    low : float, optional
        The disc of low frequencies that is kept [1/px].
    softness : float, optional
        Width of the edges, in units of the radius.
    step : float, optional
        Width of the rings, in pixels of the spectrum of the longer side.
    delta : float, optional
        When the background has settled [%].

    Returns
    -------
    ndarray, shape (H, W), float64
        The filtered frame. Where no peak is found only the low frequencies are left.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] M. J. Hytch, E. Snoeck, R. Kilaas, "Quantitative measurement of displacement
       and strain fields from HREM micrographs", Ultramicroscopy 74 (1998) 131-146,
       doi:10.1016/S0304-3991(98)00035-7, section 2.
    """
    values = as_frame(frame)
    radius, low = float(RADIUS.validate(radius)), float(LOW.validate(low))
    threshold = float(THRESHOLD.validate(threshold))
    softness = float(SOFTNESS.validate(softness))
    step, delta = float(STEP.validate(step)), float(DELTA.validate(delta))
    spectrum = spectrum_of(values)
    peaks = find_peaks(
        spectrum,
        radius=radius,
        threshold=threshold,
        low=low,
        step=step,
        delta=delta,
    )
    mask = soft_step(spectrum.frequency, low, softness * low)
    if peaks.any():
        mask = np.maximum(
            mask, soft_step(_distance(peaks, spectrum), radius, softness * radius)
        )
    return spectrum.filtered(mask)


def find_peaks(
    spectrum: Spectrum,
    *,
    radius: float,
    threshold: float,
    low: float,
    step: float = 2.0,
    delta: float = 1.0,
) -> NDArray[np.bool_]:
    """Find the peaks of a spectrum above its rotational background.

    Parameters
    ----------
    spectrum : Spectrum
        Of :func:`~lowdose.filters.spectrum.spectrum_of`.
    radius, threshold, low, step, delta : float
        As for :func:`bragg_filter`.

    Returns
    -------
    ndarray, bool
        True at the highest pixel of every peak, in the shape of the spectrum.
    """
    power = spectrum.power
    background = rotational_background(
        power, spectrum.frequency, step=step / max(spectrum.padded), delta=delta
    )
    reach = [max(1, round(radius * length)) for length in spectrum.padded]
    # Rows wrap round; the columns of the half that is stored do not.
    highest = maximum_filter(
        power, [2 * n + 1 for n in reach], mode=("wrap", "nearest")
    )
    found = (power > threshold * background) & (power == highest)
    return np.asarray(found & (spectrum.frequency > low) & (power > 0))


def _distance(peaks: NDArray[np.bool_], spectrum: Spectrum) -> NDArray[np.float64]:
    """Return how far every pixel of the half spectrum is from a peak [1/px].

    The other half is its point reflection; it is laid out in full, with the rows that
    wrap round, so that a mask across either border is whole.
    """
    height, width = spectrum.padded
    full = np.zeros((height, width), dtype=bool)
    full[:, : peaks.shape[1]] = peaks
    rows, columns = np.nonzero(peaks)
    full[-rows % height, -columns % width] = True
    wrap = [(length // 4, length // 4) for length in (height, width)]
    around = np.pad(full, wrap, mode="wrap")
    away = distance_transform_edt(~around, sampling=(1 / height, 1 / width))
    top, left = wrap[0][0], wrap[1][0]
    return np.asarray(away[top : top + height, left : left + peaks.shape[1]])


def _apply(frame: Frame, values: Values, _measures: Measures) -> Frame:
    names = ("radius", "threshold", "low", "softness", "step", "delta")
    return bragg_filter(frame, **{name: float(values[name]) for name in names})


BRAGG = FilterSpec(
    name="bragg",
    title="Bragg filter",
    summary=(
        "Lets only the Bragg peaks and the lowest frequencies through: for perfect "
        "lattices. It paints the lattice over defects, so believe no defect in it."
    ),
    reference=(
        "M. J. Hytch et al., Ultramicroscopy 74 (1998) 131, "
        "doi:10.1016/S0304-3991(98)00035-7"
    ),
    own=(RADIUS, THRESHOLD, LOW, SOFTNESS, STEP, DELTA),
    apply=_apply,
    reach=lambda _values: None,
    presets={"particle": {"radius": 0.03, "low": 0.05}},
    bytes_per_pixel=200.0,
)
