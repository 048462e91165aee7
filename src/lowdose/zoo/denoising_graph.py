"""Denoising counts inside a program: the same pixels as a :class:`NetworkDenoiser`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lowdose.zoo.spreading import spreading, summed
from lowdose.zoo.views import View, Views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lowdose.parameters import Value
    from lowdose.zoo.cards import ModelCard
    from lowdose.zoo.measuring_graph import Measuring


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
        self.binning = int(values.get("binning", 1))
        self.spreads = card.spreads(self.binning)
        self.views = Views(int(values["views"]), self.binning, means=card.band)

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

        def see(view: View) -> Tensor:
            z = summed(view.window(counts), self.binning) - coarse
            return view.turn((z - (mean - coarse.double()).float()) / sigma.float())

        # Those of one shape go through the network together.
        lying = [view for view in self.views.all if not view.standing]
        standing = [view for view in self.views.all if view.standing]
        answers = [
            answer
            for group in (lying, standing)
            if group
            for answer in self._answers(group, see, told)
        ]
        total = torch.stack(answers).sum(0)
        if self.spreads:
            rows, columns = (size // self.binning for size in counts.shape[-2:])
            answer = total / self.views.holding(rows, columns)
            out_mean = out_mean / self.binning**2
        else:
            answer = total / len(answers)
        return answer * out_sigma.float() + out_mean.float()

    def _answers(
        self, group: Sequence[View], see: Callable[[View], Tensor], told: Tensor
    ) -> list[Tensor]:
        """Return what the network makes of views of one shape, on the full grid."""
        z = torch.cat([see(view) for view in group])
        y = self._through(z, told.expand(len(group), -1))
        answers = [view.back(y[n : n + 1]) for n, view in enumerate(group)]
        if not self.spreads:
            return answers
        return [self._spread(x, view) for view, x in zip(group, answers, strict=True)]

    def _spread(self, samples: Tensor, view: View) -> Tensor:
        rows, columns = (
            spreading(length, self.binning, moved, means=self.views.means)
            for length, moved in zip(
                samples.shape[-2:], (view.down, view.right), strict=True
            )
        )
        across = samples @ columns.mT
        return (across.mT.contiguous() @ rows.mT).mT

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
