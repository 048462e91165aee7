"""From two images of counts to electrons, or the reason why that cannot be done.

Every test of this package compares counts with a rate by counting statistics. Here it
is checked that they may be compared: same shape, same mean, noise that is Poisson (and
read noise at most) and not correlated between pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import InvalidImageError
from lowdose.micrograph import Micrograph
from lowdose.noise import (
    NoiseModel,
    estimate_noise,
    looks_like_counts,
    noise_sigma,
    thin,
)

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import ArrayLike, NDArray

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


def one_frame(image: Micrograph | ArrayLike, what: str) -> Micrograph:
    """Return an image as a micrograph of one frame.

    Raises
    ------
    InvalidImageError
        If it has several frames, or its pixels are all equal, or none is finite.
    """
    micrograph = image if isinstance(image, Micrograph) else Micrograph(image)
    if micrograph.n_frames != 1:
        msg = (
            f"The {what} image has {micrograph.n_frames} frames (shape "
            f"{micrograph.shape}). Give one frame."
        )
        raise InvalidImageError(msg)
    data = micrograph.frame(0).astype(np.float64)
    finite = data[np.isfinite(data)]
    if not finite.size:
        msg = f"The {what} image has no finite pixel."
        raise InvalidImageError(msg)
    if finite.min() == finite.max():
        msg = (
            f"The {what} image is constant ({finite[0]:g} everywhere), so it shows "
            "nothing that could be judged. Give the recorded and the denoised image."
        )
        raise InvalidImageError(msg)
    return Micrograph(data, micrograph.calibration.last(2), micrograph.name)


def compare_counts(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    *,
    noise: NoiseModel | None = None,
) -> Counted:
    """Bring a noisy and a denoised image to electrons, and check that they belong.

    Parameters
    ----------
    noisy : Micrograph or array_like, shape (H, W)
        Detector counts as they were recorded.
    denoised : Micrograph or array_like, shape (H, W)
        What is claimed to be their expectation, in the same counts.
    noise : NoiseModel, optional
        Gain, offset and read noise of the detector. Without it electron counts are
        recognised, and anything else is estimated from the image, with a caveat.

    Returns
    -------
    Counted

    Raises
    ------
    InvalidImageError
        If the shapes differ, an image is constant or a stack, the means differ, or
        the noise is not that of counted electrons.
    """
    frame = one_frame(noisy, "noisy")
    clean = one_frame(denoised, "denoised")
    if frame.shape != clean.shape:
        msg = (
            f"The denoised image has shape {clean.shape}, the noisy one {frame.shape}. "
            "Give the denoised image of this very frame, not binned or cropped."
        )
        raise InvalidImageError(msg)
    counts, claimed = np.asarray(frame), np.asarray(clean)
    valid = np.isfinite(counts) & np.isfinite(claimed)
    if valid.sum() < 64:
        msg = (
            f"Only {int(valid.sum())} pixels are finite in both images; at least 64 "
            "are needed. Give a larger frame."
        )
        raise InvalidImageError(msg)
    # Where a pixel is missing, its neighbours' mean hides the hole from estimators.
    filled = np.where(valid, counts, counts[valid].mean())
    model, caveats = noise_of(frame.replace(data=filled), noise)
    electrons = np.where(valid, (counts - model.offset) / model.gain, 0.0)
    rate = np.where(valid, (claimed - model.offset) / model.gain, 0.0)
    counted = Counted(
        electrons=electrons,
        rate=rate,
        model=model,
        valid=valid,
        frame=frame,
        caveats=caveats,
    )
    _check_mean(counted)
    return replace(counted, caveats=(*caveats, *_check_noise(counted)))


def noise_of(
    frame: Micrograph, noise: NoiseModel | None
) -> tuple[NoiseModel, tuple[str, ...]]:
    """Return the noise model of a frame, given, recognised or estimated.

    Parameters
    ----------
    frame : Micrograph, shape (H, W)
        Finite counts.
    noise : NoiseModel or None
        The model, where it is known.

    Returns
    -------
    model : NoiseModel
        With a gain above 0.
    caveats : tuple of str
        That it was estimated, and how.

    Raises
    ------
    InvalidImageError
        If the noise does not grow with the signal as that of counting does.
    """
    if noise is not None:
        if noise.gain == 0:
            msg = (
                "The given noise model has gain 0: noise that does not depend on the "
                "signal is no counting noise. Give the counts per electron."
            )
            raise InvalidImageError(msg)
        return noise, ()
    data = np.asarray(frame)
    if looks_like_counts(data):
        return NoiseModel(), ()
    estimate = estimate_noise(frame)
    known = frame.calibration.counts_per_electron
    if estimate.model.gain == 0:
        msg = (
            f"The noise of this image is not that of counted electrons: "
            f"{estimate.reason} Give the image as the detector recorded it (not "
            "filtered, aligned or normalised), or its gain, offset and read noise."
        )
        raise InvalidImageError(msg)
    model = estimate.model
    how = (
        f"Gain {model.gain:.3g} ± {estimate.gain_error:.1g}, offset "
        f"{model.offset:.3g} and read noise {model.read_noise:.3g} counts were "
        f"estimated from this image ({estimate.method}). {estimate.reason}"
    )
    if known is not None and not math.isclose(known, model.gain, rel_tol=0.25):
        how += f" The file says {known:g} counts per electron."
    return model, (how,)


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
