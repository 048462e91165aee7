"""What a clean lattice image shows: its columns, those of its surface, and vacuum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import ndimage

from lowdose.errors import InvalidImageError
from lowdose.trust.blobs import blobs, maxima
from lowdose.trust.columns import Columns, find_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph

#: Largest distance between a found column and the true one [nm]: 10 px of SBD's
#: images, as in its demonstration of surface metrics; never more than half the spacing.
TOLERANCE: Final = 0.061
#: The vacuum begins this far from every true column [nm]: a little less than the
#: distance of cerium columns, and more than the radius of any gap inside a lattice.
VACUUM_FROM: Final = 0.3
#: Weakest answer of a column, and of anything that a found one may have come from, as
#: a share of the strong ones.
THRESHOLD: Final = 0.25
_FAINT: Final = 0.05
#: What is still, and what is surely, a column: answers from the first to the second are
#: near the threshold. A column that is near it in one image and just on the other side
#: in the other is neither missing nor invented. 0.725 is the ratio of the thresholds
#: with which SBD search denoised images and clean ones.
WEAK: Final = 0.725 * THRESHOLD
_SURE: Final = THRESHOLD / 0.725
#: Columns this near to the border of the image are no surface [nm].
_BORDER: Final = 0.2
#: How far the rounding to pixels may move the rim of the vacuum [px].
_ROUNDED: Final = 2.0
#: Smallest region of vacuum, as a share of the image, and how far its mean may be from
#: the intensity of the vacuum, as a share of that.
SMALLEST: Final = 0.01
_OFF: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Structure:
    """What a clean image shows.

    Parameters
    ----------
    columns : Columns
        Atomic columns.
    surface : ndarray, shape (N,), bool
        Which of them face the vacuum.
    tolerance : float
        Largest distance of a found column from its true one [px].
    vacuum : ndarray, shape (H, W), bool
        Pixels of the vacuum.
    distance : ndarray, shape (H, W), float32
        To the nearest column [nm].
    sure : ndarray, shape (N,), bool
        Which columns are well above the threshold of what counts as one.
    weak : ndarray, shape (K, 2)
        The columns, and those a little below the threshold [px].
    faint : ndarray, shape (M, 2)
        Everything that could pass for a column [px], fringes in vacuum included.
    """

    columns: Columns
    surface: NDArray[np.bool_]
    tolerance: float
    vacuum: NDArray[np.bool_]
    distance: NDArray[np.float32]
    sure: NDArray[np.bool_]
    weak: NDArray[np.float64]
    faint: NDArray[np.float64]


def true_structure(
    clean: Micrograph, *, vacuum: float, polarity: Literal["auto", "bright", "dark"]
) -> Structure | None:
    """Find the columns and the vacuum of a clean image.

    Parameters
    ----------
    clean : Micrograph, shape (H, W)
        With its pixel size.
    vacuum : float
        Intensity of the vacuum.
    polarity : {"auto", "bright", "dark"}
        Of the columns.

    Returns
    -------
    Structure or None
        None where no columns are seen.
    """
    sizes = clean.calibration.pixel_size("nm")
    assert sizes is not None
    size = math.sqrt(sizes[0] * sizes[1])
    try:
        columns = find_columns(clean, threshold=THRESHOLD, polarity=polarity)
    except InvalidImageError:
        return None
    spacing = columns.spacing
    if spacing is None:
        return None
    pixels = np.asarray(clean, np.float64)
    nearest = distance_from(columns.positions, pixels.shape) * size
    empty = _large(nearest > VACUUM_FROM, pixels, vacuum)
    return Structure(
        columns=columns,
        surface=facing(columns.positions, empty, size),
        tolerance=min(TOLERANCE / size, spacing / 2),
        vacuum=empty,
        distance=nearest.astype(np.float32),
        sure=sure_columns(columns, clean),
        weak=found_columns(columns, clean, WEAK),
        faint=found_columns(columns, clean, _FAINT),
    )


def found_columns(
    true: Columns, image: Micrograph, threshold: float
) -> NDArray[np.float64]:
    """Return the places of columns like the true ones, from this answer on."""
    try:
        return find_columns(
            image,
            scale_px=true.scale,
            threshold=threshold,
            polarity="bright" if true.sign > 0 else "dark",
        ).positions
    except InvalidImageError:  # it shows none, which is a score
        return np.zeros((0, 2))


def sure_columns(true: Columns, image: Micrograph) -> NDArray[np.bool_]:
    """Return which of the columns that are found in an image are surely ones.

    By the maxima that their fits began with, in the same order.
    """
    pixels = np.asarray(image)
    answer = true.sign * blobs(pixels, true.scale)
    maximum = partial(maxima, answer, true.scale, image=pixels)
    strong = {tuple(place) for place in maximum(threshold=_SURE)}
    return np.array(
        [tuple(place) in strong for place in maximum(threshold=THRESHOLD)], bool
    )


def distance_from(
    positions: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return how far every pixel is from the nearest column [px]."""
    if not len(positions):
        return np.full(shape, np.inf)
    empty = np.ones(shape, bool)
    last = np.array(shape) - 1
    empty[tuple(np.clip(np.rint(positions), 0, last).astype(int).T)] = False
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(empty)
    return distance


def facing(
    positions: NDArray[np.float64], empty: NDArray[np.bool_], pixel_size: float
) -> NDArray[np.bool_]:
    """Return which columns a ball touches whose centre stays in the empty region.

    Those at the border of the image are none: the specimen goes on beyond it.
    """
    if not len(positions) or not empty.any():
        return np.zeros(len(positions), bool)
    distance = ndimage.distance_transform_edt(~empty)
    last = np.array(empty.shape) - 1
    at = np.clip(np.rint(positions), 0, last).astype(int)
    near = distance[tuple(at.T)] <= VACUUM_FROM / pixel_size + _ROUNDED
    from_border = np.minimum(positions, last - positions).min(1)
    inside: NDArray[np.bool_] = near & (from_border > _BORDER / pixel_size)
    return inside


def _large(
    far: NDArray[np.bool_], pixels: NDArray[np.float64], level: float
) -> NDArray[np.bool_]:
    """Return the large regions far from columns whose mean is that of the vacuum."""
    labels, number = ndimage.label(far)
    if not number:
        return far
    names = np.arange(1, number + 1)
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    means = ndimage.mean(pixels, labels, names)
    kept = (sizes >= SMALLEST * far.size) & (np.abs(means - level) <= _OFF * level)
    mask: NDArray[np.bool_] = np.isin(labels, names[kept])
    return mask
