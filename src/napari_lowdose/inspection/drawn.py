"""The region of vacuum that the user drew, as a mask of one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import InvalidImageError

if TYPE_CHECKING:
    from napari.layers import Image, Shapes
    from numpy.typing import NDArray

#: Shapes that enclose something.
_AREAS: Final = ("rectangle", "polygon", "ellipse")
#: Corners of the polygon that stands for an ellipse.
_CORNERS: Final = 64


def drawn_mask(
    shapes: Shapes, image: Image, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return the pixels of a frame that lie inside the shapes of a layer.

    Parameters
    ----------
    shapes : Shapes
        What was drawn, anywhere in the world of the viewer.
    image : Image
        The layer that it is about.
    shape : tuple of int
        Height and width of its frames [px].

    Returns
    -------
    ndarray, shape (H, W), bool
        Pixels whose centres lie inside.

    Raises
    ------
    InvalidImageError
        If the layer has no rectangle, polygon or ellipse, or none over the image.
    """
    from skimage.draw import polygon2mask

    mask = np.zeros(shape, bool)
    for corners, kind in zip(shapes.data, shapes.shape_type, strict=True):
        if kind not in _AREAS:
            continue
        outline = _ellipse(corners) if kind == "ellipse" else np.asarray(corners)
        corners_px = _in_pixels(outline, shapes, image)
        inside: NDArray[np.bool_] = polygon2mask(shape, corners_px)  # type: ignore[no-untyped-call]
        mask |= inside
    if not mask.any():
        msg = (
            f"{shapes.name!r} encloses no pixel of {image.name!r}. Draw a rectangle, a "
            "polygon or an ellipse over a region of vacuum, or let it be found."
        )
        raise InvalidImageError(msg)
    return mask


def _in_pixels(corners: NDArray[Any], shapes: Shapes, image: Image) -> NDArray[Any]:
    """Return corners in rows and columns of the image, shape (N, 2)."""
    found = []
    for corner in corners:
        world = np.asarray(shapes.data_to_world(corner), float)[-2:]
        # What the leading axes say does not matter: a region holds for all frames.
        padded = np.concatenate([np.zeros(max(0, image.ndim - 2)), world])
        found.append(np.asarray(image.world_to_data(padded), float)[-2:])
    return np.asarray(found)


def _ellipse(corners: NDArray[Any]) -> NDArray[np.float64]:
    """Return a polygon round an ellipse that is given by the corners of its box."""
    box = np.asarray(corners, dtype=np.float64)
    middle = box.mean(axis=0)
    across, along = (box[1] - box[0]) / 2, (box[2] - box[1]) / 2
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(angle) * across + np.sin(angle) * along)
