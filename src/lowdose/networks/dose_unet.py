"""Our own network for counts: a U of residual blocks that is told dose and spectrum.

What was chosen, and why:

* **A pixel-unshuffle stem.** Electron micrographs are oversampled; work on fewer
  pixels costs less and loses nothing, since every pixel is still seen. 2 x 2 for any
  micrograph; 4 x 4 for atomic resolution (8 x 8 is three times faster, and 0.9 dB
  worse after equal training).
* **Residual blocks without normalisation.** Doses within a batch differ by a factor of
  10^4, so the statistics of a batch fit no single image (SBD's UNet on the same images:
  batch normalisation that was never frozen lost 3 to 7 dB at low dose).
* **Modulation by what is known of the frame.** At a few counts per pixel the best
  estimate of weak texture is a Wiener filter, which depends on the spectrum of the
  frame and on its noise, and neither can be seen from one place of it. Both are
  measured once per frame, and scale the feature maps of each block (FiLM [1]_).
  On sections at 5 counts per pixel the mean squared error is 11.01, of SBD's UNet that
  is told the noise alone 11.16, of the best filter that is tuned on the truth 11.09.
* **Spectral mixing, for crystals.** A crystal is sparse in Fourier space: 0.5 dB better
  than without, after equal training. The price is that no reach is finite.
* **Without it, a reach of about 120 pixels**, measured and not estimated, so that tiles
  equal the whole frame to the last bit at little cost.
* **Bilinear upsampling behind 1 x 1 convolutions**, which makes no checkerboard.

The tables are in docs/networks.md and README.md, with their commands.

References
----------
.. [1] E. Perez, F. Strub, H. de Vries, V. Dumoulin, A. Courville, "FiLM: Visual
   Reasoning with a General Conditioning Layer", AAAI 2018. arXiv:1709.07871
.. [2] K. Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior",
   IEEE Trans. Pattern Anal. Mach. Intell. 44, 6360 (2022): residual blocks in a UNet.
   doi:10.1109/TPAMI.2021.3088914
.. [3] L. Chi, B. Jiang, Y. Mu, "Fast Fourier Convolution", NeurIPS 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError
from lowdose.networks import fourier_matrices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
            y = _modulated(y, modulation)
        added: Tensor = x + self.second(functional.relu(y))
        return added

    def alike(self, x: Tensor, modulation: Tensor | None) -> Tensor:
        """Do the same without derivatives, with one modulation for all images."""
        y = functional.relu_(_modulating(self.first, x, modulation))
        added: Tensor = self.second(y).add_(x)
        return added


class _SpectralMix(nn.Module):
    """Two 1 x 1 convolutions on the spectrum of half as many feature maps, added.

    A crystal is sparse in Fourier space: here the network finds its Bragg peaks and
    damps the rest, whatever the spacing and the orientation [3]_. It sees the whole
    image, so that a network with it has no halo.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 2 * (width // 2)
        self.reduce = nn.Conv2d(width, self.width // 2, 1)
        self.first = nn.Conv2d(self.width, self.width, 1)
        self.second = nn.Conv2d(self.width, self.width, 1)
        self.restore = nn.Conv2d(self.width // 2, width, 1)
        nn.init.zeros_(self.restore.weight)
        self.by_matrices = False

    def forward(self, x: Tensor, modulation: Tensor | None) -> Tensor:
        maps = self.reduce(x)
        given = None
        if self.by_matrices:
            given = fourier_matrices.waves(*maps.shape[-2:], like=maps)
        y = _spectrum(maps) if given is None else fourier_matrices.spectrum(maps, given)
        y = self.first(y)
        if modulation is not None:
            y = _modulated(y, modulation)
        y = self.second(functional.relu(y))
        back = _back(y, maps) if given is None else fourier_matrices.back(y, given)
        added: Tensor = x + self.restore(back).to(x.dtype)
        return added

    def alike(self, x: Tensor, modulation: Tensor | None) -> Tensor:
        """Do the same without derivatives, with one modulation for all images."""
        maps = self.reduce(x)
        y = functional.relu_(_modulating(self.first, _spectrum(maps), modulation))
        mixed: Tensor = self.restore(_back(self.second(y), maps)).to(x.dtype)
        return mixed.add_(x)


def _spectrum(maps: Tensor) -> Tensor:
    """Return real and imaginary parts of the spectrum of maps, one behind the other."""
    # No autocast: half precision has no Fourier transform of any size.
    with torch.autocast(maps.device.type, enabled=False):
        # Orthonormal, so that white noise keeps its level at any size of image.
        spectrum = torch.fft.rfft2(maps.float(), norm="ortho")
        parts = torch.cat([spectrum.real, spectrum.imag], 1)
    return parts.contiguous(memory_format=torch.channels_last)


def _back(parts: Tensor, maps: Tensor) -> Tensor:
    """Return the maps, of the size of `maps`, that have a spectrum."""
    with torch.autocast(maps.device.type, enabled=False):
        real, imaginary = parts.float().contiguous().chunk(2, 1)
        back = torch.fft.irfft2(
            torch.complex(real, imaginary), s=maps.shape[-2:], norm="ortho"
        )
    in_order: Tensor = back.contiguous(memory_format=torch.channels_last)
    return in_order


def _stage(width: int, count: int, *, mixing: bool) -> list[nn.Module]:
    blocks: list[nn.Module] = [_Block(width) for _ in range(count)]
    return [*blocks, _SpectralMix(width)] if mixing else blocks


def _modulated(y: Tensor, modulation: Tensor) -> Tensor:
    scale, shift = modulation[..., None, None].to(y.dtype).chunk(2, 1)
    return y * (1 + scale) + shift


def _modulating(conv: nn.Conv2d, x: Tensor, modulation: Tensor | None) -> Tensor:
    """Convolve and modulate at once: the modulation of all images is in the weights."""
    if modulation is None:
        convolved: Tensor = conv(x)
        return convolved
    scale, shift = modulation.chunk(2)
    assert conv.bias is not None
    return functional.conv2d(
        x,
        conv.weight * (1 + scale)[:, None, None, None],
        conv.bias * (1 + scale) + shift,
        padding=conv.padding,
    )


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
        Number of input channels, behind the frames, that are constant over them.
    mixing : bool, optional
        Mix the spectrum of the whole image behind the blocks of each level. The
        network then has no finite reach.
    residual : bool, optional
        Return the input minus what the network computes; otherwise that itself.
        With ``stem**2`` larger than `base`, the noise of single pixels cannot pass
        through the network, and it must not be residual.
    frames : int, optional
        Number of successive input frames; the middle one is denoised. Frames that
        are equal to it change nothing, so that the same weights denoise a single
        frame, given as many times.

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
        mixing: bool = False,
        residual: bool = True,
        frames: int = 1,
    ) -> None:
        super().__init__()
        if not blocks or min(base, stem, *blocks) < 1 or conditions < 0:
            msg = (
                f"base={base}, stem={stem} and each of blocks={tuple(blocks)} must be "
                f"at least 1, and conditions={conditions} at least 0."
            )
            raise ParameterError(msg)
        if frames < 1 or frames % 2 == 0:
            msg = (
                f"frames={frames} must be an odd number, so that one is in the middle."
            )
            raise ParameterError(msg)
        if residual and stem**2 > base:
            msg = (
                f"residual=True needs base={base} to be at least stem**2={stem**2}: "
                "the noise of each pixel passes through. Use residual=False."
            )
            raise ParameterError(msg)
        self.stem, self.levels, self.frames = stem, len(blocks), frames
        self.residual = residual
        widths = [base * 2**level for level in range(self.levels)]
        self.head = nn.Conv2d(stem**2, base, 3, padding=1)
        self.neighbours: nn.Conv2d | None = None
        if frames > 1:
            # Without a bias, so that frames equal to the middle one add nothing.
            self.neighbours = nn.Conv2d(base * (frames - 1), base, 1, bias=False)
        self.down = nn.ModuleList(
            nn.ModuleList(_stage(width, count, mixing=mixing))
            for width, count in zip(widths, blocks, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ModuleList(_stage(width, count, mixing=mixing))
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
            2 * block.width
            for block in self.modules()
            if isinstance(block, (_Block, _SpectralMix))
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
        x : Tensor, shape (N, frames + conditions, H, W)
            Noisy images, of any size, and then the constant channels.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
        """
        return self.conditioned(x[:, : self.frames], x[:, self.frames :, 0, 0])

    def conditioned(self, frames: Tensor, constants: Tensor) -> Tensor:
        """Do the same, given the constants as such.

        Parameters
        ----------
        frames : Tensor, shape (N, frames, H, W)
            Noisy images, of any size.
        constants : Tensor, shape (N, conditions)
            The constants of each.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
        """
        modulations = self._modulations(constants)
        return self._denoise(frames, lambda block, y: block(y, next(modulations)))

    def alike(self, frames: Tensor, constants: Tensor) -> Tensor:
        """Denoise images with the same constants, without derivatives.

        What modulates the feature maps is then the same for all of them, and is put
        into the weights of the convolutions: half of the memory traffic goes.

        Parameters
        ----------
        frames : Tensor, shape (N, frames, H, W)
            Noisy images, of any size.
        constants : Tensor, shape (conditions,)
            The constants of all of them.

        Returns
        -------
        Tensor, shape (N, 1, H, W)
        """
        modulations = (
            m if m is None else m[0] for m in self._modulations(constants[None])
        )
        return self._denoise(frames, lambda block, y: block.alike(y, next(modulations)))

    def use_matrices(self) -> None:
        """Transform by products with matrices, for programs without a transform.

        The same numbers up to rounding, by :meth:`forward` and :meth:`conditioned`.
        """
        for block in self.modules():
            if isinstance(block, _SpectralMix):
                block.by_matrices = True

    def _denoise(
        self, frames: Tensor, through: Callable[[_Block | _SpectralMix, Tensor], Tensor]
    ) -> Tensor:
        """Denoise, given what takes features through a block."""
        height, width = frames.shape[-2:]
        noisy = frames[:, self.frames // 2 : self.frames // 2 + 1]
        pad = (0, -width % self.multiple, 0, -height % self.multiple)
        y = self._enter(functional.pad(frames, pad, mode="replicate"))
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            if level:
                skips.append(y)
                y = self.coarser[level - 1](y)
            for block in blocks:  # type: ignore[attr-defined]
                y = through(block, y)
        for finer, blocks in zip(self.finer, self.up, strict=True):
            y = functional.interpolate(
                finer(y), scale_factor=2, mode="bilinear", align_corners=False
            )
            y = y + skips.pop()
            for block in blocks:  # type: ignore[attr-defined]
                y = through(block, y)
        y = functional.pixel_shuffle(self.tail(y), self.stem)[..., :height, :width]
        denoised: Tensor = noisy - y if self.residual else y
        return denoised

    def _enter(self, images: Tensor) -> Tensor:
        """Return features of the middle frame, and of what its neighbours change."""
        if self.neighbours is None:
            entered: Tensor = self.head(functional.pixel_unshuffle(images, self.stem))
            return entered
        n, frames, height, width = images.shape
        each = images.reshape(n * frames, 1, height, width)
        features = self.head(functional.pixel_unshuffle(each, self.stem))
        features = features.reshape(n, frames, *features.shape[1:])
        middle = features[:, frames // 2]
        rest = [features[:, k] - middle for k in range(frames) if k != frames // 2]
        together: Tensor = middle + self.neighbours(torch.cat(rest, 1))
        return together

    def _modulations(self, constants: Tensor) -> Iterator[Tensor | None]:
        if self.modulate is None:
            return iter([None] * len(self._splits))
        return iter(self.modulate(constants).split(self._splits, 1))
