"""DenoiseNet: every layer gives one map to the answer, the others go on.

The "class-aware fully convolutional network" of the em_denoise baselines. Shallow
layers remove what can be told from a few pixels, deep ones what needs many; the
answer is the input with the sum of all their corrections.

References
----------
.. [1] T. Remez, O. Litany, R. Giryes, A. M. Bronstein, "Class-Aware
   Fully-Convolutional Gaussian and Poisson Denoising", IEEE Trans. Image Process. 27,
   5707 (2018). doi:10.48550/arXiv.1808.06562
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.bordering import check_at_least, check_options, conv

#: What the sum of the corrections is divided by, in the published code.
_SHARE = 10.0


class DenoiseNet(nn.Module):
    """The network of Remez et al.; 655,544 parameters at its published size.

    Parameters
    ----------
    depth : int, optional
        Number of 3 x 3 convolutions, at least 2. Published: 20.
    base : int, optional
        Feature maps that go on from layer to layer, beside the one that is peeled
        off. Published: 63, of 64.
    frames : int, optional
        Number of input frames; the middle one is corrected. Published: 1.
    conditions : int, optional
        Number of constant channels behind the frames. Published: none.
    padding : {"zeros", "replicate"}, optional
        What convolutions see beyond the border. Published: zeros.

    Raises
    ------
    ParameterError
        If a size is too small, or an option is not known.

    Notes
    -----
    As published: the peeled map is taken before the ReLU; the last hidden layer has
    no ReLU; weights begin by Glorot's rule and biases at 0.01.

    The published code scales images to [-0.5, 0.5] and mirrors 20 pixels round them;
    here :mod:`lowdose.networks.normalising` and the engine do the like. "Class-aware"
    is not a part of the network: it is this network trained on images of one kind.
    """

    def __init__(
        self,
        *,
        depth: int = 20,
        base: int = 63,
        frames: int = 1,
        conditions: int = 0,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_options(frames=frames, conditions=conditions, padding=padding, base=base)
        check_at_least(2, depth=depth)
        self.frames = frames
        widths = [frames + conditions, *[base] * (depth - 1)]
        outputs = [*[base + 1] * (depth - 1), 1]
        self.layers = nn.ModuleList(
            conv(n_in, n_out, padding=padding)
            for n_in, n_out in zip(widths, outputs, strict=True)
        )
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.xavier_uniform_(layer.weight)
            nn.init.constant_(layer.bias, 0.01)

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
        last = len(self.layers) - 1
        total = torch.zeros_like(noisy)
        for number, layer in enumerate(self.layers):
            x = layer(x)
            total = total + x[:, :1]
            if number < last:
                x = x[:, 1:]
            if number < last - 1:
                x = functional.relu(x)
        return noisy + total / _SHARE
