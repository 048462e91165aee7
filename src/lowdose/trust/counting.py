"""From two images of counts to electrons, or the reason why that cannot be done.

Every test of columns and of local deviance compares counts with a rate by counting
statistics. What every map stands on is checked in :mod:`lowdose.trust.grounds`; here,
that counting statistics hold: the same mean, and noise that is Poisson (and read noise
at most) and not correlated between pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import InvalidImageError
from lowdose.noise import noise_sigma, thin
from lowdose.trust.grounds import ground

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import ArrayLike, NDArray

    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel

#: Largest difference of the means of counts and rate, relative.
_MEAN: Final = 0.02
#: Dispersion (variance over expected variance) within which noise counts as counted.
_DISPERSION: Final = (0.75, 1.33)
#: Noise of blocks of 2 x 2 pixels over that of 4 independent pixels: from the first on
#: it is said that neighbours are correlated, beyond the second it is refused.
_CORRELATED: Final = (1.3, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """Electrons of a micrograph, and the rate that is claimed for them.

    Parameters
    ----------
    electrons : ndarray, shape (H, W), float64
        What was counted [e-/px]; whole numbers but for read noise.
    rate : ndarray, shape (H, W), float64
        What the denoised image claims [e-/px].
    model : NoiseModel
        How counts became electrons.
    valid : ndarray, shape (H, W), bool
        Pixels that are finite in both images. The others hold 0 electrons at rate 0.
    frame : Micrograph, shape (H, W)
        The noisy frame, for its calibration and name.
    caveats : tuple of str
        What to know before believing a test on them.
    """

    electrons: NDArray[np.float64]
    rate: NDArray[np.float64]
    model: NoiseModel
    valid: NDArray[np.bool_]
    frame: Micrograph
    caveats: tuple[str, ...] = ()

    @property
    def read_noise(self) -> float:
        """Read noise [electrons rms per pixel]."""
        return self.model.read_noise / self.model.gain

    @property
    def pixel_size(self) -> float | None:
        """Edge of a pixel [nm], or None where it is not known or not square."""
        return pixel_size(self.frame)

    def thinned(self, share: float, rng: Generator) -> tuple[Counted, Counted]:
        """Split the electrons in two independent parts.

        Parameters
        ----------
        share : float
            Of the electrons, for the first part.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        first, second : Counted
            With the rate scaled to their share.

        Raises
        ------
        InvalidImageError
            If the electrons are not whole numbers.
        """
        whole = np.where(self.valid, self.electrons, 0.0)
        parts = thin(whole, share, rng)
        first, second = (
            replace(
                self,
                electrons=np.asarray(part, np.float64),
                rate=self.rate * fraction,
            )
            for part, fraction in zip(parts, (share, 1 - share), strict=True)
        )
        return first, second

    def counts(self) -> Micrograph:
        """Return the electrons as detector counts, as a denoiser takes them."""
        values = self.electrons * self.model.gain + self.model.offset
        values[~self.valid] = np.nan
        return self.frame.replace(data=values.astype(np.float32))

    def with_rate(self, denoised: ArrayLike) -> Counted:
        """Return the same electrons with the rate of another image [counts]."""
        rate = (np.asarray(denoised, np.float64) - self.model.offset) / self.model.gain
        return replace(self, rate=np.where(self.valid, rate, 0.0))


def pixel_size(frame: Micrograph) -> float | None:
    """Return the edge of a square pixel [nm], or None where there is none."""
    sizes = frame.calibration.pixel_size("nm")
    if sizes is None or not math.isclose(*sizes, rel_tol=0.01):
        return None
    return float(math.sqrt(sizes[0] * sizes[1]))


def compare_counts(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    *,
    noise: NoiseModel | None = None,
) -> Counted:
    """Bring a noisy and a denoised image to electrons, and check that they belong.

    Stricter than :func:`~lowdose.trust.grounds.ground`, on which it stands: tests by
    counting statistics need noise that grows with the signal as that of counting does,
    and a denoised image whose mean was kept.

    Parameters
    ----------
    noisy : Micrograph or array_like, shape (H, W)
        Detector counts as they were recorded.
    denoised : Micrograph or array_like, shape (H, W)
        What is claimed to be their expectation, in the same counts.
    noise : NoiseModel, optional
        Gain, offset and read noise of the detector. Without it they are found as
        :func:`~lowdose.trust.grounds.find_noise` does.

    Returns
    -------
    Counted

    Raises
    ------
    InvalidImageError
        As :func:`~lowdose.trust.grounds.ground` does, if the means differ, or if the
        noise is not that of counted electrons.
    """
    grounds = ground(noisy, denoised, noise=noise)
    model, valid = grounds.model, grounds.valid
    if model.gain == 0:
        why = (
            "The given noise model has gain 0: noise that does not depend on the "
            "signal is no counting noise."
            if noise is not None
            else "The noise of this image is not that of counted electrons. "
            + " ".join(grounds.caveats)
        )
        msg = (
            f"{why} Give the image as the detector recorded it (not filtered, aligned "
            "or normalised), or its gain, offset and read noise."
        )
        raise InvalidImageError(msg)
    rate = np.where(valid, (grounds.denoised - model.offset) / model.gain, 0.0)
    counted = Counted(
        electrons=grounds.electrons(),
        rate=rate,
        model=model,
        valid=valid,
        frame=grounds.frame,
        caveats=grounds.caveats,
    )
    _check_mean(counted)
    return replace(counted, caveats=(*grounds.caveats, *_check_noise(counted)))


def _check_mean(counted: Counted) -> None:
    """Refuse a denoised image that was rescaled."""
    valid = counted.valid
    there = float(counted.electrons[valid].mean())
    claimed = float(counted.rate[valid].mean())
    if there <= 0:
        msg = (
            f"The mean of the noisy image is {there:.3g} electrons per pixel with gain "
            f"{counted.model.gain:g} and offset {counted.model.offset:g}; it must be "
            "above 0. Give the offset and gain of the detector."
        )
        raise InvalidImageError(msg)
    variance = there + counted.read_noise**2
    error = math.sqrt(variance / int(valid.sum()))
    if abs(claimed - there) > max(_MEAN * there, 5 * error):
        msg = (
            f"The denoised image has a mean of {claimed:.4g} electrons per pixel, the "
            f"noisy one {there:.4g}: its intensities were rescaled or shifted. Denoise "
            "with the mean kept (keep_mean), and do not normalise the result."
        )
        raise InvalidImageError(msg)


def _check_noise(counted: Counted) -> tuple[str, ...]:
    """Refuse noise that is not Poisson, or not independent between pixels.

    Measured on the finest detail of the difference, where a denoised image that
    misses structure changes little: that is for the maps to show.
    """
    valid, model = counted.valid, counted.model
    variance = float(np.maximum(counted.rate[valid], 0).mean()) + counted.read_noise**2
    residual = np.where(valid, counted.electrons - counted.rate, 0.0)
    dispersion = noise_sigma(residual) ** 2 / (variance * float(valid.mean()))
    low, high = _DISPERSION
    if not low <= dispersion <= high:
        reason = (
            "Either the image is filtered, resampled or blurred by the detector, or "
            "the denoised image follows the noise, or the gain is wrong."
            if dispersion < low
            else "Either the gain is wrong, or the denoised image is not of this frame."
        )
        msg = (
            f"The noise has {dispersion:.2f} times the variance of counted electrons "
            f"with gain {model.gain:.3g}, offset {model.offset:.3g} and read noise "
            f"{model.read_noise:.3g}. {reason} Give the image as it was recorded, its "
            "denoised partner, and the gain and offset of the detector."
        )
        raise InvalidImageError(msg)
    height, width = (side // 2 * 2 for side in residual.shape)
    binned = residual[:height, :width].reshape(height // 2, 2, width // 2, 2)
    ratio = noise_sigma(binned.sum((1, 3))) ** 2 / (4 * noise_sigma(residual) ** 2)
    remark, refuse = _CORRELATED
    if ratio > refuse:
        msg = (
            f"Blocks of 2 x 2 pixels have {ratio:.1f} times the noise of four "
            "independent pixels: the detector or a resampling has spread every "
            "electron over several pixels, so that they are not counts any more, or "
            "the denoised image misses nearly all detail. Bin the recorded image until "
            "its pixels are independent, and denoise it again."
        )
        raise InvalidImageError(msg)
    if ratio > remark:
        return (
            f"Blocks of 2 x 2 pixels have {ratio:.2f} times the noise of four "
            "independent pixels: noise that is correlated makes evidence look surer "
            "than it is.",
        )
    return ()
