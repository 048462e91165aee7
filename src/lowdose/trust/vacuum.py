"""The vacuum beside the specimen: drawn by the user, or found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from lowdose.errors import InvalidImageError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.trust.columns import Columns
    from lowdose.trust.counting import Counted

#: Fewest blocks of the size of a column, and smallest share of the image.
_FEWEST_BLOCKS: Final = 12
_SMALLEST: Final = 0.01
#: Regions that are looked at, from the largest on.
_TRIED: Final = 5
#: Structure in the vacuum that leaves no confidence, in heights of a column.
_STRUCTURE: Final = 0.25
#: Confidence below which a region is none.
_CONFIDENCE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vacuum:
    """A region without specimen.

    Parameters
    ----------
    mask : ndarray, shape (H, W), bool
        Its pixels.
    rate : float
        Mean of the *counts* in it [e-/px].
    confidence : float
        0 to 1: how flat its counts are compared with the height of a column, and
        whether it is large enough to tell.
    drawn : bool
        Whether the user drew it.
    """

    mask: NDArray[np.bool_]
    rate: float
    confidence: float
    drawn: bool


def find_vacuum(counted: Counted, columns: Columns) -> Vacuum:
    """Find the largest region that is flat and free of columns.

    The pixels farther from every column than one column spacing fall into connected
    regions (where a denoised image shows columns all over the vacuum: farther than
    2.8 standard deviations of a column). In each, the scatter of the counts between
    blocks of the size of a column, less what Poisson statistics make, is the structure
    left; the largest region whose structure is small against the height of the columns
    is the vacuum. A flat support of amorphous carbon cannot be told from vacuum, and
    need not be: it is what a column would have to stand out from.

    Parameters
    ----------
    counted : Counted
        Counts and rate.
    columns : Columns
        Those of the denoised image.

    Returns
    -------
    Vacuum

    Raises
    ------
    InvalidImageError
        If there is no such region in view.
    """
    spacing = columns.spacing or 4 * columns.radius
    away = np.ones(counted.electrons.shape, bool)
    at = np.rint(columns.positions).astype(int)
    away[tuple(np.clip(at, 0, np.array(away.shape) - 1).T)] = False
    distance = ndimage.distance_transform_edt(away)
    best, largest = 0.0, 0.0
    for margin in (max(spacing, 2 * columns.radius), 2 * columns.radius):
        free = (distance > margin) & counted.valid
        labels, number = ndimage.label(_opened(free, columns.radius))
        sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
        for label in np.argsort(sizes)[::-1][:_TRIED] + 1:
            mask = labels == label
            largest = max(largest, float(mask.mean()))
            if mask.mean() < _SMALLEST:
                break
            confidence = _flatness(counted, columns, mask)
            if confidence >= _CONFIDENCE:
                rate = float(counted.electrons[mask].mean())
                return Vacuum(mask=mask, rate=rate, confidence=confidence, drawn=False)
            best = max(best, confidence)
    msg = (
        "No vacuum was found in view: the largest region without columns has "
        f"{largest:.1%} of the pixels, and no region is flat enough (best confidence "
        f"{best:.2f}, needed {_CONFIDENCE}). Draw a region of vacuum, or test against "
        "the surroundings of each column only."
    )
    raise InvalidImageError(msg)


def drawn_vacuum(counted: Counted, columns: Columns, mask: ArrayLike) -> Vacuum:
    """Take the region that the user drew.

    Parameters
    ----------
    counted : Counted
        Counts and rate.
    columns : Columns
        Those of the denoised image, for the confidence.
    mask : array_like, shape (H, W), bool
        The region.

    Returns
    -------
    Vacuum

    Raises
    ------
    ParameterError
        If the mask has another shape, or fewer pixels than one column.
    """
    drawn = np.asarray(mask)
    if drawn.shape != counted.electrons.shape:
        msg = (
            f"The drawn vacuum has shape {drawn.shape}, the image "
            f"{counted.electrons.shape}. Draw it on this image."
        )
        raise ParameterError(msg)
    region = drawn.astype(bool) & counted.valid
    needed = np.pi * columns.radius**2
    if region.sum() < needed:
        msg = (
            f"The drawn vacuum has {int(region.sum())} pixels, fewer than one column "
            f"({needed:.0f}). Draw a larger region."
        )
        raise ParameterError(msg)
    rate = float(counted.electrons[region].mean())
    if not rate > 0:
        msg = (
            "The drawn vacuum holds no electrons, so nothing can be tested against it: "
            "any electron would disprove it. Draw a region with some."
        )
        raise ParameterError(msg)
    confidence = _flatness(counted, columns, region)
    return Vacuum(mask=region, rate=rate, confidence=confidence, drawn=True)


def _opened(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Return the parts of a region into which a disk fits (a morphological opening)."""
    # Padded, so that a region may end at the border of the image.
    width = int(np.ceil(radius)) + 1
    padded = np.pad(mask, width, mode="edge")
    core = ndimage.distance_transform_edt(padded) > radius
    if not core.any():
        return np.zeros_like(mask)
    near = ndimage.distance_transform_edt(~core) <= radius
    inner = near[width:-width, width:-width]
    return np.asarray(inner & mask, bool)


def _flatness(counted: Counted, columns: Columns, mask: NDArray[np.bool_]) -> float:
    """Return the confidence that a region is flat, 0 to 1."""
    edge = max(2, round(2 * columns.radius))
    height, width = (side // edge for side in mask.shape)
    if not height or not width:
        return 0.0

    def summed(image: NDArray[np.float64]) -> NDArray[np.float64]:
        cut = image[: height * edge, : width * edge]
        return np.asarray(cut.reshape(height, edge, width, edge).sum((1, 3)))

    pixels = summed(mask.astype(np.float64))
    full = pixels >= 0.99 * edge**2
    blocks = int(full.sum())
    if blocks < 2:
        return 0.0
    area = pixels[full]
    rates = summed(np.where(mask, counted.electrons, 0.0))[full] / area
    # What scatters beyond counting statistics; their own sampling error is forgiven.
    expected = float((rates.mean() + counted.read_noise**2) / area.mean())
    if expected <= 0:
        return 0.0
    slack = 1 + 2 * np.sqrt(2 / blocks)
    excess = max(0.0, float(rates.var(ddof=1)) - slack * expected)
    height_of_column = float(np.median(np.abs(columns.height)))
    structure = np.sqrt(excess) / height_of_column if height_of_column else np.inf
    flat = max(0.0, 1 - 0.5 * structure / _STRUCTURE)
    return float(flat * min(1.0, blocks / _FEWEST_BLOCKS))
