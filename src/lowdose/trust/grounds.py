"""What every error map stands on: a noisy frame, its denoised partner, and the noise.

Checked once, here: that the two belong together (same shape, same scale), and what is
known of the noise. A check that fails is an error; what is only doubtful is a caveat,
which every map made on these grounds carries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.errors import InvalidImageError
from lowdose.micrograph import Micrograph
from lowdose.noise import NoiseModel, estimate_noise, looks_like_counts
from lowdose.trust.maps import TrustMap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from lowdose.trust.maps import Scale

#: Difference of the means, relative to the noisy one, that is doubtful, and refused.
_MEAN_DOUBTFUL: Final = 0.01
_MEAN_REFUSED: Final = 0.1
#: Slope of noisy on denoised counts that is doubtful, and refused.
_SLOPE_DOUBTFUL: Final = (0.8, 1.25)
_SLOPE_REFUSED: Final = (0.2, 10.0)
#: How far pixel sizes may differ, relative.
_SAMPLING: Final = 0.01
#: Fewest pixels that anything can be said of.
_FEWEST: Final = 256
#: How far from a whole number of electrons a count may lie.
_ROUNDING: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grounds:
    """A noisy frame, its denoised partner, and the noise.

    Parameters
    ----------
    noisy, denoised : ndarray, shape (H, W), float64
        Counts; NaN where either is not finite.
    model : NoiseModel
        Noise of the frame. Gain 0 says that it does not depend on the signal.
    counted : bool
        Whether the counts are whole electrons, which can be thinned.
    frame : Micrograph, shape (H, W)
        The noisy frame, for its calibration and name.
    caveats : tuple of str
        What the reader of any map must know.
    """

    noisy: NDArray[np.float64]
    denoised: NDArray[np.float64]
    model: NoiseModel
    counted: bool
    frame: Micrograph
    caveats: tuple[str, ...] = ()

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Pixels that are finite in both."""
        return np.isfinite(self.noisy) & np.isfinite(self.denoised)

    def deviation(self) -> NDArray[np.float64]:
        """Return the expected noise [counts rms] of every pixel, given the denoised.

        Never below a thousandth of the mean variance, so that one may divide by it.
        """
        variance = self.model.variance(self.denoised)
        floor = max(1e-3 * float(np.nanmean(variance)), np.finfo(np.float64).tiny)
        return np.asarray(np.sqrt(np.maximum(variance, floor)))

    def unbiased_variance(self) -> NDArray[np.float64]:
        """Return an unbiased estimate of the noise variance of every pixel [counts²].

        From the noisy counts themselves; below zero where read noise made them so.
        """
        signal = self.model.gain * (self.noisy - self.model.offset)
        return np.asarray(signal + self.model.read_noise**2)

    def electrons(self) -> NDArray[np.float64]:
        """Return the electrons of every pixel; whole numbers where `counted`.

        Zero in the pixels that are not valid.
        """
        found = (self.noisy - self.model.offset) / self.model.gain
        return np.where(self.valid, np.rint(found) if self.counted else found, 0.0)

    def map(
        self,
        name: str,
        values: ArrayLike,
        *,
        unit: str,
        meaning: str,
        scale: Scale = "sequential",
        numbers: Mapping[str, Any] | None = None,
        caveats: tuple[str, ...] = (),
    ) -> TrustMap:
        """Return a map of the shape and with the calibration of the frame.

        Parameters
        ----------
        name, unit, meaning, scale, numbers
            As for :class:`~lowdose.trust.maps.TrustMap`.
        values : array_like, shape (H, W)
            What it shows; pixels that are not valid become NaN.
        caveats : tuple of str, optional
            Beside those of the grounds.

        Returns
        -------
        TrustMap
        """
        shown = np.where(self.valid, np.asarray(values, np.float64), np.nan)
        return TrustMap(
            name=name,
            image=Micrograph(
                shown.astype(np.float32), self.frame.calibration, self.frame.name
            ),
            unit=unit,
            meaning=meaning,
            scale=scale,
            numbers=dict(numbers or {}),
            caveats=(*self.caveats, *caveats),
        )


def ground(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    *,
    noise: NoiseModel | None = None,
) -> Grounds:
    """Check that two images belong together, and find out about the noise.

    Parameters
    ----------
    noisy : Micrograph or array_like, shape (H, W)
        Detector counts as they were recorded, one frame.
    denoised : Micrograph or array_like, shape (H, W)
        The same frame denoised, in the same counts.
    noise : NoiseModel, optional
        Noise of the detector. None: electron counts are recognised; else the counts
        per electron of the calibration are taken where all counts are whole
        multiples of them; else the noise is estimated, and a caveat says so.

    Returns
    -------
    Grounds

    Raises
    ------
    InvalidImageError
        If an image is no single frame, constant, or nearly all NaN; if shapes or
        pixel sizes differ; if the denoised image was rescaled, shifted or inverted; or
        if the noisy image has no noise.
    """
    frame = single_frame(noisy, "noisy image")
    clean = single_frame(denoised, "denoised image")
    if frame.shape != clean.shape:
        msg = (
            f"The denoised image has shape {clean.shape} and the noisy one "
            f"{frame.shape}. Give the denoised image of this very frame, neither "
            "binned nor cropped."
        )
        raise InvalidImageError(msg)
    _check_sampling(frame, clean)
    y, x = np.asarray(frame), np.asarray(clean)
    valid = np.isfinite(y) & np.isfinite(x)
    if valid.sum() < _FEWEST:
        msg = (
            f"Only {int(valid.sum())} pixels are finite in both images; at least "
            f"{_FEWEST} are needed."
        )
        raise InvalidImageError(msg)
    model, counted, caveats = find_noise(frame, noise=noise)
    grounds = Grounds(
        noisy=np.where(valid, y, np.nan),
        denoised=np.where(valid, x, np.nan),
        model=model,
        counted=counted,
        frame=frame,
        caveats=caveats,
    )
    return replace(grounds, caveats=(*caveats, *_check_scale(grounds)))


def single_frame(image: Micrograph | ArrayLike, what: str) -> Micrograph:
    """Return an image as a micrograph of one frame of shape (H, W), float64.

    Parameters
    ----------
    image : Micrograph or array_like
        With no more than one frame.
    what : str
        What messages call it, such as ``"noisy image"``.

    Raises
    ------
    InvalidImageError
        If it has several frames, no finite pixel, or is constant.
    """
    micrograph = image if isinstance(image, Micrograph) else Micrograph(image)
    if micrograph.n_frames != 1:
        msg = (
            f"The {what} has {micrograph.n_frames} frames (shape {micrograph.shape}). "
            "Give one frame of it."
        )
        raise InvalidImageError(msg)
    data = micrograph.frame(0).astype(np.float64)
    data[~np.isfinite(data)] = np.nan
    finite = data[np.isfinite(data)]
    if not finite.size:
        msg = f"The {what} has no finite pixel."
        raise InvalidImageError(msg)
    if np.ptp(finite) == 0:
        msg = (
            f"The {what} is constant ({finite[0]:g} everywhere): there is nothing to "
            "judge."
        )
        raise InvalidImageError(msg)
    return Micrograph(data, micrograph.calibration.last(2), micrograph.name)


def _check_sampling(frame: Micrograph, clean: Micrograph) -> None:
    """Refuse a denoised image whose pixels are of another size."""
    one, other = (image.calibration.pixel_size("nm") for image in (frame, clean))
    if one is None or other is None:
        return
    if not np.allclose(one, other, rtol=_SAMPLING, atol=0):
        noisy, denoised = (
            " x ".join(f"{s:.4g}" for s in pair) for pair in (one, other)
        )
        msg = (
            f"The denoised image has pixels of {denoised} nm and the noisy one of "
            f"{noisy} nm. Give the denoised image of this very frame, neither binned "
            "nor resampled, or calibrate both alike."
        )
        raise InvalidImageError(msg)


def find_noise(
    frame: Micrograph, *, noise: NoiseModel | None = None
) -> tuple[NoiseModel, bool, tuple[str, ...]]:
    """Return the noise of a frame, given, recognised or estimated.

    Parameters
    ----------
    frame : Micrograph, shape (H, W)
        Counts; NaN is left out.
    noise : NoiseModel, optional
        The noise, where it is known.

    Returns
    -------
    model : NoiseModel
        Of the frame.
    counted : bool
        Whether the counts are whole electrons by that model.
    caveats : tuple of str
        Where it was estimated, how.

    Raises
    ------
    InvalidImageError
        If the frame has no noise.
    """
    data = np.asarray(frame)
    finite = np.isfinite(data)
    filled = np.where(finite, data, np.round(data[finite].mean()))
    known = frame.calibration.counts_per_electron
    if noise is not None:
        if noise.gain == 0 and noise.read_noise == 0:
            msg = "The given noise model has no noise. Give its gain or read noise."
            raise InvalidImageError(msg)
        return noise, _whole(data[finite], noise), ()
    if looks_like_counts(filled):
        return NoiseModel(), True, ()
    if known is not None and _whole(data[finite], NoiseModel(gain=known)):
        return NoiseModel(gain=known), True, ()
    estimate = estimate_noise(frame)
    model = estimate.model
    if model.gain == 0 and model.read_noise == 0:
        msg = (
            f"{estimate.reason} There is nothing to be learnt about errors from an "
            "image without noise; give it as it was recorded."
        )
        raise InvalidImageError(msg)
    caveat = (
        f"The gain of the detector is not known. Gain {model.gain:.3g} "
        f"± {estimate.gain_error:.1g}, offset {model.offset:.3g} and read noise "
        f"{model.read_noise:.3g} counts were estimated from this frame. "
        f"{estimate.reason}"
    )
    if known is not None and not math.isclose(known, model.gain, rel_tol=0.25):
        caveat += f" The file says {known:g} counts per electron."
    return model, False, (caveat,)


def _whole(values: NDArray[np.float64], model: NoiseModel) -> bool:
    """Return whether all values are whole numbers of electrons, none below zero."""
    if model.gain == 0 or model.read_noise > 0:
        return False
    found = (values - model.offset) / model.gain
    off = np.abs(found - np.rint(found)).max()
    return bool(off < _ROUNDING and found.min() > -_ROUNDING)


def _check_scale(grounds: Grounds) -> tuple[str, ...]:
    """Refuse intensities on another scale; return what is doubtful of them."""
    valid, model = grounds.valid, grounds.model
    y, x = grounds.noisy[valid], grounds.denoised[valid]
    noise = model.variance(y)
    there, claimed = float(y.mean()), float(x.mean())
    error = math.sqrt(float(noise.mean()) / y.size)
    spread = max(abs(there - model.offset), float(y.std()) / 10)
    gap = abs(claimed - there)
    if gap > max(_MEAN_REFUSED * spread, 6 * error):
        msg = (
            f"The denoised image has a mean of {claimed:.4g} counts and the noisy one "
            f"{there:.4g}: its intensities were rescaled or shifted, so its errors "
            "cannot be told. Denoise with the mean kept (keep_mean), and do not "
            "normalise the result."
        )
        raise InvalidImageError(msg)
    caveats = []
    if gap > max(_MEAN_DOUBTFUL * spread, 6 * error):
        caveats.append(
            f"The mean is not kept: {claimed:.4g} counts after denoising, {there:.4g} "
            "before. The difference is part of every error here."
        )
    # The noise is independent of the specimen, so noisy counts regress on the right
    # denoised ones with a slope of 1; denoisers that follow the noise lower it and
    # those that flatten the specimen raise it, neither by much.
    centred = x - claimed
    scatter = float(np.sum(centred**2))
    slope = float(np.sum(centred * (y - there))) / scatter
    slope_error = math.sqrt(float(np.sum(centred**2 * noise))) / scatter
    low, high = _SLOPE_REFUSED
    if slope + 4 * slope_error < low or slope - 4 * slope_error > high:
        what = "inverted" if slope < 0 else "rescaled"
        msg = (
            f"The noisy counts change by {slope:.3g} where the denoised ones change by "
            f"1 (± {slope_error:.2g}): the contrast was {what}, or this is not the "
            "denoised image of this frame."
        )
        raise InvalidImageError(msg)
    low, high = _SLOPE_DOUBTFUL
    if slope + 4 * slope_error < low or slope - 4 * slope_error > high:
        caveats.append(
            f"The noisy counts change by {slope:.3g} where the denoised ones change by "
            "1: contrast is " + ("exaggerated." if slope < 1 else "lost.")
        )
    return tuple(caveats)
