"""Clean images drawn by formulas: what a general-purpose denoiser learns from.

No physics here, only the shapes that electron micrographs are made of, each at many
scales, angles and contrasts: overlapping objects with sharp and soft edges, lattices
of blurred columns, membranes and organelles, particles on a support, amorphous
texture. Everything is drawn with numpy from one random generator, so an image is
reproduced by its seed alone.

The overlapping objects are a dead-leaves model, whose statistics are those of natural
images (A. B. Lee, D. Mumford, J. Huang, "Occlusion Models for Natural Images", Int. J.
Comput. Vis. 41, 35 (2001). doi:10.1023/A:1011109015675).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import ParameterError, did_you_mean
from lowdose.simulation import shapes
from lowdose.simulation.drawn_crystals import crystals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.random import Generator
    from numpy.typing import NDArray

    Image = NDArray[np.float32]


#: Share of images that get fine texture, and its least and largest strength, as a
#: multiple of the deviation of the image.
Grain = tuple[float, float, float]
GRAIN: Grain = (0.75, 0.1, 1.2)


def draw(kind: str, rng: Generator, size: int, *, grain: Grain = GRAIN) -> Image:
    """Draw one clean image.

    Parameters
    ----------
    kind : str
        A key of :data:`KINDS`, or ``"any"`` for a random one.
    rng : Generator
        Source of every choice made.
    size : int
        Height and width [px], at least 16.
    grain : tuple of float, optional
        Share of images with fine texture, and its least and largest strength.

    Returns
    -------
    ndarray, shape (size, size), float32
        Values from 0 to 1, both reached.

    Raises
    ------
    ParameterError
        If there is no such kind, or the size is too small.
    """
    if size < 16:
        msg = f"size={size} is too small to draw in; use at least 16 px."
        raise ParameterError(msg)
    if kind == "any":
        kind = str(rng.choice(list(KINDS)))
    if kind not in KINDS:
        msg = f"There is no kind {kind!r}. {did_you_mean(kind, [*KINDS, 'any'])}"
        raise ParameterError(msg)
    # Half of the images are drawn twice as large and binned, as micrographs are: that
    # makes detail as fine as the sampling allows, which no blurred drawing has.
    factor = int(rng.integers(1, 3))
    image = KINDS[kind](rng, factor * size)
    image = shapes.unit_std(image.reshape(size, factor, size, factor).mean((1, 3)))
    share, low, high = grain
    if rng.uniform() < share:
        image = image + _grain(rng, size, shapes.log_uniform(rng, low, high))
    return shapes.unit_range(image)


def dead_leaves(rng: Generator, size: int) -> Image:
    """Overlapping discs, ellipses and polygons, flat, shaded or textured."""
    y, x = shapes.grid(size)
    image = np.full((size, size), rng.uniform(), np.float32)
    smallest = shapes.log_uniform(rng, 3, 20)
    largest = size * rng.uniform(0.2, 0.6)
    textured = rng.uniform(0, 0.6)
    # In random order, so that large leaves cover small ones as well.
    for radius in rng.permutation(
        shapes.power_law(rng, smallest, largest, int(rng.integers(100, 500)))
    ):
        cy, cx = rng.uniform(-radius, size + radius, 2)
        rows, columns = shapes.window(cy, radius, size), shapes.window(cx, radius, size)
        inside = shapes.leaf(rng, y[rows] - cy, x[:, columns] - cx, radius)
        value = rng.uniform() + np.zeros(inside.shape, np.float32)
        if rng.uniform() < 0.4:
            slope = rng.normal(0, 0.3, 2) / radius
            value += slope[0] * (y[rows] - cy) + slope[1] * (x[:, columns] - cx)
        if rng.uniform() < textured:
            value += rng.uniform(0.02, 0.3) * _texture(rng, inside.shape)
        image[rows, columns] = np.where(inside, value, image[rows, columns])
    return shapes.blur(image, shapes.log_uniform(rng, 0.15, 1.4))


def lattice(rng: Generator, size: int) -> Image:
    """Crystals: rows of blurred columns in one or several grains, and vacuum."""
    grains = int(rng.choice([1, 1, 2, 3, 6]))
    label = shapes.voronoi(rng, size, grains, warp=rng.uniform(0, 0.1) * size)[0]
    spacing = shapes.log_uniform(rng, 3.2, 40)
    image = np.zeros((size, size), np.float32)
    for grain in range(grains):
        if rng.uniform() < 0.85 or grains == 1:
            columns = _columns(rng, size, spacing * rng.uniform(0.9, 1.1))
            image = np.where(label == grain, columns, image)
    image = shapes.unit_range(shapes.blur(image, rng.uniform(0, 0.1) * spacing))
    # Thickness and shape: a smooth field that fades the crystal into vacuum.
    if rng.uniform() < 0.6:
        field = shapes.smooth_field(rng, size, rng.uniform(0.2, 0.6) * size)
        edge = shapes.log_uniform(rng, 0.02, 0.6)
        image *= np.clip((field - rng.uniform(-0.8, 0.3)) / edge, 0, 1)
    if rng.uniform() < 0.5:
        image += rng.uniform(0, 0.6) * shapes.smooth_field(
            rng, size, shapes.log_uniform(rng, 6, size)
        )
    if rng.uniform() < 0.4:
        image += rng.uniform(0, 0.3) * shapes.amorphous_field(rng, size)
    return image if rng.uniform() < 0.5 else -image


def membranes(rng: Generator, size: int) -> Image:
    """Cells bounded by dark membranes, with organelles, vesicles and granules."""
    y, x = shapes.grid(size)
    cell = shapes.log_uniform(rng, 8, 80)
    count = int(np.clip((size / cell) ** 2, 3, 400))
    label, distance = shapes.voronoi(
        rng, size, count, warp=cell * rng.uniform(0.1, 0.6)
    )
    tone = rng.normal(0, rng.uniform(0.02, 0.15), count).astype(np.float32)
    image = tone[label]
    granules = shapes.log_uniform(rng, 0.3, 4)
    image += rng.uniform(0.03, 0.3) * shapes.unit_std(
        shapes.blur(rng.standard_normal((size, size)), granules)
    )
    image += rng.uniform(0, 0.2) * shapes.smooth_field(
        rng, size, cell * rng.uniform(0.5, 3)
    )
    for _ in range(rng.integers(0, max(2, count // 2))):
        image = _organelle(rng, image, y, x, cell * rng.uniform(0.1, 0.45))
    width = shapes.log_uniform(rng, 0.45, 3.0)
    depth = rng.uniform(0.3, 1.2) * (
        1 + rng.uniform(0, 0.5) * shapes.smooth_field(rng, size, cell)
    )
    gap = width * rng.uniform(1.0, 2.2) if rng.uniform() < 0.5 else 0.0
    image -= depth * np.exp(-0.5 * ((distance - gap) / width) ** 2)
    image = shapes.blur(image, shapes.log_uniform(rng, 0.15, 1.2))
    return image if rng.uniform() < 0.85 else -image


def particles(rng: Generator, size: int) -> Image:
    """Particles, some of them crystalline, on an amorphous support."""
    y, x = shapes.grid(size)
    image = rng.uniform(0.02, 0.4) * shapes.amorphous_field(rng, size)
    sign = rng.choice([-1.0, 1.0])
    for radius in shapes.power_law(rng, 2.5, size * 0.35, int(rng.integers(1, 40))):
        cy, cx = rng.uniform(0, size, 2)
        rows, columns = shapes.window(cy, radius, size), shapes.window(cx, radius, size)
        dy, dx = y[rows] - cy, x[:, columns] - cx
        inside = shapes.leaf(rng, dy, dx, radius).astype(np.float32)
        if rng.uniform() < 0.6:  # projected thickness of a ball
            inside *= np.sqrt(np.clip(1 - (dy**2 + dx**2) / radius**2, 0, 1))
        if rng.uniform() < 0.4 and radius > 8:
            angle, period = (
                rng.uniform(0, np.pi),
                shapes.log_uniform(rng, 3, radius / 2),
            )
            phase = 2 * np.pi / period * (np.cos(angle) * dy + np.sin(angle) * dx)
            inside *= 1 + rng.uniform(0.1, 0.6) * np.cos(phase)
        image[rows, columns] += sign * rng.uniform(0.2, 1.0) * inside
    return shapes.blur(image, shapes.log_uniform(rng, 0.15, 1.6))


def amorphous(rng: Generator, size: int) -> Image:
    """Texture without objects, with a power-law or a band-limited spectrum."""
    image = shapes.amorphous_field(rng, size)
    if rng.uniform() < 0.5:
        field = shapes.smooth_field(rng, size, size * rng.uniform(0.1, 0.5))
        image += rng.uniform(0, 2) * field
    return image


#: Every kind of image by name.
KINDS: Mapping[str, Callable[[Generator, int], Image]] = MappingProxyType(
    {
        "dead-leaves": dead_leaves,
        "lattice": lattice,
        "membranes": membranes,
        "particles": particles,
        "amorphous": amorphous,
        "crystals": crystals,
    }
)


def _columns(rng: Generator, size: int, spacing: float) -> Image:
    """Draw one crystal grain over the whole image as a sum of Gaussian columns."""
    angle = rng.uniform(0, np.pi)
    ratio, skew = rng.uniform(0.6, 1.7), rng.uniform(np.pi / 3, 2 * np.pi / 3)
    a = spacing * np.array([np.cos(angle), np.sin(angle)])
    b = ratio * spacing * np.array([np.cos(angle + skew), np.sin(angle + skew)])
    reach = int(1.5 * size / (spacing * min(1, ratio) * np.sin(skew))) + 2
    i, j = (n.ravel() for n in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    lattice_points = i[:, None] * a + j[:, None] * b
    basis = [np.zeros(2), rng.uniform(0.25, 0.75) * a + rng.uniform(0.25, 0.75) * b]
    image = np.zeros((size, size), np.float32)
    jitter = spacing * (rng.uniform(0, 0.04) if rng.uniform() < 0.5 else 0)
    for offset in basis[: rng.integers(1, 3)]:
        points = lattice_points + offset + rng.uniform(0, 1) * (a + b) + size / 2
        points += rng.normal(0, jitter, points.shape) if jitter else 0
        near = np.all((points > -spacing) & (points < size + spacing), axis=1)
        points = points[near]
        points = points[rng.uniform(size=len(points)) >= rng.choice([0, 0, 0.03, 0.1])]
        weight = rng.uniform(0.2, 1) * (1 + rng.normal(0, 0.1, len(points)))
        image += shapes.splat(points, weight, size)
        sigma = np.clip(spacing * rng.uniform(0.1, 0.3), 0.6, None)
        image = shapes.unit_range(shapes.blur(image, sigma))
    return image


def _organelle(
    rng: Generator,
    image: Image,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    radius: float,
) -> Image:
    """Add a vesicle (a ring), a dense body, or a mitochondrion with its cristae."""
    size = image.shape[0]
    cy, cx = rng.uniform(0, size, 2)
    rows, columns = (
        shapes.window(cy, 3 * radius, size),
        shapes.window(cx, 3 * radius, size),
    )
    angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
    dy, dx = y[rows] - cy, x[:, columns] - cx
    u = np.cos(angle) * dy + np.sin(angle) * dx
    v = (np.cos(angle) * dx - np.sin(angle) * dy) / aspect
    r = np.sqrt(u**2 + v**2) / max(radius, 1e-3)
    wall = max(0.6, radius * rng.uniform(0.05, 0.25)) / max(radius, 1e-3)
    drawn = image[rows, columns]
    body = 1 / (1 + np.exp(np.clip((r - 1) / (0.5 * wall), -30, 30)))
    match rng.integers(3):
        case 0:
            drawn = drawn + body * rng.normal(0, 0.4)
        case 1:
            period = max(3.0, radius * rng.uniform(0.2, 0.6))
            phase = 2 * np.pi * u / period + rng.normal(0, 2)
            drawn = drawn - body * rng.uniform(0.1, 0.5) * (1 + 0.5 * np.cos(phase))
        case _:
            drawn = drawn + body * rng.normal(0, 0.1)
    drawn = drawn - rng.uniform(0.2, 0.9) * np.exp(-0.5 * ((r - 1) / wall) ** 2)
    image[rows, columns] = drawn
    return image


def _texture(rng: Generator, shape: tuple[int, int]) -> Image:
    frequency = shapes.frequencies(shape)
    amplitude = np.exp(-((frequency / shapes.log_uniform(rng, 0.08, 1.0)) ** 2))
    return shapes.unit_std(shapes.shape_noise(rng, shape, amplitude))


def _grain(rng: Generator, size: int, strength: float) -> Image:
    """Return fine texture, stronger in some places than in others.

    Micrographs of real matter are rarely smooth between their edges: a section
    imaged at 16 nm/px has a third of its deviation in the highest frequencies.
    """
    amplitude = np.maximum(shapes.frequencies((size, size)), 1 / size) ** -rng.uniform(
        0, 1.6
    )
    grain = shapes.unit_std(shapes.shape_noise(rng, (size, size), amplitude))
    field = shapes.smooth_field(rng, size, size * rng.uniform(0.05, 0.5))
    place = np.clip(1 + rng.uniform(0, 1) * field, 0, None)
    return np.asarray(strength * place * grain, np.float32)
