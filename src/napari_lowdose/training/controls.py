"""What the main thread tells a training that is running: plain Python, no Qt."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lowdose.micrograph import Micrograph


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wish:
    """A part of a frame that is to be seen as the network makes it at present.

    Parameters
    ----------
    image : Micrograph
        The noisy image or stack.
    uid : str
        Unique id of its layer.
    frame : int
        Number of the frame.
    rows, columns : slice
        The part.
    """

    image: Micrograph
    uid: str
    frame: int
    rows: slice
    columns: slice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """What became of a wish.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), float32, or None
        Denoised counts; None where it could not be done.
    wish : Wish
        What was wished.
    step : int
        Steps that the network had learnt.
    problem : str
        Why there are no pixels.
    """

    pixels: NDArray[np.float32] | None
    wish: Wish
    step: int
    problem: str = ""


class Controls:
    """Pause, end and preview of a training; set by one thread, read by another."""

    def __init__(self) -> None:
        self._finish = threading.Event()
        self._pause = threading.Event()
        self._news = threading.Event()
        self._wish: Wish | None = None
        self._interval = 5.0

    @property
    def paused(self) -> bool:
        """Whether the training is to make no step for now."""
        return self._pause.is_set() and not self._finish.is_set()

    @property
    def wish(self) -> Wish | None:
        """What is to be previewed; None for nothing."""
        return self._wish

    @property
    def interval(self) -> float:
        """Least time between two previews of the same part [s]."""
        return self._interval

    def should_finish(self) -> bool:
        """Return whether the training is to end with the model as it is."""
        return self._finish.is_set()

    def finish(self) -> None:
        """End the training after the step in work, and keep the model."""
        self._finish.set()
        self._news.set()

    def pause(self, pause: bool = True) -> None:
        """Make no step for now, or go on."""
        if pause:
            self._pause.set()
        else:
            self._pause.clear()
        self._news.set()

    def preview(self, wish: Wish | None, interval: float) -> None:
        """Preview this part from now on, or with None nothing."""
        self._wish, self._interval = wish, interval
        self._news.set()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until something was told."""
        self._news.wait(seconds)
        self._news.clear()
