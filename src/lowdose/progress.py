"""How every long job reports: one small frozen record, yielded now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Asked by every long job between its smallest pieces; True stops the job.
ShouldStop = Callable[[], bool]


def never() -> bool:
    """Return False: the `should_stop` of a job that is never stopped."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a long job stands.

    Parameters
    ----------
    stage : str
        What is being done, in a word or two, such as ``"denoise"``.
    done, total : int
        Pieces (tiles, steps, files) finished, and of how many.
    pixels : int, optional
        Pixels finished so far, for the rate.
    frame : int, optional
        Number of the last frame that is finished and can be shown; -1 before any.
    frames : int, optional
        Number of frames of the job.
    seconds : float, optional
        Time since the job began [s].
    message : str, optional
        A sentence for the user where something out of the ordinary happened, such
        as a smaller tile after memory ran out. Empty otherwise.
    """

    stage: str
    done: int
    total: int
    pixels: int = 0
    frame: int = -1
    frames: int = 1
    seconds: float = 0.0
    message: str = ""

    @property
    def fraction(self) -> float:
        """Finished share, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated time left [s]; None before anything is finished."""
        if not self.done or not self.seconds:
            return None
        return self.seconds * max(0, self.total - self.done) / self.done

    @property
    def megapixels_per_second(self) -> float | None:
        """Rate since the job began [Mpx/s]; None before anything is finished."""
        if not self.pixels or not self.seconds:
            return None
        return self.pixels / self.seconds / 1e6


@dataclass(slots=True)
class Clock:
    """Measures the seconds since a job began."""

    start: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Time since the clock was made [s]."""
        return time.perf_counter() - self.start


def format_seconds(seconds: float) -> str:
    """Return a duration as people write it, such as ``"3 min 20 s"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
