"""Stages of a detector that have parameters of their own: beam, dose, blur."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamProfile:
    """A beam that is brightest at one place: a round Gaussian, 1 at its peak.

    Parameters
    ----------
    narrowest, widest : float
        Range of its standard deviation, as a share of the longer side of the image;
        each exposure draws one uniformly.
    offset : float, optional
        Standard deviation of the distance of its centre from that of the image, along
        each axis, as a share of that side.

    Raises
    ------
    ParameterError
        If the widths are not positive and in order, or the offset is negative.
    """

    narrowest: float
    widest: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.narrowest <= self.widest < math.inf:
            msg = (
                f"A beam of width {self.narrowest:g} to {self.widest:g} of the image "
                "is not possible; give 0 < narrowest <= widest."
            )
            raise ParameterError(msg)
        at_least("offset of the beam", self.offset, 0)

    def draw(self, shape: tuple[int, ...], rng: Generator) -> NDArray[np.float64]:
        """Return the share of the peak intensity in every pixel, shape (H, W)."""
        width = rng.uniform(self.narrowest, self.widest) * max(shape)
        centre = [(0.5 + self.offset * rng.standard_normal()) * side for side in shape]
        y, x = np.ogrid[: shape[0], : shape[1]]
        square = (y + 0.5 - centre[0]) ** 2 + (x + 0.5 - centre[1]) ** 2
        return np.exp(-square / (2 * width**2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """What the image is multiplied by to give electrons per pixel.

    Parameters
    ----------
    law : {"fixed", "uniform", "log-uniform", "exponential"}
        ``"fixed"`` is `low`; the uniform laws draw from `low` to `high`;
        ``"exponential"`` draws `low` plus an exponential of mean `high`.
    low, high : float
        Parameters of the law [e-/px, or a pure number with ``of="image"``].
    of : {"image", "mean", "peak"}
        ``"image"``: a factor on the image as it is. ``"mean"``: the mean over the image
        becomes the dose. ``"peak"``: the image is first rescaled to 0 to 1 (a constant
        one becomes 0.5), so that its brightest pixel expects the dose.

    Raises
    ------
    ParameterError
        If the law is unknown, or its parameters are negative or not in order.
    """

    law: Literal["fixed", "uniform", "log-uniform", "exponential"] = "fixed"
    low: float = 1.0
    high: float = 0.0
    of: Literal["image", "mean", "peak"] = "image"

    def __post_init__(self) -> None:
        if self.law not in ("fixed", "uniform", "log-uniform", "exponential"):
            msg = (
                f"There is no dose law {self.law!r}. Use fixed, uniform, log-uniform "
                "or exponential."
            )
            raise ParameterError(msg)
        if self.of not in ("image", "mean", "peak"):
            msg = f"A dose of the {self.of!r} is unknown. Use image, mean or peak."
            raise ParameterError(msg)
        at_least("low dose", self.low, 0)
        at_least("high dose", self.high, 0)
        if self.law.endswith("uniform") and self.high < self.low:
            msg = f"A dose from {self.low:g} to {self.high:g} is not in order."
            raise ParameterError(msg)
        if self.law == "log-uniform" and self.low == 0:
            msg = "A log-uniform dose from 0 is not possible; give low above 0."
            raise ParameterError(msg)

    def draw(self, rng: Generator) -> float:
        """Return one dose."""
        match self.law:
            case "fixed":
                return self.low
            case "uniform":
                return float(rng.uniform(self.low, self.high))
            case "log-uniform":
                low, high = math.log(self.low), math.log(self.high)
                return math.exp(rng.uniform(low, high))
            case _:
                return self.low + float(rng.exponential(self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A transfer function exp(-a q^p), 1 at zero frequency.

    Parameters
    ----------
    nyquist : float
        Its value at the Nyquist frequency along an axis, above 0 and at most 1.
    power : float, optional
        The exponent p: 1 falls at once, as scintillators do; 2 is a Gaussian.

    Raises
    ------
    ParameterError
        If a value is out of range.
    """

    nyquist: float
    power: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.nyquist <= 1:
            msg = f"A transfer of {self.nyquist:g} at Nyquist is not within 0 to 1."
            raise ParameterError(msg)
        if not 0 < self.power < math.inf:
            msg = f"The exponent of a transfer must be positive, not {self.power:g}."
            raise ParameterError(msg)

    def at(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the transfer at frequencies [Nyquist]."""
        return np.asarray(self.nyquist ** (q**self.power))


def at_least(name: str, value: float, least: float) -> None:
    """Raise ParameterError unless a value is a number of at least `least`."""
    if not (math.isfinite(value) and value >= least):
        msg = f"The {name} is {value:g}; it must be a number of at least {least:g}."
        raise ParameterError(msg)
