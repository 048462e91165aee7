"""Our own network for counts: a U of residual blocks that is told dose and spectrum.

What was chosen, and why:

* **A pixel-unshuffle stem.** Electron micrographs are oversampled; work on 2 x 2 times
  fewer pixels costs a quarter and loses nothing, since every pixel is still seen.
* **Residual blocks without normalisation.** Doses within a batch differ by a factor of
  10^4, so the statistics of a batch fit no single image (on the same data, batch
  normalisation that was never frozen lost 3 to 7 dB at low dose).
* **Modulation by what is known of the frame.** At a few counts per pixel the best
  estimate of weak texture is a Wiener filter, which depends on the spectrum of the
  frame and on its noise, and neither can be seen from one place of it. Both are
  measured once per frame, and scale the feature maps of each block (FiLM [1]_).
* **A reach of about 110 pixels**, measured and not estimated, so that tiles equal the
  whole frame to the last bit at little cost.
* **Bilinear upsampling behind 1 x 1 convolutions**, which makes no checkerboard.

References
----------
.. [1] E. Perez, F. Strub, H. de Vries, V. Dumoulin, A. Courville, "FiLM: Visual
   Reasoning with a General Conditioning Layer", AAAI 2018. arXiv:1709.07871
.. [2] K. Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior",
   IEEE Trans. Pattern Anal. Mach. Intell. 44, 6360 (2022): residual blocks in a UNet.
   doi:10.1109/TPAMI.2021.3088914
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Width of the hidden layer that turns the conditions into modulations.
_HIDDEN = 64


class _Block(nn.Module):
    """Convolution, modulation, ReLU, convolution, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        # A block begins near the identity, so that deep stacks train from the start.
        with torch.no_grad():
            self.second.weight.mul_(0.2)

    def forward(self, x: Tensor, modulation: Tensor | None) -> Tensor:
        y = self.first(x)
        if modulation is not None:
            scale, shift = modulation[..., None, None].to(y.dtype).chunk(2, 1)
            y = y * (1 + scale) + shift
        added: Tensor = x + self.second(functional.relu(y))
        return added


class DoseUNet(nn.Module):
    """A UNet of residual blocks, modulated by constants of the frame.

    Parameters
    ----------
    base : int
        Feature maps at the finest level; each further level has twice as many.
    blocks : sequence of int, optional
        Residual blocks on the way down at each level, and at the last level once. On
        the way up there are as many again, except at the last level.
    stem : int, optional
        The finest level has `stem` x `stem` times fewer pixels than the image.
    conditions : int, optional
        Number of input channels, behind the image, that are constant over it.

    Raises
    ------
    ParameterError
        If a size is not positive, or `blocks` is empty.
    """

    def __init__(
        self,
        *,
        base: int = 24,
        blocks: Sequence[int] = (2, 2, 3),
        stem: int = 2,
        conditions: int = 0,
    ) -> None:
        super().__init__()
        if not blocks or min(base, stem, *blocks) < 1 or conditions < 0:
            msg = (
                f"base={base}, stem={stem} and each of blocks={tuple(blocks)} must be "
                f"at least 1, and conditions={conditions} at least 0."
            )
            raise ParameterError(msg)
        self.stem, self.levels = stem, len(blocks)
        widths = [base * 2**level for level in range(self.levels)]
        self.head = nn.Conv2d(stem**2, base, 3, padding=1)
        self.down = nn.ModuleList(
            nn.ModuleList(_Block(width) for _ in range(count))
            for width, count in zip(widths, blocks, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ModuleList(_Block(width) for _ in range(count))
            for width, count in zip(widths[-2::-1], blocks[-2::-1], strict=True)
        )
        self.coarser = nn.ModuleList(
            nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1]
        )
        self.finer = nn.ModuleList(
            nn.Conv2d(2 * width, width, 1) for width in widths[-2::-1]
        )
        self.tail = nn.Conv2d(base, stem**2, 3, padding=1)
        self._splits = [
            2 * block.width for block in self.modules() if isinstance(block, _Block)
        ]
        self.modulate: nn.Sequential | None = None
        if conditions:
            last = nn.Linear(_HIDDEN, sum(self._splits))
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.modulate = nn.Sequential(
                nn.Linear(conditions, _HIDDEN),
                nn.SiLU(),
                nn.Linear(_HIDDEN, _HIDDEN),
                nn.SiLU(),
                last,
            )

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return int(self.stem * 2 ** (self.levels - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        x : Tensor, shape (N, 1 + conditions, H, W)
            Noisy images, of any size, and then the constant channels.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
        """
        height, width = x.shape[-2:]
        noisy = x[:, :1]
        modulations = self._modulations(x[:, 1:, 0, 0])
        pad = (-width % self.multiple, -height % self.multiple)
        y = functional.pad(noisy, (0, pad[0], 0, pad[1]), mode="replicate")
        y = self.head(functional.pixel_unshuffle(y, self.stem))
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            if level:
                skips.append(y)
                y = self.coarser[level - 1](y)
            for block in blocks:  # type: ignore[attr-defined]
                y = block(y, next(modulations))
        for finer, blocks in zip(self.finer, self.up, strict=True):
            y = functional.interpolate(
                finer(y), scale_factor=2, mode="bilinear", align_corners=False
            )
            y = y + skips.pop()
            for block in blocks:  # type: ignore[attr-defined]
                y = block(y, next(modulations))
        y = functional.pixel_shuffle(self.tail(y), self.stem)
        denoised: Tensor = noisy - y[..., :height, :width]
        return denoised

    def _modulations(self, constants: Tensor) -> Iterator[Tensor | None]:
        if self.modulate is None:
            return iter([None] * len(self._splits))
        return iter(self.modulate(constants).split(self._splits, 1))
