"""What makes an input file the same file: for resuming, and for the provenance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: So much is hashed at the beginning and at the end of a file [B]: headers and, for an
#: append, the new end. Hashing all of a movie would take as long as reading it.
_HASHED: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes an input the same.

    Parameters
    ----------
    name : str
        Name without folder: data may be moved.
    size : int
        Size of the file, or of all files of a Zarr folder [B].
    modified : int
        Time of the last change [ns since 1970]; of a folder the latest of its files.
    sha256 : str
        Of the first and the last MiB; of all of a file of up to 2 MiB. Of a Zarr
        folder, of the names and sizes of its files and the contents of its metadata.
    """

    name: str
    size: int
    modified: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as a dictionary of JSON types."""
        return {
            "name": self.name,
            "size": self.size,
            "modified": self.modified,
            "sha256": self.sha256,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Identity:
        """Build an identity from :meth:`to_dict`'s result."""
        return cls(
            name=str(record["name"]),
            size=int(record["size"]),
            modified=int(record["modified"]),
            sha256=str(record["sha256"]),
        )

    def change_to(self, other: Identity) -> str:
        """Return in words what differs, or ``""`` where it is the same input."""
        for what, before, after in (
            ("its name", self.name, other.name),
            ("its size [B]", self.size, other.size),
            ("its contents (sha256)", self.sha256[:12], other.sha256[:12]),
            ("its time of change [ns]", self.modified, other.modified),
        ):
            if before != after:
                return f"{what} was {before} and is {after}"
        return ""


def identify(path: Path) -> Identity:
    """Return the identity of a file or a Zarr folder.

    Parameters
    ----------
    path : Path
        The input.

    Returns
    -------
    Identity
        As it is now.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise InputError(msg) from error


def check_unchanged(path: Path, identity: Identity) -> None:
    """Raise if a file changed since it was identified, by its size and time of change.

    Raises
    ------
    InputError
        If it did, or is gone.
    """
    try:
        if path.is_dir():
            size, modified = _size_and_time(path)
        else:
            status = path.stat()
            size, modified = status.st_size, status.st_mtime_ns
    except OSError as error:
        msg = f"{path} went away while it was read: {error.strerror or error}."
        raise InputError(msg) from error
    if (size, modified) != (identity.size, identity.modified):
        what = (
            f"from {identity.size:,} to {size:,} bytes"
            if size != identity.size
            else "in place"
        )
        msg = (
            f"{path} changed while it was read ({what}), so that its result would be "
            "of no one file. If it is still being written, wait until it is complete."
        )
        raise InputError(msg)


def _of_file(path: Path) -> Identity:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_HASHED))
        size = file.seek(0, 2)
        if size > _HASHED:
            file.seek(max(_HASHED, size - _HASHED))
            digest.update(file.read(_HASHED))
    return Identity(
        name=path.name,
        size=size,
        modified=path.stat().st_mtime_ns,
        sha256=digest.hexdigest(),
    )


def _of_folder(path: Path) -> Identity:
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} ".encode())
        digest.update(f"{file.stat().st_size}\n".encode())
        if file.name.endswith((".json", ".zarray", ".zattrs", ".zgroup")):
            digest.update(file.read_bytes())
    size, modified = _size_and_time(path)
    return Identity(
        name=path.name, size=size, modified=modified, sha256=digest.hexdigest()
    )


def _size_and_time(folder: Path) -> tuple[int, int]:
    statuses = [file.stat() for file in folder.rglob("*") if file.is_file()]
    return (
        sum(status.st_size for status in statuses),
        max((status.st_mtime_ns for status in statuses), default=0),
    )
