"""The manifest beside an unfinished result: what is made of what, and how far it is.

``.NAME.resume`` lies beside the result ``NAME`` while that is made. Its first line is
JSON: the input's identity, the denoiser with the sha256 of its weights, everything that
sets the pixels, and where the unfinished file is. It is written before there is such a
file, so that none is ever forgotten; a line that says how to go on with it follows when
there is. Then one line per finished frame, its number and checksum, is appended after
the frame is written. A program that is killed leaves both; a last line that is cut
short counts for nothing, and a frame counts only if it still has its checksum.

The manifest is also the lock of the result: the system holds it for the program that
writes, and lets go when that ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import OutputError
from lowdose.io import paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedRandom

_VERSION: Final = 1
#: What the line with :attr:`Plan.token` begins with.
_TOKEN: Final = b"token "


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run makes of what: the first line of a manifest.

    Parameters
    ----------
    source : mapping
        The input's :class:`~lowdose.batch.identity.Identity`.
    dataset : str or None
        Which image of it.
    denoiser : mapping
        What :meth:`~lowdose.denoiser.Denoiser.describe` returns.
    settings : mapping
        What else sets the pixels: `keep_mean`, precision.
    part : str
        Name of the unfinished file, in the folder of the result.
    token : mapping or None
        What :func:`lowdose.io.reopen` needs; None where it cannot be gone on with, or
        was not laid out yet.
    step : mapping
        The provenance step that is in the unfinished file.
    shape : tuple of int
        Shape of the result.
    """

    source: Mapping[str, Any]
    dataset: str | None
    denoiser: Mapping[str, Any]
    settings: Mapping[str, Any]
    part: str
    token: Mapping[str, Any] | None
    step: Mapping[str, Any]
    shape: tuple[int, ...]


@dataclass(slots=True)
class Manifest:
    """The manifest of one result, open and locked.

    Parameters
    ----------
    path : Path
        The manifest.
    file : file object
        It, opened.
    plan : Plan or None
        What an earlier run left in it; None where there is nothing to go on with.
    checksums : dict of int to int
        Checksum of each frame that the earlier run finished, by frame number.
    """

    path: Path
    file: BufferedRandom
    plan: Plan | None = None
    checksums: dict[int, int] = field(default_factory=dict)

    @classmethod
    def open(cls, target: Path) -> Manifest:
        """Open and lock the manifest of a result, making it where there is none.

        Parameters
        ----------
        target : Path
            The result.

        Raises
        ------
        OutputError
            If another program is making this result, or the folder refuses.
        """
        path = manifest_path(target)
        with paths.in_words(target):
            while True:
                file = path.open("a+b")
                if not _lock(file):
                    file.close()
                    msg = (
                        f"Another run is writing {target} at this moment. Wait for "
                        "it, or give another name."
                    )
                    raise OutputError(msg)
                # The other run may have removed the file between opening and locking.
                if _is_at(file, path):
                    break
                file.close()
            manifest = cls(path, file)
            manifest._read()
            return manifest

    def begin(self, plan: Plan) -> None:
        """Forget what an earlier run left, and write down what this one does.

        Raises
        ------
        OutputError
            If the disk refuses.
        """
        record = json.dumps({"version": _VERSION, **asdict(plan)}, default=str)
        with paths.in_words(self.path):
            self.file.truncate(0)
            self.file.write(record.encode() + b"\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        self.plan, self.checksums = plan, {}

    def laid_out(self, token: Mapping[str, Any] | None) -> None:
        """Write down that the unfinished file is there, and how to go on with it.

        Raises
        ------
        OutputError
            If the disk refuses.
        """
        assert self.plan is not None
        if token is None:
            return
        with paths.in_words(self.path):
            self.file.write(_TOKEN + json.dumps(token).encode() + b"\n")
            self.file.flush()
        self.plan = replace(self.plan, token=token)

    def finished(self, frame: int, checksum: int) -> None:
        """Write down that a frame is finished.

        Raises
        ------
        OutputError
            If the disk refuses.
        """
        with paths.in_words(self.path):
            self.file.write(f"{frame} {checksum:08x}\n".encode())
            self.file.flush()

    def leftover(self) -> Path | None:
        """Return the unfinished file of an earlier run, where there is one."""
        if self.plan is None:
            return None
        # A name only, whatever the manifest says: nothing outside the folder is meant.
        part = self.path.with_name(Path(self.plan.part).name)
        looks_ours = part.name.startswith(".") and part.name.endswith(".part")
        return part if looks_ours and part.exists() else None

    def discard(self) -> None:
        """Remove what an earlier run left."""
        part = self.leftover()
        if part is not None:
            paths.remove(part)
        self.plan, self.checksums = None, {}

    def remove(self) -> None:
        """Remove the manifest and let go of the lock."""
        if os.name == "posix":  # while it is locked: nobody else can have opened it
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.close()
        else:
            self.close()
            with contextlib.suppress(OSError):
                self.path.unlink()

    def close(self) -> None:
        """Let go of the lock, and leave the manifest for a later run."""
        with contextlib.suppress(OSError):
            self.file.close()

    def _read(self) -> None:
        self.file.seek(0)
        head, *lines = self.file.read().split(b"\n")
        try:
            record = json.loads(head)
            if record.pop("version") != _VERSION:
                return
            self.plan = Plan(**{**record, "shape": tuple(record["shape"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return  # empty, or killed while it was written
        # The last of the lines has no end yet, and may be cut short.
        for line in lines[:-1]:
            with contextlib.suppress(ValueError):
                if line.startswith(_TOKEN):
                    token = json.loads(line.removeprefix(_TOKEN))
                    self.plan = replace(self.plan, token=token)
                    continue
                frame, checksum = line.split()
                self.checksums[int(frame)] = int(checksum, 16)


def manifest_path(target: Path) -> Path:
    """Return where the manifest of a result lies."""
    return target.with_name(f".{target.name}.resume")


def _is_at(file: BufferedRandom, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _lock(file: BufferedRandom) -> bool:
    """Return whether the file could be locked; a system without locks allows all."""
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return True
    return True


def _lock_on_windows(file: BufferedRandom) -> bool:
    import msvcrt

    try:
        # One byte far behind the end: a locked byte cannot be read either.
        file.seek(2**40)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
