"""Atomic columns: found on a denoised image, and placed to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.spatial import cKDTree

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.trust.blobs import blobs, column_scale, maxima, skewed_to
from lowdose.trust.column_fit import fit_gaussians
from lowdose.trust.counting import pixel_size
from lowdose.trust.grounds import single_frame

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel

Polarity = Literal["auto", "bright", "dark"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Atomic columns of one image.

    Parameters
    ----------
    positions : ndarray, shape (N, 2), float64
        Row and column [px], from the centre of the first pixel.
    height : ndarray, shape (N,), float64
        Fitted height over its surroundings, in the units of the image; negative for
        dark columns.
    background : ndarray, shape (N,), float64
        Fitted level round it, in the units of the image.
    sigma : ndarray, shape (N,), float64
        Standard deviation of the fitted Gaussian [px].
    fitted : ndarray, shape (N,), bool
        Whether the fit held. Otherwise position and width are those of the detector.
    scale : float
        Standard deviation of the columns that were looked for [px].
    shape : tuple of int
        Height and width of the image [px].
    pixel_size : float or None
        [nm/px], where it is known.
    sign : {1, -1}
        1 for bright columns, -1 for dark ones.
    """

    positions: NDArray[np.float64]
    height: NDArray[np.float64]
    background: NDArray[np.float64]
    sigma: NDArray[np.float64]
    fitted: NDArray[np.bool_]
    scale: float
    shape: tuple[int, int]
    pixel_size: float | None = None
    sign: int = 1

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def spacing(self) -> float | None:
        """Median distance to the nearest column [px]; None with fewer than two."""
        if len(self) < 2:
            return None
        nearest = cKDTree(self.positions).query(self.positions, k=2)[0][:, 1]
        return float(np.median(nearest))

    @property
    def radius(self) -> float:
        """Radius of the disk that stands for a column [px]: √2 times its scale."""
        return float(np.sqrt(2) * self.scale)

    @property
    def positions_nm(self) -> NDArray[np.float64] | None:
        """Row and column [nm], or None where the pixel size is not known."""
        return None if self.pixel_size is None else self.positions * self.pixel_size

    def only(self, which: ArrayLike) -> Columns:
        """Return some of the columns, chosen by a mask or by numbers."""
        chosen = np.asarray(which)
        return replace(
            self,
            positions=self.positions[chosen],
            height=self.height[chosen],
            background=self.background[chosen],
            sigma=self.sigma[chosen],
            fitted=self.fitted[chosen],
        )


def find_columns(
    denoised: Micrograph | ArrayLike,
    *,
    scale_nm: float | None = None,
    scale_px: float | None = None,
    threshold: float = 0.25,
    polarity: Polarity = "auto",
) -> Columns:
    r"""Find atomic columns and fit a Gaussian to each.

    Columns are maxima of the scale-normalised Laplacian of Gaussian
    :math:`-\sigma^2 \nabla^2 G_\sigma * d`, which answers most to a Gaussian column of
    standard deviation :math:`\sigma` [1]_. Each is then fitted with a round Gaussian on
    a sloping background, the columns next to it being taken off.

    Parameters
    ----------
    denoised : Micrograph or array_like, shape (H, W)
        The denoised image.
    scale_nm, scale_px : float, optional
        Standard deviation of a column [nm] or [px]; one of the two at most. Found
        from the image without either (see :func:`column_scale`).
    threshold : float, optional
        Weakest answer that counts, as a share of that of the strong columns (the 90th
        percentile of all maxima), above 0 and below 1.
    polarity : {"auto", "bright", "dark"}, optional
        Whether columns are brighter or darker than what is round them. ``"auto"``
        takes what stands out more: the side to which the answers are skewed.

    Returns
    -------
    Columns
        Sorted by row.

    Raises
    ------
    InvalidImageError
        If the image is constant, a stack, has NaN, or shows no columns.
    ParameterError
        If a value is out of its range, or `scale_nm` is given without a pixel size.

    References
    ----------
    .. [1] T. Lindeberg, "Feature detection with automatic scale selection", Int. J.
       Comput. Vis. 30, 79 (1998). doi:10.1023/A:1008045108935
    """
    frame = single_frame(denoised, "denoised image")
    image = np.asarray(frame)
    _check_finite(image)
    if not 0 < threshold < 1:
        msg = f"threshold={threshold} must be above 0 and below 1."
        raise ParameterError(msg)
    if polarity not in ("auto", "bright", "dark"):
        msg = f"polarity={polarity!r} is unknown. Use auto, bright or dark."
        raise ParameterError(msg)
    size = pixel_size(frame)
    scale = _scale(image, scale_nm, scale_px, size)
    answer = blobs(image, scale)
    sign = {"bright": 1.0, "dark": -1.0}.get(polarity) or skewed_to(answer)
    peaks = maxima(sign * answer, scale, threshold, image)
    if not len(peaks):
        msg = (
            f"No columns of {scale:.3g} px standard deviation were found. Give the "
            "scale of the columns, a lower threshold, or an image that resolves them."
        )
        raise InvalidImageError(msg)
    fit = fit_gaussians(image, peaks, scale, sign)
    return Columns(
        positions=fit.positions,
        height=fit.height,
        background=fit.background,
        sigma=fit.sigma,
        fitted=fit.held,
        scale=scale,
        shape=(image.shape[0], image.shape[1]),
        pixel_size=size,
        sign=int(sign),
    )


def place_columns(
    denoised: Micrograph | ArrayLike,
    positions: ArrayLike,
    *,
    scale_px: float,
    polarity: Literal["bright", "dark"] = "bright",
    move: bool = True,
) -> Columns:
    """Fit columns at positions that are given, such as points drawn by the user.

    Parameters
    ----------
    denoised : Micrograph or array_like, shape (H, W)
        The denoised image.
    positions : array_like, shape (N, 2)
        Row and column [px].
    scale_px : float
        Standard deviation of a column [px].
    polarity : {"bright", "dark"}, optional
        Whether columns are brighter or darker than what is round them.
    move : bool, optional
        Whether the fit may move a column, by at most its scale. Otherwise only its
        height is fitted.

    Returns
    -------
    Columns
        In the order of `positions`.

    Raises
    ------
    InvalidImageError
        If the image is constant, a stack, or has NaN.
    ParameterError
        If there is no position, or one lies outside the image.
    """
    frame = single_frame(denoised, "denoised image")
    image = np.asarray(frame)
    _check_finite(image)
    points = np.asarray(positions, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        msg = f"Positions of shape {points.shape} were given; (N, 2) is needed."
        raise ParameterError(msg)
    if not scale_px > 0:
        msg = f"scale_px={scale_px} must be above 0."
        raise ParameterError(msg)
    # A fit may have put a column at the border up to its own size outside.
    last = np.array(image.shape) - 1
    outside = ((points < -scale_px) | (points > last + scale_px)).any(1)
    if outside.any() or not np.isfinite(points).all():
        msg = (
            f"{int(outside.sum())} of {len(points)} positions lie outside the image of "
            f"{image.shape[0]} x {image.shape[1]} px, such as {points[outside][:1]}. "
            "Give rows and columns in pixels."
        )
        raise ParameterError(msg)
    sign = 1.0 if polarity == "bright" else -1.0
    fit = fit_gaussians(image, points, scale_px, sign, move=move)
    return Columns(
        positions=fit.positions,
        height=fit.height,
        background=fit.background,
        sigma=fit.sigma,
        fitted=fit.held,
        scale=scale_px,
        shape=(image.shape[0], image.shape[1]),
        pixel_size=pixel_size(frame),
        sign=int(sign),
    )


def in_electrons(columns: Columns, model: NoiseModel) -> Columns:
    """Return columns with height and background in electrons instead of counts.

    Parameters
    ----------
    columns : Columns
        Found on an image of detector counts.
    model : NoiseModel
        Gain (above 0) and offset of the detector.
    """
    return replace(
        columns,
        height=columns.height / model.gain,
        background=(columns.background - model.offset) / model.gain,
    )


def _scale(
    image: NDArray[np.float64],
    nm: float | None,
    px: float | None,
    size: float | None,
) -> float:
    if nm is not None and px is not None:
        msg = "scale_nm and scale_px were both given; give one of them."
        raise ParameterError(msg)
    if nm is not None:
        if size is None:
            msg = (
                f"scale_nm={nm} needs a pixel size, and this image has none. Calibrate "
                "it, or give scale_px."
            )
            raise ParameterError(msg)
        px = nm / size
    if px is None:
        return column_scale(image)
    if not 0.5 <= px <= min(image.shape) / 4:
        msg = (
            f"A column of {px:.3g} px standard deviation does not fit an image of "
            f"{image.shape[0]} x {image.shape[1]} px: give 0.5 px to a quarter of it."
        )
        raise ParameterError(msg)
    return px


def _check_finite(image: NDArray[np.float64]) -> None:
    missing = int((~np.isfinite(image)).sum())
    if missing:
        msg = (
            f"{missing} pixels of the denoised image are NaN or Inf. Fill them first, "
            "for instance with the mean of their neighbours."
        )
        raise InvalidImageError(msg)
