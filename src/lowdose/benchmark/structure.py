"""Atoms and vacuum: what a denoised lattice image must have, and must not have."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from lowdose.errors import InvalidImageError
from lowdose.metrics.columns import detectability, match_points, score_columns
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
#: Limits of the distances by which the error in vacuum is told [nm].
DISTANCES: Final = (0.3, 0.5, 0.8, 1.2, math.inf)
#: Weakest answer of a column, and of anything that a found one may have come from, as
#: a share of the strong ones.
_THRESHOLD: Final = 0.25
_FAINT: Final = 0.05
#: What is still, and what is surely, a column: answers from the first to the second are
#: near the threshold. A column that is near it in one image and just on the other side
#: in the other is neither missing nor invented. 0.725 is the ratio of the thresholds
#: with which SBD search denoised images and clean ones.
_WEAK: Final = 0.725 * _THRESHOLD
_SURE: Final = _THRESHOLD / 0.725
#: Columns this near to the border of the image are no surface [nm].
_BORDER: Final = 0.2
#: How far the rounding to pixels may move the rim of the vacuum [px].
_ROUNDED: Final = 2.0
#: Smallest region of vacuum, as a share of the image, and how far its mean may be from
#: the intensity of the vacuum, as a share of that.
_SMALLEST: Final = 0.01
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
        columns = find_columns(clean, threshold=_THRESHOLD, polarity=polarity)
    except InvalidImageError:
        return None
    spacing = columns.spacing
    if spacing is None:
        return None
    pixels = np.asarray(clean, np.float64)
    nearest = _distance(columns.positions, pixels.shape) * size
    empty = _large(nearest > VACUUM_FROM, pixels, vacuum)
    return Structure(
        columns=columns,
        surface=_facing(columns.positions, empty, size),
        tolerance=min(TOLERANCE / size, spacing / 2),
        vacuum=empty,
        distance=nearest.astype(np.float32),
        sure=_sure(columns, clean),
        weak=_found(columns, clean, _WEAK),
        faint=_found(columns, clean, _FAINT),
    )


def column_values(
    structure: Structure, estimate: Micrograph, *, dose: float = 1.0
) -> dict[str, Any]:
    """Score the columns of a denoised image.

    Columns are looked for at the size and polarity of the true ones. Surface columns
    are those that a ball of 0.3 nm can touch from a large empty region: the outer
    boundary of the alpha shape [1]_, without the inside of vacancies and the gap at an
    interface. They are scored in three ways: the surface of the found columns against
    that of the true ones, as SBD do (``surface_f1``); whether the true surface columns
    are there, and those on the found surface are real, whatever the outline does
    (``surface_strict_f1``); and the same where a column near the threshold in one image
    may be a little below it in the other (``surface_there``, ``surface_real``,
    ``surface_atoms_f1``).

    Parameters
    ----------
    structure : Structure
        Of the clean image.
    estimate : Micrograph, shape (H, W)
        Denoised counts, over `dose`.
    dose : float, optional
        Electrons per pixel that an intensity of 1 of the clean image stands for.

    Returns
    -------
    dict
        Of JSON types; None where there is nothing to score.

    References
    ----------
    .. [1] H. Edelsbrunner, D. Kirkpatrick, R. Seidel, "On the shape of a set of points
       in the plane", IEEE Trans. Inf. Theory 29, 551 (1983).
       doi:10.1109/TIT.1983.1056714
    """
    true = structure.columns
    positions = _found(true, estimate, _THRESHOLD)
    scores = score_columns(
        positions,
        true.positions,
        tolerance=structure.tolerance,
        pixel_size=true.pixel_size,
    )
    error = scores.position_error_pm
    return {
        "true_columns": len(true),
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "jaccard": scores.jaccard,
        "position_error_pm": None if error is None or math.isnan(error) else error,
        **_surface_values(structure, positions, estimate, scores.pairs),
        "surface_detectability": _detectability(structure, dose),
        "invented_columns": scores.invented,
        "missed_columns": scores.missed,
        "invented_in_vacuum": _in_vacuum(structure, positions),
    }


def column_marks(structure: Structure, estimate: Micrograph) -> NDArray[np.float64]:
    """Return columns to be marked on a picture.

    Parameters
    ----------
    structure : Structure
        Of the clean image.
    estimate : Micrograph, shape (H, W)
        Denoised counts, or the clean image.

    Returns
    -------
    ndarray, shape (N, 3)
        Row and column [px], and 0 for a column found, 1 for one that is invented, 2 for
        one that is missed.
    """
    true = structure.columns.positions
    positions = _found(structure.columns, estimate, _THRESHOLD)
    pairs = score_columns(positions, true, tolerance=structure.tolerance).pairs
    real, there = _matched(positions, pairs[:, 0]), _matched(true, pairs[:, 1])
    return np.concatenate(
        [
            np.column_stack([places, np.full(len(places), kind)])
            for kind, places in enumerate(
                (positions[real], positions[~real], true[~there])
            )
        ]
    )


def surface_marks(structure: Structure) -> NDArray[np.float64]:
    """Return the true columns as :func:`column_marks`, those of the surface as 3."""
    positions = structure.columns.positions
    return np.column_stack([positions, np.where(structure.surface, 3, 0)])


def vacuum_values(
    structure: Structure,
    estimate: NDArray[np.floating[Any]],
    truth: NDArray[np.floating[Any]],
) -> dict[str, Any]:
    """Return the error in the vacuum, by the distance from the nearest column.

    Parameters
    ----------
    structure : Structure
        Of the clean image.
    estimate, truth : ndarray, shape (H, W)
        In the same counts.

    Returns
    -------
    dict
        ``vacuum_rms`` and ``vacuum_rms_0.3`` and so on, root mean squares in the units
        of the images; None where there is no vacuum that far.
    """
    difference = np.square(estimate.astype(np.float64) - truth)
    values: dict[str, Any] = {"vacuum_rms": _root(difference[structure.vacuum])}
    for low, high in itertools.pairwise(DISTANCES):
        ring = (
            structure.vacuum & (structure.distance > low) & (structure.distance <= high)
        )
        values[distance_key(low)] = _root(difference[ring])
    return values


def distance_key(low: float) -> str:
    """Return the key of the error in vacuum from this distance [nm] on."""
    return f"vacuum_rms_{low:g}"


def _root(squares: NDArray[np.float64]) -> float | None:
    return math.sqrt(float(squares.mean())) if squares.size else None


def _found(true: Columns, image: Micrograph, threshold: float) -> NDArray[np.float64]:
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


def _sure(true: Columns, image: Micrograph) -> NDArray[np.bool_]:
    """Return which of the columns that are found in an image are surely ones.

    By the maxima that their fits began with, in the same order.
    """
    pixels = np.asarray(image)
    answer = true.sign * blobs(pixels, true.scale)
    maximum = partial(maxima, answer, true.scale, image=pixels)
    strong = {tuple(place) for place in maximum(threshold=_SURE)}
    return np.array(
        [tuple(place) in strong for place in maximum(threshold=_THRESHOLD)], bool
    )


def _surface_values(
    structure: Structure,
    positions: NDArray[np.float64],
    estimate: Micrograph,
    pairs: NDArray[np.int64],
) -> dict[str, Any]:
    true, size = structure.columns, structure.columns.pixel_size
    on_surface = int(structure.surface.sum())
    keys = ("precision", "recall", "f1", "jaccard")
    assert size is not None
    if not on_surface:
        more = ("surface_real", "surface_there", "surface_atoms_f1")
        none = (*(f"surface_{key}" for key in keys), *more, "surface_strict_f1")
        return {"surface_columns": 0, **dict.fromkeys(none)}
    nearest = _distance(positions, structure.vacuum.shape) * size
    empty = _overlapping(nearest > VACUUM_FROM, structure.vacuum)
    outline = _facing(positions, empty, size)
    scores = score_columns(
        positions[outline],
        true.positions[structure.surface],
        tolerance=structure.tolerance,
    )
    real = _matched(positions, pairs[:, 0])
    there = _matched(true.positions, pairs[:, 1])
    # An image with NaN has no columns, and no maxima to ask.
    sure = _sure(true, estimate) if len(positions) else np.zeros(0, bool)
    weak = _found(true, estimate, _WEAK)
    within = structure.tolerance
    nearly_real = _matched(
        positions, match_points(positions, structure.weak, within)[:, 0]
    )
    nearly_there = _matched(
        true.positions, match_points(weak, true.positions, within)[:, 1]
    )
    nearly_real = real | (nearly_real & ~sure)
    nearly_there = there | (nearly_there & ~structure.sure)
    return {
        "surface_columns": on_surface,
        **{f"surface_{key}": getattr(scores, key) for key in keys},
        "surface_real": _share(nearly_real, outline),
        "surface_there": _share(nearly_there, structure.surface),
        "surface_atoms_f1": _f1(
            _share(nearly_real, outline), _share(nearly_there, structure.surface)
        ),
        "surface_strict_f1": _f1(
            _share(real, outline), _share(there, structure.surface)
        ),
    }


def _matched(
    points: NDArray[np.float64], numbers: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of some points are among these numbers."""
    return np.isin(np.arange(len(points)), numbers)


def _share(right: NDArray[np.bool_], which: NDArray[np.bool_]) -> float:
    """Return how many of those that are asked for are right."""
    return float(right[which].mean()) if which.any() else 0.0


def _f1(precision: float, recall: float) -> float:
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def _detectability(structure: Structure, dose: float) -> float | None:
    """Return the median over surface columns of how well each can be told from none."""
    surface = structure.columns.only(structure.surface)
    if not len(surface):
        return None
    each = detectability(
        dose * surface.height, dose * surface.background, surface.sigma
    )
    return float(np.median(each))


def _in_vacuum(structure: Structure, positions: NDArray[np.float64]) -> int:
    """Count found columns in vacuum where the clean image has nothing like one."""
    if not len(positions):
        return 0
    last = np.array(structure.vacuum.shape) - 1
    at = np.clip(np.rint(positions), 0, last).astype(int)
    inside = structure.vacuum[tuple(at.T)]
    if not len(structure.faint):
        return int(inside.sum())
    away = cKDTree(structure.faint).query(positions)[0] > structure.tolerance
    return int((inside & away).sum())


def _distance(
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


def _facing(
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


def _overlapping(
    far: NDArray[np.bool_], vacuum: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the regions far from columns that share much with the true vacuum."""
    labels, number = ndimage.label(far)
    shared = np.bincount(labels[vacuum], minlength=number + 1)
    shared[0] = 0
    kept = np.flatnonzero(shared >= _SMALLEST / 2 * far.size)
    mask: NDArray[np.bool_] = np.isin(labels, kept)
    return mask


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
    kept = (sizes >= _SMALLEST * far.size) & (np.abs(means - level) <= _OFF * level)
    mask: NDArray[np.bool_] = np.isin(labels, names[kept])
    return mask
