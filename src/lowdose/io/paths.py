"""Where files come from and go to: checks before, the rename after, errors in words.

A file is written under a temporary name in the folder of its final one and renamed
when it is complete, so that the final name never shows half a file, whatever kills the
program. On the same file system a rename is one step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.errors import FormatError, InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Files that say that a folder is a Zarr hierarchy, of format 3 and 2.
ZARR_MARKERS: Final = ("zarr.json", ".zgroup", ".zarray")

#: File names have at most 255 bytes on every common system; a temporary one is longer.
_LONGEST_STEM: Final = 200

_REASONS: Final = {
    errno.ENOSPC: "the disk is full. Free some space, or choose another disk",
    errno.EDQUOT: "your disk quota is used up. Free some space, or choose another disk",
    errno.EFBIG: "the file would be larger than this disk or account allows",
    errno.EROFS: "the disk is read-only. Choose another folder",
    errno.EACCES: "you have no permission to write there. Choose another folder",
    errno.EPERM: "you have no permission to write there. Choose another folder",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
    errno.ENOENT: "the folder is gone",
}


def is_zarr_folder(path: Path) -> bool:
    """Return whether a folder is a Zarr array or group."""
    return path.is_dir() and any((path / marker).exists() for marker in ZARR_MARKERS)


def check_input(path: Path) -> None:
    """Raise unless `path` is a file with something in it, or a Zarr folder.

    Raises
    ------
    InputError
        If it is missing, another folder, no regular file, or not readable.
    FormatError
        If it is empty.
    """
    try:
        if path.is_dir():
            if is_zarr_folder(path):
                return
            msg = (
                f"{path} is a folder. Give the file in it, or several files to the "
                "command line. (A folder is only read where it is a Zarr array.)"
            )
            raise InputError(msg)
        if not path.exists():
            raise InputError(_missing(path))
        if not path.is_file():
            msg = f"{path} is not a regular file, and cannot be read as an image."
            raise InputError(msg)
        if path.stat().st_size == 0:
            msg = f"{path} is empty (0 bytes). Copy it again from its source."
            raise FormatError(msg)
        with path.open("rb"):
            pass
    except InputError:
        raise
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise InputError(msg) from error


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise unless a file can be made at `path`.

    Raises
    ------
    OutputError
        If its folder is missing, it is a folder, or it exists and `overwrite` is
        false.
    """
    folder = path.parent
    if not folder.is_dir():
        msg = (
            f"Cannot write {path}: the folder {folder} does not exist. Make it first."
            if not folder.exists()
            else f"Cannot write {path}: {folder} is not a folder."
        )
        raise OutputError(msg)
    zarr = path.suffix.lower() == ".zarr"
    if path.is_dir() and not (zarr and is_zarr_folder(path)):
        msg = f"Cannot write {path}: it is a folder. Give the name of a file in it."
        raise OutputError(msg)
    if not (path.exists() or path.is_symlink()):
        return
    if not overwrite:
        raise _exists(path)
    if zarr and not path.is_dir():
        msg = f"Cannot write {path}: there is a file of that name. Remove it first."
        raise OutputError(msg)
    if not zarr and not path.is_file():
        msg = f"Cannot write {path}: it is not a regular file."
        raise OutputError(msg)


def check_space(path: Path, needed: int) -> None:
    """Raise if the disk has less than `needed` bytes left.

    Raises
    ------
    OutputError
        Naming both sizes.
    """
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:  # some network file systems cannot say; the write itself will
        return
    if usage.total and usage.free < needed:
        msg = (
            f"Cannot write {path}: it needs {_gigabytes(needed)}, but the disk has "
            f"only {_gigabytes(usage.free)} left. Free some space, or choose another "
            "disk."
        )
        raise OutputError(msg)


def temporary_name(path: Path) -> Path:
    """Return a name beside `path`: new, hidden, and ending in ``.part``."""
    stem = os.fsencode(path.name)[:_LONGEST_STEM].decode("utf-8", "ignore")
    return path.with_name(f".{stem}.{secrets.token_hex(4)}.part")


def reserve(part: Path) -> None:
    """Make the temporary file, so that a folder without permission is known at once."""
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    os.close(descriptor)


def publish(part: Path, path: Path, *, overwrite: bool) -> None:
    """Give a finished temporary file or folder its final name, durably.

    Parameters
    ----------
    part : Path
        The finished file or Zarr folder.
    path : Path
        Its final name.
    overwrite : bool
        Whether what has that name is replaced. If false, a file that appeared in the
        meantime is left alone.

    Raises
    ------
    OutputError
        If `path` exists and `overwrite` is false.
    OSError
        If the disk refuses.
    """
    _sync_tree(part)
    if part.is_dir():
        _publish_folder(part, path, overwrite=overwrite)
    elif overwrite:
        os.replace(part, path)
    else:
        _publish_new(part, path)
    _sync_folder(path.parent)


def remove(part: Path) -> None:
    """Remove a temporary file or folder, if it is there."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        # It is being given up: that it cannot be removed must not hide the reason.
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Make of a failed write an error that says what it means for the user.

    Parameters
    ----------
    path : Path
        The final name of the file.

    Raises
    ------
    OutputError
        In place of any other OSError in the block, with its `errno`.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, str(error.strerror or error))
        translated = OutputError(f"Cannot write {path}: {reason}.")
        translated.errno = error.errno
        raise translated from error


def _exists(path: Path) -> OutputError:
    return OutputError(
        f"{path} exists already. Give another name, or allow it to be replaced: "
        "overwrite=True in Python, --overwrite on the command line."
    )


def _missing(path: Path) -> str:
    for parent in path.parents:
        if parent.exists():
            if parent == path.parent:
                return f"{path} does not exist."
            gone = parent / path.relative_to(parent).parts[0]
            return f"{path} does not exist: there is no folder {gone}."
    return f"{path} does not exist."


def _publish_new(part: Path, path: Path) -> None:
    """Rename without ever replacing a file that appeared in the meantime."""
    try:
        # A hard link is made only where the name is free: unlike "look, then rename"
        # there is no moment between in which another program could take it.
        os.link(part, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise _exists(path) from None
        os.replace(part, path)
    else:
        part.unlink()


def _publish_folder(part: Path, path: Path, *, overwrite: bool) -> None:
    if not path.exists():
        part.rename(path)
        return
    if not overwrite:
        raise _exists(path)
    # A folder cannot replace a folder in one step: the old one steps aside first.
    old = Path(
        tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    )
    path.rename(old / path.name)
    try:
        part.rename(path)
    except OSError:
        (old / path.name).rename(path)
        raise
    finally:
        if not (old / path.name).exists() or path.exists():
            shutil.rmtree(old, ignore_errors=True)


def _sync_tree(part: Path) -> None:
    files = [f for f in part.rglob("*") if f.is_file()] if part.is_dir() else [part]
    for file in files:
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{size / 1e6:.3g} MB"
