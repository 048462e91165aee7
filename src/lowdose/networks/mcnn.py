"""MCNN: a U-Net that answers at every size, so that coarse structure is learnt first.

The "multiscale CNN" of the em_denoise baselines; its authors denoise STEM images. A
head on every level of the way up predicts the image at that size, and each is trained
against the clean image of that size.

References
----------
.. [1] F. Wang, A. Eljarrat, J. Müller, T. R. Henninen, R. Erni, C. T. Koch,
   "Multi-resolution convolutional neural networks for inverse problems", Sci. Rep. 10,
   5730 (2020). doi:10.1038/s41598-020-62484-z
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.bordering import check_options, pad, pad_to_multiple

#: The first layer sees the image through these: half widths of a box [px], and
#: variances of a Gaussian of 33 x 33 px [px²].
_BOXES = (2, 3)
_VARIANCES = (20.0, 30.0)
_RADIUS = 16


class _Same(nn.Module):
    """A 4 x 4 convolution whose output is as large as its input.

    An even kernel has no centre: one pixel is padded at the left and top, and two at
    the right and bottom, as TensorFlow does it; with stride 2 one at each edge.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, padding: str
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=stride)
        self.edges = (1, 1, 1, 1) if stride == 2 else (1, 2, 1, 2)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(pad(x, self.edges, self.padding))
        return y


class MCNN(nn.Module):
    """The denoising network of Wang et al., with its side outputs.

    At its published size it has 41,890,055 parameters, and a receptive field of 670 to
    798 [px], by the place of a pixel.

    Parameters
    ----------
    base : int, optional
        Feature maps at half resolution; each halving doubles them up to eight times
        as many. Published: 64.
    levels : int, optional
        Number of halvings, and of outputs. Published: 7.
    blurred : bool, optional
        Show the network four blurred copies of each frame instead of the frame, as
        published: means over 5 x 5 and 7 x 7 pixels, and two Gaussians.
    squashed : bool, optional
        Put the outputs through the logistic function, as published. That suits images
        in [0, 1]; normalised counts are in no such range.
    frames : int, optional
        Number of input frames. Published: 1.
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
    The published code of the blurs writes squares as ``^2``, which in Python is no
    power; here they are the Gaussians it means, with variances of 20 and 30 [px²].
    The published training adds a discriminator, which is no part of this network.

    As published, normalisation is on the way up only and comes after the ReLU. It
    begins with scale 1 and shift 0; eps is 1e-3 and momentum 0.2, which Keras counts
    as 0.8. Weights begin by Glorot's rule and biases at 0, as Keras does it.
    """

    def __init__(
        self,
        *,
        base: int = 64,
        levels: int = 7,
        blurred: bool = True,
        squashed: bool = False,
        frames: int = 1,
        conditions: int = 0,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_options(
            frames=frames,
            conditions=conditions,
            padding=padding,
            base=base,
            levels=levels,
        )
        self.frames, self.blurred, self.squashed = frames, blurred, squashed
        self.padding = padding
        blurs = _blurs()
        # Of the state, though the same in every network, so that a network that is
        # built without memory has them once its weights are loaded.
        self.register_buffer("blurs", blurs)
        channels = frames * (len(blurs) if blurred else 1) + conditions
        widths = [base * min(2**level, 8) for level in range(levels)]
        self.down = nn.ModuleList(
            nn.Sequential(
                _Same(n_in, n_out, stride=2, padding=padding), nn.LeakyReLU(0.2)
            )
            for n_in, n_out in itertools.pairwise([channels, *widths])
        )
        # What goes into a stage of the way up: the maps of the stage before it, and
        # from the second stage on as many of the way down.
        inputs = [widths[-1], *(2 * width for width in widths[-2::-1])]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode="nearest"),
                _Same(n_in, n_out, padding=padding),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.2),
            )
            for n_in, n_out in zip(inputs, widths[-2::-1], strict=False)
        )
        self.heads = nn.ModuleList(
            _Same(n_in, 1, padding=padding) for n_in in (*inputs[1:], inputs[-1])
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    @property
    def multiple(self) -> int:
        """Sizes that are multiples of this need no padding [px]."""
        return int(2 ** len(self.down))

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
        return self._finest(self._features(x)[-1], x)

    def outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the prediction of every head, finest first.

        Parameters
        ----------
        x : Tensor, shape (N, frames + conditions, H, W)
            As for :meth:`forward`.

        Returns
        -------
        tuple of Tensor
            The result of :meth:`forward`, and then predictions of half, a quarter
            and so on of the sizes that `x` has when padded to a multiple of
            :attr:`multiple`. The publication weighs them equally, by their mean
            absolute deviations from :meth:`targets`.
        """
        features = self._features(x)
        coarse = [
            self._squash(head(maps))
            for head, maps in zip(self.heads[:-1], features, strict=False)
        ]
        return (self._finest(features[-1], x), *coarse[::-1])

    def targets(self, clean: Tensor) -> tuple[Tensor, ...]:
        """Return what each of the :meth:`outputs` should be.

        Parameters
        ----------
        clean : Tensor, shape (N, 1, H, W)
            The clean image.

        Returns
        -------
        tuple of Tensor
            The image, and its means over 2 x 2, 4 x 4 and so on pixels.
        """
        padded = pad_to_multiple(clean, self.multiple)
        edges = [2**level for level in range(1, len(self.heads))]
        return (clean, *(functional.avg_pool2d(padded, edge) for edge in edges))

    def _features(self, x: Tensor) -> list[Tensor]:
        """Return the maps on the way up, coarsest first: what the heads see."""
        y = pad_to_multiple(self._seen(x), self.multiple)
        skips: list[Tensor] = []
        for stage in self.down:
            y = stage(y)
            skips.append(y)
        features = [skips.pop()]
        for stage in self.up:
            features.append(torch.cat([stage(features[-1]), skips.pop()], 1))
        return features[1:] if self.up else features

    def _finest(self, features: Tensor, x: Tensor) -> Tensor:
        y = functional.interpolate(features, scale_factor=2, mode="nearest")
        return self._squash(self.heads[-1](y))[..., : x.shape[-2], : x.shape[-1]]

    def _squash(self, y: Tensor) -> Tensor:
        return torch.sigmoid(y) if self.squashed else y

    def _seen(self, x: Tensor) -> Tensor:
        if not self.blurred:
            return x
        batch, _, height, width = x.shape
        images = x[:, : self.frames].reshape(-1, 1, height, width)
        images = pad(images, (_RADIUS,) * 4, self.padding)
        kernels = self.blurs
        assert isinstance(kernels, Tensor)
        images = functional.conv2d(images, kernels[:, None, :, None])
        images = functional.conv2d(
            images, kernels[:, None, None, :], groups=len(kernels)
        )
        copies = images.reshape(batch, -1, height, width)
        return torch.cat([copies, x[:, self.frames :]], 1)


def _blurs() -> Tensor:
    """Return the four blurs along one axis, shape (4, 33); each sums to 1."""
    places = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    kernels = [(places.abs() <= half).double() for half in _BOXES]
    kernels += [torch.exp(-(places**2) / (2 * variance)) for variance in _VARIANCES]
    return torch.stack([kernel / kernel.sum() for kernel in kernels]).float()
