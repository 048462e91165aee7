"""How a scan goes astray: the beam jitters, rows are displaced, the specimen drifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import map_coordinates

from lowdose.errors import ParameterError
from lowdose.simulation.specimens.specimen import check_range

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanErrors:
    """Displacements of the beam against the specimen while an image is scanned.

    Parameters
    ----------
    jitter : float
        Standard deviation of the displacement of each pixel, along each axis [nm].
    line_jitter : float
        That of whole rows, along the rows and across them [nm].
    drift_y, drift_x : float
        How far the specimen moves along y and x during the image [nm].

    Raises
    ------
    ParameterError
        If a standard deviation is negative, or a number out of range.
    """

    jitter: float = 0.0
    line_jitter: float = 0.0
    drift_y: float = 0.0
    drift_x: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            check_range(self, name, low, high, "nm")

    @classmethod
    def draw(cls, rng: Generator) -> ScanErrors:
        """Draw the errors of a good instrument.

        Up to 4 pm of jitter and 12 pm of rows, and up to 0.15 nm of drift in any
        direction. Our own ranges.

        Parameters
        ----------
        rng : Generator
            Source of every choice.

        Returns
        -------
        ScanErrors
        """
        angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.15)
        return cls(
            jitter=rng.uniform(0, 0.004),
            line_jitter=rng.uniform(0, 0.012),
            drift_y=float(way * np.sin(angle)),
            drift_x=float(way * np.cos(angle)),
        )


_RANGES: Final = (
    ("jitter", 0, 1),
    ("line_jitter", 0, 1),
    ("drift_y", -100, 100),
    ("drift_x", -100, 100),
)


def distort_scan(
    image: NDArray[np.floating],
    sampling: float,
    errors: ScanErrors,
    *,
    rng: Generator,
    border: int = 0,
) -> NDArray[np.float32]:
    """Record an image with a beam that does not go where it should.

    Pixel by pixel and row by row the beam is displaced at random, and the specimen
    drifts while the rows are read (L. Jones, P. D. Nellist, Microsc. Microanal. 19,
    1050 (2013), doi:10.1017/S1431927613001402). The image is interpolated by cubic
    splines.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Undistorted image, rows along the fast scan direction.
    sampling : float
        Pixel size [nm/px].
    errors : ScanErrors
        How far the beam goes astray.
    rng : Generator
        Source of the displacements.
    border : int, optional
        Rows and columns at each side of `image` that lie beyond the scan [px]: what a
        displaced beam finds there.

    Returns
    -------
    ndarray, shape (H - 2 border, W - 2 border), float32
        Distorted image; beyond what `image` shows the nearest pixel is repeated.

    Raises
    ------
    ParameterError
        If the border leaves nothing of the image.
    """
    height, width = (side - 2 * border for side in image.shape)
    if border < 0 or min(height, width) < 1:
        msg = (
            f"A border of {border} px leaves nothing of an image of {image.shape[0]} x "
            f"{image.shape[1]} px. Give a smaller one, from 0 on."
        )
        raise ParameterError(msg)
    places = np.asarray(np.mgrid[:height, :width], float) + border
    places += rng.normal(size=places.shape) * (errors.jitter / sampling)
    places += rng.normal(size=(2, height, 1)) * (errors.line_jitter / sampling)
    # Half of the drift before the middle row, half after: the image stays centred.
    time = (np.arange(height)[:, np.newaxis] + 0.5) / height - 0.5
    drift = np.reshape([errors.drift_y, errors.drift_x], (2, 1, 1))
    places -= drift * time / sampling
    moved = map_coordinates(image.astype(float), places, order=3, mode="nearest")
    return np.asarray(moved, dtype=np.float32)
