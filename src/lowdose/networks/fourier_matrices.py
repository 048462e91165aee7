"""Fourier transforms as products with matrices, for programs that have no other.

ONNX has a discrete Fourier transform, but what runs ONNX files often does not, or not
of a size that is known only when the program runs. The matrices are made from the size
of the maps, inside the program; at the sizes of tiles their products cost little beside
the convolutions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Waves(NamedTuple):
    """Cosines and sines, orthonormal.

    Parameters
    ----------
    rows : pair of Tensor, shape (H, H)
        Of the frequencies along the columns; symmetric.
    columns : pair of Tensor, shape (W, W // 2 + 1)
        Of those along the rows, and the negative of the sines; real maps have no
        others.
    back : Tensor, shape (2 (W // 2 + 1), W)
        The way back from these.
    """

    rows: tuple[Tensor, Tensor]
    columns: tuple[Tensor, Tensor]
    back: Tensor


def waves(height: int, width: int, *, like: Tensor) -> Waves:
    """Return the matrices for maps of one size, on the device of `like`."""
    rows = torch.arange(height, device=like.device)
    columns = torch.arange(width, device=like.device)
    order = torch.arange(width // 2 + 1, device=like.device)
    cos, sin = _waves(columns, order, width)
    # All but the mean, and the highest frequency of an even size, stand for their
    # mirror images too.
    alone = (order == 0) | (2 * order == width)
    twice = torch.where(alone, 1.0, 2.0)
    return Waves(
        rows=_waves(rows, rows, height),
        columns=(cos, -sin),
        back=torch.cat([(cos * twice).mT, -(sin * twice).mT]),
    )


def spectrum(maps: Tensor, given: Waves) -> Tensor:
    """Return real and imaginary parts of the spectrum of maps.

    Parameters
    ----------
    maps : Tensor, shape (N, C, H, W), float32
        Real.
    given : Waves
        For their size.

    Returns
    -------
    Tensor, shape (N, 2 C, H, W // 2 + 1), float32
        Of the orthonormal transform of real maps, the real parts before the imaginary
        ones.
    """
    parts = torch.cat([maps @ wave for wave in given.columns], 1)
    (real_cos, imaginary_cos), (real_sin, imaginary_sin) = _turned(parts, given)
    return torch.cat([real_cos + imaginary_sin, imaginary_cos - real_sin], 1).mT


def back(parts: Tensor, given: Waves) -> Tensor:
    """Return the maps that have a spectrum.

    Parameters
    ----------
    parts : Tensor, shape (N, 2 C, H, W // 2 + 1), float32
        As :func:`spectrum` returns them.
    given : Waves
        For the size of the maps.

    Returns
    -------
    Tensor, shape (N, C, H, W), float32
    """
    (real_cos, imaginary_cos), (real_sin, imaginary_sin) = _turned(parts, given)
    pair = torch.cat([real_cos - imaginary_sin, imaginary_cos + real_sin], -2)
    return pair.mT.contiguous() @ given.back


def _turned(
    parts: Tensor, given: Waves
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the products of both parts with cosines and with sines, on their side.

    A program of any size can only be made of products whose second factor is a single
    matrix: so columns are laid on their side, instead of a matrix before them.
    """
    turned = parts.mT.contiguous()
    cos, sin = ((turned @ wave).chunk(2, 1) for wave in given.rows)
    return (cos[0], cos[1]), (sin[0], sin[1])


def _waves(rows: Tensor, columns: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of 2 pi row column / length, orthonormal."""
    # A size as a tensor: as a number in a program it is known to few operators.
    size = torch.scalar_tensor(length, dtype=torch.int64, device=rows.device)
    # Whole turns are taken off while the numbers are exact.
    phase = torch.remainder(rows[:, None] * columns, size)
    angle = phase.float() * (2 * math.pi / size.float())
    scale = size.float().rsqrt()
    return torch.cos(angle) * scale, torch.sin(angle) * scale
