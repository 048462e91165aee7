"""A network as a Denoiser: normalised inside, so that any gain and offset works."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lowdose.denoiser import Measures, Needs
from lowdose.errors import (
    DeviceError,
    OutOfMemoryError,
    ParameterError,
    is_out_of_memory,
)
from lowdose.networks import normalising
from lowdose.networks.fusing import fuse
from lowdose.networks.guided import guided_relu
from lowdose.noise import NoiseModel, looks_like_counts
from lowdose.parameters import Value, resolve
from lowdose.zoo.band_limit import binning_by_band, binning_by_spectrum
from lowdose.zoo.spreading import bin_counts, summed
from lowdose.zoo.standardising import restore, standardised
from lowdose.zoo.views import View, Views, averaged
from lowdose.zoo.weights import load_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from lowdose.zoo.cards import ModelCard

#: How far beyond the pixels that it knows a network of one sampling is used.
_TOO_COARSE = 1.25
#: Working memory per pixel of summing blocks, in double precision, and interpolating
#: [B]; and for each frame that the network sees.
_SPREADING_BYTES, _SUMMING_BYTES = 16.0, 12.0

_PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class NetworkDenoiser:
    """A loaded network (see :class:`lowdose.denoiser.Denoiser`).

    The network sees ``(counts - mean) / sigma`` (see
    :mod:`lowdose.networks.normalising`), and its answer is brought back the same way.
    Where its card names a sampling, the counts are summed to about that pixel size
    first, and the answer interpolated back (see :mod:`lowdose.zoo.sampling`); where it
    says ``band``, they are summed as far as the spectrum lets (see
    :mod:`lowdose.zoo.band_limit`). It must then be :meth:`fitted` to a micrograph,
    unless the binning is given.

    Parameters
    ----------
    card : ModelCard
        What the network is.
    network : torch.nn.Module
        In evaluation mode.
    values : mapping
        A value for each parameter of the card.
    """

    def __init__(
        self, card: ModelCard, network: nn.Module, values: Mapping[str, Value]
    ) -> None:
        self.card = card
        self.values = values
        self._network = network
        self._device = torch.device("cpu")
        self._dtype = torch.float32
        self._compiled: Callable[..., Tensor] | None = None

    @classmethod
    def from_card(cls, card: ModelCard, values: Mapping[str, Any]) -> NetworkDenoiser:
        """Load the network of a card; see :func:`lowdose.zoo.load_model`."""
        resolved = resolve(card.parameters, values, owner=card.name)
        return cls(card, fuse(load_network(card)), resolved)

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.card.name

    @property
    def network(self) -> nn.Module:
        """The network itself, where it was placed."""
        return self._network

    @property
    def needs(self) -> Needs:
        """What the engine must provide."""
        card, binning = self.card, max(1, self._binning)
        context = card.frames // 2
        # Interpolating to the full grid looks at the whole patch.
        whole = self._spreads
        return Needs(
            halo=None if whole else card.halo,
            multiple=card.multiple * binning,
            frames_before=context,
            frames_after=context,
            device=True,
            tile=None if card.tile is None else card.tile * binning,
            overlap=card.overlap * binning,
            border=card.border * binning,
            bytes_per_pixel=card.bytes_per_pixel / binning**2
            + (_SPREADING_BYTES + _SUMMING_BYTES * card.frames if whole else 0),
        )

    def describe(self) -> dict[str, Any]:
        """Name, parameters, architecture and the sha256 of the weights."""
        return {
            "name": self.name,
            "parameters": dict(self.values),
            "architecture": self.card.architecture,
            "sha256": self.card.sha256,
        }

    def place(self, device: str, precision: str) -> None:
        """Move to a device and choose the arithmetic."""
        if torch.device(device) != self._device:
            self._compiled = None
        self._device, self._dtype = torch.device(device), _PRECISIONS[precision]
        with _translated(device):
            self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def compile(self, wanted: bool) -> None:
        """Compute through ``torch.compile``; see :class:`lowdose.denoiser.Compiling`.

        On CUDA devices with CUDA graphs, which launch all kernels of a forward pass at
        once; they need batches of one shape, of which the engine makes nearly all.
        """
        if not wanted:
            self._compiled = None
        elif self._compiled is None:
            cuda = self._device.type == "cuda"
            self._compiled = torch.compile(
                self._alike or self._network, mode="reduce-overhead" if cuda else None
            )

    def fitted(
        self,
        pixel_size: float | None,
        read_frame: Callable[[], NDArray[np.float32]],
    ) -> NetworkDenoiser:
        """Return the denoiser for a pixel size; see :class:`lowdose.denoiser.Fitting`.

        It shares the network. Itself where pixels are not summed, or the binning is
        set.

        Raises
        ------
        ParameterError
            If the pixels are too coarse for the network; or of unknown size, with no
            lattice in view to tell it by.
        """
        if self._binning:
            return self
        sampling = self.card.sampling
        if sampling is None:
            binning = binning_by_band(read_frame())
        elif pixel_size is None:
            binning = binning_by_spectrum(read_frame(), sampling)
        else:
            if pixel_size > _TOO_COARSE * sampling.coarsest:
                msg = (
                    f"{self.name} knows pixels up to {sampling.coarsest:g} nm; those "
                    f"of this micrograph have {pixel_size:g} nm. Choose another "
                    "denoiser, or check the pixel size; binning=1 runs it anyway."
                )
                raise ParameterError(msg)
            binning = sampling.binning_for(pixel_size)
        other = NetworkDenoiser(
            self.card, self._network, {**self.values, "binning": binning}
        )
        other._device, other._dtype = self._device, self._dtype
        other._compiled = self._compiled
        return other

    def measure(self, frame: NDArray[np.float32]) -> Measures:
        """Return mean, noise level and what is known of the noise of a frame.

        Raises
        ------
        ParameterError
            If the denoiser has to be :meth:`fitted` first.
        """
        noise = self._known_noise(frame)
        binning = self._binning
        if not binning:
            msg = (
                f"How many pixels {self.name} sums depends on the micrograph: fit it "
                "to that (lowdose.inference.fitting.fitted), or give binning."
            )
            raise ParameterError(msg)
        if self._spreads:
            height, width = (n // binning * binning for n in frame.shape)
            if not (height and width):
                msg = (
                    f"A frame of {frame.shape[0]} x {frame.shape[1]} px is smaller "
                    f"than a block of {binning} px. Give a smaller binning."
                )
                raise ParameterError(msg)
            frame = bin_counts(frame[:height, :width], binning)
            noise = None if noise is None else noise.binned(binning)
        measures = normalising.measure(frame, noise)
        return normalising.normalised(measures, frame, self.card.normalisation)

    def denoise_patches(
        self, patches: NDArray[np.float32], measures: Sequence[Measures]
    ) -> NDArray[np.float32]:
        """Denoise a batch; see :class:`lowdose.denoiser.Denoiser`."""
        mean, sigma = (normalising.column(measures, key) for key in ("mean", "sigma"))
        back_mean, back_sigma = mean, sigma
        if self.card.normalisation == "min-max":
            back_mean, back_sigma = (
                normalising.column(measures, key) for key in ("out_mean", "out_sigma")
            )
        forward = self._with(normalising.constants(measures, self._conditions))
        with _translated(str(self._device)), torch.inference_mode():
            # torch takes no array that it could not write to.
            given = torch.from_numpy(np.require(patches, np.float32, ["C", "W"]))

            def see(view: View) -> Tensor:
                # Summed before it is moved: some devices have no double precision.
                sums = summed(view.window(given), self._block)
                return standardised(sums.to(self._device), mean, sigma)

            y = averaged(self._seen, see, forward, spreads=self._spreads)
            back_mean = back_mean / self._block**2
            y = restore(y, back_mean, back_sigma)
            result: NDArray[np.float32] = y[:, 0].cpu().numpy()
        return result

    def differentiate(
        self,
        patch: NDArray[np.float32],
        measures: Measures,
        row: int,
        column: int,
        *,
        guided: bool = False,
    ) -> tuple[float, NDArray[np.float32]]:
        """Return a denoised pixel and its derivative by every noisy one.

        Computed in float32 whatever precision is set; the `measures` are held fixed,
        as they are when :meth:`denoise_patches` is given them.

        Parameters
        ----------
        patch : ndarray, shape (F, H, W), float32
            Counts, as one of those of :meth:`denoise_patches`.
        measures : mapping
            What :meth:`measure` found on its frame.
        row, column : int
            The denoised pixel, in the patch.
        guided : bool, optional
            Guided backpropagation [1]_ instead of the derivative: at each ReLU what
            would lower the pixel is left out.

        Returns
        -------
        value : float
            The denoised pixel [counts].
        weights : ndarray, shape (F, H, W), float32
            Its derivatives [counts per count].

        Raises
        ------
        OutOfMemoryError, DeviceError
            As :meth:`denoise_patches` does.

        References
        ----------
        .. [1] J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, "Striving
           for Simplicity: The All Convolutional Net", ICLR Workshop 2015.
           arXiv:1412.6806
        """
        mean, sigma = (normalising.column([measures], k) for k in ("mean", "sigma"))
        back_mean, back_sigma = mean.item(), sigma.item()
        if self.card.normalisation == "min-max":
            back_mean, back_sigma = (measures[k] for k in ("out_mean", "out_sigma"))
        constants = normalising.constants([measures], self._conditions)
        with (
            _translated(str(self._device)),
            torch.enable_grad(),
            guided_relu(active=guided),
        ):
            frames = torch.from_numpy(np.array(patch[None], np.float32))
            frames.requires_grad_()

            def see(view: View) -> Tensor:
                sums = summed(view.window(frames), self._block)
                return standardised(sums.to(self._device), mean, sigma)

            y = averaged(
                self._seen,
                see,
                lambda x: self._network(self._beside(x, constants)),
                spreads=self._spreads,
                pixel=(row, column),
            )
            answer = y[0, 0, 0, 0]
            (gradient,) = torch.autograd.grad(answer, frames)
        value = answer.item() * back_sigma + back_mean / self._block**2
        weights: NDArray[np.float32] = gradient[0].numpy() * np.float32(back_sigma)
        return value, weights

    @property
    def _binning(self) -> int:
        """Edge of the blocks to sum [px]; 0 where that is still to be found."""
        return int(self.values.get("binning", 1))

    @property
    def _block(self) -> int:
        """Edge of the blocks that are summed [px]; 1 where the network sees pixels."""
        return self._binning if self._spreads else 1

    @property
    def _spreads(self) -> bool:
        """Whether answers are interpolated to the full grid."""
        return self.card.spreads(self._binning)

    @property
    def _seen(self) -> Views:
        return Views(int(self.values["views"]), self._block, means=self.card.band)

    @property
    def _conditions(self) -> int:
        return int(self.card.options.get("conditions", 0))

    def _known_noise(self, frame: NDArray[np.float32]) -> NoiseModel | None:
        if not self._conditions or self.values["noise"] == "blind":
            return None
        if self.values["noise"] == "auto":
            return NoiseModel() if looks_like_counts(frame) else None
        gain, offset, read_noise = (
            float(self.values[name]) for name in ("gain", "offset", "read_noise")
        )
        return NoiseModel(gain=gain, offset=offset, read_noise=read_noise)

    def _with(self, constants: NDArray[np.float32]) -> Callable[[Tensor], Tensor]:
        """Return what takes frames through the network with constants, (N, C)."""
        if self._alike is None:
            return lambda frames: self._compute(
                self._network, self._beside(frames, constants)
            )
        alike = self._alike

        def forward(frames: Tensor) -> Tensor:
            # Tiles of one frame have the same; a batch may hold those of several.
            changes = np.any(constants[1:] != constants[:-1], axis=1)
            starts = [0, *(np.flatnonzero(changes) + 1), len(constants)]
            parts = []
            for start, stop in pairwise(starts):
                known = torch.from_numpy(constants[start]).to(self._device)
                parts.append(self._compute(alike, frames[start:stop], known))
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        return forward

    @property
    def _alike(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The quicker way through the network, of images that share constants."""
        if not self._conditions:
            return None
        found: Callable[[Tensor, Tensor], Tensor] | None
        found = getattr(self._network, "alike", None)
        return found

    def _beside(self, frames: Tensor, constants: NDArray[np.float32]) -> Tensor:
        """Return frames with their constants, (N, C), as further channels."""
        if self._conditions:
            known = torch.from_numpy(constants).to(self._device)[:, :, None, None]
            frames = torch.cat([frames, known.expand(-1, -1, *frames.shape[2:])], 1)
        return frames.contiguous(memory_format=torch.channels_last)

    def _compute(self, network: Callable[..., Tensor], *given: Tensor) -> Tensor:
        """Call the network, or what it was compiled to."""
        with self._arithmetic():
            y = (self._compiled or network)(*given)
        # A CUDA graph writes its next result over this one.
        return y.float() if self._compiled is None else y.float().clone()

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(
            self._device.type, self._dtype, enabled=self._dtype != torch.float32
        )


@contextmanager
def _translated(device: str) -> Iterator[None]:
    """Turn torch's errors into ours, which no worker thread swallows."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            msg = f"The memory of {device} is full."
            raise OutOfMemoryError(msg) from error
        text = str(error)
        msg = f"{device} failed: {text.splitlines()[0] if text else error!r}"
        raise DeviceError(msg) from error
