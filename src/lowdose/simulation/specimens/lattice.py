"""Geometry of crystals: filling a box with a lattice, orienting it, tilting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def fill_box(
    vectors: ArrayLike, basis: ArrayLike, low: ArrayLike, high: ArrayLike
) -> tuple[Array, NDArray[np.intp]]:
    """Return every atom of an infinite crystal that lies in a box.

    Parameters
    ----------
    vectors : array_like, shape (3, 3)
        Lattice vectors as rows [nm], already oriented.
    basis : array_like, shape (B, 3)
        Fractional coordinates of the atoms of a unit cell.
    low, high : array_like, shape (3,)
        Opposite corners of the box [nm].

    Returns
    -------
    positions : ndarray, shape (N, 3), float64
        Positions [nm], in a fixed order.
    kinds : ndarray, shape (N,), intp
        For each the number of its atom in `basis`.
    """
    vectors, basis = np.asarray(vectors, float), np.asarray(basis, float)
    low, high = np.asarray(low, float), np.asarray(high, float)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    fractional = corners @ np.linalg.inv(vectors)
    first = np.floor(fractional.min(0)).astype(int) - 1
    last = np.ceil(fractional.max(0)).astype(int) + 1
    axes = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    positions, kinds = [], []
    for number, atom in enumerate(basis):
        sites = (cells + atom) @ vectors
        sites = sites[np.all((sites >= low) & (sites <= high), axis=1)]
        positions.append(sites)
        kinds.append(np.full(len(sites), number))
    return np.concatenate(positions), np.concatenate(kinds)


def orient(up: ArrayLike, beam: ArrayLike) -> Array:
    """Return the rotation that brings a crystal into the frame of the image.

    Parameters
    ----------
    up : array_like, shape (3,)
        Direction, in Cartesian crystal axes, that shall point up in the image, which
        is along -y. Its part along `beam` is ignored.
    beam : array_like, shape (3,)
        Direction that shall lie along the beam, which is z.

    Returns
    -------
    ndarray, shape (3, 3), float64
        Matrix R, with ``positions @ R`` in image axes.

    Raises
    ------
    ParameterError
        If the two are parallel or one is zero.
    """
    along = np.asarray(beam, float)
    upward = np.asarray(up, float)
    size = np.linalg.norm(along)
    if size > 0:
        along = along / size
        upward = upward - (upward @ along) * along
    if size == 0 or np.linalg.norm(upward) < 1e-9:
        msg = f"Directions {up!r} (up) and {beam!r} (beam) span no plane."
        raise ParameterError(msg)
    down = -upward / np.linalg.norm(upward)
    return np.stack([np.cross(down, along), down, along], axis=1)


def rotation(axis: str, degrees: float) -> Array:
    """Return the rotation about an image axis, for ``positions @ R``.

    Parameters
    ----------
    axis : {"x", "y", "z"}
        Axis to turn about.
    degrees : float
        Angle [°]. About z it turns from x towards y, clockwise in the image.

    Returns
    -------
    ndarray, shape (3, 3), float64
        Orthogonal matrix.
    """
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = sine, -sine
    return matrix


def tilting(tilt_x: float, tilt_y: float) -> Array:
    """Return the rotation by a tilt about x and then one about y [°]."""
    return rotation("x", tilt_x) @ rotation("y", tilt_y)


def cubic_cell(constant: float) -> Array:
    """Return the vectors of a cubic cell of a lattice constant [nm]."""
    return np.eye(3) * constant


#: Fractional coordinates of the face-centred sites of a cubic cell.
FACE_CENTRED: Sequence[Sequence[float]] = (
    (0.0, 0.0, 0.0),
    (0.0, 0.5, 0.5),
    (0.5, 0.0, 0.5),
    (0.5, 0.5, 0.0),
)
