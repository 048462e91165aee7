"""What the published networks take as input, and how it becomes counts again.

All of them are a shift and a unit: ``z = (counts - offset) / unit``, and back
``counts = z * unit + offset``. Recipes and models of this project see counts through
``mean-and-noise`` (:mod:`lowdose.networks.normalising`), whatever the architecture;
the others are for comparing with the publications and for using their weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lowdose.networks import normalising

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Frame = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A shift and a unit that are measured on a frame.

    Parameters
    ----------
    forward, inverse : str
        The formulas, in words that a table has room for.
    measure : callable
        Returns offset and unit [counts] of a frame of counts.
    """

    forward: str
    inverse: str
    measure: Callable[[Frame], tuple[float, float]]

    def apply(self, frame: Frame) -> tuple[Frame, float, float]:
        """Scale a frame.

        Parameters
        ----------
        frame : ndarray, shape (H, W)
            Counts, finite.

        Returns
        -------
        scaled : ndarray, shape (H, W), float32
        offset, unit : float
            For :meth:`invert` [counts].
        """
        offset, unit = self.measure(frame)
        # A constant frame has no unit of its own, and any will do.
        unit = unit if unit > 0 and math.isfinite(unit) else 1.0
        # In double precision: counts on a large offset would lose their last digits.
        scaled = (np.asarray(frame, np.float64) - offset) / unit
        return scaled.astype(np.float32), offset, unit

    @staticmethod
    def invert(scaled: Frame, offset: float, unit: float) -> Frame:
        """Return counts for what a network made of a scaled frame."""
        return (scaled * unit + offset).astype(np.float32)


def _mean_and_noise(frame: Frame) -> tuple[float, float]:
    measures = normalising.measure(np.asarray(frame, np.float32), None)
    return measures["mean"], measures["sigma"]


def _min_max(frame: Frame) -> tuple[float, float]:
    low, high = float(frame.min()), float(frame.max())
    return low, high - low


#: Name -> scaling.
SCALINGS: Mapping[str, Scaling] = MappingProxyType(
    {
        "counts": Scaling(
            forward="z = counts", inverse="counts = z", measure=lambda _: (0.0, 1.0)
        ),
        "full-scale": Scaling(
            forward="z = counts / max",
            inverse="counts = z * max",
            measure=lambda frame: (0.0, float(frame.max())),
        ),
        "centred": Scaling(
            forward="z = counts / max - 1/2",
            inverse="counts = (z + 1/2) * max",
            measure=lambda frame: (float(frame.max()) / 2, float(frame.max())),
        ),
        "min-max": Scaling(
            forward="z = (counts - min) / (max - min)",
            inverse="counts = z * (max - min) + min",
            measure=_min_max,
        ),
        "standardised": Scaling(
            forward="z = (counts - mean) / deviation",
            inverse="counts = z * deviation + mean",
            measure=lambda frame: (float(frame.mean()), float(frame.std())),
        ),
        "mean-and-noise": Scaling(
            forward="z = (counts - mean) / sigma, of the noise",
            inverse="counts = z * sigma + mean",
            measure=_mean_and_noise,
        ),
    }
)
