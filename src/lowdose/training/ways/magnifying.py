"""Crops of images at other magnifications and angles, from pixels alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lowdose.errors import ParameterError
from lowdose.training.examples import turned

if TYPE_CHECKING:
    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    Image = NDArray[np.float32]


class Magnifier:
    """Cuts, flips, magnifies and turns; crops are inside their image everywhere.

    Parameters
    ----------
    shape : (int, int)
        Of the images [px].
    patch : int
        Side of the crops [px].
    scale : (float, float)
        Range of the magnification, the same along both axes.
    rotation : float
        Largest rotation either way [degrees].

    Raises
    ------
    ParameterError
        If the images are too small for a crop.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        patch: int,
        *,
        scale: tuple[float, float],
        rotation: float,
    ) -> None:
        self._patch, self._scale, self._rotation = patch, scale, rotation
        angle = math.radians(min(rotation, 45.0))
        turned_side = patch * (math.cos(angle) + math.sin(angle)) / scale[0]
        #: Side of what is magnified and turned into a crop [px].
        self._side = math.ceil(turned_side) + 2
        if self._side > min(shape):
            msg = (
                f"training.patch={patch} needs {self._side} px of an image before it "
                f"is magnified by {scale[0]:g} and turned, but those of the set have "
                f"{shape[0]} x {shape[1]} px. Use a smaller patch, less rotation, or "
                "scale_min=1 and scale_max=1."
            )
            raise ParameterError(msg)

    def crop(self, image: Image, rng: Random) -> Image:
        """Return a random crop of an image, (patch, patch)."""
        patch, side = self._patch, self._side
        top, left = (int(rng.integers(n - side + 1)) for n in image.shape)
        cut = turned(image[top : top + side, left : left + side], int(rng.integers(8)))
        scale = float(rng.uniform(*self._scale))
        angle = float(rng.uniform(-1, 1)) * math.radians(self._rotation)
        if scale == 1 and angle == 0:
            start = (side - patch) // 2
            return cut[start : start + patch, start : start + patch]
        import torch

        from lowdose.training.augmentation import rescale_and_rotate

        # Quarter turns are in `turned` already.
        angle = (angle + math.pi / 4) % (math.pi / 2) - math.pi / 4
        result = rescale_and_rotate(
            torch.from_numpy(cut)[None, None],
            torch.tensor([scale]),
            torch.tensor([angle]),
            patch,
        )
        changed: Image = result[0, 0].numpy()
        return np.maximum(changed, 0)
