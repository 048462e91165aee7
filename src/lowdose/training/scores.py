"""Scores of a network while it learns, with the truth and without it.

Larger is better for all of them, so that one rule finds the best.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.metrics import psnr, ssim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Images = NDArray[np.float32]

#: No error is measured to be less than this share of the error before: where so
#: little is left, the estimate is within its own scatter of zero.
_LEAST = 1e-4
#: No PSNR counts for more in a mean [dB].
_MOST_DB = 100.0


def with_truth(denoised: Images, clean: Images, noisy: Images) -> dict[str, float]:
    """Compare denoised images with the truth.

    Parameters
    ----------
    denoised, clean, noisy : ndarray, shape (N, H, W)
        Counts.

    Returns
    -------
    dict
        Means over the images of ``gain_dB``, the error before over the error after;
        ``psnr_dB``, whose peak is the range of the clean image, and ``psnr_sbd_dB``,
        whose peak is one electron (see :func:`lowdose.metrics.psnr` for both);
        ``ssim`` over the range of the clean image.
    """
    after = _mean_square(denoised, clean)
    pairs = list(zip(denoised, clean, strict=True))
    # A truth without contrast has no range to compare an error with.
    ranged = [(x, y) for x, y in pairs if float(np.ptp(y)) > 0]
    scores = {
        "gain_dB": gain(_mean_square(noisy, clean), after),
        "psnr_sbd_dB": _mean([psnr(x, y, convention="sbd") for x, y in pairs]),
    }
    if ranged:
        scores["psnr_dB"] = _mean([psnr(x, y) for x, y in ranged])
        scores["ssim"] = _mean([ssim(x, y) for x, y in ranged])
    return scores


def averaged(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every score over the images that have it.

    Parameters
    ----------
    scores : sequence of mapping of str to float
        As of :func:`with_truth`, each of one image: what shows empty vacuum alone has
        no range, and so not all of them.

    Returns
    -------
    dict
        In the order of the fullest.
    """
    keys = max(scores, key=len)
    return {
        key: float(np.mean([one[key] for one in scores if key in one])) for key in keys
    }


def _mean(values: list[float]) -> float:
    # Images that are equal, as after SBD's clipping, have an infinite one.
    return float(np.mean(np.minimum(values, _MOST_DB)))


def without_truth(before: float, terms: NDArray[np.float64]) -> dict[str, float]:
    """Return scores of an error that was estimated without the truth.

    Parameters
    ----------
    before : float
        Mean square error of the noisy images.
    terms : ndarray
        Unbiased estimates of the square error of every pixel of the denoised images,
        of which single ones mean nothing, and the mean can be below zero by chance.

    Returns
    -------
    dict
        ``fidelity``, 1 - mean(terms) / before: 0 for the noisy images, 1 for the truth,
        and without any bound, so that networks can be ranked by it, since most of its
        scatter is the same for all of them; and ``gain_dB``, the same in decibels. An
        error within its standard error of zero cannot be told from none; there the
        gain is what that standard error would give, and the true one may be more.
    """
    before = max(before, np.finfo(np.float64).tiny)
    mean, scatter = float(terms.mean()), float(terms.std()) / terms.size**0.5
    after = max(mean, scatter) / before
    return {
        "fidelity": 1 - mean / before,
        "gain_dB": gain(np.array([1.0]), np.array([after])),
    }


def gain(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the mean of 10 log10(before / after) [dB], errors per image.

    Where `after` is an unbiased estimate it can fall below zero by chance; it is
    taken to be at least a ten-thousandth of `before`.
    """
    before = np.maximum(before, np.finfo(np.float64).tiny)
    return float(np.mean(-10 * np.log10(np.maximum(after / before, _LEAST))))


def _mean_square(a: Images, b: Images) -> NDArray[np.float64]:
    errors: NDArray[np.float64] = np.mean(np.square(a.astype(np.float64) - b), (1, 2))
    return np.asarray(np.maximum(errors, np.finfo(np.float64).tiny))
