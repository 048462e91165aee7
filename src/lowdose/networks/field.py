"""The receptive field of a network: which input pixels an output pixel depends on.

Measured as in :mod:`lowdose.networks.reach`, by following a NaN; where pooling makes
the field depend on the place of the output pixel, over all its places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

#: A network that sees further sees the whole image [px].
_LIMIT = 2560

#: Where the search begins [px]. A kernel so dilated that a NaN leaps over the whole
#: image that it is put into would not be seen.
_FIRST = 256

#: How many images are followed at once.
_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """How far a network sees along one axis.

    Parameters
    ----------
    least, greatest : int
        Extent of the input that one output pixel depends on, over the places of the
        output pixel relative to the poolings [px].
    halo : int
        Greatest distance between an output pixel and an input pixel it depends on
        [px].
    """

    least: int
    greatest: int
    halo: int


def measure_field(
    network: nn.Module, *, multiple: int, channels: int = 1
) -> Field | None:
    """Measure the receptive field.

    Parameters
    ----------
    network : torch.nn.Module
        Takes (N, channels, H, W), returns (N, 1, H, W); on the CPU. Its mode is set to
        evaluation. Its width does not matter: measure a narrow twin.
    multiple : int
        The period of the poolings [px].
    channels : int, optional
        Number of input channels.

    Returns
    -------
    Field or None
        None where the network sees the whole image.
    """
    network.eval()
    reach = max(_FIRST, 4 * multiple)
    while reach // 2 < _LIMIT:
        found = _reaches(network, multiple, channels, reach)
        halo = max(max(pair) for pair in found if pair)
        if halo < reach:
            return _over_outputs(found, multiple, halo)
        reach *= 2
    return None


@torch.inference_mode()
def _reaches(
    network: nn.Module, multiple: int, channels: int, reach: int
) -> list[tuple[int, int] | None]:
    """Return how far each input pixel of a period acts to the left and right."""
    found: list[tuple[int, int] | None] = []
    # Few rows are enough: every operator is the same along both axes.
    height, length = max(multiple, 8), 2 * reach + multiple
    for start in range(0, multiple, _BATCH):
        places = [reach + n for n in range(start, min(start + _BATCH, multiple))]
        images = torch.zeros(len(places), channels, height, length)
        for image, place in zip(images, places, strict=True):
            image[..., place] = torch.nan
        touched = torch.isnan(network(images)[:, 0]).any(1)
        for row, place in zip(touched, places, strict=True):
            columns = row.nonzero()
            found.append(
                (place - int(columns.min()), int(columns.max()) - place)
                if len(columns)
                else None
            )
    return found


def _over_outputs(
    found: list[tuple[int, int] | None], multiple: int, halo: int
) -> Field:
    extents = []
    for output in range(multiple):
        seen = [
            place
            for place in range(output - halo, output + halo + 1)
            if (pair := found[place % multiple])
            and place - pair[0] <= output <= place + pair[1]
        ]
        extents.append(max(seen) - min(seen) + 1)
    return Field(least=min(extents), greatest=max(extents), halo=halo)
