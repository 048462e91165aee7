"""How a data set is kept while it is made, and put together when it is complete.

Each specimen is written to a file of its own, in a folder beside the final name
(``set.h5.making`` for ``set.h5``), under a temporary name that is then changed in one
step. So at any moment, and whatever ends the program, every specimen is either
complete or not there. When all are there, the set is put together in their order under
another temporary name, which becomes the final one. Who rendered a specimen, and when,
leaves no trace in it.

Layout of the set (version 1)
-----------------------------
``/images``
    float32, shape (N, H, W), one image per chunk, shuffled and deflated. Clean
    intensity: electrons per pixel at a dose of 1.
``/parameters``
    Table of N rows; see :mod:`lowdose.simulation.tables`. Always there: ``specimen``
    (its number), ``specimen_seed``, ``image`` (its number among those of the specimen).
``/events``
    Table, where something happens in movies.

Attributes
----------
    ``format``, ``format_version``, ``complete``, and as JSON ``plan`` (preset, seed,
    count, options, software) and ``about`` (title, detector, vacuum, units).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
import psutil

import lowdose
from lowdose.errors import FormatError, OutputError
from lowdose.io import paths
from lowdose.simulation import tables

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lowdose.simulation.rendering import Preset, Rendering

FORMAT: Final = "lowdose-simulated-set"
FORMAT_VERSION: Final = 1

#: Packages whose version may change a pixel.
_SOFTWARE: Final = ("abtem", "ase", "numpy", "scipy", "h5py")
#: Name of the plan in the folder in which a set is made.
PLAN: Final = "plan.json"
_LOCK: Final = "lock.json"
#: Presets that have another name now, and the option by which plans of the preset that
#: has the old name now are told from theirs.
_RENAMED: Final = {"sbd": ("sbd-sharp", "vibration")}
_DEFLATE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a set is made of: two sets with equal plans are equal.

    Parameters
    ----------
    preset : str
        Name of the preset.
    seed, count : int
        Seed and size of the set, in what the preset counts.
    options : dict
        What the preset was given, as JSON types.
    software : dict
        Versions of the packages that compute the images.
    """

    preset: str
    seed: int
    count: int
    options: dict[str, Any]
    software: dict[str, str]

    def differences(self, other: Plan) -> str:
        """Return in words where another plan differs, empty where it does not."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return "; ".join(
            f"{name}: {mine[name]!r} there, {theirs[name]!r} now"
            for name in mine
            if mine[name] != theirs[name]
        )


def make_plan(preset: Preset, *, seed: int, count: int) -> Plan:
    """Return the plan of a set, with the versions of the software that is there."""
    software = {"lowdose": lowdose.__version__}
    for package in _SOFTWARE:
        with contextlib.suppress(PackageNotFoundError):
            software[package] = version(package)
    return Plan(
        preset=preset.name,
        seed=seed,
        count=count,
        options=dict(preset.options),
        software=software,
    )


def parse_plan(text: str) -> Plan:
    """Return the plan in a JSON text.

    A set that was made by a preset which has another name now, such as one of ``sbd``
    before that was blurred, has the new name in its plan: its images are those that
    the preset of the new name makes.

    Parameters
    ----------
    text : str
        Of the file of a set, or the folder in which it is made.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError
        If it is no plan.
    """
    plan = Plan(**json.loads(text))
    name, option = _RENAMED.get(plan.preset, (plan.preset, ""))
    if option in plan.options:
        return plan
    return dataclasses.replace(plan, preset=name)


def making(path: Path) -> Path:
    """Return the folder in which a set is made until it is complete."""
    return path.with_name(f"{path.name}.making")


def claim(folder: Path, path: Path) -> None:
    """Claim the folder of a set, unless a process that is still alive has it.

    Raises
    ------
    OutputError
        If another process, or another job of this one, makes the set.
    """
    holder = maker(folder)
    if holder is not None:
        msg = (
            f"{path} is being made by process {holder['pid']} on {holder['host']}. "
            "Wait for it, or give another name."
        )
        raise OutputError(msg)
    me = psutil.Process()
    mine = {"pid": me.pid, "started": me.create_time(), "host": socket.gethostname()}
    (folder / _LOCK).write_text(json.dumps(mine), "utf-8")


def maker(folder: Path) -> dict[str, Any] | None:
    """Return the process that makes a set now, None where there is none.

    Parameters
    ----------
    folder : Path
        Of :func:`making`.

    Returns
    -------
    dict or None
        ``pid``, ``started``, ``host``. A process of another machine cannot be asked,
        and is taken to be gone.
    """
    try:
        held: dict[str, Any] = json.loads((folder / _LOCK).read_text("utf-8"))
        if held["host"] != socket.gethostname():
            return None
        alive = psutil.Process(held["pid"]).create_time() == held["started"]
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return held if alive else None


def release(folder: Path) -> None:
    """Give up the claim on a folder."""
    (folder / _LOCK).unlink(missing_ok=True)


def write_plan(folder: Path, plan: Plan) -> None:
    """Begin to make a set: make its folder, with the plan in it.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    folder.mkdir(exist_ok=True)
    part = folder / f"{PLAN}.part"
    part.write_text(json.dumps(dataclasses.asdict(plan), indent=1), "utf-8")
    _sync(part)
    os.replace(part, folder / PLAN)


def read_plan(folder: Path) -> Plan | None:
    """Return the plan of a set that is being made, None where there is none.

    Raises
    ------
    FormatError
        If its text is damaged.
    """
    file = folder / PLAN
    if not file.exists():
        return None
    try:
        return parse_plan(file.read_text("utf-8"))
    except (ValueError, TypeError) as error:
        msg = f"{file} is damaged. Remove the folder {folder} and begin anew."
        raise FormatError(msg) from error


def shard(folder: Path, number: int) -> Path:
    """Return the file of a specimen."""
    return folder / f"specimen-{number:07d}.h5"


def write_shard(folder: Path, number: int, rendering: Rendering) -> None:
    """Write the images of one specimen; they are there completely or not at all.

    Parameters
    ----------
    folder : Path
        Of :func:`making`.
    number : int
        Number of the specimen.
    rendering : Rendering
        Its images.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    final = shard(folder, number)
    part = final.with_suffix(f".{os.getpid()}.part")
    with h5py.File(part, "w") as file:
        images = _create_images(file, rendering.images.shape)
        for row, image in enumerate(rendering.images):
            images[row] = image
        file.attrs["records"] = json.dumps([dict(r) for r in rendering.records])
        file.attrs["events"] = json.dumps([dict(e) for e in rendering.events])
    _sync(part)
    os.replace(part, final)


def finished(folder: Path, specimens: int) -> set[int]:
    """Return the numbers of the specimens that are complete.

    A file that cannot be opened, such as after a failure of the disk, is removed.

    Parameters
    ----------
    folder : Path
        Of :func:`making`.
    specimens : int
        How many the set has.
    """
    done = set()
    for number in range(specimens):
        file = shard(folder, number)
        if not file.exists():
            continue
        try:
            with h5py.File(file, "r") as opened:
                json.loads(opened.attrs["records"])
        except (OSError, KeyError, ValueError):
            file.unlink()
        else:
            done.add(number)
    return done


def assemble(path: Path, plan: Plan, preset: Preset) -> Path:
    """Put a complete set together, and remove the folder it was made in.

    Parameters
    ----------
    path : Path
        Final name.
    plan : Plan
        Of the set.
    preset : Preset
        Of the set.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    OutputError
        If it cannot be written, or something has that name.
    FormatError
        If the file of a specimen is damaged.
    """
    folder = making(path)
    part = folder / "set.h5.part"
    shards = [shard(folder, n) for n in range(preset.specimens(plan.count))]
    with paths.in_words(path):
        with h5py.File(part, "w") as file:
            _fill(file, shards, preset.images(plan.count))
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["plan"] = json.dumps(dataclasses.asdict(plan))
            file.attrs["about"] = json.dumps(
                {
                    "title": preset.title,
                    "counted": preset.counted,
                    "images_per_specimen": preset.images_per_specimen,
                    "detector": preset.detector,
                    "vacuum": preset.vacuum,
                    "units": dict(preset.units),
                }
            )
            file.attrs["complete"] = True
        paths.publish(part, path, overwrite=False)
    clear(folder)
    return path


def clear(folder: Path) -> None:
    """Remove the folder in which a set was made."""
    shutil.rmtree(folder, ignore_errors=True)


def _fill(file: h5py.File, shards: Iterable[Path], rows: int) -> None:
    """Copy the images as they are compressed, and collect the tables."""
    records: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    images: h5py.Dataset | None = None
    for source in shards:
        with h5py.File(source, "r") as opened:
            stored = opened["images"]
            if images is None:
                images = _create_images(file, (rows, *stored.shape[1:]))
            elif stored.shape[1:] != images.shape[1:]:
                msg = (
                    f"{source} has images of {stored.shape[1:]} px, the specimens "
                    f"before it of {images.shape[1:]}: all images of a set are of one "
                    "size."
                )
                raise FormatError(msg)
            for row in range(min(len(stored), rows - len(records))):
                mask, chunk = stored.id.read_direct_chunk((row, 0, 0))
                images.id.write_direct_chunk((len(records) + row, 0, 0), chunk, mask)
            # A specimen may have more images than the set still needs.
            room = rows - len(records)
            records += json.loads(opened.attrs["records"])[:room]
            events += json.loads(opened.attrs["events"])
    if len(records) != rows:
        msg = f"The set should have {rows} images, but {len(records)} were rendered."
        raise OutputError(msg)
    tables.write_table(file, "parameters", tables.to_table(records))
    if events:
        tables.write_table(file, "events", tables.to_table(events))


def _create_images(file: h5py.File, shape: tuple[int, ...]) -> h5py.Dataset:
    return file.create_dataset(
        "images",
        shape,
        np.dtype("<f4"),
        chunks=(1, *shape[1:]),
        shuffle=True,
        compression="gzip",
        compression_opts=_DEFLATE,
        track_times=False,
    )


def _sync(file: Path) -> None:
    """Make the contents durable before the name says that they are complete."""
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
