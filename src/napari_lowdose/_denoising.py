"""The two jobs of the plugin: denoise a layer, and preview a part of one frame.

Requests are frozen and made on the main thread; nothing in them is a widget or a
layer. The jobs are plain generators that know no Qt and can be run without a thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import Cancelled
from lowdose.progress import Progress, ShouldStop

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.parameters import Value
    from napari_lowdose._storage import FrameStore


class Loader:
    """Loads denoisers and keeps the last, so that a preview need not load it again.

    Used by one job at a time; a denoiser is immutable but for its device.
    """

    def __init__(self) -> None:
        self._key: object = None
        self._denoiser: Denoiser | None = None

    def load(self, name: str, values: Mapping[str, Value]) -> Denoiser:
        """Return a denoiser of the catalogue with these parameters."""
        from lowdose import catalogue

        key = (name, tuple(sorted(values.items())))
        if self._denoiser is None or key != self._key:
            given: dict[str, Any] = dict(values)
            self._denoiser = catalogue.load(name, **given)
            self._key = key
        return self._denoiser


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenoiseRequest:
    """A whole layer to denoise.

    Parameters
    ----------
    image : Micrograph
        The noisy image or stack.
    denoiser : str
        Name in the catalogue.
    values : mapping
        Its parameters.
    options : DenoiseOptions
        Where and in what pieces to compute.
    out : FrameStore
        Where the frames go as they are finished; of the shape of the image.
    loader : Loader
        What loads the denoiser.
    """

    image: Micrograph
    denoiser: str
    values: Mapping[str, Value]
    options: DenoiseOptions
    out: FrameStore
    loader: Loader

    def run(self, should_stop: ShouldStop) -> Generator[Progress, None, Micrograph]:
        """Denoise, yielding progress; the result is in ``out``."""
        from lowdose.inference.engine import iter_denoise

        yield Progress(stage="load", done=0, total=0, frames=self.image.n_frames)
        denoiser = self.loader.load(self.denoiser, self.values)
        _mark_unfinished(self.out.array, should_stop)
        result: Micrograph = yield from iter_denoise(
            self.image,
            denoiser,
            options=self.options,
            out=self.out,
            should_stop=should_stop,
        )
        return result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreviewRequest:
    """A rectangle of one frame to denoise.

    Parameters
    ----------
    image : Micrograph
        The noisy image or stack.
    source_id : str
        Unique id of the layer that it is a part of.
    frame : int
        Number of the frame.
    rows, columns : slice
        The rectangle, inside the frame.
    denoiser, values, options, loader
        As in :class:`DenoiseRequest`.
    """

    image: Micrograph
    source_id: str
    frame: int
    rows: slice
    columns: slice
    denoiser: str
    values: Mapping[str, Value]
    options: DenoiseOptions
    loader: Loader

    def run(self, should_stop: ShouldStop) -> Generator[None, None, Preview]:
        """Denoise the rectangle: the same pixels that the whole run would give."""
        from lowdose.inference.engine import denoise_region
        from lowdose.inference.fitting import fitted

        # Before each of the two long pieces, the worker may stop here.
        yield
        denoiser = self.loader.load(self.denoiser, self.values)
        yield
        denoiser = fitted(denoiser, self.image)
        begin = time.perf_counter()
        pixels = denoise_region(
            self.image.frame(self.frame),
            denoiser,
            self.rows,
            self.columns,
            options=self.options,
            should_stop=should_stop,
        )
        return Preview(pixels=pixels, request=self, seconds=time.perf_counter() - begin)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """A denoised rectangle.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), float32
        Denoised counts.
    request : PreviewRequest
        What it answers.
    seconds : float
        How long it took, without loading the denoiser [s].
    """

    pixels: NDArray[np.float32]
    request: PreviewRequest
    seconds: float


def _mark_unfinished(out: Any, should_stop: ShouldStop) -> None:
    """Make frames that are not done transparent, so that the noisy ones are seen."""
    if not isinstance(out, np.ndarray):
        return  # what is not written of a Zarr array is NaN anyway
    for frame in out.reshape(-1, *out.shape[-2:]):
        if should_stop():
            msg = "Stopped before the first tile."
            raise Cancelled(msg)
        frame.fill(np.nan)
