"""The progress of a whole batch: how much of all files is done, and the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lowdose.progress import Clock, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lowdose.batch.jobs import Job
    from lowdose.batch.status import FileStatus

#: Parts that a batch is counted in.
_PARTS: Final = 10_000


class Overall:
    """Adds the files of a batch up, each weighed by its size on disk.

    Files that cost no time, because they failed at once or their result was there
    already, count neither as work nor as work done: they would make the time left
    look shorter than it is.

    Parameters
    ----------
    jobs : sequence of Job
        The files of the batch.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        sizes = [_size(job.source) for job in jobs]
        known = [size for size in sizes if size]
        usual = sum(known) / len(known) if known else 1.0
        self._weights = [float(size or usual) for size in sizes]
        self._shares = [0.0] * len(jobs)
        self._pixels = [0] * len(jobs)
        self._clock = Clock()
        self.finished = 0

    def with_file(self, status: FileStatus) -> Progress:
        """Return the progress of the batch after news of one of its files."""
        number = status.number
        if status.progress is not None:
            self._shares[number] = status.progress.fraction
            self._pixels[number] = status.progress.pixels
        if status.outcome is not None:
            self.finished += 1
            self._shares[number] = 1.0
            if status.outcome.error or status.outcome.present:
                self._weights[number] = 0.0
        work = sum(self._weights)
        done = sum(w * s for w, s in zip(self._weights, self._shares, strict=True))
        return Progress(
            stage="denoise",
            done=int(_PARTS * done / work) if work else _PARTS,
            total=_PARTS,
            pixels=sum(self._pixels),
            frame=self.finished - 1,
            frames=len(self._weights),
            seconds=self._clock.seconds,
        )


def _size(path: Path) -> int:
    """Return the size of a file [B]; 0 for a folder, or where it cannot be known."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
