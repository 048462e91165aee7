"""Scores of a denoised image against the truth: errors, PSNR, SSIM."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics.frames import matching

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: What a PSNR calls the peak; see :func:`psnr`.
Convention = Literal["range", "peak", "sbd", "em_denoise"]

#: Grey levels of the 8-bit images that two of the conventions descend from.
_GREY: Final = 255.0


def mse(estimate: ArrayLike, truth: ArrayLike) -> float:
    """Return the mean squared error [counts²].

    Parameters
    ----------
    estimate, truth : array_like
        Counts, of one shape.

    Returns
    -------
    float

    Raises
    ------
    InvalidImageError
        If shapes differ, or a pixel is NaN or infinite.
    """
    found, true = matching(estimate=estimate, truth=truth)
    return float(np.mean(np.square(found - true)))


def rmse(estimate: ArrayLike, truth: ArrayLike) -> float:
    """Return the root of :func:`mse` [counts]."""
    return math.sqrt(mse(estimate, truth))


def psnr(
    estimate: ArrayLike, truth: ArrayLike, *, convention: Convention = "range"
) -> float:
    r"""Return the peak signal-to-noise ratio [dB], in a stated convention.

    :math:`10 \log_{10}(L^2 / \mathrm{MSE})`. What the peak :math:`L` is differs
    between fields by more than most denoisers differ, so that a PSNR without its
    convention says nothing.

    Parameters
    ----------
    estimate, truth : array_like
        Counts, of one shape.
    convention : {"range", "peak", "sbd", "em_denoise"}, optional
        ``"range"``: L is the range of the truth, maximum less minimum.
        ``"peak"``: L is the maximum of the truth.
        ``"sbd"``: L is 1 e-/px, and both images are clipped to 0..1 e-/px first,
        as Mohan et al. do [1]_ (they multiply by 255, clip to 0..255 and take
        L = 255).
        ``"em_denoise"``: L is 255 counts whatever the truth, as in the em_denoise
        benchmark of SciML-Bench [2]_.

    Returns
    -------
    float
        Infinite where the two are equal.

    Raises
    ------
    ParameterError
        If there is no such convention.
    InvalidImageError
        If shapes differ, a pixel is NaN or infinite, or the peak is not positive.

    References
    ----------
    .. [1] S. Mohan et al., "Deep denoising for scientific discovery: a case study in
       electron microscopy", IEEE Trans. Comput. Imaging 8 (2022) 585-597,
       doi:10.1109/TCI.2022.3176536.
    .. [2] J. Thiyagalingam et al., "SciMLBench: a benchmarking suite for AI for
       science", https://github.com/stfc-sciml/sciml-bench.
    """
    if convention not in get_args(Convention):
        msg = (
            f"convention={convention!r} is not known. Use one of "
            f"{', '.join(map(repr, get_args(Convention)))}."
        )
        raise ParameterError(msg)
    found, true = matching(estimate=estimate, truth=truth)
    if convention == "sbd":
        found, true = np.clip(found, 0, 1), np.clip(true, 0, 1)
    peak = {
        "range": float(np.ptp(true)),
        "peak": float(true.max()),
        "sbd": 1.0,
        "em_denoise": _GREY,
    }[convention]
    return decibels(float(np.mean(np.square(found - true))), peak)


def decibels(error: float, peak: float) -> float:
    """Return the PSNR [dB] of a mean squared error.

    Parameters
    ----------
    error : float
        Mean squared error [counts²]. At or below zero, as an unbiased estimate of
        a small error may be, the PSNR is infinite.
    peak : float
        What counts as the peak [counts].

    Raises
    ------
    InvalidImageError
        If the peak is not positive: the truth is constant, or zero everywhere.
    """
    if not peak > 0:
        msg = (
            f"The peak of the truth is {peak:g}, so there is no PSNR: the image is "
            "constant or has no counts. Use the RMSE."
        )
        raise InvalidImageError(msg)
    return math.inf if error <= 0 else 10 * math.log10(peak**2 / error)


def ssim(
    estimate: ArrayLike, truth: ArrayLike, *, data_range: float | None = None
) -> float:
    """Return the structural similarity (Wang et al. [1]_), as scikit-image has it.

    Parameters
    ----------
    estimate, truth : array_like, shape (H, W)
        Counts, at least 7 x 7 pixels.
    data_range : float, optional
        Range of values that the constants of the index are scaled to [counts].
        None: the range of the truth.

    Returns
    -------
    float
        1 for equal images. A window of 7 x 7 pixels with equal weights, which is
        the default of scikit-image and what SBD reports.

    Raises
    ------
    InvalidImageError
        If shapes differ, the images are too small or not two-dimensional, a pixel
        is NaN or infinite, or the range is not positive.

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality
       assessment: from error visibility to structural similarity", IEEE Trans. Image
       Process. 13 (2004) 600-612, doi:10.1109/TIP.2003.819861.
    """
    from skimage.metrics import structural_similarity

    found, true = matching(estimate=estimate, truth=truth)
    if found.ndim != 2 or min(found.shape) < 7:
        msg = f"SSIM needs images of at least 7 x 7 pixels; got {found.shape}."
        raise InvalidImageError(msg)
    span = float(np.ptp(true)) if data_range is None else data_range
    if not (math.isfinite(span) and span > 0):
        msg = (
            f"The data range is {span:g}, so there is no SSIM: the truth is constant. "
            "Give data_range."
        )
        raise InvalidImageError(msg)
    similarity: Any = structural_similarity  # scikit-image has no types
    return float(similarity(found, true, data_range=span))
