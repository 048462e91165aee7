r"""Scores from one counted image: denoise most of its electrons, judge by the rest.

Thinning (:func:`lowdose.noise.thin`) sends each electron to the first image with
probability p. The first, :math:`y_1`, is denoised into :math:`f`; the second,
:math:`y_2`, is independent of it. The squared error of :math:`f/p` is then estimated
without bias, and for a Poisson rate of :math:`p\lambda` instead of :math:`\lambda`: the
coupled bootstrap of Oliveira, Lei and Tibshirani [1]_. With p near 1 the dose is almost
the full one, but the few electrons left make the plain estimate
:math:`(f/p - y_2/q)^2 - y_2/q^2`, :math:`q = 1-p`, scatter hugely. Two steps mend that,
neither of which changes the expectation:

- Of the terms without :math:`f` the mean over all thinnings is taken at once, which is
  :math:`y(y-1)` (Rao-Blackwell).
- In the others the denoised *full* image :math:`m` is a control variate:
  :math:`\mathrm{E}[m\,(y_2/q - y) \mid y] = 0`.

This leaves, per pixel and thinning,

.. math:: f^2/p^2 - 2 f y/p - 2 (f/p - m)(y_2/q - y) + y(y - 1),

whose scatter stays bounded as p approaches 1, where it becomes Hudson's identity and
Luisier's PURE [2]_, without any derivative of the denoiser.

References
----------
.. [1] N. L. Oliveira, J. Lei, R. J. Tibshirani, "Unbiased test error estimation in the
   Poisson means problem via coupled bootstrap techniques", arXiv:2212.01943.
.. [2] F. Luisier, T. Blu, M. Unser, "Image denoising in mixed Poisson-Gaussian
   noise", IEEE Trans. Image Process. 20 (2011) 696-708, doi:10.1109/TIP.2010.2073477.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import ParameterError
from lowdose.metrics.frames import matching

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Share of the expected mean rate below which a denoised rate counts as this [1].
_FLOOR: Final = 1e-3


def thinned_error_terms(
    counts: ArrayLike,
    held_out: ArrayLike,
    denoised: ArrayLike,
    *,
    p: float,
    full: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return an unbiased estimate of the squared error of every pixel [electrons²].

    Parameters
    ----------
    counts : array_like
        All electrons that were counted, per pixel.
    held_out : array_like
        Those of them that the denoiser has not seen, from :func:`lowdose.noise.thin`.
    denoised : array_like
        The others, denoised, at their own dose (`p` times the full one).
    p : float
        Share of the electrons that was denoised, between 0 and 1.
    full : array_like, optional
        The denoised image of all `counts`, as control variate. None: the plain
        estimate, which scatters far more where `p` is near 1.

    Returns
    -------
    ndarray, float64
        Squared error of ``denoised / p`` at the full scale [electrons²]; each is far
        noisier than their mean, and may be negative.

    Raises
    ------
    ParameterError
        If `p` is not strictly between 0 and 1.
    InvalidImageError
        If shapes differ, or a pixel is NaN or infinite.
    """
    _check_share(p)
    y, second, f = matching(counts=counts, held_out=held_out, denoised=denoised)
    f = f / p
    q = 1 - p
    if full is None:
        return np.asarray(np.square(f - second / q) - second / q**2)
    _, m = matching(counts=y, full=full)
    return np.asarray(
        np.square(f - y) - y - 2 * (f - m) * (second / q - y)
        # (f - y)² - y is f² - 2 f y + y (y - 1), without the loss of digits.
    )


def full_dose_error_terms(
    counts: ArrayLike,
    held_out: ArrayLike,
    denoised: ArrayLike,
    *,
    p: float,
    full: ArrayLike,
) -> NDArray[np.float64]:
    r"""Return an estimate of the squared error of every pixel at the full dose.

    Of :func:`thinned_error_terms` only the last product, which says how far the
    denoiser follows the noise, is measured at the lower dose:

    .. math:: (m - y)^2 - y - 2 (f/p - m)(y_2/q - y).

    For a linear denoiser that is unbiased at the full dose whatever p is; for another
    one as far as it is linear under the loss of the held-out electrons, so p should be
    near 1. What scatters more and more there is how many electrons were held out, and
    where: :math:`u = (y_2 - qy)^2/pq - y`, whose mean over the thinnings is 0, is
    taken off as a further control variate, times the mean of the product over that of
    y.

    Parameters
    ----------
    counts, held_out, denoised, p
        As for :func:`thinned_error_terms`.
    full : array_like
        The denoised image of all `counts`, whose error is asked for.

    Returns
    -------
    ndarray, float64
        [electrons²]; each is far noisier than their mean, and may be negative.

    Raises
    ------
    ParameterError
        If `p` is not strictly between 0 and 1.
    InvalidImageError
        If shapes differ, or a pixel is NaN or infinite.
    """
    _check_share(p)
    y, second, f, m = matching(
        counts=counts, held_out=held_out, denoised=denoised, full=full
    )
    q = 1 - p
    follows = (m - f / p) * (second / q - y)
    drawn = np.square(second - q * y) / (p * q)
    if total := float(drawn.sum()):
        follows -= (follows.sum() / total) * (drawn - y)
    return np.asarray(np.square(m - y) - y + 2 * follows)


def held_out_deviance_terms(
    held_out: ArrayLike, denoised: ArrayLike, *, p: float
) -> NDArray[np.float64]:
    r"""Return the Poisson deviance of held-out electrons, per pixel [nats].

    :math:`2\,[y_2 \ln(y_2/\mu) - (y_2 - \mu)]` with :math:`\mu = f q/p` what the
    denoised image expects of the held-out electrons (McCullagh and Nelder [1]_).

    Parameters
    ----------
    held_out : array_like
        Electrons that the denoiser has not seen.
    denoised : array_like
        The others, denoised, at their own dose.
    p : float
        Share of the electrons that was denoised, between 0 and 1.

    Returns
    -------
    ndarray, float64
        Smaller is better; what is left for the true rate is noise alone (about 1
        where many electrons are expected in a pixel, less where few are). A rate
        below a thousandth of the mean is taken as that: an electron where none at
        all was expected would cost infinitely much.

    Raises
    ------
    ParameterError
        If `p` is not strictly between 0 and 1.
    InvalidImageError
        If shapes differ, or a pixel is NaN or infinite.

    References
    ----------
    .. [1] P. McCullagh, J. A. Nelder, "Generalized Linear Models", 2nd ed., Chapman
       and Hall 1989, section 2.3, doi:10.1007/978-1-4899-3242-6.
    """
    from scipy.special import xlogy

    _check_share(p)
    y, f = matching(held_out=held_out, denoised=denoised)
    expected = f * (1 - p) / p
    floor = _FLOOR * max(float(y.mean()), np.finfo(np.float64).tiny)
    rate = np.maximum(expected, floor)
    return np.asarray(2 * (xlogy(y, y / rate) - (y - rate)))


def _check_share(p: float) -> None:
    if not 0 < p < 1:
        msg = f"p={p} must lie between 0 and 1, such as 0.9."
        raise ParameterError(msg)
