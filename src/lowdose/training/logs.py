"""The curve of a training: always as CSV, in TensorBoard too where it is installed."""

from __future__ import annotations

import csv
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CURVE: Final = "curve.csv"


class Curve:
    """Writes one row per validation.

    Parameters
    ----------
    folder : Path
        Of the training.
    step : int
        Step to go on from; rows after it, of a run that was lost, are dropped.
    writes : bool, optional
        Whether it does; of several processes only one does.
    """

    def __init__(self, folder: Path, step: int, *, writes: bool = True) -> None:
        self.path = folder / CURVE
        self._writes = writes
        self._board: Any = None
        if not writes:
            return
        if importlib.util.find_spec("tensorboard") is not None:
            board = importlib.import_module("torch.utils.tensorboard")
            self._board = board.SummaryWriter(folder / "tensorboard", purge_step=step)
        if self.path.exists():
            rows = [row for row in read_curve(self.path) if int(row["step"]) <= step]
            self._write(rows, "w")

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the row of a step.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if not self._writes:
            return
        row = {"step": str(step), **{k: f"{v:.6g}" for k, v in values.items()}}
        self._write([row], "a")
        if self._board is not None:
            for key, value in values.items():
                self._board.add_scalar(key, value, step)

    def close(self) -> None:
        """Close the log of TensorBoard."""
        if self._board is not None:
            self._board.close()

    def _write(self, rows: Sequence[Mapping[str, str]], mode: str) -> None:
        fresh = mode == "w" or not self.path.exists()
        try:
            with self.path.open(mode, newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if fresh and rows:
                    writer.writerow(rows[0])
                writer.writerows(row.values() for row in rows)
        except OSError as error:
            msg = f"{self.path} cannot be written: {error.strerror}."
            raise OutputError(msg) from error


def read_curve(path: Path) -> list[dict[str, str]]:
    """Return the rows of a curve, column to text; a row cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]
