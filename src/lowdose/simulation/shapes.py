"""Shapes, fields and points that drawn images are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Image = NDArray[np.float32]


def splat(points: NDArray[np.float64], weight: NDArray[np.float64], size: int) -> Image:
    """Put point sources on the pixel grid, shared bilinearly among four pixels."""
    image = np.zeros((size, size), np.float32)
    corner = np.floor(points).astype(int)
    share = points - corner
    for dy in (0, 1):
        for dx in (0, 1):
            row, column = corner[:, 0] + dy, corner[:, 1] + dx
            part = weight * np.abs(1 - dy - share[:, 0]) * np.abs(1 - dx - share[:, 1])
            kept = (row >= 0) & (row < size) & (column >= 0) & (column < size)
            np.add.at(image, (row[kept], column[kept]), part[kept])
    return image


def leaf(
    rng: Generator, dy: NDArray[np.float32], dx: NDArray[np.float32], radius: float
) -> NDArray[np.bool_]:
    """Return the pixels of an ellipse or a convex polygon round the origin."""
    angle = rng.uniform(0, 2 * np.pi)
    if rng.uniform() < 0.5:
        u = np.cos(angle) * dy + np.sin(angle) * dx
        v = np.cos(angle) * dx - np.sin(angle) * dy
        inside: NDArray[np.bool_] = u**2 + (v / rng.uniform(0.2, 1)) ** 2 < radius**2
        return inside
    sides = rng.integers(3, 8)
    inside = np.ones(np.broadcast_shapes(dy.shape, dx.shape), bool)
    for side in angle + 2 * np.pi * (np.arange(sides) + rng.uniform(-0.3, 0.3)) / sides:
        reach = radius * rng.uniform(0.4, 0.9)
        inside &= np.cos(side) * dy + np.sin(side) * dx < reach
    inside &= dy**2 + dx**2 < radius**2
    return inside


def voronoi(
    rng: Generator, size: int, count: int, *, warp: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Cut the image into cells with curved walls.

    Returns the cell of each pixel, and its distance [px] from the nearest wall.
    """
    y, x = grid(size)
    scale = size / np.sqrt(count) * rng.uniform(0.8, 2)
    py = y + warp * smooth_field(rng, size, scale)
    px = x + warp * smooth_field(rng, size, scale)
    margin = 0.3 * size
    sites = rng.uniform(-margin, size + margin, (max(count, 1), 2)).astype(np.float32)
    nearest = np.full((size, size), np.inf, np.float32)
    second = nearest.copy()
    label = np.zeros((size, size), np.intp)
    for number, (sy, sx) in enumerate(sites):
        distance = np.hypot(py - sy, px - sx)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        label[closer] = number
        nearest = np.minimum(nearest, distance)
    wall = (second - nearest) / 2
    return label, np.where(np.isfinite(wall), wall, np.float32(size))


def amorphous_field(rng: Generator, size: int) -> Image:
    """Draw texture with a power-law spectrum or with rings, of unit deviation."""
    frequency = frequencies((size, size))
    if rng.uniform() < 0.5:
        amplitude = 1 / np.maximum(frequency, 1 / size) ** rng.uniform(0.3, 1.8)
    else:  # rings, as the contrast transfer function makes them
        defocus = log_uniform(rng, 20, 2000)
        amplitude = np.abs(np.sin(defocus * frequency**2 + rng.uniform(0, 0.3)))
    amplitude = amplitude * np.exp(-((frequency / log_uniform(rng, 0.06, 0.5)) ** 2))
    return unit_std(shape_noise(rng, (size, size), amplitude))


def smooth_field(rng: Generator, size: int, scale: float) -> Image:
    """Return a random field that varies over `scale` pixels, of unit deviation."""
    amplitude = np.exp(-0.5 * (np.pi * scale * frequencies((size, size)) / 1.5) ** 2)
    amplitude[0, 0] = 0
    return unit_std(shape_noise(rng, (size, size), amplitude))


def shape_noise(
    rng: Generator, shape: tuple[int, int], amplitude: NDArray[np.float64]
) -> Image:
    """Give white noise the amplitudes of a spectrum, those of ``rfft2``."""
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * amplitude
    return np.asarray(np.fft.irfft2(spectrum, s=shape), np.float32)


def frequencies(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the spatial frequency of each coefficient of ``rfft2`` [1/px]."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    return np.asarray(np.hypot(rows, columns), np.float64)


def blur(image: NDArray[np.floating], sigma: float) -> Image:
    """Blur by a Gaussian of `sigma` pixels, with mirrored borders."""
    pad = min(int(4 * sigma) + 1, min(image.shape) - 1)
    padded = np.pad(image, pad, mode="reflect")
    transfer = np.exp(-2 * (np.pi * sigma * frequencies(padded.shape)) ** 2)
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * transfer, s=padded.shape)
    return blurred[pad:-pad, pad:-pad].astype(np.float32)


def grid(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the rows and columns of the pixels, (size, 1) and (1, size)."""
    y, x = np.ogrid[:size, :size]
    return y.astype(np.float32), x.astype(np.float32)


def window(centre: float, radius: float, size: int) -> slice:
    """Return the pixels within `radius` of `centre`, at least one of them."""
    start = int(np.clip(centre - radius, 0, size - 1))
    return slice(start, max(start + 1, int(np.clip(centre + radius + 2, 1, size))))


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(max(low, high)))))


def power_law(rng: Generator, low: float, high: float, count: int) -> Image:
    """Draw radii with a density that falls with their cube, largest first."""
    u = rng.uniform(size=count)
    radii = 1 / np.sqrt(u / high**2 + (1 - u) / low**2)
    return np.sort(radii)[::-1].astype(np.float32)


def unit_std(image: NDArray[np.floating]) -> Image:
    """Scale an image to unit deviation, unless it is constant."""
    deviation = float(image.std())
    return np.asarray(image / deviation if deviation > 0 else image, np.float32)


def unit_range(image: NDArray[np.floating]) -> Image:
    """Scale an image to 0 to 1; a constant one to 0."""
    low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.zeros(image.shape, np.float32)
    return np.asarray(np.clip((image - low) / (high - low), 0, 1), np.float32)
