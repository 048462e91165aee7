"""The folder of a benchmark while it runs: what is finished survives any ending.

``setup.json`` says what the results depend on. ``rows.jsonl`` has a line per item and
denoiser, written by one process at the end of the file: a line that was cut short is
left out when the file is read, and made again. Sums over all items, such as maps of
the mean error, carry the names of the items in them, so that none is added twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.batch.spec import difference, plain
from lowdose.benchmark.report import put
from lowdose.errors import FormatError, OutputError
from lowdose.io import paths
from lowdose.progress import Clock
from lowdose.simulation import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SETUP: Final = "setup.json"
_ROWS: Final = "rows.jsonl"
_TUNED: Final = "tuned.json"
#: How often sums are written [s]; rows wait for them.
_EVERY: Final = 15.0


@dataclass(slots=True, kw_only=True)
class Results:
    """What is finished of a benchmark.

    Parameters
    ----------
    folder : Path
        Where it is kept.
    done : dict
        Item and label to the rows found.
    tuned : dict
        Label, then level, to tuned parameters.
    """

    folder: Path
    done: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    tuned: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _waiting: list[str] = field(default_factory=list)
    _sums: dict[tuple[str, str], _Sum] = field(default_factory=dict)
    _changed: set[tuple[str, str]] = field(default_factory=set)
    _clock: Clock = field(default_factory=Clock)

    def add(
        self,
        item: str,
        label: str,
        rows: Sequence[Mapping[str, Any]],
        sums: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """Keep what was found, on disk at once or, with sums, before long."""
        self.done[item, label] = [dict(row) for row in rows]
        line = json.dumps({"item": item, "denoiser": label, "rows": list(rows)})
        self._waiting.append(line)
        for name, values in sums.items():
            self._sum(label, name).add(item, values)
            self._changed.add((label, name))
        if not self._changed or self._clock.seconds > _EVERY:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits: sums first, since they know what is in them."""
        for key in sorted(self._changed):
            self._sums[key].write(self._sum_file(*key))
        self._changed.clear()
        if self._waiting:
            text = "".join(f"{line}\n" for line in self._waiting)
            with (
                paths.in_words(self.folder / _ROWS),
                (self.folder / _ROWS).open("a", encoding="utf-8") as file,
            ):
                file.write(text)
            self._waiting.clear()
        self._clock = Clock()

    def add_tuned(self, label: str, level: str, values: Mapping[str, Any]) -> None:
        """Keep tuned parameters."""
        self.tuned.setdefault(label, {})[level] = dict(values)
        put(self.folder / _TUNED, json.dumps(self.tuned, indent=1).encode())

    def pictures(self, item: str, label: str) -> dict[str, NDArray[Any]]:
        """Return the images kept of an item and a denoiser; empty without any."""
        file = picture_file(self.folder, item, label)
        if not file.exists():
            return {}
        with np.load(file) as arrays:
            return dict(arrays)

    def sums(self, label: str, name: str) -> tuple[NDArray[np.float64], int] | None:
        """Return a sum and of how many items, or None where there is none."""
        found = self._sum(label, name)
        return None if found.values is None else (found.values, len(found.items))

    def _sum(self, label: str, name: str) -> _Sum:
        if (label, name) not in self._sums:
            self._sums[label, name] = _Sum.read(self._sum_file(label, name))
        return self._sums[label, name]

    def _sum_file(self, label: str, name: str) -> Path:
        return self.folder / "sums" / f"{file_name(label)}-{file_name(name)}.npz"


@dataclass(slots=True)
class _Sum:
    values: NDArray[np.float64] | None = None
    items: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, file: Path) -> _Sum:
        if not file.exists():
            return cls()
        with np.load(file) as arrays:
            return cls(arrays["values"], set(arrays["items"].tolist()))

    def add(self, item: str, values: NDArray[np.float64]) -> None:
        if item in self.items:  # it was written, and its row was not
            return
        self.items.add(item)
        self.values = np.array(values) if self.values is None else self.values + values

    def write(self, file: Path) -> None:
        import io

        assert self.values is not None
        buffer = io.BytesIO()
        np.savez(buffer, values=self.values, items=np.array(sorted(self.items)))
        put(file, buffer.getvalue())


def write_pictures(
    folder: Path, item: str, label: str, pictures: Mapping[str, NDArray[Any]]
) -> None:
    """Keep images for the report."""
    import io

    if not pictures:
        return
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(pictures)
    np.savez_compressed(buffer, **named)
    put(picture_file(folder, item, label), buffer.getvalue())


def picture_file(folder: Path, item: str, label: str) -> Path:
    """Return the file of the images of an item and a denoiser."""
    return folder / "pictures" / f"{file_name(item)}-{file_name(label)}.npz"


def file_name(text: str) -> str:
    """Return a file name for a text, another one for another text."""
    plain_text = re.sub(r"[^A-Za-z0-9._-]+", "_", text)
    if plain_text == text and len(text) <= 60:
        return text
    return f"{plain_text[:50]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@contextmanager
def opened(
    folder: Path, setup: Mapping[str, Any], *, resume: bool
) -> Iterator[Results]:
    """Hold the folder of a benchmark while it runs.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    setup : mapping
        Everything that results depend on, JSON types. ``denoisers`` maps labels to
        what they are: later runs may have others beside them.
    resume : bool
        Go on with what is there.

    Yields
    ------
    Results

    Raises
    ------
    OutputError
        If there are results and they are not to be resumed, if they were made
        otherwise, if another process works on them, or if the disk refuses.
    FormatError
        If the setup on disk is damaged.
    """
    file = folder / _SETUP
    with paths.in_words(folder):
        if folder.exists() and not file.exists() and any(folder.iterdir()):
            msg = (
                f"{folder} has files in it, and they are no benchmark's. Give another "
                "folder."
            )
            raise OutputError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        there = _read_setup(file)
        now = plain(setup)
        if there is not None:
            if not resume:
                msg = (
                    f"{folder} has results already. Resume them, or give another "
                    "folder."
                )
                raise OutputError(msg)
            now = _merged(there, now, folder)
        store.claim(folder, folder)
    try:
        put(file, json.dumps(now, indent=1).encode())
        results = Results(folder=folder, tuned=_read_tuned(folder / _TUNED))
        results.done.update(_read_rows(folder / _ROWS))
        try:
            yield results
        finally:  # also after an error: what is finished is kept
            results.flush()
    finally:
        store.release(folder)


def _merged(there: dict[str, Any], now: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the setup of all runs, or say how this one differs."""
    before, asked = dict(there), dict(now)
    known = before.pop("denoisers", {})
    wanted = asked.pop("denoisers", {})
    words = "" if before == asked else difference(before, asked)
    for label in known.keys() & wanted.keys():
        if known[label] != wanted[label]:
            words = words or f"{label}: {difference(known[label], wanted[label])}"
    if words:
        msg = (
            f"{folder} was made otherwise than asked for now ({words}). Ask for the "
            "same to resume it, or give another folder."
        )
        raise OutputError(msg)
    return {**now, "denoisers": {**known, **wanted}}


def _read_setup(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        setup: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        msg = f"{file} is damaged. Remove its folder and begin anew."
        raise FormatError(msg) from error
    return setup


def _read_tuned(file: Path) -> dict[str, dict[str, dict[str, Any]]]:
    if not file.exists():
        return {}
    try:
        tuned: dict[str, dict[str, dict[str, Any]]] = json.loads(file.read_text())
    except ValueError as error:
        msg = f"{file} is damaged. Remove it, and filters are tuned again."
        raise FormatError(msg) from error
    return tuned


def _read_rows(file: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the complete lines, and cut off one that is not."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    if not file.exists():
        return found
    whole = 0
    with paths.in_words(file), file.open("rb+") as opened_file:
        for line in opened_file:
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                rows = entry["rows"]
                # What failed is tried again: memory may have been short, say.
                if not any("error" in row for row in rows):
                    found[entry["item"], entry["denoiser"]] = rows
            except (ValueError, KeyError, TypeError) as error:
                msg = (
                    f"{file} is damaged at byte {whole}. Remove its folder and begin "
                    "anew."
                )
                raise FormatError(msg) from error
            whole += len(line)
        opened_file.truncate(whole)
    return found
