"""Drawings of crystals as a lens shows them: atom columns behind a transfer function.

The columns of a lattice, strained, with vacancies, cut by a surface or by the boundary
of a grain, are points. One transfer function blurs them all, and the amorphous support
with them: a Gaussian, and for half of the drawings the oscillations of a defocused
lens, which carry the lattice beyond its surface. Nothing is finer than that function
lets through, which is what makes micrographs of crystals compressible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowdose.simulation import shapes

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Image = NDArray[np.float32]
    Points = NDArray[np.float64]

#: Shortest and longest lattice vector [px].
_SPACINGS = (3.5, 64.0)
#: Axial ratio and angle [degrees] of the cells that are drawn most.
_CELLS = ((1.0, 90.0), (1.0, 60.0), (2**0.5, 90.0), (3**0.5, 90.0))
#: Thickness below which there is no column.
_THINNEST = 0.05
#: Radius of the narrowest column [px].
_NARROWEST = 0.6


@dataclass(frozen=True, slots=True)
class _Field:
    """The square that is drawn: the image and a margin round it."""

    size: int
    thickness: Image
    strain: tuple[Image, Image]


def crystals(rng: Generator, size: int) -> Image:
    """Crystals of any lattice, whole or cut, on vacuum or a support."""
    spacing = shapes.log_uniform(rng, *_SPACINGS)
    margin = int(min(2 * spacing, size // 4))
    whole = size + 2 * margin
    amount = spacing * rng.uniform(0, 0.3) if rng.uniform() < 0.4 else 0.0
    scale = whole * rng.uniform(0.2, 0.8)
    field = _Field(
        size=whole,
        thickness=_thickness(rng, whole, spacing),
        strain=(
            np.float32(amount) * shapes.smooth_field(rng, whole, scale),
            np.float32(amount) * shapes.smooth_field(rng, whole, scale),
        ),
    )
    grains = int(rng.choice([1, 1, 1, 2, 4]))
    label = shapes.voronoi(rng, whole, grains, warp=rng.uniform(0, 0.1) * whole)[0]
    image = np.zeros((whole, whole), np.float32)
    for grain in range(grains):
        image += _lattice(rng, field, spacing, label == grain)
    if rng.uniform() < 0.15:  # another one above or below
        image += _lattice(rng, field, spacing, label >= 0)
    weight = float(image.std())
    if rng.uniform() < 0.5:
        noise = rng.standard_normal((whole, whole)).astype(np.float32)
        support = shapes.log_uniform(rng, 0.02, 0.5) * weight * noise
        image += support * (field.thickness if rng.uniform() < 0.3 else 1)
    image = _imaged(rng, image, spacing)
    if rng.uniform() < 0.4:  # the mean inner potential, or a bent specimen
        smooth = (
            shapes.blur(field.thickness, 0.3 * spacing)
            if rng.uniform() < 0.5
            else shapes.smooth_field(rng, whole, whole * rng.uniform(0.2, 1))
        )
        image += rng.uniform(-1, 1) * image.std() * smooth
    image = image[margin : margin + size, margin : margin + size]
    return image if rng.uniform() < 0.5 else -image


def _thickness(rng: Generator, size: int, spacing: float) -> Image:
    """Return how thick the specimen is, from 0 to about 1."""
    kind = rng.uniform()
    if kind < 0.35:
        return np.ones((size, size), np.float32)
    if kind < 0.7:
        field = shapes.smooth_field(rng, size, rng.uniform(0.2, 0.6) * size)
        edge = shapes.log_uniform(rng, 0.02, 1.5)
        thick = np.clip((field - rng.uniform(-0.8, 0.3)) / edge, 0, 1)
        return np.asarray(thick, np.float32)
    y, x = shapes.grid(size)
    thick = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(1, 4)):
        cy, cx = rng.uniform(0.1, 0.9, 2) * size
        radius = max(2 * spacing, rng.uniform(0.2, 0.7) * size)
        inside = shapes.leaf(rng, y - cy, x - cx, radius).astype(np.float32)
        thick = np.maximum(thick, inside * np.float32(rng.uniform(0.3, 1)))
    return np.asarray(thick, np.float32)


def _lattice(
    rng: Generator, field: _Field, spacing: float, inside: NDArray[np.bool_]
) -> Image:
    """Draw the columns of one grain as points."""
    first, second = _cell(rng, spacing)
    reach = int(1.5 * field.size / min(np.linalg.norm(first), np.linalg.norm(second)))
    i, j = (n.ravel() for n in np.mgrid[-reach - 2 : reach + 3, -reach - 2 : reach + 3])
    sites = i[:, None] * first + j[:, None] * second + field.size / 2
    image = np.zeros((field.size, field.size), np.float32)
    equal = rng.uniform() < 0.4
    uneven = rng.choice([0, 0.05, 0.2])
    vacancies = rng.choice([0, 0, 0.01, 0.05])
    power = rng.choice([0.5, 1.0])
    for number in range(rng.choice([1, 1, 2, 2, 3, 4])):
        place = rng.uniform(0, 1, 2) if number else np.zeros(2)
        if number == 1 and rng.uniform() < 0.5:  # centred, and honeycombs
            place = np.array(rng.choice([[0.5, 0.5], [1 / 3, 1 / 3]]))
        points = sites + place[0] * first + place[1] * second
        points = points[np.all((points >= 0) & (points < field.size), axis=1)]
        rows, columns = points.astype(int).T
        weight = field.thickness[rows, columns].astype(np.float64)
        kept = inside[rows, columns] & (weight > _THINNEST)
        kept &= rng.uniform(size=len(points)) >= vacancies
        weight = weight**power * (1 + uneven * rng.normal(size=len(points)))
        weight *= 1.0 if equal else shapes.log_uniform(rng, 0.15, 1)
        moved = [strain[rows, columns] for strain in field.strain]
        points = points + np.stack(moved, 1)
        image += shapes.splat(points[kept], weight[kept], field.size)
    return image


def _cell(rng: Generator, spacing: float) -> tuple[Points, Points]:
    """Return the vectors of a cell, turned at random [px]."""
    if rng.uniform() < 0.6:
        ratio, angle = _CELLS[int(rng.integers(len(_CELLS)))]
    else:
        ratio, angle = rng.uniform(1, 1.8), rng.uniform(55, 125)
    turn, angle = rng.uniform(0, 2 * np.pi), np.radians(angle)
    first = spacing * np.array([np.cos(turn), np.sin(turn)])
    second = ratio * spacing * np.array([np.cos(turn + angle), np.sin(turn + angle)])
    return first, second


def _imaged(rng: Generator, image: Image, spacing: float) -> Image:
    """Show points as a lens does."""
    frequency = shapes.frequencies(image.shape)
    width = max(_NARROWEST, spacing * rng.uniform(0.06, 0.25))
    transfer = np.exp(-2 * (np.pi * width * frequency) ** 2)
    if rng.uniform() < 0.5:
        # Up to some turns of phase at the first reflections.
        defocus = rng.uniform(0, 3) * spacing**2
        transfer *= np.cos(np.pi * defocus * frequency**2 + rng.uniform(0, 2 * np.pi))
    shown = np.fft.irfft2(np.fft.rfft2(image) * transfer, s=image.shape)
    return np.asarray(shown, np.float32)
