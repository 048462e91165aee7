"""What becomes of each file of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lowdose.batch.jobs import Job
    from lowdose.errors import LowDoseError
    from lowdose.progress import Progress

#: ``"present"``: the result was there already, made the same way from the same input.
State = Literal["waiting", "running", "done", "present", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file; `error` is empty where there is a result.

    Parameters
    ----------
    job : Job
        The file and its result.
    error : str, optional
        Why there is none.
    shape : tuple of int, optional
        Shape of the result.
    seconds : float, optional
        How long it took [s].
    frames_resumed : int, optional
        Frames that an earlier run had finished.
    present : bool, optional
        Whether the whole result was there already.
    exception : LowDoseError, optional
        The error itself, where it was raised in this process.
    """

    job: Job
    error: str = ""
    shape: tuple[int, ...] = ()
    seconds: float = 0.0
    frames_resumed: int = 0
    present: bool = False
    exception: LowDoseError | None = field(default=None, compare=False, repr=False)

    @property
    def state(self) -> State:
        """The state that a table shows."""
        if self.error:
            return "failed"
        return "present" if self.present else "done"

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a dictionary of JSON types."""
        record: dict[str, Any] = {"input": str(self.job.source)}
        if self.error:
            return {**record, "output": None, "error": self.error}
        return {
            **record,
            "output": str(self.job.target),
            "shape": list(self.shape),
            "seconds": round(self.seconds, 3),
            "state": self.state,
            "frames_resumed": self.frames_resumed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """Where one file of a batch stands.

    Parameters
    ----------
    number : int
        Number of the file in the batch, from 0.
    state : str
        One of :data:`State`.
    progress : Progress, optional
        How far it is, while it runs.
    outcome : Outcome, optional
        What became of it, once that is known.
    warning : str, optional
        Something out of the ordinary, for the user. Empty otherwise.
    """

    number: int
    state: State
    progress: Progress | None = None
    outcome: Outcome | None = None
    warning: str = ""
