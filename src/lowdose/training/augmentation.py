"""Changing images at random while training: in torch, by the batch, reproducibly.

Every function takes a :class:`torch.Generator`, or the choice itself, and works on a
batch of shape (N, C, H, W); each image of the batch has a choice of its own. Geometry
is isotropic: height and width are never confused, as they are in SBD's resizing, which
stretches every atom by 12 %.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor


def dihedral(images: Tensor, elements: Tensor) -> Tensor:
    """Turn and mirror images by the eight symmetries of the square; nothing is lost.

    Parameters
    ----------
    images : Tensor, shape (N, C, S, S)
        Square images.
    elements : Tensor, shape (N,), integer
        0 to 7 for each image: quarter turns, and from 4 on mirrored first.

    Returns
    -------
    Tensor, shape (N, C, S, S)
        The same pixels, moved.

    Raises
    ------
    ParameterError
        If the images are not square, or a number is not 0 to 7.
    """
    if images.shape[-1] != images.shape[-2]:
        msg = f"Images of shape {tuple(images.shape)} are not square; crop them first."
        raise ParameterError(msg)
    if bool(((elements < 0) | (elements > 7)).any()):
        msg = f"The symmetries {elements.tolist()} are not all 0 to 7."
        raise ParameterError(msg)
    moved = torch.empty_like(images)
    for element in range(8):
        chosen = elements == element
        if bool(chosen.any()):
            some = images[chosen]
            some = some.flip(-1) if element >= 4 else some
            moved[chosen] = torch.rot90(some, element % 4, (-2, -1))
    return moved


def random_dihedral(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn and mirror each image by a random symmetry; see :func:`dihedral`."""
    elements = torch.randint(
        8, (len(images),), generator=generator, device=generator.device
    )
    return dihedral(images, elements.to(images.device))


def rescale_and_rotate(
    images: Tensor, scales: Tensor, angles: Tensor, size: int
) -> Tensor:
    """Magnify and turn images about their centres, and cut out a square inside them.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Images.
    scales : Tensor, shape (N,)
        Magnification, the same along both axes: 0.8 makes atoms smaller.
    angles : Tensor, shape (N,)
        Rotation [rad], anticlockwise as images are shown.
    size : int
        Side of the square [px]. It must lie inside every magnified and turned image,
        so that no pixel is invented; see :func:`inscribed_size`.

    Returns
    -------
    Tensor, shape (N, C, size, size)
        Bilinearly interpolated; where images are made smaller than 1 they are first
        blurred as far as the new pixels need.

    Raises
    ------
    ParameterError
        If a scale is not positive, or the square does not lie inside.
    """
    height, width = images.shape[-2:]
    if bool((scales <= 0).any()) or size < 1:
        msg = f"Scales {scales.tolist()} and size {size} must be positive."
        raise ParameterError(msg)
    largest = min(
        inscribed_size(height, width, float(scale), float(angle))
        for scale, angle in zip(scales, angles, strict=True)
    )
    if size > largest:
        msg = (
            f"A square of {size} px does not lie inside these images of {height} x "
            f"{width} px after magnifying and turning; at most {largest} px do."
        )
        raise ParameterError(msg)
    images = torch.stack(
        [
            _blur(image, float(scale))
            for image, scale in zip(images, scales, strict=True)
        ]
    )
    scales, angles = (t.to(images) for t in (scales, angles))
    steps = torch.arange(size, device=images.device, dtype=images.dtype)
    steps = steps - (size - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    cosine, sine = (f(angles)[:, None, None] / scales[:, None, None] for f in _TURN)
    # Where each new pixel comes from, from the centre [px], then as grid_sample wants.
    from_x, from_y = cosine * x - sine * y, sine * x + cosine * y
    grid = torch.stack([from_x * 2 / (width - 1), from_y * 2 / (height - 1)], -1)
    return torch.nn.functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=True
    )


def inscribed_size(height: int, width: int, scale: float, angle: float) -> int:
    """Return the side of the largest centred square inside a turned image [px].

    Parameters
    ----------
    height, width : int
        Of the image [px].
    scale : float
        Magnification.
    angle : float
        Rotation [rad].

    Returns
    -------
    int
        Side, at least 0: its corners, turned back, are pixels of the image.
    """
    extent = abs(math.cos(angle)) + abs(math.sin(angle))
    # Pixel centres: n of them span n - 1.
    span = (min(height, width) - 1) * scale / extent
    return max(0, math.floor(span + 1e-6) + 1)


def random_rescale_and_rotate(
    images: Tensor,
    generator: torch.Generator,
    *,
    size: int,
    scale: tuple[float, float] = (0.75, 0.82),
    angle: float = math.pi / 4,
) -> Tensor:
    """Magnify and turn each image at random; see :func:`rescale_and_rotate`.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Images.
    generator : torch.Generator
        Source of the choices.
    size : int
        Side of the result [px].
    scale : tuple of float, optional
        Range of the magnification; by default SBD's.
    angle : float, optional
        Largest angle either way [rad]; by default SBD's 45°.

    Returns
    -------
    Tensor, shape (N, C, size, size)
    """
    low, high = scale
    scales = low + (high - low) * _uniform(len(images), generator)
    angles = angle * (2 * _uniform(len(images), generator) - 1)
    return rescale_and_rotate(images, scales, angles, size)


def random_crop(images: Tensor, generator: torch.Generator, *, size: int) -> Tensor:
    """Cut a square from a random place of each image.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Images.
    generator : torch.Generator
        Source of the choices.
    size : int
        Side [px].

    Returns
    -------
    Tensor, shape (N, C, size, size)

    Raises
    ------
    ParameterError
        If the images are smaller than that.
    """
    height, width = images.shape[-2:]
    if not 1 <= size <= min(height, width):
        msg = f"A crop of {size} px does not fit images of {height} x {width} px."
        raise ParameterError(msg)
    places = _uniform(2 * len(images), generator).reshape(-1, 2).tolist()
    return torch.stack(
        [
            image[
                :,
                (top := int(v * (height - size + 1))) : top + size,
                (left := int(u * (width - size + 1))) : left + size,
            ]
            for image, (v, u) in zip(images, places, strict=True)
        ]
    )


def random_dose(
    images: Tensor, generator: torch.Generator, *, low: float, high: float
) -> Tensor:
    """Multiply each image so that its mean is a log-uniform random dose.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Intensities, at least 0.
    generator : torch.Generator
        Source of the choices.
    low, high : float
        Range of the mean [e-/px], above 0.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Expected electrons per pixel. A black image stays black.

    Raises
    ------
    ParameterError
        If the range is not positive and in order.
    """
    if not 0 < low <= high < math.inf:
        msg = f"Doses of {low:g} to {high:g} e-/px are not positive and in order."
        raise ParameterError(msg)
    position = _uniform(len(images), generator)
    doses = low * (high / low) ** position
    means = images.mean((1, 2, 3))
    factors = torch.where(means > 0, doses.to(images) / means, torch.zeros_like(means))
    return images * factors[:, None, None, None]


def random_contrast(
    images: Tensor, generator: torch.Generator, *, low: float = 0.2, high: float = 1.0
) -> Tensor:
    """Reduce the contrast of each image about its mean by a random factor.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Intensities, at least 0.
    generator : torch.Generator
        Source of the choices.
    low, high : float, optional
        Range of the factor, 0 to 1: never more contrast, so intensities stay positive.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        With the mean of each image kept.

    Raises
    ------
    ParameterError
        If the range is not within 0 to 1 and in order.
    """
    if not 0 <= low <= high <= 1:
        msg = f"Contrast factors of {low:g} to {high:g} are not within 0 to 1."
        raise ParameterError(msg)
    factors = low + (high - low) * _uniform(len(images), generator)
    means = images.mean((1, 2, 3), keepdim=True)
    return means + (images - means) * factors.to(images)[:, None, None, None]


_TURN = (torch.cos, torch.sin)


def _uniform(number: int, generator: torch.Generator) -> Tensor:
    return torch.rand(number, generator=generator, device=generator.device)


def _blur(image: Tensor, scale: float) -> Tensor:
    """Blur an image as far as pixels 1/scale times as large need; (C, H, W)."""
    if scale >= 1:
        return image
    # The variance that makes a pixel of width 1 one of width 1/scale.
    sigma = math.sqrt((1 / scale**2 - 1) / 12)
    reach = max(1, math.ceil(3 * sigma))
    x = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    image = torch.nn.functional.pad(
        image[:, None], (reach, reach, reach, reach), mode="replicate"
    )
    image = torch.nn.functional.conv2d(image, kernel[None, None, None, :])
    return torch.nn.functional.conv2d(image, kernel[None, None, :, None])[:, 0]
