"""What a denoiser is, for a Gaussian blur and a network alike.

Everything that denoises implements :class:`Denoiser`, so that tiling, stacks, the
benchmark, the error maps, the command line and the widget are each written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lowdose.parameters import Value

#: Numbers measured once on a whole frame and given to every patch of it.
Measures = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a denoiser asks of the engine.

    Parameters
    ----------
    halo : int or None
        Distance [px] beyond which an input pixel cannot change an output pixel.
        None for an operator that looks at the whole patch (a Fourier filter, an
        iterated variational method): it is given whole frames where they fit.
    multiple : int, optional
        Height and width of a patch must be multiples of this, and patches start at
        multiples of it, so that pooling falls on the same pixels in every patch.
    frames_before, frames_after : int, optional
        Neighbouring frames it sees beside the one to denoise.
    device : bool, optional
        Whether it can compute on a GPU.
    tile : int or None, optional
        Edge [px] of the patches that a global operator wants, where it wants them
        of one size. None for whole frames.
    overlap : int, optional
        How much [px] neighbouring patches of a global operator overlap; they are
        blended there. Used only with ``halo=None``.
    border : int, optional
        Reflected pixels [px] to lay round the frame, for operators that would
        otherwise see its border.
    threads : bool, optional
        Whether patches may be measured and denoised in several threads at a time: it
        keeps no state, and most of its time is spent without Python's lock.
    bytes_per_pixel : float, optional
        Working memory per input pixel [B], for the choice of tile and batch.
    """

    halo: int | None
    multiple: int = 1
    frames_before: int = 0
    frames_after: int = 0
    device: bool = False
    tile: int | None = None
    overlap: int = 64
    border: int = 0
    threads: bool = False
    bytes_per_pixel: float = 64.0

    @property
    def frames(self) -> int:
        """Frames in one input patch."""
        return self.frames_before + 1 + self.frames_after


class Denoiser(Protocol):
    """Something that makes clean patches of noisy ones.

    A denoiser is immutable but for :meth:`place`: its parameters are fixed when it
    is made, by :func:`lowdose.catalogue.load`.
    """

    @property
    def name(self) -> str:
        """Name in the catalogue, such as ``"gaussian"``."""

    @property
    def values(self) -> Mapping[str, Value]:
        """The value of every declared parameter."""

    @property
    def needs(self) -> Needs:
        """What it asks of the engine, given its parameters."""

    def describe(self) -> dict[str, Any]:
        """Return what identifies it, as JSON types, for the provenance chain.

        Name, parameters, and for a network the sha256 of its weights.
        """

    def place(self, device: str, precision: str) -> None:
        """Move to a device.

        Parameters
        ----------
        device : str
            A torch device, such as ``"cpu"`` or ``"cuda:0"``.
        precision : {"float32", "bfloat16", "float16"}
            Arithmetic to compute in. Ignored where `needs.device` is false.
        """

    def measure(self, frame: NDArray[np.float32]) -> Measures:
        """Measure on a whole frame what must be the same for all its patches.

        Parameters
        ----------
        frame : ndarray, shape (H, W), float32
            One frame, without NaN or Inf.

        Returns
        -------
        mapping of str to float
            Such as the noise level, or the mean that a network subtracts.
        """

    def denoise_patches(
        self, patches: NDArray[np.float32], measures: Sequence[Measures]
    ) -> NDArray[np.float32]:
        """Denoise a batch of equal patches.

        Parameters
        ----------
        patches : ndarray, shape (N, F, H, W), float32
            Counts. F is ``needs.frames``, the frame to denoise at index
            ``needs.frames_before``; H and W are multiples of ``needs.multiple``.
        measures : sequence of mapping, length N
            For each patch what :meth:`measure` found on the frame it is cut from.

        Returns
        -------
        ndarray, shape (N, H, W), float32
            Denoised counts in the units of the input.

        Raises
        ------
        OutOfMemoryError
            If the batch does not fit the memory of the device. The engine then
            tries smaller ones.
        DeviceError
            If the device failed otherwise.
        """


@runtime_checkable
class Compiling(Protocol):
    """A denoiser whose computation can be compiled for its device."""

    def compile(self, wanted: bool) -> None:
        """Compute through a compiler from the next batch on, or not.

        Called after :meth:`Denoiser.place`. The first batch of every shape then takes
        up to minutes, and the last digits of the result may differ.
        """


@runtime_checkable
class Fitting(Protocol):
    """A denoiser that must be fitted to a micrograph before it can be used.

    Such as a network that works at one sampling, and so must know the pixel size.
    The engine fits it; see :func:`lowdose.inference.fitting.fitted`.
    """

    def fitted(
        self,
        pixel_size: float | None,
        read_frame: Callable[[], NDArray[np.float32]],
    ) -> Denoiser:
        """Return the denoiser for a micrograph; itself, where it is fitted already.

        Parameters
        ----------
        pixel_size : float or None
            Of the micrograph [nm]; None where it is not known.
        read_frame : callable
            Returns one of its frames, shape (H, W), float32, without NaN or Inf.

        Raises
        ------
        ParameterError
            If it needs to know the pixel size, and cannot find it out.
        """
