"""RED-Net: convolutions and then as many transposed ones, joined by skip connections.

The "deep encoder-decoder with skip connections" of the em_denoise baselines. It has no
pooling: encoder and decoder are names for its two halves.

References
----------
.. [1] X.-J. Mao, C. Shen, Y.-B. Yang, "Image Restoration Using Very Deep Convolutional
   Encoder-Decoder Networks with Symmetric Skip Connections", NIPS 2016.
   doi:10.48550/arXiv.1603.09056
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import ParameterError
from lowdose.networks.bordering import (
    TransposedConv2d,
    check_at_least,
    check_options,
    conv,
)


class REDNet(nn.Module):
    """RED10, RED20 or RED30: 296,641, 665,921 and 1,035,201 parameters.

    Parameters
    ----------
    depth : int, optional
        Number of layers, even: half 3 x 3 convolutions, half transposed ones. The
        receptive field is ``2 * depth + 1`` [px]. Published: 10, 20 and 30.
    step : int, optional
        The result of every `step`-th convolution is added to that of the transposed
        convolution that mirrors it, before the ReLU. 0 for none. Published: 2 for
        RED20 and RED30, 0 for RED10.
    base : int, optional
        Number of feature maps. Published: 64.
    frames : int, optional
        Number of input frames; the middle one is added at the end. Published: 1.
    conditions : int, optional
        Number of constant channels behind the frames. Published: none.
    padding : {"zeros", "replicate"}, optional
        What convolutions see beyond the border. Published: zeros.

    Raises
    ------
    ParameterError
        If `depth` is odd, a size is too small, or an option is not known.

    Notes
    -----
    As published the input is added to what the last layer computes. A known
    re-implementation ends with a ReLU and strides two pixels at both ends; the paper
    does neither, and normalised counts are negative half of the time.

    Weights begin as torch does it by default, so that the network begins near the
    identity: on white noise the first correction of RED30 is 0.2 times as large as
    the noise, and 1.7 times by He's rule.
    """

    def __init__(
        self,
        *,
        depth: int = 30,
        step: int = 2,
        base: int = 64,
        frames: int = 1,
        conditions: int = 0,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_options(frames=frames, conditions=conditions, padding=padding, base=base)
        check_at_least(2, depth=depth)
        check_at_least(0, step=step)
        if depth % 2:
            msg = f"depth={depth} must be even: each convolution has a mirror image."
            raise ParameterError(msg)
        self.frames, self.step = frames, step
        half = depth // 2
        self.down = nn.ModuleList(
            conv(n_in, base, padding=padding)
            for n_in in (frames + conditions, *[base] * (half - 1))
        )
        self.up = nn.ModuleList(
            TransposedConv2d(base, n_out, 3, padding=padding)
            for n_out in (*[base] * (half - 1), 1)
        )

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return 1

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
        noisy = x[:, self.frames // 2 : self.frames // 2 + 1]
        half = len(self.down)
        skips: dict[int, Tensor] = {}
        for number, layer in enumerate(self.down, start=1):
            x = functional.relu(layer(x))
            if self.step and number % self.step == 0:
                skips[half - number] = x
        for number, layer in enumerate(self.up, start=1):
            x = layer(x)
            if number in skips:
                x = x + skips[number]
            if number < half:
                x = functional.relu(x)
        return noisy + x
