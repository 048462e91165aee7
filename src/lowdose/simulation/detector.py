r"""From the electrons that a specimen lets through to the counts that a camera reads.

A :class:`Detector` is a row of stages, each of which may be left out, taken in the
order of the instrument: beam profile, dose, Poisson statistics and blur of the
detector, gain and offset, read noise, dead and hot pixels, row noise, quantisation.

Blur and loss are the linear theory of pixel detectors [1]_ [2]_. With
:math:`\mathrm{DQE}_0` the detective quantum efficiency at zero frequency, MTF the
transfer of the signal and NTF that of the noise,
:math:`\mathrm{DQE}(q) = \mathrm{DQE}_0\,\mathrm{MTF}^2(q) / \mathrm{NTF}^2(q)`. Here
the expected image is filtered by MTF/NTF, Poisson electrons are drawn, of which a share
:math:`\mathrm{DQE}_0` counts, and what they deposit is filtered by NTF: the noise is
then correlated between pixels as that of the camera is.

References
----------
.. [1] G. McMullan et al., "Detective quantum efficiency of electron area detectors in
   electron microscopy", Ultramicroscopy 109, 1126 (2009).
   doi:10.1016/j.ultramic.2009.04.002
.. [2] A. Lubk, F. Röder, T. Niermann et al., "A new linear transfer theory and
   characterization method for image detectors. Part II: experiment", Ultramicroscopy
   115, 78 (2012). doi:10.1016/j.ultramic.2012.01.011
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.simulation.detector_stages import BeamProfile, Dose, Transfer, at_least

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """Stages between the intensity in the image plane and the recorded counts.

    A stage left at its default does nothing.

    Parameters
    ----------
    profile : BeamProfile, optional
        Uneven illumination.
    dose : Dose, optional
        Electrons per pixel. None: the image is electrons per pixel already.
    poisson : bool, optional
        Whether electrons are counted; without, the expected counts are read.
    dqe : float, optional
        Detective quantum efficiency at zero frequency, above 0 and at most 1.
    mtf : Transfer, optional
        Blur of the signal.
    ntf : Transfer, optional
        Blur of the noise. None: as `mtf`.
    gain : float, optional
        Counts per electron.
    offset : float, optional
        Reading without electrons [counts].
    read_noise : float, optional
        Gaussian noise of the readout [counts rms].
    dead, hot : float, optional
        Share of the pixels that read nothing, and that read too much.
    hot_counts : float, optional
        What a hot pixel adds [counts].
    pixel_seed : int, optional
        Draws the same dead and hot pixels in every exposure, as a camera has them.
        None: new ones each time.
    row_noise : float, optional
        Standard deviation of an offset that all pixels of a row share [counts].
    quantise : bool, optional
        Whether counts are rounded to whole numbers.
    full_well : float, optional
        Highest reading [counts]; with `quantise` the lowest is 0. None: no limit.
    rescale : {"none", "minmax", "dose"}, optional
        Units of the result: counts as they are; rescaled to 0 to 1 by the least and
        largest pixel (a constant image becomes 0.5); or divided by gain and dose after
        the offset is taken off, which are the units of the clean image.

    Raises
    ------
    ParameterError
        If a value is out of range, or the noise is blurred more than the signal.
    """

    profile: BeamProfile | None = None
    dose: Dose | None = None
    poisson: bool = True
    dqe: float = 1.0
    mtf: Transfer | None = None
    ntf: Transfer | None = None
    gain: float = 1.0
    offset: float = 0.0
    read_noise: float = 0.0
    dead: float = 0.0
    hot: float = 0.0
    hot_counts: float = 0.0
    pixel_seed: int | None = None
    row_noise: float = 0.0
    quantise: bool = False
    full_well: float | None = None
    rescale: Literal["none", "minmax", "dose"] = "none"

    def __post_init__(self) -> None:
        if not 0 < self.dqe <= 1:
            msg = f"dqe={self.dqe:g} is not within 0 to 1."
            raise ParameterError(msg)
        if not (math.isfinite(self.gain) and self.gain > 0):
            msg = f"gain={self.gain:g} makes no counts; give counts per electron."
            raise ParameterError(msg)
        for name in ("read_noise", "row_noise", "hot_counts"):
            at_least(name, getattr(self, name), 0)
        if not (self.dead >= 0 and self.hot >= 0 and self.dead + self.hot <= 1):
            msg = f"dead={self.dead:g} and hot={self.hot:g} are not shares of pixels."
            raise ParameterError(msg)
        if self.full_well is not None and not self.full_well > 0:
            msg = f"full_well={self.full_well:g} lets nothing be read."
            raise ParameterError(msg)
        if self.rescale not in ("none", "minmax", "dose"):
            msg = f"rescale={self.rescale!r} is unknown. Use none, minmax or dose."
            raise ParameterError(msg)
        if self.ntf is not None:
            q = np.linspace(0, math.sqrt(2), 200)
            signal = 1.0 if self.mtf is None else self.mtf.at(q)
            if np.any(signal > self.ntf.at(q) + 1e-9):
                msg = (
                    "The noise is blurred more than the signal, but no detector passes "
                    "its signal better than its noise: raise ntf or lower mtf."
                )
                raise ParameterError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One simulated recording and what belongs to it.

    Parameters
    ----------
    counts : ndarray, shape (H, W), float32
        The recording.
    target : ndarray, shape (H, W), float32
        The clean image in the units of `counts`: at the drawn dose, gain and offset,
        evenly lit and not blurred. With ``rescale="minmax"``, whose zero and unit
        depend on the noise, the image rescaled to 0 to 1 and matched to the mean of
        `counts`, as Ede and Beanland do.
    dose : float
        The factor that was drawn (see :class:`Dose`).
    """

    counts: NDArray[np.float32]
    target: NDArray[np.float32]
    dose: float


def expose(rate: ArrayLike, detector: Detector, rng: Generator) -> NDArray[np.float32]:
    """Record an image.

    Parameters
    ----------
    rate : array_like, shape (H, W)
        Clean intensity, at least 0: electrons per pixel at a dose of 1.
    detector : Detector
        The stages to go through.
    rng : Generator
        Source of everything random.

    Returns
    -------
    ndarray, shape (H, W), float32
        Detector counts, in the units that `detector.rescale` says.

    Raises
    ------
    InvalidImageError
        If the image is not two-dimensional, or negative or not finite anywhere.
    """
    return record(rate, detector, rng).counts


def record(rate: ArrayLike, detector: Detector, rng: Generator) -> Exposure:
    """Record an image, and return the clean image in the same units beside it.

    Parameters and errors are those of :func:`expose`.

    Returns
    -------
    Exposure
        Counts, target and dose.
    """
    clean = _checked(rate)
    law = detector.dose or Dose()
    if law.of == "peak":
        clean = unit_range(clean)
    lit = clean
    if detector.profile is not None:
        lit = clean * detector.profile.draw(clean.shape, rng)
    dose = law.draw(rng)
    factor = dose
    if law.of == "mean":
        mean = float(lit.mean())
        # A black image stays black at any dose.
        factor = dose / mean if mean > 0 else 0.0
    counts = _electrons(lit * factor, detector, rng) * detector.gain + detector.offset
    if detector.read_noise:
        counts = counts + detector.read_noise * rng.standard_normal(counts.shape)
    counts = _bad_pixels(counts, detector, rng)
    if detector.row_noise:
        rows = rng.standard_normal((counts.shape[0], 1))
        counts = counts + detector.row_noise * rows
    counts = _digitise(counts, detector)
    target = clean * (factor * detector.gain) + detector.offset
    counts, target = _rescale(counts, target, clean, factor, detector)
    return Exposure(
        counts=counts.astype(np.float32),
        target=target.astype(np.float32),
        dose=dose,
    )


def unit_range(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rescale an image to 0 to 1 by its least and largest pixel; constant becomes 0.5.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Finite values.

    Returns
    -------
    ndarray, shape (H, W), float64
    """
    low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.full(image.shape, 0.5)
    return (image.astype(np.float64) - low) / (high - low)


def _electrons(
    expected: NDArray[np.float64], detector: Detector, rng: Generator
) -> NDArray[np.float64]:
    """Return what is deposited in every pixel [e-]."""
    mtf, ntf = detector.mtf, detector.ntf or detector.mtf
    if not detector.poisson:
        return expected if mtf is None else _filter(expected, mtf)
    if ntf is not None and ntf is not mtf:
        # Rounding may leave a pixel just below zero.
        expected = np.maximum(_filter(expected, mtf, without=ntf), 0.0)
    found = rng.poisson(expected * detector.dqe) / detector.dqe
    return found if ntf is None else _filter(found, ntf)


def _filter(
    image: NDArray[np.float64],
    transfer: Transfer | None,
    *,
    without: Transfer | None = None,
) -> NDArray[np.float64]:
    """Filter an image that is reflected at its borders, so that nothing wraps.

    The transfer is divided by that of `without`, where given. The cosine transform is
    the Fourier transform of the reflected image.
    """
    from scipy import fft

    y, x = (np.arange(side) / side for side in image.shape)
    q = np.hypot(y[:, None], x[None, :])
    spectrum = fft.dctn(image, norm="ortho")
    if transfer is not None:
        spectrum *= transfer.at(q)
    if without is not None:
        spectrum /= without.at(q)
    return np.asarray(fft.idctn(spectrum, norm="ortho"))


def _bad_pixels(
    counts: NDArray[np.float64], detector: Detector, rng: Generator
) -> NDArray[np.float64]:
    """Blind the dead pixels and add to the hot ones."""
    if not (detector.dead or detector.hot):
        return counts
    seed = detector.pixel_seed
    places = rng if seed is None else np.random.default_rng(seed)
    luck = places.uniform(size=counts.shape)
    counts = np.where(luck < detector.dead, detector.offset, counts)
    hot = luck >= 1 - detector.hot
    return np.where(hot, counts + detector.hot_counts, counts)


def _digitise(counts: NDArray[np.float64], detector: Detector) -> NDArray[np.float64]:
    if detector.quantise:
        counts = np.maximum(np.rint(counts), 0.0)
    if detector.full_well is not None:
        counts = np.minimum(counts, detector.full_well)
    return counts


def _rescale(
    counts: NDArray[np.float64],
    target: NDArray[np.float64],
    clean: NDArray[np.float64],
    factor: float,
    detector: Detector,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    match detector.rescale:
        case "minmax":
            counts = unit_range(counts)
            mean = float(clean.mean())
            return counts, clean * (float(counts.mean()) / mean if mean > 0 else 0.0)
        case "dose":
            unit = factor * detector.gain
            if unit == 0:
                return np.zeros_like(counts), clean
            return (counts - detector.offset) / unit, clean
        case _:
            return counts, target


def _checked(rate: ArrayLike) -> NDArray[np.float64]:
    image = np.asarray(rate, dtype=np.float64)
    if image.ndim != 2 or not image.size:
        msg = f"An image to expose has shape (H, W), not {image.shape}."
        raise InvalidImageError(msg)
    bad = ~(np.isfinite(image) & (image >= 0))
    if bad.any():
        msg = (
            f"{int(bad.sum())} of {image.size} pixels of the clean image are negative "
            f"or not finite (such as {image[bad][0]:g}); an intensity is at least 0."
        )
        raise InvalidImageError(msg)
    return image
