"""Scores of a denoised lattice image: its columns, its surface, and its vacuum."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from lowdose.benchmark.structure import (
    SMALLEST,
    THRESHOLD,
    VACUUM_FROM,
    WEAK,
    Structure,
    distance_from,
    facing,
    found_columns,
    sure_columns,
)
from lowdose.metrics.columns import detectability, match_points, score_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph

#: Limits of the distances by which the error in vacuum is told [nm].
DISTANCES: Final = (0.3, 0.5, 0.8, 1.2, math.inf)


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
    positions = found_columns(true, estimate, THRESHOLD)
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
    positions = found_columns(structure.columns, estimate, THRESHOLD)
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
    nearest = distance_from(positions, structure.vacuum.shape) * size
    empty = _overlapping(nearest > VACUUM_FROM, structure.vacuum)
    outline = facing(positions, empty, size)
    scores = score_columns(
        positions[outline],
        true.positions[structure.surface],
        tolerance=structure.tolerance,
    )
    real = _matched(positions, pairs[:, 0])
    there = _matched(true.positions, pairs[:, 1])
    # An image with NaN has no columns, and no maxima to ask.
    sure = sure_columns(true, estimate) if len(positions) else np.zeros(0, bool)
    weak = found_columns(true, estimate, WEAK)
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


def _overlapping(
    far: NDArray[np.bool_], vacuum: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the regions far from columns that share much with the true vacuum."""
    labels, number = ndimage.label(far)
    shared = np.bincount(labels[vacuum], minlength=number + 1)
    shared[0] = 0
    kept = np.flatnonzero(shared >= SMALLEST / 2 * far.size)
    mask: NDArray[np.bool_] = np.isin(labels, kept)
    return mask
