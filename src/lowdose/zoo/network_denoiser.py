"""A network as a Denoiser: normalised inside, so that any gain and offset works."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lowdose.denoiser import Measures, Needs
from lowdose.errors import DeviceError, OutOfMemoryError, is_out_of_memory
from lowdose.networks import normalising
from lowdose.networks.fusing import fuse
from lowdose.networks.guided import guided_relu
from lowdose.noise import NoiseModel, looks_like_counts
from lowdose.parameters import Value, resolve
from lowdose.zoo.weights import load_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from lowdose.zoo.cards import ModelCard

_PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class NetworkDenoiser:
    """A loaded network (see :class:`lowdose.denoiser.Denoiser`).

    The network sees ``(counts - mean) / sigma`` (see
    :mod:`lowdose.networks.normalising`), and its answer is brought back the same way.

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
    def needs(self) -> Needs:
        """What the engine must provide."""
        context = self.card.frames // 2
        return Needs(
            halo=self.card.halo,
            multiple=self.card.multiple,
            frames_before=context,
            frames_after=context,
            device=True,
            tile=self.card.tile,
            overlap=self.card.overlap,
            border=self.card.border,
            bytes_per_pixel=self.card.bytes_per_pixel,
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
        self._device, self._dtype = torch.device(device), _PRECISIONS[precision]
        with _translated(device):
            self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def measure(self, frame: NDArray[np.float32]) -> Measures:
        """Return mean, noise level and what is known of the noise of a frame."""
        measures = normalising.measure(frame, self._known_noise(frame))
        return normalising.normalised(measures, frame, self.card.normalisation)

    def denoise_patches(
        self, patches: NDArray[np.float32], measures: Sequence[Measures]
    ) -> NDArray[np.float32]:
        """Denoise a batch; see :class:`lowdose.denoiser.Denoiser`."""
        mean, sigma = (normalising.column(measures, key) for key in ("mean", "sigma"))
        # In double precision, because counts with a large offset would lose their
        # last digits in the difference.
        z = ((patches - mean[:, None]) / sigma[:, None]).astype(np.float32)
        with _translated(str(self._device)), torch.inference_mode():
            x = torch.from_numpy(z).to(self._device)
            if self._conditions:
                constant = torch.from_numpy(
                    normalising.constants(measures, self._conditions)
                )
                constant = constant.to(self._device)[:, :, None, None]
                x = torch.cat([x, constant.expand(-1, -1, *x.shape[2:])], 1)
            x = x.contiguous(memory_format=torch.channels_last)
            y = self._views(x)[:, 0].cpu().numpy()
        if self.card.normalisation == "min-max":
            mean, sigma = (
                normalising.column(measures, key) for key in ("out_mean", "out_sigma")
            )
        result: NDArray[np.float32] = (y * sigma + mean).astype(np.float32)
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
        z = ((patch[None] - mean[:, None]) / sigma[:, None]).astype(np.float32)
        back_mean, back_sigma = mean.item(), sigma.item()
        if self.card.normalisation == "min-max":
            back_mean, back_sigma = (measures[k] for k in ("out_mean", "out_sigma"))
        precision, self._dtype = self._dtype, torch.float32
        try:
            with (
                _translated(str(self._device)),
                torch.enable_grad(),
                guided_relu(active=guided),
            ):
                frames = torch.from_numpy(z).to(self._device).requires_grad_()
                x = frames
                if self._conditions:
                    constant = torch.from_numpy(
                        normalising.constants([measures], self._conditions)
                    )
                    constant = constant.to(self._device)[:, :, None, None]
                    x = torch.cat([x, constant.expand(-1, -1, *x.shape[2:])], 1)
                answer = self._views(x)[0, 0, row, column]
                (gradient,) = torch.autograd.grad(answer, frames)
                weights = gradient[0].cpu().numpy() * (back_sigma / sigma.item())
                value = answer.item() * back_sigma + back_mean
        finally:
            self._dtype = precision
        return value, np.asarray(weights, np.float32)

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

    def _views(self, x: Tensor) -> Tensor:
        """Average the network over mirrored and turned views."""
        count = int(self.values["views"])
        total = torch.zeros_like(x[:, :1])
        for number in range(count):
            turns, mirrored = _view(number, count)
            view = torch.rot90(x.flip(-1) if mirrored else x, turns, (-2, -1))
            y = torch.rot90(self._forward(view), -turns, (-2, -1))
            total += y.flip(-1) if mirrored else y
        return total / count

    def _forward(self, x: Tensor) -> Tensor:
        with torch.autocast(
            self._device.type, self._dtype, enabled=self._dtype != torch.float32
        ):
            y: Tensor = self._network(x)
        return y.float()


def _view(number: int, count: int) -> tuple[int, bool]:
    """Return quarter turns and mirroring of a view; two views are half a turn apart."""
    turns = 2 * number if count == 2 else number % 4
    return turns, number >= 4


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
