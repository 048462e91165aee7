"""What is remembered of a training until its model is kept, so that it can go on.

One small JSON file per training, in the folder of the user's data: written under
another name first and renamed, so that there is never half of one. The checkpoint
itself is in the folder of the training; see :mod:`lowdose.training.checkpoint`.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs
import psutil

from lowdose.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Version of the layout of a record.
_FORMAT: Final = 1
_SUFFIX: Final = ".json"

#: Folders that a training of this process is writing to.
_OPEN: Final[set[Path]] = set()
_LOCK: Final = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A training whose model is not kept yet.

    Parameters
    ----------
    name : str
        What the model is to be called; no two records have the same.
    folder : str
        Where its checkpoints are.
    recipe : mapping
        Its recipe, as :func:`lowdose.training.config.recipe_to_dict` gives it.
    minutes : float
        Time that it was given [min].
    device : str
        What it runs on.
    own : bool
        Whether the folder is in the standard place, and so goes with the record.
    source : str
        What it learns from, in words.
    steps : int
        Steps made when the record was written.
    seconds : float
        Time spent in them [s].
    written : float
        When that was [s since 1970].
    pid : int
        The process that trains or has trained it.
    started : float
        When that process began [s since 1970]: a number may be used again.
    """

    name: str
    folder: str
    recipe: dict[str, Any]
    minutes: float
    device: str = "auto"
    own: bool = True
    source: str = ""
    steps: int = 0
    seconds: float = 0.0
    written: float = 0.0
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=lambda: psutil.Process().create_time())

    @property
    def running(self) -> bool:
        """Whether it is being trained at this moment, here or in another napari."""
        if self.pid == os.getpid():
            with _LOCK:
                return Path(self.folder) in _OPEN
        try:
            began = psutil.Process(self.pid).create_time()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        return bool(abs(began - self.started) < 1.0)


def trainings_folder() -> Path:
    """Return the folder of records, and of trainings that are given no other.

    The environment variable ``LOWDOSE_TRAININGS`` names another one. It need not exist.
    """
    named = os.environ.get("LOWDOSE_TRAININGS")
    return Path(named) if named else platformdirs.user_data_path("lowdose") / "training"


def write_record(record: Record) -> Record:
    """Write a record in place of the earlier one, and return it with its time.

    Raises
    ------
    OutputError
        If it cannot be written; the earlier one is kept.
    """
    record = replace(record, written=time.time())
    path = _path(record.name)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            json.dump({"format": _FORMAT, **asdict(record)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        msg = (
            f"The training cannot be noted in {path.parent}: "
            f"{error.strerror or error}. Make that folder writable, or name another "
            "one in the environment variable LOWDOSE_TRAININGS."
        )
        raise OutputError(msg) from error
    return record


def read_records() -> tuple[list[Record], list[str]]:
    """Return all records, the latest first, and what is wrong with the others.

    A record whose folder was deleted is forgotten; a damaged one is left where it is.
    """
    found, notes = [], []
    try:
        paths = sorted(trainings_folder().glob(f"*{_SUFFIX}"))
    except OSError:  # a folder that cannot be listed has none
        return [], []
    for path in paths:
        try:
            record = _read(path)
        except InputError as error:
            notes.append(str(error))
            continue
        if Path(record.folder).is_dir() or record.running:
            found.append(record)
        else:
            with suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda record: -record.written), notes


def find_record(name: str) -> Record | None:
    """Return the record of this name; None where there is none that can be read."""
    path = _path(name)
    try:
        return _read(path) if path.exists() else None
    except InputError:
        return None


def forget(record: Record) -> None:
    """Remove a record, and its folder where that is in the standard place.

    Raises
    ------
    OutputError
        If they cannot be removed.
    """
    folder = Path(record.folder)
    try:
        # The record first: without it a folder is litter, but never offered half.
        _path(record.name).unlink(missing_ok=True)
        if record.own and folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        msg = f"{folder} cannot be removed: {error.strerror or error}."
        raise OutputError(msg) from error


@contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Mark a folder as one that a training of this process is writing to."""
    with _LOCK:
        _OPEN.add(folder)
    try:
        yield
    finally:
        with _LOCK:
            _OPEN.discard(folder)


def _path(name: str) -> Path:
    return trainings_folder() / f"{name}{_SUFFIX}"


def _read(path: Path) -> Record:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name: values[f.name] for f in fields(Record)}
        if values["format"] != _FORMAT or known["name"] != path.stem:
            msg = f"format {values['format']}, name {known['name']!r}"
            raise ValueError(msg)
        return Record(**known)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"The record of a training, {path}, cannot be read ({error}). If its "
            "folder beside it has a last.pt, `lowdose train` can go on from there."
        )
        raise InputError(msg) from error
