"""Which files to denoise, and where each result goes."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowdose.errors import InputError, OutputError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What the name of a result in a folder ends in, before its suffix.
MARK: Final = "-denoised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to denoise.

    Parameters
    ----------
    source : Path
        The noisy file.
    target : Path
        Where the result goes.
    """

    source: Path
    target: Path


def expand(patterns: Iterable[str]) -> list[Path]:
    """Return the files that names, folders and patterns stand for.

    Parameters
    ----------
    patterns : iterable of str
        Names of files, of folders (see :func:`files_in`), or patterns with ``*``,
        ``?``, ``[...]`` and ``**``, as they come where a shell does not expand them
        (quoted, or on Windows).

    Returns
    -------
    list of Path
        In the order of the patterns, each file once, the files of a pattern in the
        order in which people count: frame2 before frame10. A name or pattern that
        matches nothing stays as it is; reading it says so.
    """
    found: dict[object, Path] = {}
    for pattern in patterns:
        matches = [pattern]
        # A name is taken as it is first: "image[1].tif" is a file, too.
        if glob.has_magic(pattern) and not Path(pattern).exists():
            matches = sorted(glob.glob(pattern, recursive=True), key=_counting_order)
        elif Path(pattern).is_dir():
            # A folder with nothing in it that can be read stays: reading it says so.
            matches = [str(path) for path in files_in(Path(pattern))]
        for path in map(Path, matches or [pattern]):
            found.setdefault(_identity(path), path)
    return list(found.values())


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are named like images which can be read.

    Parameters
    ----------
    folder : Path
        A folder; a Zarr folder is a file to us, and stands for itself.

    Returns
    -------
    list of Path
        In the order in which people count. Hidden files and folders in it are left
        out, but for Zarr folders; so are ``.emi`` files, which hold no pixels, where
        the ``.ser`` files that do lie beside them.

    Raises
    ------
    InputError
        If the folder cannot be listed.
    """
    from lowdose.io import readable_suffixes
    from lowdose.io.paths import is_zarr_folder

    if is_zarr_folder(folder):
        return [folder]
    known = frozenset(readable_suffixes())
    try:
        names = sorted((p.name for p in folder.iterdir()), key=_counting_order)
    except OSError as error:
        msg = f"The folder {folder} cannot be listed: {error.strerror or error}."
        raise InputError(msg) from error
    images = [
        path
        for path in (folder / name for name in names)
        if not path.name.startswith(".")
        and path.suffix.lower() in known
        and (path.is_file() or is_zarr_folder(path))
    ]
    pixels = any(path.suffix.lower() == ".ser" for path in images)
    return [p for p in images if not (pixels and p.suffix.lower() == ".emi")]


def plan_jobs(sources: Sequence[Path], output: str, suffix: str) -> list[Job]:
    """Return what to denoise into what.

    Parameters
    ----------
    sources : sequence of Path
        The noisy files.
    output : str
        Name of the result, or of a folder for results (see :func:`names_folder`).
    suffix : str
        Format of results in a folder, such as ``".tif"``, with or without the dot.

    Returns
    -------
    list of Job
        One per source.

    Raises
    ------
    ParameterError
        If the format cannot be written, several sources are to go into one file, two
        results would have the same name, or a result would replace a source.
    """
    if names_folder(output):
        folder, ending = Path(output), f".{suffix.removeprefix('.')}"
        jobs = [
            Job(source=source, target=folder / f"{_stem(source)}{MARK}{ending}")
            for source in sources
        ]
    elif len(sources) == 1:
        jobs = [Job(source=sources[0], target=Path(output))]
    else:
        msg = (
            f"{len(sources)} inputs cannot go into the one file {output}. Give -o the "
            f"name of a folder, ending in a slash ({Path(output).stem}/), and choose "
            "the format by --format."
        )
        raise ParameterError(msg)
    _check_format(jobs[0].target)
    _check_distinct(jobs)
    return jobs


def names_folder(output: str) -> bool:
    """Return whether the text given to ``-o`` means a folder for results.

    It does where it is a folder, ends in a slash, or has no suffix; a Zarr folder is
    a file to us.
    """
    path = Path(output)
    if path.suffix.lower() == ".zarr":  # a folder to the system, a file to us
        return False
    return path.is_dir() or output.endswith(("/", "\\")) or not path.suffix


def make_folder(folder: Path) -> None:
    """Make the folder for the results, with its parents.

    Raises
    ------
    OutputError
        If the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {folder} cannot be made: {error.strerror or error}."
        raise OutputError(msg) from error


def _check_format(target: Path) -> None:
    from lowdose.io import writable_suffixes

    known = writable_suffixes()
    if target.suffix.lower() not in known:
        msg = (
            f"{target.suffix!r} is not the suffix of a format that can be written. "
            f"Use one of {', '.join(known)}."
        )
        raise ParameterError(msg)


def _stem(source: Path) -> str:
    """Return the name of a file without suffix, be it ``.tif`` or ``.ome.tif``."""
    return re.sub(r"\.ome$", "", source.stem, flags=re.IGNORECASE)


def _check_distinct(jobs: Sequence[Job]) -> None:
    sources = {_identity(job.source): job.source for job in jobs}
    targets: dict[object, Path] = {}
    for job in jobs:
        target = _identity(job.target)
        if target in sources:
            msg = (
                f"The result would replace the input {sources[target]}. Noisy data "
                "cannot be had again: give -o another name or folder."
            )
            raise ParameterError(msg)
        if target in targets:
            msg = (
                f"{targets[target]} and {job.source} would both go into {job.target}. "
                "Denoise them into different folders."
            )
            raise ParameterError(msg)
        targets[target] = job.source


def _identity(path: Path) -> object:
    """Return what is equal for two names of the same file."""
    try:
        status = path.stat()
    except OSError:  # not there yet
        return path.resolve()
    return status.st_dev, status.st_ino


def _counting_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts the numbers in a name by value."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", name)
    ]
