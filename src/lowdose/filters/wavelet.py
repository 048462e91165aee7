"""Wavelet shrinkage."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lowdose.filters.arguments import as_amplitude, as_frame
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.noise import noise_sigma
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Measures

WAVELET = Parameter(
    name="wavelet",
    kind="choice",
    default="sym4",
    choices=("db1", "db2", "db4", "sym4", "sym8", "coif2"),
    help="Orthogonal wavelet: longer ones are smoother, db1 (Haar) is blocky.",
)
STRENGTH = Parameter(
    name="strength",
    kind="float",
    default=1.0,
    minimum=0.0,
    maximum=100.0,
    help="Noise to assume, in units of the measured one; larger is smoother.",
)
LEVELS = Parameter(
    name="levels",
    kind="int",
    default=0,
    minimum=0,
    maximum=12,
    help="Number of octaves to shrink; 0 is three less than the frame has.",
)
SHIFTS = Parameter(
    name="shifts",
    kind="int",
    default=3,
    minimum=1,
    maximum=16,
    help="Average over this many shifts along either axis, against blocky artefacts.",
)
MODE = Parameter(
    name="mode",
    kind="choice",
    default="soft",
    choices=("soft", "hard"),
    help="Shrink all coefficients, or only remove the small ones.",
    advanced=True,
)
NOISE_FROM = Parameter(
    name="noise_from",
    kind="choice",
    default="highpass",
    choices=("highpass", "median"),
    help=(
        "Measure the noise as the mean square of the highest frequencies, or as the "
        "median of wavelet coefficients, which fails on sparse counts."
    ),
    advanced=True,
)


def wavelet_shrink(
    frame: ArrayLike,
    *,
    sigma: float,
    wavelet: str = "sym4",
    levels: int = 0,
    shifts: int = 3,
    mode: str = "soft",
) -> Frame:
    r"""Shrink wavelet coefficients by the BayesShrink threshold.

    In every band the threshold is :math:`\sigma^2 / \sigma_x`, with
    :math:`\sigma_x^2` the variance of the band less that of the noise [1]_, and the
    result is averaged over shifted copies (cycle spinning [2]_).

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    sigma : float
        Standard deviation of the noise [counts].
    wavelet : str, optional
        An orthogonal wavelet of PyWavelets.
    levels : int, optional
        Octaves to shrink; 0 for three less than fit, at least one.
    shifts : int, optional
        Number of shifts along either axis.
    mode : {"soft", "hard"}, optional
        Kind of threshold.

    Returns
    -------
    ndarray, shape (H, W), float64
        The denoised frame. A single pixel is returned as it is.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] S. G. Chang, B. Yu, M. Vetterli, "Adaptive wavelet thresholding for image
       denoising and compression", IEEE Trans. Image Process. 9 (2000) 1532-1546,
       doi:10.1109/83.862633.
    .. [2] R. R. Coifman, D. L. Donoho, "Translation-invariant de-noising", in Wavelets
       and Statistics, Springer 1995, 125-150, doi:10.1007/978-1-4612-2544-7_9.
    """
    values = as_frame(frame)
    sigma = as_amplitude("sigma", sigma)
    wavelet = str(WAVELET.validate(wavelet))
    levels, shifts = int(LEVELS.validate(levels)), int(SHIFTS.validate(shifts))
    mode = str(MODE.validate(mode))
    if shifts == 1:
        return _shrink(values, sigma, wavelet, levels, mode)
    height, width = values.shape
    total = np.zeros_like(values)
    for y, x in itertools.product(range(shifts), repeat=2):
        moved = np.pad(values, [(y, 0), (x, 0)], mode="reflect")
        total += _shrink(moved, sigma, wavelet, levels, mode)[y:, x:]
    total /= shifts**2
    return total[:height, :width]


def median_noise(frame: ArrayLike, *, wavelet: str = "sym4") -> float:
    """Estimate noise from the median of the finest diagonal wavelet coefficients.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    wavelet : str, optional
        An orthogonal wavelet of PyWavelets.

    Returns
    -------
    float
        The median of the absolute coefficients that are not zero over 0.6745 [1]_
        [counts]; 0 where all are zero. Meaningless where single counts make most
        coefficients zero.

    References
    ----------
    .. [1] D. L. Donoho, I. M. Johnstone, "Ideal spatial adaptation by wavelet
       shrinkage", Biometrika 81 (1994) 425-455, doi:10.1093/biomet/81.3.425.
    """
    values = as_frame(frame)
    bands = _decompose(values, str(WAVELET.validate(wavelet)), 1)
    if len(bands) == 1:
        return 0.0
    finest = bands[-1]["d" * len(_long_axes(values))]
    present = np.abs(finest[finest != 0])
    return float(np.median(present)) / 0.6744897501960817 if present.size else 0.0


def _long_axes(values: Frame) -> tuple[int, ...]:
    return tuple(axis for axis in (0, 1) if values.shape[axis] > 1)


def _decompose(values: Frame, wavelet: str, levels: int) -> list[Any]:
    """Return the bands, coarsest first; only the frame itself for a single pixel."""
    import pywt

    axes = _long_axes(values)
    if not axes:
        return [values]
    most = _most_levels(values, wavelet)
    if most == 0:  # shorter than the wavelet
        wavelet, most = "db1", _most_levels(values, "db1")
    levels = min(levels or max(most - 3, 1), most)
    return list(pywt.wavedecn(values, wavelet, level=levels, axes=axes))


def _most_levels(values: Frame, wavelet: str) -> int:
    import pywt

    sizes = [values.shape[axis] for axis in _long_axes(values)]
    return int(pywt.dwtn_max_level(sizes, wavelet))


def _shrink(values: Frame, sigma: float, wavelet: str, levels: int, mode: str) -> Frame:
    import pywt

    coarsest, *bands = _decompose(values, wavelet, levels)
    if not bands:
        return values.copy()
    for level in bands:
        for name, band in level.items():
            threshold = _bayes_threshold(band, sigma**2)
            level[name] = _thresholded(band, threshold, mode)
    axes = _long_axes(values)
    used = wavelet if _most_levels(values, wavelet) else "db1"
    result = pywt.waverecn([coarsest, *bands], used, axes=axes)
    return cast("Frame", result[: values.shape[0], : values.shape[1]])


def _bayes_threshold(band: NDArray[np.float64], variance: float) -> float:
    """Return the threshold of one band; infinite where there is only noise."""
    if variance == 0:
        return 0.0
    signal = float(np.mean(np.square(band))) - variance
    return variance / float(np.sqrt(signal)) if signal > 0 else float("inf")


def _thresholded(
    band: NDArray[np.float64], threshold: float, mode: str
) -> NDArray[np.float64]:
    if mode == "hard":
        return np.where(np.abs(band) >= threshold, band, 0.0)
    return np.asarray(np.sign(band) * np.maximum(np.abs(band) - threshold, 0.0))


def _measure(frame: Frame, values: Values) -> dict[str, float]:
    if values["noise_from"] == "highpass":
        return {"noise_sigma": noise_sigma(frame)}
    return {"noise_sigma": median_noise(frame, wavelet=str(values["wavelet"]))}


def _apply(frame: Frame, values: Values, measures: Measures) -> Frame:
    return wavelet_shrink(
        frame,
        sigma=float(values["strength"]) * measures["noise_sigma"],
        wavelet=str(values["wavelet"]),
        levels=int(values["levels"]),
        shifts=int(values["shifts"]),
        mode=str(values["mode"]),
    )


BAYES_SHRINK = FilterSpec(
    name="wavelet",
    title="Wavelet shrinkage (BayesShrink)",
    summary=(
        "Removes wavelet coefficients that noise explains, octave by octave: for "
        "specimens with detail of many sizes."
    ),
    reference="S. G. Chang et al., IEEE TIP 9 (2000) 1532, doi:10.1109/83.862633",
    own=(WAVELET, STRENGTH, LEVELS, SHIFTS, MODE, NOISE_FROM),
    apply=_apply,
    reach=lambda _values: None,
    measure=_measure,
    presets={"ede2018": {"wavelet": "db1", "shifts": 1, "noise_from": "median"}},
    bytes_per_pixel=66.0,
)
