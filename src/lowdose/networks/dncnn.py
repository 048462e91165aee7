"""DnCNN: a plain stack of convolutions, normalised, that computes the noise.

References
----------
.. [1] K. Zhang, W. Zuo, Y. Chen, D. Meng, L. Zhang, "Beyond a Gaussian Denoiser:
   Residual Learning of Deep CNN for Image Denoising", IEEE Trans. Image Process. 26,
   3142 (2017). doi:10.1109/TIP.2017.2662206
.. [2] S. Mohan, Z. Kadkhodaie, E. P. Simoncelli, C. Fernandez-Granda, "Robust and
   Interpretable Blind Image Denoising via Bias-Free Convolutional Neural Networks",
   ICLR 2020. doi:10.48550/arXiv.1906.05478
.. [3] S. Mohan, R. Manzorro, J. L. Vincent et al., "Deep Denoising for Scientific
   Discovery: A Case Study in Electron Microscopy", IEEE Trans. Comput. Imaging 8,
   585 (2022). doi:10.1109/TCI.2022.3176536
.. [4] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015.
   doi:10.1109/ICCV.2015.123
"""

from __future__ import annotations

from torch import Tensor, nn

from lowdose.networks.bordering import check_at_least, check_options, conv
from lowdose.networks.unet2 import BiasFreeBatchNorm2d


class DnCNN(nn.Module):
    """DnCNN, as published or as simulation-based denoising (SBD) uses it.

    Parameters
    ----------
    depth : int, optional
        Number of 3 x 3 convolutions, at least 2; the receptive field is
        ``2 * depth + 1`` [px]. Published: 17 for one noise level (557,057
        parameters), 20 for any (668,225).
    base : int, optional
        Number of feature maps. Published: 64.
    bias : bool, optional
        Convolutions with bias and ordinary batch normalisation; otherwise neither,
        and the network is homogeneous in evaluation mode [2]_ (without conditions,
        which do not scale with the image).
    residual : bool, optional
        Return the input minus what the network computes, as DnCNN does. SBD computes
        the image itself.
    frames : int, optional
        Number of input frames; the residual is taken from the middle one.
        Published: 1.
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
    SBD's DnCNN [3]_ is ``depth=20, bias=False, residual=False`` (667,008 parameters,
    of which the 18 x 64 shifts of the normalisation do nothing).

    Each hidden convolution but the first has a bias besides the batch normalisation
    that cancels it, as in the code of the authors; the published counts include them.
    Weights begin by He's rule [4]_, as the paper says; normalisation with scale 1,
    shift 0, and torch's eps 1e-5 and momentum 0.1.
    """

    def __init__(
        self,
        *,
        depth: int = 17,
        base: int = 64,
        bias: bool = True,
        residual: bool = True,
        frames: int = 1,
        conditions: int = 0,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_options(frames=frames, conditions=conditions, padding=padding, base=base)
        check_at_least(2, depth=depth)
        self.frames, self.residual = frames, residual
        norm = nn.BatchNorm2d if bias else BiasFreeBatchNorm2d

        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return conv(inputs, outputs, bias=bias, padding=padding)

        layers: list[nn.Module] = [
            convolution(frames + conditions, base),
            nn.ReLU(inplace=True),
        ]
        for _ in range(depth - 2):
            layers += [convolution(base, base), norm(base), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, convolution(base, 1))
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

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
        y: Tensor = self.layers(x)
        if self.residual:
            y = x[:, self.frames // 2 : self.frames // 2 + 1] - y
        return y
