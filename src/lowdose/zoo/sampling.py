r"""Canonical sampling: the pixel size that a network works at, and the way there.

Micrographs at atomic resolution are oversampled: the aberrations of the lens end the
spectrum far below the highest frequency of the pixels. Nothing is lost if blocks of
pixels are summed, and summed Poisson counts are Poisson counts. So a network may work
at one sampling near the information limit, whatever the magnification: it needs fewer
pixels by the square of the binning, and sees a field of view as much larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Largest edge of a block [px].
MOST_BINNING: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The pixel sizes that a network was trained at.

    Parameters
    ----------
    pixel_size : float
        The one it knows best [nm].
    finest, coarsest : float
        Range that it was trained for [nm]; the coarsest at least twice the finest, or
        some micrographs could not be brought into it.

    Raises
    ------
    ParameterError
        If they are not positive and in order.
    """

    pixel_size: float
    finest: float
    coarsest: float

    def __post_init__(self) -> None:
        values = (self.finest, self.pixel_size, self.coarsest)
        if not (
            all(math.isfinite(v) for v in values)
            and 0 < self.finest <= self.pixel_size <= self.coarsest
        ):
            msg = (
                f"finest={self.finest}, pixel_size={self.pixel_size} and coarsest="
                f"{self.coarsest} [nm] must be positive and in this order."
            )
            raise ParameterError(msg)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Sampling:
        """Read the ``[sampling]`` table of a model card or a recipe.

        Raises
        ------
        ParameterError
            If a value is missing, unknown or not a number.
        """
        names = ("pixel_size_nm", "finest_nm", "coarsest_nm")
        if set(table) != set(names):
            msg = f"sampling has {sorted(table)}; it must have {', '.join(names)}."
            raise ParameterError(msg)
        for name in names:
            if isinstance(table[name], bool) or not isinstance(
                table[name], int | float
            ):
                msg = f"sampling.{name}={table[name]!r} must be a number [nm]."
                raise ParameterError(msg)
        return cls(
            pixel_size=float(table["pixel_size_nm"]),
            finest=float(table["finest_nm"]),
            coarsest=float(table["coarsest_nm"]),
        )

    def to_table(self) -> dict[str, float]:
        """Return the ``[sampling]`` table."""
        return {
            "pixel_size_nm": self.pixel_size,
            "finest_nm": self.finest,
            "coarsest_nm": self.coarsest,
        }

    def binning_for(self, pixel_size: float) -> int:
        """Return how many pixels to sum along each edge of a block.

        Parameters
        ----------
        pixel_size : float
            Of the micrograph [nm].

        Returns
        -------
        int
            At least 1. The sums are as near as can be, by ratio, to the sampling that
            the network knows best; a binning that brings them into its range goes
            before one that does not.
        """
        most = min(MOST_BINNING, math.ceil(self.coarsest / pixel_size))

        def distance(binning: int) -> tuple[bool, float]:
            size = pixel_size * binning
            return not self.covers(size), abs(math.log(size / self.pixel_size))

        return min(range(1, max(1, most) + 1), key=distance)

    def covers(self, pixel_size: float) -> bool:
        """Tell whether the network was trained at a pixel size [nm]."""
        # A pixel size read from a file is rounded.
        return 0.999 * self.finest <= pixel_size <= 1.001 * self.coarsest
