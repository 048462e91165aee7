"""The preview of a training: a part of a frame, as the network makes it at present."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import Cancelled, InvalidImageError, LowDoseError
from napari_lowdose.training.controls import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.progress import ShouldStop
    from lowdose.training.reports import TrainingProgress
    from napari_lowdose.training.controls import Controls, Wish

#: Previews take at most this share of the time: one that is slow comes less often.
_SHARE: Final = 0.1
#: Least time between two previews, also where the part in view has changed [s].
_LEAST: Final = 0.5


class Previewer:
    """Makes previews at a steady interval, between two steps.

    Parameters
    ----------
    controls : Controls
        What is wished, and how often.
    device : str
        What computes, as in :class:`lowdose.inference.DenoiseOptions`.
    """

    def __init__(self, controls: Controls, device: str) -> None:
        self._controls, self._device = controls, device
        self._made: Wish | None = None
        self._step = -1
        self._ended = -np.inf
        self._cost = 0.0
        self._any = False

    def picture(
        self, progress: TrainingProgress, should_stop: ShouldStop
    ) -> Picture | None:
        """Return a preview where one is due, else None.

        A part that has just come into view does not wait for the interval. One that
        cannot be denoised is told once, and tried again with the next steps.
        """
        wish, step = self._controls.wish, progress.first + progress.done
        if wish is None or progress.denoiser is None:
            return None
        changed = wish is not self._made
        if not changed and step == self._step:
            return None
        pause = _LEAST if changed else self._controls.interval
        rest = max(pause, self._cost * (1 - _SHARE) / _SHARE)
        began = time.monotonic()
        if began - self._ended < rest:
            return None
        self._made, self._step = wish, step
        try:
            pixels = _denoise(wish, progress.denoiser(), self._device, should_stop)
            return Picture(pixels=pixels, wish=wish, step=step)
        except Cancelled:
            return None  # the training is told to stop, too
        except LowDoseError as error:
            return Picture(pixels=None, wish=wish, step=step, problem=str(error))
        finally:
            self._ended = time.monotonic()
            # What is measured of a network once, at its first preview, is no cost of
            # the next ones.
            self._cost = self._ended - began if self._any else 0.0
            self._any = True


def _denoise(
    wish: Wish, denoiser: Denoiser, device: str, should_stop: ShouldStop
) -> NDArray[np.float32]:
    from lowdose.inference import DenoiseOptions
    from lowdose.inference.engine import denoise_region

    frames = _with_neighbours(wish, denoiser)
    return denoise_region(
        frames[0] if len(frames) == 1 else np.stack(frames),
        denoiser,
        wish.rows,
        wish.columns,
        options=DenoiseOptions(device=device),
        should_stop=should_stop,
    )


def _with_neighbours(wish: Wish, denoiser: Denoiser) -> list[NDArray[Any]]:
    """Return the frame between those that the denoiser sees with it, as in a run."""
    from lowdose.inference.frames import series_of_frames
    from lowdose.inference.spans import reflected

    needs = denoiser.needs
    if needs.frames == 1:
        return [np.asarray(wish.image.frame(wish.frame))]
    for series in series_of_frames(wish.image):
        found = np.flatnonzero(np.asarray(series) == wish.frame)
        if found.size:
            at = int(found[0])
            near = reflected(
                at - needs.frames_before, at + needs.frames_after + 1, len(series)
            )
            return [np.asarray(wish.image.frame(int(series[n]))) for n in near]
    msg = f"There is no frame {wish.frame} in {wish.image.name!r}."
    raise InvalidImageError(msg)
