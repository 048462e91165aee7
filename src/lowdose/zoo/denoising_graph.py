"""Denoising counts inside a program: the same pixels as a :class:`NetworkDenoiser`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lowdose.zoo.measuring_graph import Measuring, summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.parameters import Value
    from lowdose.zoo.cards import ModelCard


class Denoising(nn.Module):
    """Counts of a patch and the measures of its frame -> denoised counts.

    Parameters
    ----------
    card : ModelCard
        What the network is.
    network : torch.nn.Module
        In evaluation mode.
    values : mapping
        Of the parameters of the card; ``binning`` must not be 0.
    """

    def __init__(
        self, card: ModelCard, network: nn.Module, values: Mapping[str, Value]
    ) -> None:
        super().__init__()
        self.network = network
        use_matrices = getattr(network, "use_matrices", None)
        if use_matrices is not None:
            use_matrices()
        self.spreads = card.sampling is not None
        self.binning = int(values.get("binning", 1)) if self.spreads else 1
        self.views = int(values["views"])

    def forward(self, counts: Tensor, measures: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        counts : Tensor, shape (1, frames, H, W), float32
            Counts; H and W multiples of the binning and of what the network needs.
        measures : Tensor, float64
            As :class:`~lowdose.zoo.measuring_graph.Measuring` returns them.

        Returns
        -------
        Tensor, shape (1, 1, H, W), float32
            Counts.
        """
        mean, sigma, out_mean, out_sigma = measures[:4].unbind()
        told = measures[4:].float()[None]
        # The mean in two parts: counts with a large offset would else lose their last
        # digits in single precision.
        coarse = mean.float()
        z = summed(counts, self.binning) - coarse
        z = (z - (mean - coarse.double()).float()) / sigma.float()
        answer = self._averaged(z, told)
        if self.spreads:
            answer = _spread(answer, self.binning)
            out_mean = out_mean / self.binning**2
        return answer * out_sigma.float() + out_mean.float()

    def _averaged(self, z: Tensor, told: Tensor) -> Tensor:
        """Average over views; those of one shape go through the network together."""
        if self.views == 1:
            return self._through(z, told)
        lying = self._turned(z, told)
        if self.views == 2:
            return lying
        # The other quarter turns: of the mirrored diagonal, and flipped as the first.
        standing = self._turned(z.mT.contiguous(), told, flipped=self.views == 4).mT
        return (lying + standing) / 2

    def _turned(self, z: Tensor, told: Tensor, *, flipped: bool = False) -> Tensor:
        flips: list[list[int]] = [[], [-2, -1], [-2], [-1]]
        if self.views < 8:
            flips = flips[2:] if flipped else flips[:2]
        views = torch.cat([z.flip(axes) if axes else z for axes in flips])
        answers = self._through(views, told.expand(len(flips), -1))
        parts = [
            answers[n : n + 1].flip(axes) if axes else answers[n : n + 1]
            for n, axes in enumerate(flips)
        ]
        return torch.cat(parts).mean(0, keepdim=True)

    def _through(self, z: Tensor, told: Tensor) -> Tensor:
        conditioned = getattr(self.network, "conditioned", None)
        if conditioned is None:
            told = told[:, :, None, None].expand(-1, -1, *z.shape[2:])
            answer: Tensor = self.network(torch.cat([z, told], 1))
        else:
            answer = conditioned(z, told)
        return answer


class Whole(nn.Module):
    """Counts of a whole frame -> denoised counts, of the same mean.

    Parameters
    ----------
    measuring, denoising : torch.nn.Module
        Of one model.
    """

    def __init__(self, measuring: Measuring, denoising: Denoising) -> None:
        super().__init__()
        self.measuring, self.denoising = measuring, denoising

    def forward(self, counts: Tensor) -> Tensor:
        """Measure and denoise.

        Parameters
        ----------
        counts : Tensor, shape (1, frames, H, W), float32
            The frame that is denoised, in the middle of its neighbours in time.

        Returns
        -------
        Tensor, shape (1, 1, H, W), float32
        """
        middle = counts.shape[1] // 2
        frame = counts[:, middle : middle + 1]
        clean: Tensor = self.denoising(counts, self.measuring(frame))
        change = frame.double().mean() - clean.double().mean()
        return clean + change.float()


def _spread(samples: Tensor, binning: int) -> Tensor:
    """Do as :func:`lowdose.zoo.spreading.spread`, by products with matrices."""
    across = samples @ _spreading(samples.shape[-1], binning).mT
    down = across.mT.contiguous() @ _spreading(samples.shape[-2], binning).mT
    return down.mT


def _spreading(length: int, binning: int) -> Tensor:
    """Return what each sample along an axis adds to each pixel, (pixels, samples)."""
    order = torch.arange(length)
    # Sizes as tensors: as numbers in a program they are known to few operators.
    size = torch.scalar_tensor(length, dtype=torch.int64)
    there = _cosines(torch.arange(length), order, size)
    pixels = size * binning
    back = _cosines(torch.arange(length * binning), order, pixels)
    # What averaging over a pixel leaves of each cosine.
    angle = order.double() * math.pi / (2 * pixels).double()
    averaged = torch.where(order == 0, 1.0, 2 * angle.sin() / angle.clamp(min=1e-9))
    weights = (averaged / pixels.double()).float()
    return (back * weights) @ there.mT


def _cosines(places: Tensor, order: Tensor, size: Tensor) -> Tensor:
    """Return cos(pi (place + 1/2) order / size)."""
    # Whole turns are taken off while the numbers are exact.
    phase = torch.remainder((2 * places[:, None] + 1) * order, 4 * size)
    return torch.cos(phase.double() * math.pi / (2 * size).double()).float()
