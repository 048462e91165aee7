"""Measuring a frame inside a program: the same numbers as :func:`normalising.measure`.

What numpy does on arrays of any content is written again as one graph whose shapes
follow from the size of the frame alone: no loops over the content, no branches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from lowdose.networks import normalising, spectrum
from lowdose.noise import NoiseModel
from lowdose.noise.counts import BLOCK, DISPERSION
from lowdose.zoo.spreading import summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.parameters import Value
    from lowdose.zoo.cards import ModelCard

#: Least side of a frame, after summing [px]: one window of its power spectrum.
LEAST_SIDE: Final = spectrum.WINDOW

#: What a network's input and output are scaled by, before its conditions.
_SCALES: Final = ("mean", "sigma", "out_mean", "out_sigma")


def measure_names(card: ModelCard) -> tuple[str, ...]:
    """Return what is measured for a model, in the order of the vector of measures."""
    return (*_SCALES, *normalising.CONDITIONS[: int(card.options.get("conditions", 0))])


class Measuring(nn.Module):
    """Counts of a frame -> what its patches are normalised by.

    Parameters
    ----------
    card : ModelCard
        Whose network is told.
    values : mapping
        Of the parameters of the card: ``noise`` with ``gain``, ``offset`` and
        ``read_noise``, and ``binning``, which must not be 0.
    """

    taper: Tensor
    share: Tensor
    cos: Tensor
    sin: Tensor
    most: Tensor

    def __init__(self, card: ModelCard, values: Mapping[str, Value]) -> None:
        super().__init__()
        self.kind = card.normalisation
        self.binning = int(values.get("binning", 1))
        self.conditions = int(card.options.get("conditions", 0))
        self.noise = str(values["noise"]) if self.conditions else "blind"
        given = (
            {key: float(values[key]) for key in ("gain", "offset", "read_noise")}
            if self.noise == "counts"
            else {}
        )
        self.model = NoiseModel(**given).binned(self.binning)
        taper, share = spectrum.tables(LEAST_SIDE, LEAST_SIDE)
        self.register_buffer("taper", torch.tensor(taper))
        self.register_buffer("share", torch.tensor(share))
        turns = torch.arange(LEAST_SIDE).outer(torch.arange(LEAST_SIDE)) % LEAST_SIDE
        angle = turns.double() * (2 * torch.pi / LEAST_SIDE)
        self.register_buffer("cos", angle.cos().float())
        self.register_buffer("sin", angle.sin().float())
        most = torch.tensor(normalising.MOST_POWERS)
        self.register_buffer("most", most)

    def forward(self, frame: Tensor) -> Tensor:
        """Measure.

        Parameters
        ----------
        frame : Tensor, shape (1, 1, H, W), float32
            Counts, finite; at least 64 px along each side after summing.

        Returns
        -------
        Tensor, shape (len(measure_names(card)),), float64
        """
        counts = frame[0, 0]
        image = summed(counts, self.binning)
        exact = image.double()
        mean = exact.mean()
        blind = self._blind_sigma(exact, mean)
        variance = self.model.gain * (mean - self.model.offset).clamp(min=0)
        variance = variance + self.model.read_noise**2
        known = (variance > 0) & self._is_known(counts)
        sigma = torch.where(known, variance.clamp(min=1e-300).sqrt(), blind)
        growth = torch.where(known, self.model.gain / sigma, 0.0)
        told = [known.double(), growth.clamp(max=normalising.MOST_GROWTH)]
        scales = [mean, sigma, mean, sigma]
        if self.kind == "counts":
            zero, one = torch.zeros_like(mean), torch.ones_like(mean)
            scales, told[1] = [zero, one, zero, one], zero
        elif self.kind == "min-max":
            scales, told[1] = _min_max(exact, mean), torch.zeros_like(mean)
        parts = [torch.stack([*scales, *told[: self.conditions]])]
        if self.conditions > len(told):
            powers = self._powers(image) / (sigma * sigma)
            least = torch.finfo(torch.float64).tiny
            exponents = powers.clamp(min=least).log() / torch.log(
                torch.tensor(10.0, dtype=torch.float64)
            )
            exponents = exponents.clamp(min=normalising.LEAST_POWER)
            exponents = torch.minimum(exponents, self.most)
            parts.append(exponents[: self.conditions - len(told)])
        return torch.cat(parts)

    def _blind_sigma(self, exact: Tensor, mean: Tensor) -> Tensor:
        least = (exact - mean).square().mean().sqrt() / normalising.MOST_CONTRAST
        sigma = torch.maximum(_residual(exact).square().mean().sqrt(), least)
        constant = normalising.NO_NOISE * (1 + mean.abs())
        return torch.where(sigma > 0, sigma, constant)

    def _is_known(self, counts: Tensor) -> Tensor:
        if self.noise != "auto":
            return torch.tensor(self.noise == "counts")
        return _looks_like_counts(counts.double())

    def _powers(self, image: Tensor) -> Tensor:
        """Do as :func:`lowdose.networks.spectrum.band_powers`."""
        index, weights = _windows(image.shape[0], image.shape[1])
        windows = image.reshape(-1)[index]
        windows = (windows - windows.mean((1, 2), keepdim=True)) * self.taper
        # The transform of a window is two products with a matrix of constant size.
        cos, sin = windows @ self.cos, windows @ self.sin
        cos, sin = cos.mT, sin.mT
        real = cos @ self.cos - sin @ self.sin
        imaginary = cos @ self.sin + sin @ self.cos
        power = (real.square() + imaginary.square()).double().mT
        power = (power * weights[:, None, None]).sum(0) / weights.sum()
        return self.share @ power.reshape(-1)


def _min_max(exact: Tensor, mean: Tensor) -> list[Tensor]:
    low, high = exact.min(), exact.max()
    span = torch.where(high > low, high - low, 1.0)
    seen = (mean - low) / span
    scale = torch.where(seen > 0, mean / torch.where(seen > 0, seen, 1.0), 1.0)
    return [low, span, torch.zeros_like(mean), scale]


def _residual(exact: Tensor) -> Tensor:
    """Return the second difference along both axes, of the variance of the noise."""
    rows = exact[:-2] - 2 * exact[1:-1] + exact[2:]
    both: Tensor = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return both / 6


def _looks_like_counts(exact: Tensor) -> Tensor:
    """Do as :func:`lowdose.noise.looks_like_counts`, over all of a large frame."""
    whole = (exact.min() >= 0) & (exact == exact.floor()).all()
    noise = _block_sums(_residual(exact).square())
    mean = _block_sums(exact[:-2, :-2])
    lit = mean > 0
    ratio = torch.where(lit, noise / torch.where(lit, mean, 1.0), torch.inf)
    ordered = ratio.reshape(-1).sort().values
    place = 0.25 * (lit.sum().double() - 1)
    lower = place.floor().clamp(min=0)
    first = ordered[lower.long()]
    second = ordered[place.ceil().clamp(min=0).long()]
    quartile = first + (second - first) * (place - lower)
    low, high = DISPERSION
    return whole & (quartile >= low) & (quartile <= high)


def _block_sums(image: Tensor) -> Tensor:
    """Sum blocks, of which the last of each row and column take what is left over."""
    for _ in range(2):
        # Of running totals, since to cut a program's array at a place that depends on
        # its size, it must be proved that the place is in it.
        height = image.shape[0]
        totals = image.cumsum(0)
        number = torch.arange(height // BLOCK)
        last = number == number[-1]
        ends = torch.where(last, _as_tensor(height), BLOCK * (number + 1)) - 1
        before = (BLOCK * number - 1).clamp(min=0)
        missing = torch.where(number > 0, 1.0, 0.0)[:, None]
        image = (totals[ends] - missing * totals[before]).mT.contiguous()
    return image


def _windows(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the places of the windows in a flat frame, and which of them count.

    There are always as many as a large frame has; of those of a small one that are the
    same, one counts.
    """
    rows, tops_end = _along(height)
    columns, lefts_end = _along(width)
    most = torch.tensor(spectrum.MOST_WINDOWS)
    chosen = _spaced(torch.arange(spectrum.MOST_WINDOWS), rows * columns - 1, most)
    new = (chosen[1:] != chosen[:-1]).double()
    counting = torch.cat([torch.ones(1, dtype=torch.float64), new])
    tops = _spaced(chosen // columns, tops_end, rows)
    lefts = _spaced(chosen % columns, lefts_end, columns)
    side = torch.arange(LEAST_SIDE)
    down = (tops[:, None] + side)[:, :, None] * _as_tensor(width)
    return down + (lefts[:, None] + side)[:, None, :], counting


def _along(length: int) -> tuple[Tensor, Tensor]:
    """Return how many windows there are along an axis, and the last one's start."""
    size = _as_tensor(length)
    return (2 * size // LEAST_SIDE - 1).clamp(min=1), size - LEAST_SIDE


def _spaced(place: Tensor, end: Tensor, count: Tensor) -> Tensor:
    """Return some of `count` whole numbers spread from 0 to `end`, as numpy does."""
    step = end.double() / (count - 1).clamp(min=1).double()
    spread = (place.double() * step).floor().long()
    return torch.where((place == count - 1) & (count > 1), end, spread)


def _as_tensor(size: int) -> Tensor:
    # As a number in a program, a size is known to few operators.
    return torch.scalar_tensor(size, dtype=torch.int64)
